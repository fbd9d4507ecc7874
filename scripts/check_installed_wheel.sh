#!/bin/sh
# Installs WHEEL into a fresh environment, away from the source tree and without the extras, and uses it there as a
# person without a screen would: help, phantoms, and the table, maps and figure of a sample image.
set -eu

wheel=$(realpath "$1")
constraints=$(realpath constraints.txt)
PYTHON="${PYTHON:-python3}"
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"

"$PYTHON" -m venv env
env/bin/python -m pip install --quiet --disable-pip-version-check -c "$constraints" "$wheel"
env/bin/napari-mammosae --help >/dev/null
env/bin/napari-mammosae phantoms phantoms --count 2 --quiet
sample=$(env/bin/python -c "
from importlib.resources import files
print(sorted(files('napari_mammosae').joinpath('sample_data').rglob('*.png'))[0])")
for image in "$sample" phantoms/*.png; do
    rm -rf out
    env/bin/napari-mammosae inspect "$image" --model demo --out out --quiet
    for file in latents.csv maps.npz prediction.json figure.png; do
        [ -s "out/$file" ] || { echo "inspect did not write $file" >&2; exit 1; }
    done
done
echo "the installed wheel inspects its sample and fresh phantoms"
