"""Several questions at once: no more than asked for, none twice, the same results, and stopped like a single one."""

import json
from threading import Event, Lock
from time import sleep

import numpy as np
import pytest

import vlm_kit
import vlm_server
from napari_mammosae.core.base.errors import Cancelled, SettingsError
from napari_mammosae.core.naming.vlm.asking import Asker
from napari_mammosae.core.naming.vlm.of_run import MOST_AT_ONCE, NamingPlan, ServerChoice, name_with_server
from napari_mammosae.core.naming.vlm.pictures import whole_view
from napari_mammosae.core.naming.vlm.server.replies import Replies, Reply
from napari_mammosae.core.naming.vlm.tasks import Extent

SMALL = Extent(pairs=2, alike=1, detection=5, regions=2, ranks=2)
LATENTS = [4, 5]


class Slow:
    """A client whose answers come in any order; it notes how many it works on at once, and what it is asked.

    After the first question, which is asked alone, they wait until `together` are at work, on a machine of any speed.
    """

    def __init__(self, answer=lambda question: Reply(text="1", tokens=(("1", 0.0),)), seed=0, together=0):
        self.answer, self.most, self.now, self.keys = answer, 0, 0, []
        self._together, self._all_here = together, Event()
        self._lock, self._rng = Lock(), np.random.default_rng(seed)

    def ask(self, question, model):
        with self._lock:
            self.now += 1
            self.most = max(self.most, self.now)
            self.keys.append(question.key(model))
            pause = float(self._rng.uniform(0, 0.01))
            is_first = len(self.keys) == 1
            if self.now >= self._together:
                self._all_here.set()
        if not is_first:
            self._all_here.wait(20)
        sleep(pause)
        with self._lock:
            self.now -= 1
        return self.answer(question)


def pictures(count):
    return [whole_view(np.full((8, 8), place, np.uint8)) for place in range(count)]


@pytest.mark.parametrize("parallel", [1, 3, 7])
def test_as_many_at_once_as_asked_for_and_no_more(tmp_path, parallel):
    client = Slow(together=parallel)
    asker = Asker(client, "m", Replies(tmp_path), lambda *_: None, 99, parallel)
    assert asker.probabilities("mass", pictures(30)) == [1.0] * 30
    assert client.most == parallel
    assert len(set(client.keys)) == len(client.keys) == asker.asked == 30


def test_answers_come_in_the_order_of_the_questions(tmp_path):
    shown = pictures(30)
    chances = {one.sha256: (place + 1) / 40 for place, one in enumerate(shown)}

    def answer(question):
        chance = chances[question.pictures[0].sha256]
        return Reply(text="1", tokens=(("1", np.log(chance)), ("0", np.log(1 - chance))))

    asker = Asker(Slow(answer), "m", Replies(tmp_path), lambda *_: None, 99, 8)
    np.testing.assert_allclose(asker.probabilities("mass", shown), list(chances.values()))


def test_the_same_question_at_the_same_time_is_asked_once(tmp_path):
    client = Slow()
    asker = Asker(client, "m", Replies(tmp_path), lambda *_: None, 99, 8)
    assert asker.probabilities("mass", pictures(1) * 12) == [1.0] * 12
    assert (len(client.keys), asker.asked, asker.known) == (1, 1, 11)
    assert len((tmp_path / "answers.jsonl").read_text().splitlines()) == 1


def test_whether_a_server_gives_probabilities_is_settled_before_several_are_asked(tmp_path):
    def answer(question):
        return Reply(text="1") if question.answer is None else Reply(text='{"score": 7}')

    client = Slow(answer)
    asker = Asker(client, "m", Replies(tmp_path), lambda *_: None, 99, 8)
    assert asker.probabilities("mass", pictures(10)) == [0.7] * 10
    assert len(client.keys) == 11  # the one that settled it, and a number for each
    assert asker.gives_tokens is False


def test_results_are_those_of_one_at_a_time_whatever_the_order(tmp_path):
    found = {}
    with vlm_server.serving(
        answer=lambda asked: (sleep(hash(asked.text) % 3 / 500), vlm_kit.guessing(asked))[1]
    ) as vlm:
        for parallel in (1, 6):
            run = vlm_kit.PatchRun(tmp_path / str(parallel))
            plan = NamingPlan(run, LATENTS, extent=SMALL)
            begun = len(vlm.asked)
            found[parallel] = name_with_server(plan, ServerChoice(vlm.url, parallel=parallel))
            bodies = [json.dumps(asked.body) for asked in vlm.asked[begun:]]
            assert len(set(bodies)) == len(bodies) == found[parallel].record["requests"]["asked"]
    assert found[6].table().equals(found[1].table())
    assert found[6].record["requests"] == found[1].record["requests"]


def test_stopped_with_several_under_way_nothing_that_was_answered_is_asked_again(tmp_path):
    run = vlm_kit.PatchRun(tmp_path)
    plan = NamingPlan(run, LATENTS, extent=SMALL)
    stop = Event()

    def report(text, done=0, total=0):
        if done >= 12:
            stop.set()
            raise Cancelled("stopped")

    with vlm_server.serving(answer=vlm_kit.seeing) as vlm:
        with pytest.raises(Cancelled):
            name_with_server(plan, ServerChoice(vlm.url, parallel=4), progress=report)
        kept = len((run.path / "names" / "answers.jsonl").read_text().splitlines())
        assert kept == len(vlm.asked) <= 12 + 4
        found = name_with_server(plan, ServerChoice(vlm.url, parallel=4))
        bodies = [json.dumps(asked.body) for asked in vlm.asked]
        assert len(set(bodies)) == len(bodies)
        whole = name_with_server(
            NamingPlan(vlm_kit.PatchRun(tmp_path / "whole"), LATENTS, extent=SMALL), ServerChoice(vlm.url)
        )
    assert stop.is_set()
    assert found.table().equals(whole.table())


@pytest.mark.parametrize("parallel", [0, -1, MOST_AT_ONCE + 1])
def test_a_number_without_meaning_is_refused(parallel):
    with pytest.raises(SettingsError, match=f"{parallel} questions at once; expected 1 to {MOST_AT_ONCE}"):
        ServerChoice("http://127.0.0.1:1/v1", parallel=parallel)
