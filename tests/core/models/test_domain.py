"""Images of another kind than the model's are named, others are not."""

import pytest

from dicom_factory import breast_image, write_dicom
from fakes import mammogram, model_facts
from napari_mammosae.core.images.mammogram import read_mammogram
from napari_mammosae.core.models.domain import outside_domain
from napari_mammosae.core.models.facts import Domain

DEMO = Domain("synthetic phantoms of mammograms", "breast")


@pytest.mark.parametrize(
    ("tags", "said"),
    [
        ({"Modality": "MG", "BodyPartExamined": "BREAST"}, ""),
        ({"Modality": "MG"}, ""),
        ({"Modality": "CR", "BodyPartExamined": "LEG"}, "this file says modality CR and body part LEG."),
        ({"Modality": "MG", "BodyPartExamined": "HAND"}, "this file says body part HAND."),
        ({"Modality": "US", "BodyPartExamined": "BREAST"}, "this file says modality US."),
    ],
)
def test_what_a_dicom_file_says(tmp_path, tags, said):
    image = read_mammogram(write_dicom(tmp_path / "case.dcm", breast_image(), **tags))
    text = outside_domain(model_facts(), image)
    assert (said in text) if said else not text
    assert not said or text == f"fake is made for mammography; {said} Its predictions mean nothing here."
    assert outside_domain(model_facts(domain=DEMO), image).startswith("fake is made for synthetic phantoms")


@pytest.mark.parametrize(
    ("name", "fits"), [("phantom-900001", True), ("train/phantom-000001", True), ("case-1", False), ("phantom", False)]
)
def test_a_model_of_phantoms_takes_phantoms(name, fits):
    image = mammogram(image_id=name)
    assert (not outside_domain(model_facts(domain=DEMO), image)) is fits
    assert not outside_domain(model_facts(), image)


@pytest.mark.parametrize(
    ("tags", "said"),
    [
        ({"Modality": "DX", "BodyPartExamined": "CHEST"}, ""),
        ({"Modality": "CR"}, ""),
        ({"Modality": "MG"}, "this file says modality MG."),
        ({"Modality": "DX", "BodyPartExamined": "HAND"}, "this file says body part HAND."),
    ],
)
def test_a_model_of_chests(tmp_path, tags, said):
    image = read_mammogram(write_dicom(tmp_path / "case.dcm", breast_image(), **tags))
    text = outside_domain(model_facts(domain=Domain("chest radiography", "chest")), image)
    assert text == (f"fake is made for chest radiography; {said} Its predictions mean nothing here." if said else "")
