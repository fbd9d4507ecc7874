import numpy as np
import pytest

from fakes import FakeModel, latent_maps, mammogram
from napari_mammosae.core.base.errors import SettingsError
from napari_mammosae.viewer.app.order import BY_IMAGE, Order
from napari_mammosae.viewer.app.session import MOST_PINS, Session
from napari_mammosae.viewer.canvas.latent_view import resolve
from napari_mammosae.viewer.widgets.columns import VERDICT


@pytest.fixture
def session():
    s = Session()
    s.image, s.handle, s.maps = mammogram(), FakeModel(), latent_maps()
    return s


def test_maps_come_ordered_by_their_mean_and_the_best_is_current(session):
    means = session.maps.pooled_mean[session.order.latents]
    assert np.all(np.diff(means) <= 0)
    assert session.order.name == BY_IMAGE
    assert session.current == int(np.argmax(session.maps.pooled_mean))
    assert session.rank == 0


def test_a_new_image_drops_the_latents_and_keeps_the_latent_and_the_pins(session):
    session.current, session.pins = 7, (3, 4)
    generation = session.generation
    session.image = mammogram(1)
    assert session.maps is None
    assert session.is_stale(generation)
    assert (session.current, session.pins) == (7, (3, 4))


def test_an_image_with_its_latents_changes_them_once(session):
    seen = []
    session.maps = latent_maps()
    generation = session.generation
    for name in ("image", "maps"):
        getattr(session.events, name).connect(lambda value, name=name: seen.append((name, value, session.maps)))
    image, maps = mammogram(7), latent_maps(seed=7)
    session.show(image, maps)
    # nobody who hears of the image sees latents of the one before
    assert seen == [("image", image, None), ("maps", maps, maps)]
    assert session.is_stale(generation)
    session.show(image, maps)
    assert len(seen) == 2
    other = latent_maps(seed=8)
    session.show(image, other)
    assert seen[2:] == [("maps", other, other)]


@pytest.mark.parametrize("of", ["image", "run"])
def test_scores_measured_on_one_image_or_run_are_not_shown_over_another(session, of):
    session.run = object()
    session.order = Order.by_score(np.arange(64.0), "IoU with the mass box", getattr(session, of))
    session.maps = latent_maps(seed=3)
    assert session.order.name == "IoU with the mass box"
    session.run, session.image = object(), mammogram(1)
    session.maps = latent_maps(seed=4)
    assert session.order.name == BY_IMAGE
    assert "IoU" not in resolve(session).text


@pytest.mark.parametrize("scores", [np.full(64, np.nan), np.where(np.arange(64) % 2, 1.0, np.nan)])
def test_an_order_without_a_score_is_named_without_a_number(session, scores):
    session.order = Order.of(np.arange(64), scores, VERDICT.order_name)
    session.current = 2
    assert "in the order of verdict" in resolve(session).text
    assert "nan" not in resolve(session).text


def test_orders_that_nobody_can_tell_apart():
    order = Order.by_score([1.0, np.nan, 3.0], "mean")
    assert order.same_as(Order.by_score([1.0, np.nan, 3.0], "mean"))
    assert not order.same_as(Order.by_score([1.0, np.nan, 3.0], "maximum"))
    assert not order.same_as(Order.by_score([1.0, np.nan, 2.0], "mean"))
    assert not order.same_as(Order.of([0, 1, 2], order.scores, "mean"))


def test_a_new_image_under_a_ranking_keeps_that_ranking(session):
    ranking = Order.by_score(np.arange(64), "diff")
    session.order = ranking
    session.image = mammogram(1)
    session.maps = latent_maps(seed=1)
    assert session.order is ranking


def test_the_first_latent_shown_is_one_that_fires():
    s = Session()
    s.image, s.handle, maps = mammogram(), FakeModel(), latent_maps()
    silent = next(i for i in range(64) if maps.row(i) is None)
    s.order = Order.by_score(np.arange(64) == silent, "a ranking")
    s.maps = maps
    assert s.current == np.argmax(maps.pooled_mean)


def test_another_sae_gives_latent_numbers_another_meaning(session):
    session.pins = (1,)
    session.handle = FakeModel(sae_sha256="other")
    assert session.maps is None
    assert session.order is None
    assert session.current is None
    assert session.pins == ()


def test_so_it_does_once_the_model_was_unloaded(session):
    session.pins = (40,)
    session.handle = None
    assert session.pins == (40,)
    session.handle = FakeModel(sae_sha256="other", n_latents=32)
    assert session.current is None
    assert session.pins == ()


def test_an_order_of_fewer_latents_has_no_rank_for_the_current_one(session):
    session.current = 50
    session.order = Order.by_score(np.arange(32), "of another SAE")
    assert session.rank is None


def test_another_model_with_the_same_sae_keeps_current_and_pins(session):
    session.current, session.pins = 5, (1,)
    session.handle = FakeModel(model_sha256="other")
    assert (session.maps, session.current, session.pins) == (None, 5, (1,))


def test_reordering_keeps_the_latent_and_moves_its_rank(session):
    session.current = 9
    session.order = Order.by_score(-np.arange(64.0), "number")
    assert (session.current, session.rank) == (9, 9)


def test_listeners_see_a_state_that_fits_together():
    s = Session()
    s.image, s.handle = mammogram(), FakeModel()
    seen = []
    s.events.maps.connect(lambda maps: seen.append(resolve(s)))
    s.maps = latent_maps()
    assert seen[0].rank == 0


def test_other_logits_and_another_order_are_one_change(session):
    seen = []
    for event in (session.events.order, session.events.maps, session.events.current):
        event.connect(lambda _: seen.append((session.order, session.current)))
    session.renew_maps()
    assert seen == [(session.order, session.current)]
    order = Order.by_score(-np.arange(64.0)[::-1], "number")
    session.renew_maps(order)
    assert seen[1:] == 3 * [(order, 63)]
    session.renew_maps(order)
    assert len(seen) == 1 + 3 + 2  # the latent stays


def test_the_same_value_is_announced_once(session):
    seen = []
    session.events.current.connect(seen.append)
    session.current = 3
    session.current = 3
    assert seen == [3]


def test_at_most_a_dozen_pins(session):
    session.pins = range(MOST_PINS)
    with pytest.raises(SettingsError, match="At most 12"):
        session.pins = range(MOST_PINS + 1)
    assert len(session.pins) == MOST_PINS


@pytest.mark.parametrize(("latents", "scores"), [([0, 0, 1], 3), ([0, 1, 5], 3), ([0, 1, 2], 2), ([-1, 0, 1], 3)])
def test_an_order_names_every_latent_once(latents, scores):
    with pytest.raises(SettingsError):
        Order.of(latents, np.zeros(scores), "bad")


def test_missing_scores_come_last_and_ties_by_number():
    order = Order.by_score([1.0, np.nan, 3.0, 1.0], "x")
    assert order.latents.tolist() == [2, 0, 3, 1]
    assert order.ranks.tolist() == [1, 3, 0, 2]


def test_a_run_is_opened_step_by_step_or_assigned_at_once():
    session, done = Session(), []
    session.events.run.connect(lambda run: done.append(run))
    for name in ("table", "curve"):
        session.events.run.connect(lambda run, name=name: session.afterwards(lambda: done.append(f"{name} of {run}")))
    steps = session.open_run("a")
    next(steps)
    assert (session.run, done) == ("a", ["a"])
    next(steps)
    assert done == ["a", "table of a"]
    assert list(steps) == []
    assert done == ["a", "table of a", "curve of a"]
    session.run = "b"
    assert done[3:] == ["b", "table of b", "curve of b"]
