"""A real llama.cpp server with a model of random weights: images, schema and probabilities, from end to end."""

import json

import numpy as np
import pytest

import tiny_vlm
import vlm_kit
from napari_mammosae.core.base.errors import ServerError
from napari_mammosae.core.naming.vlm.of_run import NamingPlan, ServerChoice, models_of_server, name_with_server
from napari_mammosae.core.naming.vlm.pictures import whole_view
from napari_mammosae.core.naming.vlm.questions import ask_for_name
from napari_mammosae.core.naming.vlm.server.address import find_server
from napari_mammosae.core.naming.vlm.server.answers import CATEGORIES, NameAnswer, parse_answer
from napari_mammosae.core.naming.vlm.server.client import Client
from napari_mammosae.core.naming.vlm.tasks import Extent


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    pytest.importorskip("gguf")
    pytest.importorskip("xllamacpp")
    with tiny_vlm.serving(tmp_path_factory.mktemp("llama")) as url:
        yield url


def test_names_and_scores_come_from_a_real_server(server, tmp_path):
    assert len(models_of_server(ServerChoice(server))) == 1
    plan = NamingPlan(vlm_kit.PatchRun(tmp_path), [4], extent=Extent(pairs=2, alike=1, detection=5, regions=1, ranks=1))
    found = name_with_server(plan, ServerChoice(server))
    named = found.latents[0].named
    assert len(named.draws) == 3  # random weights, and still three answers that keep to the schema
    assert named.category in CATEGORIES
    entries = [json.loads(line) for line in (plan.run.path / "names" / "answers.jsonl").read_text().splitlines()]
    structured = [entry["reply"]["text"] for entry in entries if entry["reply"]["tokens"] is None]
    assert sum(parse_answer(text, NameAnswer) is not None for text in structured) >= 3
    assert max(entry["reply"]["used"][0] for entry in entries) > 5 * 16  # the pictures were seen
    if named.name:
        detection = found.latents[0].detection
        assert detection.asked == 10
        assert detection.answered == 10  # probabilities of 0 and 1
        assert 0 <= detection.value <= 1
        assert found.latents[0].regions.asked == 2
    assert found.record["requests"]["probabilities"] == ("of tokens" if named.name else "not asked")


def test_a_request_that_is_too_long_for_it_is_refused_in_one_line(server):
    noted = []
    client = Client(find_server(server), lambda *line: noted.append(line))
    question = ask_for_name([whole_view(np.full((56, 40), 90, np.uint8))] * 300, 150, 0, seed=1)
    with pytest.raises(
        ServerError, match=r"takes no request that long: .*longer context, or show fewer images"
    ) as caught:
        client.ask(question, client.models()[0])
    client.close()
    assert len(str(caught.value).splitlines()) == 1
    assert len(noted) == 2
