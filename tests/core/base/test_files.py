"""Files that appear whole, and together, whatever ends the program that writes them."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from napari_mammosae.core.base import files
from napari_mammosae.core.base.errors import WriteError
from napari_mammosae.core.base.files import hidden_folder, remove_leftovers, write_atomic, write_together
from napari_mammosae.core.base.provenance import check_replaceable, provenance, write_results

KILLED = """
import os, signal, sys
from pathlib import Path
from napari_mammosae.core.base import files

folder, moment = Path(sys.argv[1]), int(sys.argv[2])
count = 0

def until(kind, act):
    def counted(*words, **options):
        global count
        if count == moment:
            os.kill(os.getpid(), signal.SIGKILL)
        count += 1
        return act(*words, **options)
    setattr(kind[0], kind[1], counted)

until((Path, "replace"), Path.replace)
until((files, "_sync"), files._sync)
until((files, "_remove"), files._remove)
with files.write_together(*(folder / name for name in ("note", "a", "b"))) as three:
    for path in three:
        path.write_text("new")
print(count)
"""
needs_signals = pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="kills as Linux and macOS do")


def found(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in folder.iterdir() if not path.name.startswith(".")}


def hidden(folder: Path) -> list[Path]:
    return list(folder.glob(f"{files.PREFIX}*"))


@needs_signals
@pytest.mark.parametrize("old", [{}, {"note": "old", "a": "old", "b": "old"}], ids=["new", "again"])
def test_killed_at_every_step(tmp_path: Path, old: dict[str, str]):
    whole = [old, {"note": "new", "a": "new", "b": "new"}]
    for moment in range(40):
        folder = tmp_path / str(moment)
        folder.mkdir()
        for name, text in old.items():
            (folder / name).write_text(text)
        child = subprocess.run([sys.executable, "-c", KILLED, folder, str(moment)], check=False, capture_output=True)
        now = found(folder)
        if now.keys() - {"note"}:  # no result stands alone, or beside what belongs to others
            assert len(set(now.values())) == 1, moment
            assert "note" in now, moment
        remove_leftovers(folder)
        assert found(folder) in whole, moment
        assert not hidden(folder), moment
        if child.returncode == 0:
            break
        assert child.returncode == -signal.SIGKILL
    assert moment > 6
    assert found(folder) == whole[1]


def test_the_next_write_removes_what_a_killed_one_left_and_not_what_a_living_one_writes(tmp_path: Path):
    code = (
        "import sys, pathlib; from napari_mammosae.core.base.files import write_atomic\n"
        "with write_atomic(pathlib.Path(sys.argv[1])) as path:\n"
        "    path.write_text('half'); print('there', flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", code, tmp_path / "other.csv"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as living:
        assert living.stdout.readline() == b"there\n"
        with write_atomic(tmp_path / "mine.csv") as path:
            path.write_text("mine")
        assert len(hidden(tmp_path)) == 1
        living.kill()
    time.sleep(0.5)  # a slow look at a folder is not repeated at once
    with write_atomic(tmp_path / "mine.csv") as path:
        path.write_text("mine again")
    assert found(tmp_path) == {"mine.csv": "mine again"}
    assert hidden(tmp_path) == []


def write_texts(folder: Path, *names: str, text: str) -> None:
    with write_together(*map(folder.joinpath, names)) as paths:
        for path in paths:
            path.write_text(text)


def leave_whole(folder: Path, names: list[object], text: str = "late") -> Path:
    """Leave what a process killed after its files were whole leaves."""
    left = folder / f"{files.PREFIX}killed"
    left.mkdir()
    for name in names:
        if isinstance(name, str) and "/" not in name:
            (left / name).write_text(text)
    (left / ".whole").write_text(json.dumps(names))
    return left


def test_what_is_newer_than_a_killed_write_stays(tmp_path: Path):
    left = leave_whole(tmp_path, ["note", "a"])
    os.utime(left / ".whole", ns=(10**18, 10**18))
    (tmp_path / "a").write_text("newer")
    remove_leftovers(tmp_path)
    assert found(tmp_path) == {"a": "newer"}
    assert hidden(tmp_path) == []


@pytest.mark.parametrize("name", ["../outside", "/tmp/outside", ".hidden", 3, "deeper/outside"])
def test_a_folder_from_elsewhere_moves_nothing_out_of_itself(tmp_path: Path, name: object):
    folder = tmp_path / "shared"
    folder.mkdir()
    leave_whole(folder, ["note", name])
    (tmp_path / "outside").write_text("mine")
    remove_leftovers(folder)
    assert found(folder) == {}
    assert found(tmp_path / "shared") == {}
    assert (tmp_path / "outside").read_text() == "mine"


def test_a_file_that_cannot_move_leaves_all_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    write_texts(tmp_path, "note", "a", "b", text="old")
    move = Path.replace

    def locked(self: Path, target: Path) -> Path:
        if self.name == "a" and self.parent == tmp_path:
            raise PermissionError(13, "Permission denied", str(self))
        return move(self, target)

    monkeypatch.setattr(Path, "replace", locked)
    with pytest.raises(WriteError, match=r"^a cannot be written \(Permission denied\)"):
        write_texts(tmp_path, "note", "a", "b", text="new")
    assert found(tmp_path) == {"note": "old", "a": "old", "b": "old"}
    assert hidden(tmp_path) == []


def test_a_folder_of_that_name_is_not_replaced(tmp_path: Path):
    (tmp_path / "a" / "inside").mkdir(parents=True)
    for names in (("a",), ("note", "a")):
        with pytest.raises(WriteError, match="a cannot be written"):
            write_texts(tmp_path, *names, text="new")
        assert [path.name for path in tmp_path.iterdir()] == ["a"]
        assert (tmp_path / "a" / "inside").is_dir()


def test_a_written_file_has_ordinary_rights(tmp_path: Path):
    with write_atomic(tmp_path / "a") as path:
        path.write_text("new")
    (tmp_path / "b").write_text("as usual")
    assert (tmp_path / "a").stat().st_mode == (tmp_path / "b").stat().st_mode


def test_only_results_of_this_program_are_replaced(tmp_path: Path):
    note, result = tmp_path / "a.csv.json", tmp_path / "a.csv"
    check_replaceable(note, result)
    for _ in range(2):
        check_replaceable(note, result)
        with write_results(note, provenance("test", {}), result) as (path,):
            path.write_text("ours")
    note.unlink()
    with pytest.raises(WriteError, match=r"a.csv exists and has no record"):
        check_replaceable(note, result)
    for content in ("{}", "[1]", "no JSON", '{"software": "another"}', '{"provenance": 3}'):
        note.write_text(content)
        with pytest.raises(WriteError, match=r"a.csv exists"):
            check_replaceable(note, result)


def test_unfinished_work_goes_with_its_block(tmp_path: Path):
    def fail() -> None:
        with hidden_folder(tmp_path / "new") as folder:
            (folder / "work").write_text("half")
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert list((tmp_path / "new").iterdir()) == []
