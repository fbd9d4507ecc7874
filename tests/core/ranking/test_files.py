import json

import numpy as np
import pytest
import scipy.sparse

from napari_mammosae.core.base.errors import SettingsError
from napari_mammosae.core.ranking.compare import compare_rankings
from napari_mammosae.core.ranking.files import read_published, read_published_folder, read_ranking
from napari_mammosae.core.ranking.orders import first_ranks, union_sizes
from napari_mammosae.core.ranking.scores import LabelledPool, class_rankings
from napari_mammosae.core.ranking.table import rank_latents


def published(path, order, importance, first=0):
    entries = [
        {"rank": place + first, "index": int(latent), "importance": float(importance[latent])}
        for place, latent in enumerate(order)
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(entries[::-1]))
    return path


@pytest.mark.parametrize("first", [0, 1])
def test_a_published_ranking_keeps_its_own_order(tmp_path, first):
    order, importance = [2, 0, 3, 1], np.array([0.0, -1.0, 4.0, 0.0])
    found = read_published(published(tmp_path / "class=1.json", order, importance, first))
    assert found.order.tolist() == order
    assert np.array_equal(found.scores, importance)
    assert found.live.sum() == 2


def test_a_folder_has_one_ranking_a_class(tmp_path):
    published(tmp_path / "class=0" / "ranking.json", [0, 1, 2], np.arange(3))
    published(tmp_path / "ranking_class=1.json", [2, 1, 0], np.arange(3))
    published(tmp_path / "class=all.json", [2, 1, 0], np.arange(3))
    found = read_published_folder(tmp_path)
    assert {label: ranking.order.tolist() for label, ranking in found.items()} == {0: [0, 1, 2], 1: [2, 1, 0]}
    first = first_ranks([ranking.order for ranking in found.values()], 3)
    assert union_sizes(first).tolist() == [0, 2, 3, 3]


def test_unions_of_the_published_shape_grow_by_two_a_step(tmp_path):
    """With two classes the centred scores of one are the negatives of the other's, so the best k never meet."""
    rng = np.random.default_rng(0)
    score = np.zeros(16_384)
    live = rng.permutation(16_384)[:852]
    score[live] = np.r_[rng.uniform(0.1, 1, 55), -rng.uniform(0.1, 1, 797)]
    for label, sign in ((0, -1), (1, 1)):
        order = np.argsort(-sign * score, kind="stable")
        published(tmp_path / f"class={label}.json", order, sign * score)
    found = read_published_folder(tmp_path)
    sizes = union_sizes(first_ranks([ranking.order for ranking in found.values()], 16_384))
    assert sizes[[0, 1, 5, 10, 50, 100]].tolist() == [0, 2, 10, 20, 100, 200]
    assert [ranking.live.sum() for ranking in found.values()] == [852, 852]
    best = np.concatenate([ranking.order[:100] for ranking in found.values()])
    assert found[1].live[best].sum() == 155


def test_a_table_reads_back_as_the_ranking_it_was(tmp_path):
    rng = np.random.default_rng(1)
    dense, labels = rng.random((40, 6)) * (rng.random((40, 6)) < 0.5), rng.integers(0, 2, 40)
    pool = LabelledPool(scipy.sparse.csc_array(dense), labels)
    rank_latents(pool).to_csv(tmp_path / "rank.csv", index=False)
    found, made = read_ranking(tmp_path / "rank.csv"), class_rankings(pool)[1]
    assert np.array_equal(found.order, made.order)
    assert np.array_equal(found.scores, made.scores)
    assert compare_rankings(found, made).kendall == pytest.approx(1)
    published(tmp_path / "class=1.json", made.order, made.scores)
    assert np.array_equal(read_ranking(tmp_path / "class=1.json").order, made.order)


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("a.json", "{", "not a published ranking"),
        ("a.json", "[1, 2]", "not a published ranking"),
        ("a.json", '[{"rank": 0, "index": 0}]', "not a published ranking"),
        ("a.json", "[]", "0 entries"),
        ("a.json", '[{"rank": 0, "index": 1, "importance": 0}]', "do not hold each"),
        ("a.csv", "latent,score\n0,1\n", "needs the columns rank"),
        ("a.csv", "", "the file is empty"),
        ("a.csv", "rank,latent,score\n1,0,x\n", "line 2: score is 'x'"),
        ("a.csv", "rank,latent,score\n1,0.5,1\n", "whole numbers"),
        ("a.csv", "rank,latent,score\n1,0,1\n1,1,1\n", "the same rank"),
    ],
)
def test_files_that_are_no_ranking_are_named(tmp_path, name, text, said):
    (tmp_path / name).write_text(text)
    with pytest.raises(SettingsError, match=f"{name}.*{said}"):
        read_ranking(tmp_path / name)


@pytest.mark.parametrize(("name", "said"), [("none.json", "cannot be read"), ("none.csv", "no such file")])
def test_a_missing_file_is_named(tmp_path, name, said):
    with pytest.raises(SettingsError, match=f"{name}.*{said}"):
        read_ranking(tmp_path / name)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "cp1252"])
@pytest.mark.parametrize(
    "text",
    [
        "sep=;\nRank;Latent;Score;Live\n1;2;0,75;TRUE\n2;0;0,5;FALSE\n3;1;-0,25;True\n",
        "rank\tlatent\tscore\tlive\tgröße\n3\t1\t-0.25\ttrue\t\n1\t2\t0.75\ttrue\t\n2\t0\t0.5\tfalse\t\n",
    ],
)
def test_rankings_as_programs_save_them(tmp_path, text, encoding):
    (tmp_path / "a.csv").write_bytes(text.encode(encoding))
    found = read_ranking(tmp_path / "a.csv")
    assert found.order.tolist() == [2, 0, 1]
    assert found.scores.tolist() == [0.5, -0.25, 0.75]
    assert found.live.tolist() == [False, True, True]


def test_folders_that_do_not_fit_say_why(tmp_path):
    with pytest.raises(SettingsError, match="no ranking named after a class"):
        read_published_folder(tmp_path)
    published(tmp_path / "mass" / "class=1.json", [0, 1], np.zeros(2))
    published(tmp_path / "calcification" / "class=1.json", [0, 1], np.zeros(2))
    with pytest.raises(SettingsError, match="both rank class 1"):
        read_published_folder(tmp_path)
    published(tmp_path / "mass" / "class=0.json", [0, 1, 2], np.zeros(3))
    with pytest.raises(SettingsError, match="different size"):
        read_published_folder(tmp_path / "mass")
