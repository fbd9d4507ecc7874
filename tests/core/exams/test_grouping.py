import pandas as pd
import pytest

from napari_mammosae.core.exams.grouping import find_exam, find_prior, group_exams


def table(patients, days=None):
    return pd.DataFrame({"patient": patients} | ({} if days is None else {"study_day": days}))


def test_images_of_a_patient_are_one_exam_where_no_day_is_known():
    exams = group_exams(table(["b", "a", "b", "a", "c"]))
    assert [(exam.patient, exam.day, exam.rows) for exam in exams] == [
        ("b", None, (0, 2)), ("a", None, (1, 3)), ("c", None, (4,)),
    ]  # fmt: skip


@pytest.mark.parametrize("dtype", ["float64", "Int32", object])
def test_days_part_a_patient_s_images_from_the_earliest_on(dtype):
    days = pd.Series([400, 0, 400, None, 0], dtype=dtype)
    exams = group_exams(table(["a", "a", "a", "a", "b"], days))
    assert [(exam.patient, exam.day, exam.rows) for exam in exams] == [
        ("a", None, (3,)), ("a", 0, (1,)), ("a", 400, (0, 2)), ("b", 0, (4,)),
    ]  # fmt: skip


def test_the_prior_is_the_exam_before_of_the_same_patient():
    exams = group_exams(table(["a", "a", "a", "b", "b"], [7, 0, 90, 0, None]))
    titles = [(exam.title, getattr(find_prior(exams, place), "day", None)) for place, exam in enumerate(exams)]
    assert titles == [("a, day 0", None), ("a, day 7", 0), ("a, day 90", 7), ("b", None), ("b, day 0", None)]


def test_an_image_is_found_in_its_exam():
    exams = group_exams(table(["a", "b", "a"]))
    assert [find_exam(exams, row) for row in (0, 1, 2, 3)] == [0, 1, 0, None]


def test_no_images_are_no_exams():
    assert group_exams(table([])) == []
