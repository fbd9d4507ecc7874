"""A run whose latents stand for things that can be seen: patches of a grey level each, which a server can look for."""

import hashlib
import json
from pathlib import Path

import cv2
import numpy as np
import pandas as pd

from fake_run import FakeRun
from fakes import GRID
from napari_mammosae.core.naming.vlm.server.replies import Reply
from vlm_server import DETECTION, NAME, NAMED, ORDER, REGION, Asked

INPUT = (192, 128)
WORDS = ("amber", "birch", "cedar", "delta", "ember", "fjord", "grove")
LEVELS = {f"{word} patch": 160 + 12 * place for place, word in enumerate(WORDS)}
"""What a patch is called, and its grey level."""
LATENTS = 16
FIRST = 4  # latent 4 stands for amber, 5 for birch, ...


class PatchRun(FakeRun):
    """Two images of each patient; latent `FIRST` + i fires where the i-th patch is, on half of the images at random."""

    def __init__(self, folder: Path, patients: int = 40, *, maps: bool = True) -> None:
        rng = np.random.default_rng(3)
        count = 2 * patients
        super().__init__(folder, count, LATENTS, maps, write=False)
        self.path.mkdir(parents=True)
        self.info |= {"preprocessing": {"size": list(INPUT), "crop": True}, "model": "patches"}
        self.made_with = {"model": "patches", "model_sha256": "m" * 64, "sae_sha256": "s" * 64}
        self.dense = np.zeros((count, *GRID, LATENTS), np.float32)
        rows = []
        for image in range(count):
            pixels = np.full(INPUT, 90, np.uint8)
            pixels[:, INPUT[1] * 3 // 4 :] = 0
            cells = rng.permutation([(row, column) for row in range(1, 11) for column in range(1, 5)])
            for place, level in enumerate(LEVELS.values()):
                if rng.random() < 0.5:
                    row, column = cells[place]
                    pixels[row * 16 : row * 16 + 16, column * 16 : column * 16 + 16] = level
                    self.dense[image, row, column, FIRST + place] = rng.uniform(0.5, 2)
            data = cv2.imencode(".png", pixels)[1].tobytes()
            (folder / f"smith^anna-{image:03d}.png").write_bytes(data)
            rows.append((image * 2, f"smith^anna-{image:03d}", f"smith^anna-{image:03d}.png",
                         f"id-{image // 2}", hashlib.sha256(data).hexdigest()))  # fmt: skip
        self.images = pd.DataFrame(rows, columns=["image", "image_id", "path", "patient", "sha256"])
        self.images["label.mass"] = 1.0
        self.images["label.density"] = 0.0


def shows(picture: np.ndarray, name: str, *, outlined: bool = False) -> bool:
    """Whether a patch is in a picture, or inside the yellow line."""
    grey = picture if picture.ndim == 2 else picture[..., 0]
    if outlined:
        line = np.argwhere((picture == (0, 255, 255)).all(axis=-1))
        (top, left), (bottom, right) = line.min(axis=0), line.max(axis=0)
        grey = grey[top + 1 : bottom, left + 1 : right]
    return bool((grey == LEVELS.get(name, 1)).sum() > 30)


def seeing(asked: Asked) -> str | float:
    """Answer by looking: the truth."""
    if asked.kind in (DETECTION, REGION):
        return 0.9 if shows(asked.pictures[0], asked.about, outlined=asked.outlined) else 0.1
    if asked.kind == NAME:
        parts = asked.pictures[1:10:2]  # the enlarged ones; whole views of others come last
        best = max(LEVELS, key=lambda name: sum(middle(part) == LEVELS[name] for part in parts))
        return json.dumps(NAMED | {"name": best})
    if asked.kind == ORDER:
        if not asked.pictures:
            return json.dumps({"order": list("ABCDE")})
        seen = {letter: middle(asked.pictures[1]) == LEVELS.get(name, 1) for letter, name in asked.choices.items()}
        return json.dumps({"order": sorted("ABCDE", key=lambda letter: not seen[letter])})
    return json.dumps({"score": 9 if shows(asked.pictures[0], asked.about, outlined=asked.outlined) else 1})


def middle(part: np.ndarray) -> int:
    """The grey level that most of the middle of an enlarged part has."""
    rows, columns = part.shape[0] // 2, part.shape[1] // 2
    return int(np.median(part[rows - 4 : rows + 4, columns - 4 : columns + 4]))


def guessing(asked: Asked) -> str | float:
    """Answer at random, the same to the same question; names are those of the truth."""
    if asked.kind == NAME:
        return seeing(asked)
    digest = hashlib.sha256(json.dumps(asked.body, sort_keys=True).encode()).digest()
    rng = np.random.default_rng(list(digest[:16]))
    if asked.kind == ORDER:
        return json.dumps({"order": [str(letter) for letter in rng.permutation(list("ABCDE"))]})
    return float(rng.uniform(0.01, 0.99))


class Direct:
    """In the place of the client: asks `answer` without a network between."""

    answer = staticmethod(seeing)

    def __init__(self, server, *_, **__):
        self.server = server

    def close(self):
        pass

    def models(self):
        return ["seer"]

    def cloud_of(self, model):
        return ""

    def ask(self, question, model):
        said = self.answer(Asked({"messages": question.messages(), **question.settings()}))
        if isinstance(said, str):
            return Reply(text=said)
        return Reply(text="1", tokens=(("1", float(np.log(said))), ("0", float(np.log(1 - said)))))
