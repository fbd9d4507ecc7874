#!/bin/sh
# Makes the environment FOLDER with this project installed in it, editable, with all that tests and checks need.
# One pip command for everything: only so does pip choose torch and torchvision together, as constraints.txt pins them.
set -eu

folder="$1"
PYTHON="${PYTHON:-python3}"
if ! "$PYTHON" -c "import sys; sys.exit(sys.version_info < (3, 11))"; then
    echo "napari-mammosae needs Python 3.11 or newer; '$PYTHON' is $("$PYTHON" --version 2>&1)." >&2
    echo "Name another one:  make PYTHON=python3.12 ..." >&2
    exit 1
fi
[ -x "$folder/bin/python" ] || "$PYTHON" -m venv "$folder"
quiet=--quiet
[ ! -t 1 ] || quiet=
echo "Installing into $folder (a few minutes)"
"$folder/bin/python" -m pip install $quiet --disable-pip-version-check -c constraints.txt -e ".[dev]"
