import subprocess
import sys

import pytest

HEAVY = ("torch", "torchvision", "timm", "pandas", "skimage", "huggingface_hub")

MANIFEST = """
from npe2 import PluginManifest
manifest = PluginManifest.from_distribution("napari-mammosae")
assert manifest.name == "napari-mammosae"
"""

COMMANDS = """
import sys
from importlib import import_module
from npe2 import PluginManifest
import napari.layers, napari.viewer  # napari's own shapes bring skimage, with or without this plugin
for name in [name for name in sys.modules if name.split(".")[0] == "skimage"]:
    del sys.modules[name]
manifest = PluginManifest.from_distribution("napari-mammosae")
modules = {c.python_name.split(":")[0] for c in manifest.contributions.commands or ()}
for module in sorted(modules):
    import_module(module)
"""

HELP = """
from napari_mammosae.cli import main
assert main(["--help"]) == 0
assert main(["inspect", "--help"]) == 0
"""


@pytest.mark.parametrize(
    "code",
    ["import napari_mammosae", MANIFEST, COMMANDS, HELP],
    ids=["package", "manifest", "modules named in the manifest", "command line help"],
)
def test_start_is_light(code: str):
    check = f"\nimport sys\nprint(*sorted(set({HEAVY!r}) & set(sys.modules)), file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", code + check], capture_output=True, text=True, check=True)
    assert done.stderr.split() == []


def test_public_names_are_found_on_first_use():
    import napari_mammosae

    for name in napari_mammosae.__all__:
        assert getattr(napari_mammosae, name) is not None
    assert set(napari_mammosae.__all__) <= set(dir(napari_mammosae))
    with pytest.raises(AttributeError, match="attribute nonsense"):
        _ = napari_mammosae.nonsense
