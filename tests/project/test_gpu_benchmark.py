"""The benchmark for a GPU goes its whole way, on the CPU and with a tiny model."""

import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.mark.slow
def test_every_line_of_the_gpu_benchmark_is_printed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    monkeypatch.setattr(sys, "argv", ["gpu.py", "--tiny"])
    import gpu

    monkeypatch.delitem(sys.modules, "gpu")
    with pytest.raises(SystemExit) as ended:
        gpu.main()
    table = capsys.readouterr().out
    assert ended.value.code == 0
    for line in (
        "float16: run without maps, share of the bare loop",
        "float16: run with maps, share of the bare loop",
        "float32: run without maps, share of the bare loop",
        "run without maps, times the published way",
        "float16: one image, from its pixels to its maps",
        "float32: logits, relative deviation from the CPU",
        "bfloat16: of the best 100 latents, in the same place",
    ):
        assert f"| {line} |" in table
