import logging
import re
import subprocess
import sys
from pathlib import Path

import pydicom
import pytest

from napari_mammosae.core.base import log
from napari_mammosae.core.base.errors import ImageError, RunError
from napari_mammosae.core.base.log import last_errors, log_file, nameless, start_log

logger = logging.getLogger("napari_mammosae.core.runs")


@pytest.fixture(autouse=True)
def _started():
    start_log()
    yield
    package = logging.getLogger("napari_mammosae")
    for handler in [one for one in package.handlers if isinstance(one, logging.FileHandler)]:
        package.removeHandler(handler)
        handler.close()
    package.setLevel(logging.NOTSET)


def written() -> str:
    return log_file().read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("cannot read /data/Erika M/My images/a.dcm: empty", "cannot read a.dcm: empty"),
        ("[Errno 2] No such file: '/data/Erika M/x y.png'", "[Errno 2] No such file: 'x y.png'"),
        ("error:/data/erika/a.csv", "error:a.csv"),
        (r"C:\Users\Erika M\a b\x.png is bad", "x.png is bad"),
        (r"'D:\\Erika\\x.png'", "'x.png'"),
        (r"\\server\share\Erika\x.dcm", "x.dcm"),
        ("file:///data/erika/x.png", "x.png"),
        ("~erika/data/x", "x"),
        ("Mustermann_Erika/images/x.dcm is empty", "x.dcm is empty"),
        ("3/4 and/or 5 MB/s at 10:30 / 12:00", "3/4 and/or 5 MB/s at 10:30 / 12:00"),
        ("see http://example.org/a/b", "see http://example.org/a/b"),
    ],
)
def test_paths_become_names(text: str, expected: str):
    assert nameless(text) == expected


def test_the_home_folder_does_not_name_its_owner():
    assert Path.home().name not in nameless(f"the folder {Path.home()} is full")


def test_an_error_is_told_without_paths_and_with_the_place_of_each_cause(tmp_path: Path):
    folder = tmp_path / "Mustermann Erika"
    try:
        try:
            (folder / "run" / "part.parquet").read_bytes()
        except OSError as error:
            raise RunError(f"{folder}/run is incomplete") from error
    except RunError as error:
        logger.error("Failed on %s", folder / "images" / "a.dcm", exc_info=error)
    text = written()
    assert re.match(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d ERROR core\.runs: Failed on a\.dcm\n", text)
    assert "RunError in test_an_error_is_told" in text
    assert "caused by FileNotFoundError in " in text
    assert "part.parquet" in text
    assert "Mustermann" not in text
    assert str(tmp_path) not in text
    assert "/" not in text.replace("</", "")


def test_what_pydicom_quotes_is_left_out():
    with pytest.raises(ValueError, match="Mustermann") as caught:
        pydicom.valuerep.validate_value("CS", "Mustermann^Erika", pydicom.config.RAISE)
    logger.error("A job failed", exc_info=caught.value)
    assert "Mustermann" not in written()
    assert "ValueError in validate_value" in written()


def test_the_root_logger_and_the_detail_for_developers_are_left_alone():
    root = logging.getLogger()
    before = root.level, list(root.handlers)
    start_log()
    start_log()
    logger.debug("detail")
    logging.getLogger("another.library").error("not ours")
    logger.info("ours")
    assert (root.level, list(root.handlers)) == before
    assert written().count("ours") == 1
    assert "detail" not in written()


def test_it_rotates_and_keeps_three_files(monkeypatch: pytest.MonkeyPatch):
    (handler,) = (one for one in logging.getLogger("napari_mammosae").handlers if isinstance(one, log._SharedFile))
    monkeypatch.setattr(handler, "maxBytes", 2000)
    for number in range(200):
        logger.info("record %d", number)
    files = sorted(path for path in log_file().parent.iterdir() if path.suffix != ".lock")
    assert [path.name for path in files] == [f"napari-mammosae.log{end}" for end in ("", ".1", ".2")]
    assert all(path.stat().st_size <= 2000 for path in files)
    assert "record 199\n" in written()


WRITER = """
import logging, sys
from napari_mammosae.core.base import log
log.SIZE = 15_000
log.start_log()
for number in range(300):
    logging.getLogger("napari_mammosae").info("writer %s record %d", sys.argv[1], number)
"""


def test_two_processes_write_and_rotate_at_once():
    writers = [
        subprocess.Popen([sys.executable, "-c", WRITER, name], stderr=subprocess.PIPE, text=True) for name in "ab"
    ]
    assert [writer.communicate()[1] for writer in writers] == ["", ""]
    text = "".join(log_file().with_name(f"{log_file().name}{end}").read_text() for end in (".2", ".1", ""))
    found = re.findall(r"^[\d-]+ [\d:]+ INFO napari_mammosae: writer (\w) record (\d+)$", text, re.MULTILINE)
    assert len(found) == text.count("\n"), "every line is whole"
    assert sorted((name, int(number)) for name, number in found) == [(name, n) for name in "ab" for n in range(300)]


def test_a_log_that_cannot_be_written_disturbs_nothing(capfd: pytest.CaptureFixture[str]):
    log_file().parent.parent.mkdir(parents=True, exist_ok=True)
    log_file().parent.write_text("a file in the place of the folder")
    logger.error("lost", extra={"shown": True})
    assert capfd.readouterr().err == ""
    assert last_errors() == []


def test_last_errors_give_time_place_and_type_but_no_message():
    assert last_errors() == []
    logger.info("nothing wrong")
    for number in range(7):
        try:
            raise ImageError(f"Mustermann-{number}.dcm is empty")
        except ImageError as error:
            logger.error("Mustermann", exc_info=error)
    logger.error("without an exception: Mustermann")
    found = last_errors(3)
    assert len(found) == 3
    assert re.fullmatch(r"[\d-]+ [\d:]+ core\.runs", found[2])
    assert "core.runs: ImageError in test_last_errors_give_time_place_and_type_but_no_message (test_log.py:" in found[0]
    assert not any("Mustermann" in line for line in found)
