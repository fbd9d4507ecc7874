#!/bin/sh
# Installs WHEEL with the torch that a plain `pip install` brings (on Linux some 5 GB, CUDA and triton with it) into a
# fresh environment, and opens windows there under Mesa's software OpenGL: `demo`, `view`, plain napari with the dock, and
# a model loaded beside an open window. None may crash. Takes some 15 minutes and needs the network; not part of the
# tests. FOLDER keeps the environment for another run.
set -eu

wheel=$(realpath "$1")
folder=$(realpath -m "${2:-$(mktemp -d)}")
PYTHON="${PYTHON:-python3}"
mkdir -p "$folder/cache"
cd "$folder"
export LIBGL_ALWAYS_SOFTWARE=1 NAPARI_CONFIG="$folder/napari.yaml" XDG_CACHE_HOME="$folder/cache"
unset PIP_CONSTRAINT

[ -d env ] || "$PYTHON" -m venv env
env/bin/python -m pip install --quiet --upgrade --force-reinstall --no-deps "$wheel"
env/bin/python -m pip install --quiet "$wheel[pyqt6]"
env/bin/python - <<'EOF'
from importlib.metadata import version
print(*(f"{name} {version(name)}" for name in ("torch", "torchvision", "triton", "timm", "napari", "PyQt6")), sep=", ")
EOF

cat >plain.py <<'EOF'
"""Plain napari: the dock from the plugin, a sample, latents; then a model in this process, beside the window."""
import sys

import napari
from qtpy.QtTest import QTest

viewer = napari.Viewer()
QTest.qWait(500)  # the window is drawn: Mesa is there
viewer.window.add_plugin_dock_widget("napari-mammosae", "Model & image")
viewer.open_sample("napari-mammosae", "mass_with_marker")
from napari_mammosae.viewer.workspace import workspace_of

workspace = workspace_of(viewer)
workspace.images.compute()
while workspace.jobs.busy:
    QTest.qWait(100)
assert workspace.session.maps is not None, workspace.status.last_told
assert not {"torch", "timm", "triton"} & set(sys.modules)

import napari_mammosae as ms

model = ms.load_model("demo", device="cpu")
assert "triton" in sys.modules
print("plain napari:", ms.compute_latents(model, workspace.session.image), workspace.session.maps)
viewer.close()
EOF

sample=$(env/bin/python -c "
from importlib.resources import files
print(sorted(files('napari_mammosae').joinpath('sample_data').rglob('*.png'))[0])")
failed=0
try() {
    name="$1"
    shift
    if xvfb-run -a -s "-screen 0 1366x768x24" "$@"; then echo "$name: well"; else
        echo "$name: FAILED with return code $?" >&2
        failed=1
    fi
}
try demo env/bin/napari-mammosae demo --screenshot demo.png
try view env/bin/napari-mammosae view "$sample" --model demo --screenshot view.png
try "plain napari" env/bin/python plain.py
for picture in demo.png view.png; do [ -s "$picture" ] || { echo "$picture was not written" >&2; failed=1; }; done
exit "$failed"
