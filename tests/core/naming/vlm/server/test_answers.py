"""What a server says, checked again; and the schemas it is asked to keep to."""

import json
from math import log

import pytest

from napari_mammosae.core.naming.vlm.agreement import likeness, medoid
from napari_mammosae.core.naming.vlm.naming import settle_name
from napari_mammosae.core.naming.vlm.questions import Question
from napari_mammosae.core.naming.vlm.server.answers import (
    NameAnswer,
    OrderAnswer,
    ScoreAnswer,
    parse_answer,
    probability_of_yes,
)
from vlm_server import NAMED

GOOD = json.dumps(NAMED)


@pytest.mark.parametrize(
    "text",
    [
        GOOD,
        f"```json\n{GOOD}\n```",
        f"```\n{GOOD}",
        f"<unused94>thought\nI see {{many}} things.<unused95>{GOOD}",
        f"<think>{{}} hm</think>\n\n```json\n{GOOD}\n```\n",
        f"Here it is: {GOOD} I hope that helps.",
    ],
)
def test_fences_and_traces_of_thought_are_taken_off(text):
    found = parse_answer(text, NameAnswer)
    assert found is not None
    assert (found.name, found.category, found.confidence) == ("round bright spot", "mass", 7)


@pytest.mark.parametrize(
    "text",
    [
        "", "{", "}{", "null", "[1]", GOOD[:-20], "{" * 30_000, "<unused94>thought without an end " + GOOD[:10],
        json.dumps(NAMED | {"category": "tumour"}), json.dumps(NAMED | {"confidence": 11}),
        json.dumps(NAMED | {"name": ""}),
        json.dumps(NAMED | {"name": 5}), json.dumps(NAMED | {"name": "12 34"}), json.dumps(NAMED | {"more": 1}),
        json.dumps({key: value for key, value in NAMED.items() if key != "name"}),
    ],
)  # fmt: skip
def test_what_is_not_a_name_is_no_answer(text):
    assert parse_answer(text, NameAnswer) is None


@pytest.mark.parametrize(
    ("said", "name"),
    [
        ("  \u201cSpiculated   mass\u201d ", "Spiculated mass"),
        ("mass\nin fat", "mass in fat"),
        ("calcification " * 20, "calcification calcification calcification calcification"),
        ("\u0640\u0640 dense <b>", "dense b"),
    ],
)
def test_a_name_is_plain_and_short(said, name):
    assert parse_answer(json.dumps(NAMED | {"name": said}), NameAnswer).name == name


def test_an_order_has_each_letter_once_whatever_the_server_enforces():
    assert parse_answer('{"order": ["C", "D", "A", "B", "E"]}', OrderAnswer).order == list("CDABE")
    for bad in (list("CDDAD"), list("ABCD"), list("ABCDEA"), list("ABCDF"), "ABCDE"):
        assert parse_answer(json.dumps({"order": bad}), OrderAnswer) is None
    assert parse_answer('{"score": 10}', ScoreAnswer).score == 10
    assert parse_answer('{"score": 10.5}', ScoreAnswer) is None


def test_the_probability_sums_all_ways_to_write_one_and_nought():
    tokens = [
        ("1", log(0.3)),
        (" 1", log(0.1)),
        ("Yes", log(0.05)),
        ("0", log(0.1)),
        (" No", log(0.05)),
        ("The", log(0.4)),
    ]
    assert probability_of_yes(tokens) == pytest.approx(0.45 / 0.6)
    assert probability_of_yes([("\u25811", log(0.2)), ("\u01200", log(0.6))]) == pytest.approx(0.25)
    assert probability_of_yes([("The", -0.1), ("10", -3.0), ("", -4.0)]) is None
    assert probability_of_yes([]) is None
    assert probability_of_yes([("1", float("nan")), ("0", float("-inf"))]) is None
    assert probability_of_yes([("1", -1e6), ("0", -2.0)]) == 0


def test_the_schema_is_nested_as_servers_enforce_it_and_probabilities_come_without_one():
    body = Question("?", (), NameAnswer, 300).settings()
    schema = body["response_format"]["json_schema"]
    assert body["response_format"]["type"] == "json_schema"
    assert schema["strict"] is True
    assert schema["schema"]["additionalProperties"] is False
    assert set(schema["schema"]["required"]) == set(NAMED)
    assert "unclear" in schema["schema"]["properties"]["category"]["enum"]
    assert schema["schema"]["properties"]["name"]["pattern"].startswith("^[a-zA-Z0-9")  # ASCII alone
    assert "logprobs" not in body
    plain = Question("?").settings()
    assert (plain["logprobs"], plain["top_logprobs"], plain["max_tokens"]) == (True, 20, 1)
    assert "response_format" not in plain


def test_the_name_most_like_the_others_speaks_for_the_draws():
    assert likeness("A round mass", "mass, Round") == 1
    assert likeness("round mass", "dense mass") == pytest.approx(1 / 3)
    place, agreement = medoid(["view marker", "round dense mass", "dense mass", "mass"])
    assert place == 2
    assert agreement == pytest.approx((2 / 3 + 1 / 3 + 1 / 2) / 6)
    answers = [NameAnswer(**NAMED | {"name": name}) for name in ("clip", "bright metal clip", "metal clip")]
    named = settle_name(answers)
    assert named.name == "metal clip"
    assert named.draws == ("clip", "bright metal clip", "metal clip")
    unclear = NameAnswer(**NAMED | {"category": "unclear"})
    assert settle_name([answers[0], unclear, unclear]).name == ""
    assert settle_name([answers[0], answers[0], unclear]).name == "clip"
    assert settle_name([]).name == ""
