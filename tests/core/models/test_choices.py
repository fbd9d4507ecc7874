"""Names of devices, number formats and engines; the command line refuses the same ones."""

import pytest

from napari_mammosae.cli import main
from napari_mammosae.core.base.errors import ModelError
from napari_mammosae.core.models.choices import check_device, check_engine, check_precision, choose_engine

NAMES = ("float32", "tf32", "float16", "bfloat16")


def test_known_names():
    assert [check_device(name) for name in ("auto", "cpu", "mps", "cuda", "cuda:3")][-1] == "cuda:3"
    assert [check_precision(name) for name in NAMES] == [*NAMES]
    engines = ["auto", "torch", "compiled", "openvino"]
    assert [check_engine(name) for name in engines] == engines


@pytest.mark.parametrize("name", ["gpu", "cuda:", "cuda:x", "xpu", "", "CPU"])
def test_unknown_devices(name: str, capsys: pytest.CaptureFixture[str]):
    with pytest.raises(ModelError, match="is not known; choose auto, cpu, cuda, cuda:N or mps"):
        check_device(name)
    assert main(["inspect", "x.png", "--model", "demo", "--out", "out", "--device", name]) == 2
    assert "is not known; choose auto" in " ".join(capsys.readouterr().err.replace("│", " ").split())


def test_other_unknown_names():
    with pytest.raises(ModelError, match="precision 'int8' is not known; choose float32, tf32, float16 or bfloat16"):
        check_precision("int8")
    with pytest.raises(ModelError, match="engine 'onnx' is not known; choose auto, torch, compiled or openvino"):
        check_engine("onnx")


@pytest.mark.parametrize(
    ("name", "device", "variable", "there", "chosen"),
    [
        ("auto", "cpu", "", True, "openvino"),
        ("auto", "cpu", "", False, "torch"),
        ("auto", "cpu", "torch", True, "torch"),
        ("auto", "cpu", "compiled", False, "compiled"),
        ("auto", "cuda", "", True, "torch"),
        ("auto", "cuda", "openvino", True, "torch"),
        ("torch", "cpu", "openvino", True, "torch"),
        ("openvino", "cpu", "torch", False, "openvino"),
        ("compiled", "cuda:1", "", True, "compiled"),
    ],
)
def test_auto_is_the_fastest_engine_there_is(
    name: str, device: str, variable: str, there: bool, chosen: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("NAPARI_MAMMOSAE_ENGINE", variable)
    monkeypatch.setattr("napari_mammosae.core.models.choices.find_spec", lambda package: object() if there else None)
    assert choose_engine(name, device) == chosen


def test_an_engine_that_does_not_compute_on_a_device_is_refused(monkeypatch: pytest.MonkeyPatch):
    with pytest.raises(ModelError, match="computes on the CPU, not on cuda; choose device cpu or engine torch"):
        choose_engine("openvino", "cuda")
    monkeypatch.setenv("NAPARI_MAMMOSAE_ENGINE", "warp")
    with pytest.raises(ModelError, match="engine 'warp' is not known"):
        choose_engine("auto", "cpu")
