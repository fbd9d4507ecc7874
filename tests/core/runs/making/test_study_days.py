import numpy as np
import pandas as pd
import pytest

from dicom_factory import breast_image, write_dicom
from napari_mammosae.core.exams.grouping import group_exams
from napari_mammosae.core.runs.making.make import write_run
from napari_mammosae.core.runs.making.study_days import study_days
from napari_mammosae.core.runs.opening import open_run


def files(folder, dates):
    folder.mkdir(exist_ok=True)
    return [
        write_dicom(
            folder / f"{number}.dcm",
            breast_image(300, 200),
            PatientID=f"woman {number % 2}",
            **({} if day is None else {"StudyDate": day}),
        )
        for number, day in enumerate(dates)
    ]


@pytest.mark.parametrize(
    ("dates", "days"),
    [
        (["20200228", "20190101", "20200301", "20190101"], [0, 0, 2, 0]),  # a leap year
        (["20200110", None, "20200101", ""], [9, None, 0, None]),
        (["20209999", "20190101", "20200101", "not a day"], [None, 0, 0, None]),
    ],
)
@pytest.mark.filterwarnings("ignore:Invalid value for VR DA")
def test_days_since_the_patient_s_first_study(tmp_path, dates, days):
    assert study_days(files(tmp_path, dates), ["a", "b", "a", "b"]) == days


def test_other_files_have_no_date(tmp_path):
    path = tmp_path / "image.npy"
    np.save(path, np.eye(4))
    assert study_days([path, tmp_path / "missing.dcm"], ["a", "a"]) == [None, None]


def test_a_run_keeps_days_and_no_date(tmp_path, tiny_model):
    files(tmp_path / "images", ["20200110", "20200110", "20210112", None])
    run = open_run(write_run(tmp_path / "images", tiny_model, tmp_path / "run", workers=0).path)
    assert run.images["study_day"].tolist()[:3] == [0, 0, 368]
    assert pd.isna(run.images["study_day"][3])
    exams = [(exam.day, exam.rows) for exam in group_exams(run.images)]
    assert exams == [(0, (0,)), (368, (2,)), (None, (3,)), (0, (1,))]
    for path in (tmp_path / "run").rglob("*.parquet"):
        text = pd.read_parquet(path).to_csv()
        assert not any(day in text for day in ("20200110", "20210112", "2020-01-10"))
