"""A backbone from the files of a model, by the adapter that its kind names."""

from ...base.errors import ModelError
from ..files.model_files import ModelFiles
from .mammoscreen import read_mammoscreen
from .timm_network import Loaded, read_timm


def read_network(files: ModelFiles) -> Loaded:
    """Read the backbone of a model that is no Mammo-CLIP, with its own classification layer if it has one.

    Raises
    ------
    CheckpointError, UnsafeCheckpointError
        If its file is not what it should be.
    ModelError
        If no weights are named, or the network is not known or cannot be built.
    """
    path = files.classifier or files.backbone
    if path is None:
        raise ModelError("no weights: name a file as `weights`, or as `backbone` for features without a prediction")
    source, preprocessing = files.network, files.preprocessing
    if source.kind == "mammoscreen":
        return read_mammoscreen(path, source, preprocessing.size)
    kind = "classifier" if files.classifier else "backbone"
    return read_timm(
        path, source, preprocessing.size, preprocessing.channels,
        key=files.keys.get(kind), classifier=files.classifier is not None,
    )  # fmt: skip
