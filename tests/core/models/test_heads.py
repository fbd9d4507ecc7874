"""Heads: what their numbers mean, and what is refused."""

import numpy as np
import pytest

from napari_mammosae.core.base.errors import ModelError
from napari_mammosae.core.models.heads import (
    Head,
    check_heads,
    classes_of,
    head_of,
    logits_of,
    probabilities_of,
    stacked,
    task_of,
)


def head(
    name: str = "classifier", classes: tuple[str, ...] = ("mass", "clip"), task="multilabel", width: int = 3, **more
):
    rng = np.random.default_rng(len(name))
    return Head(name, classes, task, rng.normal(size=(len(classes), width)), rng.normal(size=len(classes)), **more)


DENSITY = head("density", ("density_a", "density_b", "density_c"), "multiclass")
ASYMMETRY = head("asymmetry", ("asymmetry",), "binary")


def test_probabilities_of_each_task():
    extreme = np.array([-800.0, 0.0, np.log(3), 800.0])
    one = head(classes=("a", "b", "c", "d"))
    np.testing.assert_allclose(one.probabilities(extreme), [0, 0.5, 0.75, 1], atol=1e-300)
    found = DENSITY.probabilities(np.log([[1.0, 2.0, 5.0], [4.0, 4.0, 8.0]]))
    np.testing.assert_allclose(found, [[0.125, 0.25, 0.625], [0.25, 0.25, 0.5]])
    np.testing.assert_allclose(DENSITY.probabilities([1e4, 0, -1e4]), [1, 0, 0])


def test_several_heads_in_order():
    heads = (head(), DENSITY, ASYMMETRY)
    assert classes_of(heads) == ("mass", "clip", "density_a", "density_b", "density_c", "asymmetry")
    assert task_of(heads) == "multilabel"
    assert [logits_of(heads, one.name) for one in heads] == [slice(0, 2), slice(2, 5), slice(5, 6)]
    assert [head_of(heads, logit).name for logit in range(6)] == ["classifier"] * 2 + ["density"] * 3 + ["asymmetry"]
    weight, bias = stacked(heads, 3)
    np.testing.assert_array_equal(weight[2:5], DENSITY.weight)
    np.testing.assert_array_equal(bias, [*heads[0].bias, *DENSITY.bias, *ASYMMETRY.bias])
    logits = np.array([[0.0, np.log(3), *np.log([1.0, 2.0, 5.0]), -np.log(4)]])
    np.testing.assert_allclose(probabilities_of(heads, logits), [[0.5, 0.75, 0.125, 0.25, 0.625, 0.2]])


def test_no_head():
    assert (classes_of(()), task_of(())) == ((), "binary")
    assert probabilities_of((), np.zeros((4, 0))).shape == (4, 0)
    assert stacked((), 7)[0].shape == (0, 7)
    with pytest.raises(ModelError, match="no head 'x'; it has none"):
        logits_of((), "x")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((("a", "b"), "multilabel", np.ones((3, 4)), np.ones(3)), "h.pth has 3 logits, but 2 classes were named: a, b"),
        ((("a",), "ranking", np.ones((1, 4)), np.ones(1)), "task 'ranking' is not known; choose one of binary"),
        ((("a", "b"), "binary", np.ones((2, 4)), np.ones(2)), "2 logits, and a binary task has one"),
        ((("a",), "binary", np.ones(4), np.ones(1)), r"weights of shape \(4,\)"),
        ((("a",), "binary", np.ones((1, 4)), np.ones(2)), r"expected \(C, d\) and \(C,\)"),
        (((), "binary", np.ones((0, 4)), np.ones(0)), r"expected \(C, d\) and \(C,\)"),
        ((("a",), "binary", np.full((1, 4), np.nan), np.ones(1)), "h.pth holds values that are not finite"),
        ((("Mass", "mass "), "multilabel", np.ones((2, 4)), np.ones(2)), "the class 'mass ' of the head 'x' occurs"),
        ((("腫瘤",), "binary", np.ones((1, 4)), np.ones(1)), "expected a name with a Latin letter"),
    ],
)
def test_what_does_not_fit(arguments, words):
    with pytest.raises(ModelError, match=words):
        Head("x", *arguments, source="h.pth")


def test_heads_that_do_not_go_together():
    check_heads((head(), DENSITY, ASYMMETRY))
    with pytest.raises(ModelError, match="two heads are called 'density'"):
        check_heads((DENSITY, head("density", ("other",))))
    with pytest.raises(
        ModelError, match="the class 'Clip' of the head 'later' occurs in the head 'classifier' already"
    ):
        check_heads((head(), head("later", ("cyst", "Clip"))))
    with pytest.raises(ModelError, match="'wide' reads 4 features, 'classifier' reads 3"):
        check_heads((head(), head("wide", ("cyst",), "binary", width=4)))
    with pytest.raises(ModelError, match="no head 'x'; it has classifier, density"):
        logits_of((head(), DENSITY), "x")
    with pytest.raises(ModelError, match="no logit 2; the model has 2"):
        head_of((head(),), 2)
    with pytest.raises(ModelError, match="3 logits were given, the model has 2 classes"):
        probabilities_of((head(),), np.zeros(3))


def test_numbers_are_kept_in_double_precision():
    one = Head("x", ["a"], "binary", np.ones((1, 2), np.float32), [0])
    assert one.weight.dtype == one.bias.dtype == np.float64
    assert one.classes == ("a",)
    assert "\n" not in repr(one)
