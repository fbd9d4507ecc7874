"""Names of devices, number formats and engines; the command line refuses the same ones."""

import pytest

from napari_mammosae.cli import main
from napari_mammosae.core.base.errors import ModelError
from napari_mammosae.core.models.choices import check_device, check_engine, check_precision


def test_known_names():
    assert [check_device(name) for name in ("auto", "cpu", "mps", "cuda", "cuda:3")][-1] == "cuda:3"
    assert [check_precision(name) for name in ("float32", "bfloat16")] == ["float32", "bfloat16"]
    assert [check_engine(name) for name in ("auto", "torch", "compiled")] == ["torch", "torch", "compiled"]


@pytest.mark.parametrize("name", ["gpu", "cuda:", "cuda:x", "xpu", "", "CPU"])
def test_unknown_devices(name: str, capsys: pytest.CaptureFixture[str]):
    with pytest.raises(ModelError, match="is not known; choose auto, cpu, cuda, cuda:N or mps"):
        check_device(name)
    assert main(["inspect", "x.png", "--model", "demo", "--out", "out", "--device", name]) == 2
    assert "is not known; choose auto" in " ".join(capsys.readouterr().err.replace("│", " ").split())


def test_other_unknown_names():
    with pytest.raises(ModelError, match="precision 'int8' is not known; choose float32 or bfloat16"):
        check_precision("int8")
    with pytest.raises(ModelError, match="engine 'onnx' is not known; choose auto, torch or compiled"):
        check_engine("onnx")
    with pytest.raises(ModelError, match="engine 'openvino' is not supported yet"):
        check_engine("openvino")
