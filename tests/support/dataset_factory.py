"""Published data sets in miniature, laid out as they are downloaded."""

import plistlib
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from pydicom.dataset import Dataset

from dicom_factory import breast_image, write_dicom

SHAPE = (240, 160)


def write_vindr(root: Path, *, copies: bool = False) -> Path:
    """Two women, two views each; `copies`: Mammo-CLIP's PNG files and their table."""
    views = [
        ("s1", "aa01", "L", "CC"),
        ("s1", "aa02", "L", "MLO"),
        ("s2", "bb01", "R", "CC"),
        ("s2", "bb02", "R", "MLO"),
    ]
    for number, (study, image, _, _) in enumerate(views):
        if copies:
            picture = (breast_image(*SHAPE, seed=number) // 16).astype(np.uint8)
            _png(root / "images_png" / study / f"{image}.png", picture)
        else:
            _dicom(root / "images" / study / f"{image}.dicom", number)
    found = {"aa01": [("['Mass', 'Skin Thickening']", 10, 20, 60, 80), ("['Suspicious Calcification']", 5, 6, 25, 36)]}
    splits = {"s1": "training", "s2": "test"}
    first = "patient_id" if copies else "study_id"
    view_name = "view" if copies else "view_position"
    names = [first, "series_id", "image_id", "laterality", view_name, "height", "width", "breast_birads"]
    names += ["breast_density", "finding_categories", "finding_birads", "xmin", "ymin", "xmax", "ymax", "split"]
    lines = [",".join(names + (["fold", "Mass", "Suspicious_Calcification"] if copies else []))]
    for study, image, side, view in views:
        for text, *edges in found.get(image, [("['No Finding']", "", "", "", "")]):
            cells = [study, "e", image + (".png" if copies else ""), side, view, *map(str, SHAPE), "BI-RADS 4"]
            cells += ["DENSITY C", f'"{text}"', "", *map(str, edges), splits[study]]
            lines.append(
                ",".join(cells + (["1", str(int("Mass" in text)), str(int("Susp" in text))] if copies else []))
            )
    name = "vindr_detection_v1_folds.csv" if copies else "finding_annotations.csv"
    (root / name).write_text("\n".join(lines) + "\n")
    if not copies:
        rows = [
            f"{s},e,{i},{side},{v},{SHAPE[0]},{SHAPE[1]},BI-RADS 4,DENSITY C,{splits[s]}" for s, i, side, v in views
        ]
        header = "study_id,series_id,image_id,laterality,view_position,height,width,breast_birads,breast_density,split"
        (root / "breast-level_annotations.csv").write_text("\n".join([header, *rows]) + "\n")
    return root


def write_cbis(root: Path) -> Path:
    """Four views of two women: three with a mass, one with a calcification, masks beside them."""
    views = [
        ("Mass-Training", "P_00001", "LEFT", "CC"),
        ("Mass-Training", "P_00001", "LEFT", "MLO"),
        ("Mass-Test", "P_00002", "RIGHT", "CC"),
        ("Calc-Test", "P_00002", "RIGHT", "MLO"),
    ]
    mass = "patient_id,breast_density,left or right breast,image view,abnormality id,abnormality type,mass shape,"
    mass += "mass margins,assessment,pathology,subtlety,image file path,cropped image file path,ROI mask file path"
    calc = mass.replace("breast_density", "breast density").replace("mass shape", "calc type")
    tables = {
        "Mass-Training": [mass],
        "Mass-Test": [mass],
        "Calc-Test": [calc.replace("mass margins", "calc distribution")],
    }
    for number, (kind, woman, side, view) in enumerate(views):
        case = f"{kind}_{woman}_{side}_{view}"
        facts = {"PatientID": case, "PatientOrientation": view, "Laterality": side[0]}
        _dicom(
            root / "CBIS-DDSM" / case / "07-20-2016-DDSM-1" / "1.000000-full mammogram images-9" / "1-1.dcm",
            number,
            **facts,
        )
        mask = np.zeros(SHAPE, np.uint8)
        mask[50 + number : 90, 30:70] = 255
        folder = root / "CBIS-DDSM" / f"{case}_1" / "07-20-2016-DDSM-2" / "1.000000-ROI mask images-8"
        crop = breast_image(40, 40, seed=9)
        first, second = (crop, mask) if number % 2 else (mask, crop)  # the two are not in one order
        _dicom(folder / "1-1.dcm", first, PatientID=f"{case}_1")
        _dicom(folder / "1-2.dcm", second, PatientID=f"{case}_1")
        pathology = ("MALIGNANT", "MALIGNANT", "BENIGN_WITHOUT_CALLBACK", "BENIGN")[number]
        kind_name = "mass" if "Mass" in kind else "calcification"
        tables[kind].append(
            f"{woman},{number + 1},{side},{view},1,{kind_name},OVAL,SPICULATED,{number + 2},{pathology},4,"
            f"{case}/1.3.6/1.4/000000.dcm,"
            f'"{case}_1/1.3/1.4/000001.dcm\n",{case}_1/1.3/1.4/000000.dcm'
        )
    names = {"Mass-Training": "mass_case_description_train_set.csv", "Mass-Test": "mass_case_description_test_set.csv"}
    for kind, lines in tables.items():
        (root / names.get(kind, "calc_case_description_test_set.csv")).write_text("\n".join(lines) + "\n")
    return root


def write_inbreast(root: Path) -> Path:
    """Two women; three images, of which two are outlined."""
    files = [("20586908", "6c613a14b80a8591", "R", "CC"), ("20586934", "6c613a14b80a8591", "L", "ML"),
             ("20587054", "b6a4f750c6df4f90", "R", "CC")]  # fmt: skip
    for number, (image, woman, side, view) in enumerate(files):
        _dicom(root / "AllDICOMs" / f"{image}_{woman}_MG_{side}_{view}_ANON.dcm", number)
    outlines = {"20586908": [("Mass", ["(10.5, 20.25)", "(40.5, 22.0)", "(30, 60.75)"]),
                             ("Calcification", ["(7.2, 9.9)"])],
                "20586934": [("Spiculated Region", ["(1, 2)", "(3, 2)", "(3, 5)"]), ("Mass", [])]}  # fmt: skip
    (root / "AllXML").mkdir()
    for image, regions in outlines.items():
        rois = [{"Name": name, "Point_px": points, "NumberOfPoints": len(points)} for name, points in regions]
        content = {"Images": [{"ImageIndex": 0, "NumberOfROIs": len(rois), "ROIs": rois}]}
        (root / "AllXML" / f"{image}.xml").write_bytes(plistlib.dumps(content))
    (root / "INbreast.csv").write_bytes(
        "Patient ID;Patient age;Laterality;View;Acquisition date;File Name;ACR;Bi-Rads\r\n"
        "removed;removed;R;CC;201001;20586908;1;5\r\nremoved;removed;L;MLO;201001;20586934;4;4a\r\n"
        "removed;removed;R;CC;201001;20587054;2;1\r\n".encode("utf-8-sig")
    )
    return root


def write_cmmd(root: Path) -> Path:
    """Two women; of the second one the table has one breast only."""
    for number, (woman, side, code) in enumerate(
        [
            ("D1-0001", "L", "R-10242"),
            ("D1-0001", "L", "R-10226"),
            ("D2-0002", "R", "R-10242"),
            ("D2-0002", "L", "R-10242"),
        ]
    ):
        view = Dataset()
        view.CodeValue = code
        folder = root / "manifest-1616439774456" / "CMMD" / woman / "07-18-2010-NA-NA-1" / "1.000000-NA-7"
        _dicom(folder / f"1-{number}.dcm", number, PatientID=woman, ImageLaterality=side, ViewCodeSequence=[view])
    (root / "CMMD_clinicaldata_revision.csv").write_text(
        "ID1,LeftRight,Age,number,abnormality,classification,subtype\nD1-0001,L,44,2,calcification,Benign,\n"
        "D2-0002,R,55,2,both,Malignant,Luminal A\n"
    )
    return root


def write_rsna(root: Path) -> Path:
    """Two women, three images; one more in the table only."""
    lines = ["site_id,patient_id,image_id,laterality,view,age,cancer,biopsy,invasive,BIRADS,implant,density,machine_id,"
             "difficult_negative_case"]  # fmt: skip
    rows = [("10006", "462822612", "L", "CC", 0, "", "A"), ("10006", "1459541791", "L", "MLO", 0, "2.0", "C"),
            ("10011", "541722628", "R", "CC", 1, "0.0", ""), ("10011", "9", "R", "MLO", 1, "0.0", "")]  # fmt: skip
    for number, (woman, image, side, view, cancer, birads, density) in enumerate(rows):
        lines.append(f"2,{woman},{image},{side},{view},61.0,{cancer},0,0,{birads},0,{density},29,False")
        if image != "9":
            _dicom(root / "train_images" / woman / f"{image}.dcm", number)
    (root / "train.csv").write_text("\n".join(lines) + "\n")
    return root


def write_embed(root: Path) -> Path:
    """Two women; one image is a synthetic view."""
    rows = [("11", "100", "1.2.1", "L", "CC", "2D", "((10, 20, 50, 60),)"),
            ("11", "100", "1.2.2", "R", "MLO", "2D", "()"),
            ("22", "200", "1.2.3", "R", "CC", "2D", ""), ("22", "200", "1.2.4", "R", "CC", "cview", "")]  # fmt: skip
    lines = [",empi_anon,acc_anon,anon_dicom_path,ImageLateralityFinal,ViewPosition,FinalImageType,ROI_coords,num_roi"]
    for number, (woman, exam, image, side, view, kind, rois) in enumerate(rows):
        path = f"cohort_1/{woman}/{exam}/{image}.dcm"
        _dicom(root / "images" / path, number)
        lines.append(f'{number},{woman},{exam},/mnt/NAS2/mammo/anon_dicom/{path},{side},{view},{kind},"{rois}",1')
    (root / "tables").mkdir()
    (root / "tables" / "EMBED_OpenData_metadata.csv").write_text("\n".join(lines) + "\n")
    (root / "tables" / "EMBED_OpenData_clinical.csv").write_text(
        "empi_anon,acc_anon,side,asses,tissueden,path_severity\n11,100,L,S,2.0,0.0\n11,100,R,N,2.0,\n22,200,B,A,5.0,4\n"
    )
    return root


def _dicom(path: Path, pixels: np.ndarray | int, **elements: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_dicom(path, breast_image(*SHAPE, seed=pixels) if isinstance(pixels, int) else pixels, **elements)


def _png(path: Path, pixels: np.ndarray | Sequence[int]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), np.asarray(pixels))
