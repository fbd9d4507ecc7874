"""Stopped and started again: no question twice, nothing lost, a line for every request."""

import hashlib
import json
import subprocess
import sys
from pathlib import Path
from threading import Event
from time import monotonic

import pytest

import vlm_kit
import vlm_server
from napari_mammosae.core.base.errors import Cancelled, RunError
from napari_mammosae.core.naming.vlm.of_run import NamingPlan, ServerChoice, name_with_server
from napari_mammosae.core.naming.vlm.server.replies import Replies, Reply, working_in
from napari_mammosae.core.naming.vlm.tasks import Extent

SMALL = Extent(pairs=2, alike=1, detection=5, regions=2, ranks=2)
LATENTS = [4, 5]

WORK = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[3])
import vlm_kit
from napari_mammosae.core.naming.vlm.of_run import NamingPlan, ServerChoice, name_with_server
from napari_mammosae.core.naming.vlm.tasks import Extent
run = vlm_kit.PatchRun(Path(sys.argv[1]))
plan = NamingPlan(run, [4, 5], extent=Extent(pairs=2, alike=1, detection=5, regions=2, ranks=2))
name_with_server(plan, ServerChoice(sys.argv[2]))
"""


def lines(run, name):
    return [json.loads(line) for line in (run.path / "names" / name).read_text().splitlines()]


def test_a_killed_process_is_resumed_and_no_question_is_asked_twice(tmp_path):
    """The process is killed by its operating system while the server works on the 20th question."""
    child = None

    def answer(asked):
        if len(vlm.asked) == 20 and child is not None:
            child.kill()
            child.wait()
        return vlm_kit.seeing(asked)

    with vlm_server.serving(answer=answer) as vlm:
        support = str(Path(vlm_kit.__file__).parent)
        child = subprocess.Popen([sys.executable, "-c", WORK, str(tmp_path / "killed"), vlm.url, support])
        assert child.wait(120) == -9
        child = None
        killed = vlm_kit.PatchRun(tmp_path / "again")
        (killed.path / "names").mkdir()
        for name in ("answers.jsonl", "requests.jsonl"):
            (killed.path / "names" / name).write_bytes((tmp_path / "killed" / "run" / "names" / name).read_bytes())
        assert len(lines(killed, "answers.jsonl")) == 19
        first = [json.dumps(asked.body) for asked in vlm.asked[:19]]
        found = name_with_server(NamingPlan(killed, LATENTS, extent=SMALL), ServerChoice(vlm.url))
        later = [json.dumps(asked.body) for asked in vlm.asked[20:]]
        assert not set(first) & set(later)
        assert len(set(later)) == len(later)
        whole = vlm_kit.PatchRun(tmp_path / "whole")
        expected = name_with_server(NamingPlan(whole, LATENTS, extent=SMALL), ServerChoice(vlm.url))
    assert found.table().equals(expected.table())
    assert found.record["requests"]["known"] - expected.record["requests"]["known"] == 19
    assert len(lines(killed, "answers.jsonl")) == len(lines(whole, "answers.jsonl"))


def test_cancelled_work_is_resumed(tmp_path):
    run = vlm_kit.PatchRun(tmp_path)
    plan = NamingPlan(run, LATENTS, extent=SMALL)
    seen = []

    def report(text, done=0, total=0):
        seen.append((done, total))
        if done == 10:
            raise Cancelled("stopped")

    with vlm_server.serving(answer=vlm_kit.seeing) as vlm:
        with pytest.raises(Cancelled):
            name_with_server(plan, ServerChoice(vlm.url), progress=report)
        assert len(vlm.asked) == 10
        assert list(dict.fromkeys(seen[1:])) == [(done, plan.cost.requests) for done in range(11)]
        found = name_with_server(plan, ServerChoice(vlm.url))
        bodies = [json.dumps(asked.body) for asked in vlm.asked]
        assert len(set(bodies)) == len(bodies)
        asked = len(vlm.asked)
        again = name_with_server(plan, ServerChoice(vlm.url))
        assert len(vlm.asked) == asked
    assert again.table().equals(found.table())
    assert again.record["requests"]["asked"] == 0
    assert found.record["requests"]["known"] >= 10


def test_work_is_stopped_while_a_server_thinks(tmp_path):
    thinking, go_on = Event(), Event()

    def answer(asked):
        thinking.set()
        go_on.wait(30)
        return vlm_kit.seeing(asked)

    def report(text, done=0, total=0):
        if thinking.is_set():
            raise Cancelled("stopped")

    run = vlm_kit.PatchRun(tmp_path)
    with vlm_server.serving(answer=answer) as vlm:
        begin = monotonic()
        with pytest.raises(Cancelled):
            name_with_server(NamingPlan(run, LATENTS, extent=SMALL), ServerChoice(vlm.url), progress=report)
        assert monotonic() - begin < 15  # of the thirty seconds that it thinks
        go_on.set()
        found = name_with_server(NamingPlan(run, [4], extent=SMALL), ServerChoice(vlm.url), tests=())
    assert found.latents[0].named.name == "amber patch"


def test_every_request_leaves_a_line_before_it_is_sent(tmp_path):
    run = vlm_kit.PatchRun(tmp_path)
    with vlm_server.serving(answer=vlm_kit.seeing, faults=["busy"]) as vlm:
        name_with_server(NamingPlan(run, [4], extent=SMALL), ServerChoice(vlm.url), tests=("detection",))
        noted = [line for line in lines(run, "requests.jsonl") if line["model"]]
        assert len(noted) == len(vlm.asked)  # the one that was asked again too
        for line, asked in zip(noted, vlm.asked, strict=True):
            parts = asked.body["messages"][0]["content"][:-1]
            assert line["pictures"] == [hashlib.sha256(vlm_server.png_of(part)).hexdigest() for part in parts]
            assert line["bytes"] > sum(len(part["image_url"]["url"]) for part in parts)
            assert (line["host"], line["model"]) == ("127.0.0.1", "seer")
            assert line["time"].endswith("+00:00")


def test_another_model_or_question_is_asked_anew(tmp_path):
    run = vlm_kit.PatchRun(tmp_path)
    plan = NamingPlan(run, [4], extent=SMALL)
    with vlm_server.serving(answer=vlm_kit.seeing, models=("seer", "other")) as vlm:
        for model, asked in (("seer", 3), ("other", 6), ("seer", 6)):
            name_with_server(plan, ServerChoice(vlm.url, model), tests=())
            assert len(vlm.asked) == asked


@pytest.mark.parametrize(
    "end", [b'{"key": "b", "rep', b'{"key": "b"}\n', b"\xff\xfe\n", b"[1]\n{}\n", b'{"key": "b", "reply": 5}\n']
)
def test_a_damaged_line_loses_itself_alone(tmp_path, end):
    with working_in(tmp_path / "names") as replies:
        replies.keep("a", Reply(text="one", tokens=(("1", -0.5),)))
    path = tmp_path / "names" / "answers.jsonl"
    path.write_bytes(path.read_bytes() + end)
    with working_in(tmp_path / "names") as replies:
        assert replies.get("a") == Reply(text="one", tokens=(("1", -0.5),))
        assert replies.get("b") is None
        replies.keep("c", Reply(text="three"))
    assert Replies(tmp_path / "names").get("c").text == "three"


def test_two_processes_do_not_name_at_once(tmp_path):
    with (
        working_in(tmp_path / "names"),
        pytest.raises(RunError, match="being named already"),
        working_in(tmp_path / "names"),
    ):
        pass
