"""Phantoms: deterministic, true to their masks, and in the ranges measured on real mammograms."""

import csv
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import napari_mammosae
from napari_mammosae.core.annotations.boxes import read_findings
from napari_mammosae.core.base.errors import SettingsError
from napari_mammosae.core.phantoms.dataset import load_truth, write_phantoms
from napari_mammosae.core.phantoms.phantom import FINDINGS, STRUCTURES, make_phantom
from napari_mammosae.core.phantoms.strokes import draw_line, strands

SEEDS = range(12)
PHANTOMS = Path(napari_mammosae.__file__).parent / "sample_data" / "phantoms"


@pytest.fixture(scope="module")
def phantoms():
    return [make_phantom(seed) for seed in SEEDS]


def local_deviation(image, inside, width=64):
    """Mean over windows that lie wholly inside of the standard deviation in the window."""
    image = image.astype(np.float64)
    mean = cv2.blur(image, (width, width))
    deviation = np.sqrt(np.maximum(cv2.blur(image * image, (width, width)) - mean * mean, 0))
    whole = cv2.erode(inside.astype(np.uint8), np.ones((width, width)), borderValue=0) > 0
    return deviation[whole].mean()


def spectral_exponent(image, inside, spacing, width=256, low=0.1, high=1.0):
    """Slope of log power against log frequency (cycles per mm), windows wholly inside, Hann weighted."""
    whole = cv2.erode(inside.astype(np.uint8), np.ones((width, width)), borderValue=0) > 0
    window = np.outer(np.hanning(width), np.hanning(width))
    power, half = np.zeros((width, width)), width // 2
    for row in range(half, image.shape[0] - half, half):
        for column in range(half, image.shape[1] - half, half):
            if whole[row, column]:
                patch = image[row - half : row + half, column - half : column + half].astype(float)
                power += np.abs(np.fft.fft2((patch - patch.mean()) * window)) ** 2
    f = np.hypot(np.fft.fftfreq(width, spacing[0])[:, None], np.fft.fftfreq(width, spacing[1])[None])
    edges = np.geomspace(low, high, 12)
    points = [
        (np.log(f[ring].mean()), np.log(power[ring].mean()))
        for a, b in pairwise(edges)
        if (ring := (f >= a) & (f < b)).sum() > 2
    ]
    return -np.polyfit(*np.array(points).T, 1)[0]


def test_same_seed_same_phantom_whatever_else_is_made(phantoms):
    again = make_phantom(7)
    np.testing.assert_array_equal(again.pixels, phantoms[7].pixels)
    assert again.boxes == phantoms[7].boxes
    assert (again.pixels != phantoms[8].pixels).any()


SAMPLES = {
    0: (
        "2e3040493300000000000000464c392f34343d30000000009c2f2c4872283234322a0000225145382c434a66663927008378"
        "7769679cae679888390d66576770a3629c7c6a947c584d463da65a7c8d6471672700724f325ea42a48723225000088676f5e"
        "523a5a34010000002c4e264d4a00000000000000"
    ),
    1: (
        "9675684e5e2b6712000000008b876c7e63483749000000008a9d73904e2d282220ff00007b964f5d915b334e715e00009957"
        "394a86719891bb462800502b2c587190b3596767793f474f3d3c448380717668400018215d46544e77654b1600006b504136"
        "37483523000000003b413e340000000000000000"
    ),
    900_002: (
        "0000000000000b3d48522925000000382a51605071696947000032367a3b315e774b5e55004742537939779e8a7f8295fd33"
        "6085865c82758277654500306892a5a29c3681a06d66004772673d6b80ac9a73988f00003b4d2e4886423f9b624700000000"
        "36385b3954607437000000000000005638353020"
    ),
    900_003: (
        "000000001a4161667d666495000000002954465e6f957a800000002f26314b6d68607773000029406069583765587184003d"
        "434f63557e8052616762142d70875fa470817c7067492033896d7d9c8f9057494c5000412e3a525c50757161336500000050"
        "37323071655d752a00eaeaffff0000002b3d332a"
    ),
}
"""Grey levels of every 152nd row and 76th column, by seed, of the phantoms that models were trained on."""


@pytest.mark.parametrize("seed", SAMPLES)
def test_phantoms_are_those_that_models_were_trained_on(seed):
    """To the pixel, but for the last bits of another processor's exponentials, which may turn a grey level over."""
    samples = make_phantom(seed).pixels[76::152, 38::76].astype(int).ravel()
    known = np.frombuffer(bytes.fromhex(SAMPLES[seed]), np.uint8)
    assert (samples == known).mean() > 0.97
    assert np.abs(samples - known).max() <= 1


def drawn_one_by_one(rng, spacing, shape, towards, count, lengths, widths, scatter):
    """Strokes as `strands` draws them, each with its random numbers and its geometry before the next."""

    def winding(start, heading, length, points=12):
        turning = 0.03 * (
            rng.standard_normal() + 0.8 * np.sin(np.linspace(0, rng.uniform(3, 14), points) + rng.uniform(0, 6.3))
        )
        angles = heading + np.cumsum(turning) * length / points
        return start + np.cumsum(np.stack([np.sin(angles), np.cos(angles)], 1) * (length / points), 0)

    canvas = np.zeros(shape, np.uint8)
    starts = rng.uniform(-0.05, 1.0, (count, 2)) * np.array(shape) * np.array(spacing)
    length = np.clip(lengths[1] * np.exp(rng.normal(0, 0.5, count)), lengths[0], lengths[2])
    width = rng.uniform(*widths, count)
    strength = np.sort(rng.beta(1.3, 2.6, count)) * 235 + 20
    taper = np.sin(np.linspace(0.25, np.pi - 0.25, 11)) ** 0.7
    for i in range(count):
        heading = np.arctan2(towards[0] - starts[i, 0], towards[1] - starts[i, 1])
        heading += scatter * rng.standard_normal() + (np.pi / 2 if rng.random() < 0.15 else 0.0)
        points = winding(starts[i], heading, length[i])
        draw_line(canvas, points, strength[i] * taper, width[i], spacing)
        if rng.random() < 0.3:
            fork = points[rng.integers(3, 8)]
            side = rng.choice([-1, 1]) * rng.uniform(0.3, 0.8)
            branch = winding(fork, heading + side, 0.5 * length[i])
            draw_line(canvas, branch, 0.8 * strength[i] * taper, 0.7 * width[i], spacing)
    soft = cv2.GaussianBlur(canvas, (0, 0), 0.8).astype(np.float32) + 0.3 * cv2.GaussianBlur(canvas, (0, 0), 3.0)
    return soft / 255


@pytest.mark.parametrize("count", [1, 2, 90])
def test_strands_drawn_together_are_those_drawn_one_by_one(count):
    arguments = (0.12, 0.09), (300, 200), (20.0, 15.0), count, (3.0, 8.0, 24.0), (0.2, 0.45), 0.55
    expected = drawn_one_by_one(np.random.default_rng(count), *arguments)
    np.testing.assert_allclose(strands(np.random.default_rng(count), *arguments), expected, rtol=1e-6)
    assert expected.max() > 0


def test_strands_are_drawn_where_they_are_seen_and_nowhere_else():
    arguments = (0.12, 0.09), (300, 200), (20.0, 15.0), 90, (3.0, 8.0, 24.0), (0.2, 0.45), 0.55
    windows = [(slice(0, 40), slice(0, 30)), (slice(40, 90), slice(0, 120)), (slice(230, 300), slice(0, 9))]
    seen = np.zeros((300, 200), bool)
    for window in windows:
        seen[window] = True
    found = strands(np.random.default_rng(90), *arguments, windows)
    expected = drawn_one_by_one(np.random.default_rng(90), *arguments)
    np.testing.assert_allclose(found, np.where(seen, expected, 0), rtol=1e-6)
    assert expected[seen].max() > 0


@pytest.mark.parametrize("seed", [900_005, 900_052])
def test_phantoms_are_those_that_the_package_brings(seed):
    """Every pixel, but for the last bits of another processor's exponentials."""
    known = cv2.imread(str(PHANTOMS / f"phantom-{seed}.png"), cv2.IMREAD_UNCHANGED)
    pixels = make_phantom(seed).pixels
    assert (pixels == known).mean() > 0.999
    assert cv2.absdiff(pixels, known).max() <= 1


def test_every_phantom_fills_eight_bits(phantoms):
    """Air is 0 and a neutral object is 255 on each, so that stretching to min and max changes nothing."""
    for phantom in phantoms:
        assert phantom.pixels.shape == (1520, 912)
        assert phantom.pixels.dtype == np.uint8
        assert phantom.pixels.min() == 0
        assert phantom.pixels[phantom.masks["device_tag"]].max() == 255


def test_grey_levels_texture_and_air_are_those_of_mammograms(phantoms):
    levels, deviations, exponents, air = [], [], [], []
    for phantom in phantoms:
        tissue = phantom.masks["breast"] & ~phantom.masks["skin"]
        levels.append(np.percentile(phantom.pixels[tissue], [5, 50, 95]))
        deviations.append(local_deviation(phantom.pixels, tissue))
        exponents.append(spectral_exponent(phantom.pixels, tissue, phantom.spacing))
        air.append(1 - phantom.masks["breast"].mean())
    np.testing.assert_allclose(np.mean(levels, 0), [40, 90, 155], atol=8)
    assert np.all(np.abs(np.array(levels) - [40, 90, 155]) < 25)
    assert 19 <= np.mean(deviations) <= 29
    assert 16 <= min(deviations) <= max(deviations) <= 29
    assert 2.7 <= np.mean(exponents) <= 3.2
    assert 2.5 <= min(exponents) <= max(exponents) <= 3.4
    assert 0.15 <= min(air) <= max(air) <= 0.33


def test_spacing_varies_within_the_measured_range(phantoms):
    down, across = np.array([phantom.spacing for phantom in phantoms]).T
    assert across.min() >= 0.060
    assert across.max() <= 0.137
    assert abs(np.median(across) - 0.094) < 0.012
    assert down.min() >= 0.101
    assert down.max() <= 0.200
    assert abs(np.median(down) - 0.120) < 0.015


def test_masses_have_the_size_and_contrast_of_real_ones():
    sizes, contrasts = [], []
    for seed in range(100, 108):
        phantom = make_phantom(seed, mass=True)
        (box,) = phantom.boxes_of("mass")
        extent = np.array([box[2] - box[0], box[3] - box[1]]) * phantom.spacing
        sizes.append(extent.max())
        contrasts.append(phantom.contrast)
        assert phantom.masks["mass"][phantom.masks["breast"]].sum() == phantom.masks["mass"].sum()
    assert 5 <= min(sizes) <= max(sizes) <= 47
    assert 15 <= np.median(sizes) <= 26
    assert 0.8 <= np.median(contrasts) <= 2.0
    assert min(contrasts) > 0.3


def test_a_mass_is_what_its_mask_says():
    """With and without the mass the image differs inside the mask, and is the same outside of its surroundings."""
    without, with_mass = make_phantom(3, mass=False, marker=False), make_phantom(3, mass=True, marker=False)
    difference = with_mass.pixels.astype(int) - without.pixels
    mask = with_mass.masks["mass"]
    far = cv2.dilate(mask.astype(np.uint8), np.ones((301, 301))) == 0
    assert difference[mask].mean() > 8
    assert not difference[far].any()


def test_clusters_have_fine_specks_and_the_size_of_real_ones():
    sizes, widths = [], []
    for seed in range(200, 208):
        phantom = make_phantom(seed, suspicious_calcification=True)
        (box,) = phantom.boxes_of("suspicious_calcification")
        assert len(phantom.specks) >= 5
        sizes.append(max((box[2] - box[0]) * phantom.spacing[0], (box[3] - box[1]) * phantom.spacing[1]))
        widths += [min(s[2] - s[0], s[3] - s[1]) for s in phantom.specks]
    assert 3 <= min(sizes) <= max(sizes) <= 70
    assert 10 <= np.median(sizes) <= 24
    assert 2 <= np.median(widths) <= 3


def test_specks_stand_out_of_the_tissue():
    without = make_phantom(5, suspicious_calcification=False).pixels.astype(int)
    phantom = make_phantom(5, suspicious_calcification=True)
    gain = [phantom.pixels[r0:r1, c0:c1].max() - without[r0:r1, c0:c1].max() for r0, c0, r1, c1 in phantom.specks]
    assert np.median(gain) > 25


def test_boxes_are_tight_around_their_masks(phantoms):
    for phantom in phantoms:
        for name, (r0, c0, r1, c1) in phantom.boxes:
            mask = phantom.masks[name]
            assert 0 <= r0 < r1 <= 1520
            assert 0 <= c0 < c1 <= 912
            if len(phantom.boxes_of(name)) == 1:
                assert mask[r0:r1, c0:c1].sum() == mask.sum()
                assert mask[r0].any()
                assert mask[r1 - 1].any()
                assert mask[:, c0].any()
                assert mask[:, c1 - 1].any()


def test_structures_are_there_and_where_they_belong(phantoms):
    for phantom in phantoms:
        names = set(phantom.masks)
        assert names <= {*FINDINGS, *STRUCTURES}
        assert {"breast", "skin", "nipple", "device_tag"} <= names
        assert ("pectoral" in names) or phantom.view == "CC"
        breast = phantom.masks["breast"]
        for name in ("marker", "device_tag"):
            if name in names:
                assert not (phantom.masks[name] & breast).any()
        # The chest wall is on the left of a left breast, the nipple on the other side.
        columns = np.argwhere(phantom.masks["nipple"])[:, 1].mean()
        assert (columns > 456) == (phantom.laterality == "L")


def test_the_marker_is_burned_in_and_bright():
    phantom = make_phantom(11, marker=True)
    assert phantom.pixels[phantom.masks["marker"]].mean() > 150
    assert "marker" not in make_phantom(11, marker=False).masks


def test_the_marker_changes_nothing_else():
    bare, marked = make_phantom(11, marker=False), make_phantom(11, marker=True)
    (box,) = marked.boxes_of("marker")
    changed = np.argwhere(bare.pixels != marked.pixels)
    assert (changed >= [box[0] - 2, box[1] - 2]).all()
    assert (changed < [box[2] + 2, box[3] + 2]).all()


def test_four_seeds_are_one_patient(phantoms):
    assert [(p.laterality, p.view) for p in phantoms[:4]] == [("L", "CC"), ("L", "MLO"), ("R", "CC"), ("R", "MLO")]
    assert len({p.patient for p in phantoms}) == len(SEEDS) // 4
    assert len({p.spacing for p in phantoms}) == len(SEEDS) // 4


@settings(max_examples=4, deadline=None)
@given(st.integers(0, 2**40), st.sampled_from([0.0, 1.0]))
def test_an_extreme_bias_decides_the_marker(seed, bias):
    phantom = make_phantom(seed, marker_bias=bias)
    assert ("marker" in phantom.masks) == (phantom.labels["mass"] == (bias == 1.0))
    for finding in FINDINGS:
        assert phantom.labels[finding] == bool(phantom.boxes_of(finding))


@pytest.mark.parametrize(("seed", "bias"), [(-1, 0.5), (0, 1.5), (0, float("nan"))])
def test_arguments_without_meaning_are_refused(seed, bias):
    with pytest.raises(SettingsError, match=r"seed|probability"):
        make_phantom(seed, marker_bias=bias)


def test_written_files_say_what_was_drawn(tmp_path):
    seen = []
    ids = write_phantoms(tmp_path, 3, seed=2, progress=lambda *state: seen.append(state[1:]))
    assert ids == ["phantom-000002", "phantom-000003", "phantom-000004"]
    assert seen == [(1, 3), (2, 3), (3, 3)]
    labels, findings, structures = (
        list(csv.DictReader((tmp_path / f"{table}.csv").read_text().splitlines()))
        for table in ("labels", "findings", "structures")
    )
    assert list(labels[0]) == ["image", "patient", "mass", "suspicious_calcification"]
    assert list(findings[0]) == list(structures[0]) == ["image", "finding", "xmin", "ymin", "xmax", "ymax"]
    for seed, row in zip(range(2, 5), labels, strict=True):
        phantom = make_phantom(seed)
        stored = cv2.imread(str(tmp_path / f"{phantom.image_id}.png"), cv2.IMREAD_UNCHANGED)
        np.testing.assert_array_equal(stored, phantom.pixels)
        truth = load_truth(tmp_path / "truth" / f"{phantom.image_id}.npz")
        assert truth.keys() == phantom.masks.keys()
        for name, mask in truth.items():
            np.testing.assert_array_equal(mask, phantom.masks[name])
        assert row["image"] == phantom.image_id
        assert row["patient"] == phantom.patient
        rows = [r for r in findings + structures if r["image"] == phantom.image_id and r["xmin"]]
        boxes = {(r["finding"], int(r["ymin"]), int(r["xmin"]), int(r["ymax"]), int(r["xmax"])) for r in rows}
        assert boxes == {(name, *box) for name, box in phantom.boxes}
        for finding in FINDINGS:
            assert (row[finding] == "1") == any(
                r["finding"] == finding and r["image"] == row["image"] for r in findings
            )
    blank = [r for r in findings if not r["xmin"]]
    assert {r["image"] for r in blank} == {r["image"] for r in labels if {r[name] for name in FINDINGS} == {"0"}}
    assert all([*r.values()][1:] == ["No Finding", "", "", "", ""] for r in blank)
    assert {r["finding"] for r in findings} <= {*FINDINGS, "No Finding"}
    assert set(read_findings(tmp_path / "findings.csv").images.index) == set(ids)
    assert not {r["finding"] for r in structures} & set(FINDINGS)
    assert not list(tmp_path.rglob(".*"))


def test_asking_for_nothing_is_an_error(tmp_path):
    with pytest.raises(SettingsError, match="at least one"):
        write_phantoms(tmp_path / "out", 0)
