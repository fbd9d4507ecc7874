"""What the command line leaves in the log when a file of a person fails."""

import logging
from pathlib import Path

import pytest

from dicom_factory import breast_image, truncate, write_dicom
from napari_mammosae.cli import main
from napari_mammosae.core.base.log import last_errors, log_file

PERSON = {"PatientName": "Mustermann^Erika", "PatientID": "KH-4711-0815", "InstitutionName": "Klinikum Hintertupfing"}
SECRETS = ("Mustermann", "Erika", "4711", "Hintertupfing", "19640812")


def test_it_says_where_a_command_failed_and_names_no_person(
    tiny_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    folder = tmp_path / "Mustermann Erika 19640812"
    folder.mkdir()
    broken = truncate(write_dicom(folder / "a.dcm", breast_image(), compression="jpeg2000", **PERSON))
    assert main(["inspect", str(broken), "--model", str(tiny_model), "--out", str(tmp_path / "out")]) == 1
    text = log_file().read_text(encoding="utf-8")
    assert "ERROR cli: the command failed\n    ImageError in " in text
    assert "\n        a.dcm" in text
    shown = capsys.readouterr().err
    assert shown.startswith("Error: a.dcm")
    assert "Traceback" not in shown
    for secret in (*SECRETS, str(tmp_path), tmp_path.name):
        assert secret not in text
    (line,) = last_errors()
    assert "a.dcm" not in line


def test_wrong_usage_and_help_leave_no_log(capsys: pytest.CaptureFixture[str]):
    assert main(["--help"]) == 0
    assert main(["inspect", "--no-such-option"]) == 2
    assert not log_file().exists()


def test_a_warning_reaches_the_terminal_and_the_file(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(logging.getLogger(), "handlers", [])  # without pytest's own
    assert main(["--version"]) == 0
    logging.getLogger("napari_mammosae.core").warning("the disk is slow")
    assert capfd.readouterr().err == "the disk is slow\n"
    assert "WARNING core: the disk is slow\n" in log_file().read_text(encoding="utf-8")
