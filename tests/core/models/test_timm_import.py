import subprocess
import sys

BROKEN_TORCHVISION = '''
"""Fails as a torchvision does whose compiled operators were built for another torch."""
import torch

@torch.library.register_fake("torchvision::nms")
def _nms(dets, scores, iou_threshold):
    return dets.new_empty(0, dtype=torch.long)

loaded = True
'''
STUB_TIMM = "import torchvision\nassert torchvision.loaded\nname = 'stub'\n"


def run(code: str, path: str) -> subprocess.CompletedProcess:
    program = f"import sys; sys.path.insert(0, {path!r})\n{code}"
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)


def test_missing_operators_are_declared_after_the_import_failed(tmp_path) -> None:
    (tmp_path / "torchvision.py").write_text(BROKEN_TORCHVISION)
    (tmp_path / "timm.py").write_text(STUB_TIMM)
    plain = run("import timm", str(tmp_path))
    assert "operator torchvision::nms does not exist" in plain.stderr
    code = (
        "from napari_mammosae.core.models.timm_import import import_timm\nprint(import_timm().name, import_timm().name)"
    )
    done = run(code, str(tmp_path))
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["stub", "stub"]


def test_a_healthy_torchvision_is_left_alone(tmp_path) -> None:
    (tmp_path / "torchvision.py").write_text("loaded = True\n")
    (tmp_path / "timm.py").write_text(STUB_TIMM)
    code = (
        "import torch\nfrom napari_mammosae.core.models.timm_import import import_timm\nimport_timm()\n"
        "print(torch._C._dispatch_has_kernel_for_dispatch_key('torchvision::nms', 'CPU') "
        "if hasattr(torch.ops.torchvision, 'nms') else 'untouched')"
    )
    done = run(code, str(tmp_path))
    assert done.stdout.strip() == "untouched", done.stderr


def test_the_compiler_is_imported_once_it_is_asked_for(tmp_path) -> None:
    (tmp_path / "torchvision.py").write_text("from torch._dynamo.utils import is_compile_supported\n")
    (tmp_path / "timm.py").write_text(
        "import torch, torchvision\n@torch.compiler.disable\ndef plain(x):\n    return x + 1\n"
    )
    code = (
        "import torch\nfrom napari_mammosae.core.models.timm_import import import_timm\ntimm = import_timm()\n"
        "print('torch._dynamo' in sys.modules, timm.plain(1), 'torch._dynamo' in sys.modules)\n"
        "asked = timm.torchvision.is_compile_supported('cpu')\n"
        "print(asked == torch._dynamo.utils.is_compile_supported('cpu'))"
    )
    done = run(code, str(tmp_path))
    assert done.stdout.split() == ["False", "2", "True", "True"], done.stderr


def test_another_failure_is_passed_on(tmp_path) -> None:
    (tmp_path / "timm.py").write_text("raise RuntimeError('something else')\n")
    code = "from napari_mammosae.core.models.timm_import import import_timm\nimport_timm()"
    assert "something else" in run(code, str(tmp_path)).stderr


def test_a_missing_timm_says_what_to_do(tmp_path) -> None:
    (tmp_path / "timm.py").write_text("raise ModuleNotFoundError('No module named timm')\n")
    code = "from napari_mammosae.core.models.timm_import import import_timm\nimport_timm()"
    assert "pip install timm" in run(code, str(tmp_path)).stderr
