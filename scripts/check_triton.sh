#!/bin/sh
# Loads the LLVM of Mesa's OpenGL as a window does, then what loading a model imports, with triton in reach as the default
# torch wheel brings it: without the cure the process must end by a segmentation fault, with it all must be well. Needs
# neither CUDA nor a GPU. PYTHON is the one of an environment with this package.
set -u

python=$(realpath -s "${PYTHON:-.venv/bin/python}")
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

if ! "$python" -m pip download --quiet --disable-pip-version-check --no-deps --dest "$folder" "triton>=3.7"; then
    echo "NOT CHECKED: triton could not be fetched" >&2
    exit 0
fi
"$python" -m zipfile -e "$folder"/triton-*.whl "$folder/wheel" || exit 1
cd "$folder" || exit 1

import_all="
import ctypes, ctypes.util, glob, sys
names = [ctypes.util.find_library(f'LLVM-{number}') for number in range(25, 13, -1)]
names += sorted(glob.glob('/usr/lib/*/libLLVM*.so*'))
found = next((name for name in names if name), None)
if found is None:
    sys.exit('there is no libLLVM; install Mesa')
ctypes.CDLL(found, mode=ctypes.RTLD_GLOBAL)
from napari_mammosae.core.models import timm_import
if sys.argv[1] == 'without':
    timm_import.load_triton_apart = lambda: None
timm_import.import_timm()
import triton
import torch
torch.optim.Adam([torch.nn.Parameter(torch.zeros(1))])
"
failed=0
for cure in without with; do
    expected=0
    [ "$cure" = without ] && expected=139
    PYTHONPATH="$folder/wheel" "$python" -c "$import_all" "$cure" 2>"$folder/said"
    found=$?
    echo "$cure the cure: return code $found, expected $expected"
    [ "$found" -eq "$expected" ] || { cat "$folder/said" >&2; failed=1; }
done
exit "$failed"
