from pathlib import Path

import pytest

from napari_mammosae.cli import main
from napari_mammosae.core.base.caches import cache_folder
from napari_mammosae.core.base.log import log_file


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def test_caches_are_listed_and_emptied(capsys: pytest.CaptureFixture[str]):
    folder = cache_folder() / "demo-1"
    folder.mkdir(parents=True)
    (folder / "a").write_bytes(bytes(3000))
    assert main(["caches", "list"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "demo\t3.0 kB\tdemo runs and their synthetic phantoms",
        "openvino\t0 bytes\tnetworks converted for OpenVINO",
        "compiled\t0 bytes\tnetworks compiled by PyTorch",
        "downloads\t0 bytes\tparts of interrupted downloads of models",
    ]
    assert main(["caches", "empty", "demo"]) == 0
    assert capsys.readouterr().out == "emptied demo, 3.0 kB freed\n"
    assert not folder.exists()
    assert main(["caches", "empty", "demo", "--quiet"]) == 0
    assert capsys.readouterr().out == ""


def test_an_unknown_cache_is_refused_and_the_log_says_where(capsys: pytest.CaptureFixture[str]):
    assert main(["caches", "empty", "verdicts"]) == 1
    assert (
        capsys.readouterr().err
        == "Error: 'verdicts' is not a cache; expected one of: compiled, demo, downloads, openvino.\n"
    )
    assert "ERROR cli: the command failed\n    SettingsError in cache_named (caches.py:" in log_file().read_text()


def test_the_report_is_printed_and_nothing_else_is_done(capsys: pytest.CaptureFixture[str]):
    assert main(["--diagnose", "caches", "empty", "nonsense"]) == 0
    shown = capsys.readouterr()
    assert shown.out.startswith("napari-mammosae ")
    assert "\nPython " in shown.out
    assert "Last errors in the log, without their messages:\nnone\n" in shown.out
    assert shown.err == ""
