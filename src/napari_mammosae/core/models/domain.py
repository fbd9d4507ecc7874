"""Whether an image is of the kind that a model was made for, as far as the image says what it is."""

import re
from typing import Protocol

from ..images.mammogram import Mammogram
from .facts import Domain

_SYNTHETIC, _MAMMOGRAPHY = "synthetic", "mammography"
_PHANTOM = re.compile(r"phantom-\d+( \(changed\))?")


class HasDomain(Protocol):
    """A model, or what is known of one."""

    @property
    def name(self) -> str:
        """What it is called."""
        ...

    @property
    def domain(self) -> Domain:
        """What kind of images it is for."""
        ...


def outside_domain(model: HasDomain, image: Mammogram) -> str:
    """Return why a model's predictions mean nothing for an image, in two sentences; empty where nothing says so.

    A model of synthetic phantoms takes this package's phantoms alone. Other models are compared with what a DICOM file
    says; a picture without such facts may be anything.
    """
    domain, facts = model.domain, image.metadata
    if _SYNTHETIC in domain.modality.lower():
        why = "" if _PHANTOM.fullmatch(image.image_id.rpartition("/")[2]) else "this is another image"
    else:
        modality, part = facts.get("modality", ""), facts.get("body_part", "")
        if domain.modality == _MAMMOGRAPHY:
            other = modality.upper() not in ("", "MG")
        else:
            other = modality.upper() == "MG" and "breast" not in domain.body_part.lower()
        said = [
            f"modality {modality}" if other else "",
            f"body part {part}" if part and domain.body_part.lower() not in part.lower() else "",
        ]
        why = f"this file says {' and '.join(filter(None, said))}" if any(said) else ""
    return f"{model.name} is made for {domain.modality}; {why}. Its predictions mean nothing here." if why else ""
