import sys
from pathlib import Path

import pytest

import fuzz
import fuzz_readers


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="limits of memory are those of Linux")
def test_damaged_files_are_read_or_refused_in_a_short_line(tmp_path: Path) -> None:
    report = fuzz.fuzz(tmp_path, count=300, seed=20)
    assert not report.faults, "\n".join(report.faults)
    read = {reader for reader, _ in report.outcomes}
    assert read == set(fuzz_readers.READERS)
    assert report.outcomes.total() == 300


def test_what_is_no_short_line_is_a_fault(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"

    def fault(outcome: str, message: str) -> str:
        return fuzz._fault(outcome, "ValueError", message, path, path, tmp_path)

    assert not fault("read", "")
    assert not fault("typed", "a.csv: line 3 and/or the header is damaged; see run/images")
    assert fault("untyped", "a.csv: x")
    assert fault("died", "")
    assert fault("hung", "")
    assert fault("typed", "a.csv: " + "x" * 300)
    assert fault("typed", "a.csv: a\nb")
    assert fault("typed", "something is damaged")
    for absolute in (
        str(path),
        "/home/erika/a.csv",
        "'/data/a.csv'",
        "C:\\Users\\a.csv",
        "~/a.csv",
        "\\\\server\\a.csv",
    ):
        assert "absolute" in fault("typed", f"a.csv: see {absolute}")
