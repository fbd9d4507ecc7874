"""What takes a while when an edit is passed through the network: done in the worker thread. Knows no Qt."""

from ...core.base.errors import FeaturesForgotten
from ...core.base.progress import Report
from ...core.images.mammogram import Mammogram
from ...core.intervention.edit import Edit
from ...core.models.contributions import Contributions, Method
from ...core.stats.measures import FloatArray
from ...process.handle import ModelHandle


def pass_edit(handle: ModelHandle, image: Mammogram, key: str, edit: Edit, report: Report) -> tuple[str, FloatArray]:
    """Pass an image through the network with its latents edited; return the key of its features, and the logits (C,).

    Where the model keeps no features under `key`, which also happens when a run had the latents, they are computed.

    Raises
    ------
    SettingsError
        If the edit does not fit the model.
    ModelError
        If the image does not fit into the memory.
    """
    try:
        logits = handle.pass_edits(key, [edit], report)
    except FeaturesForgotten:
        key = handle.compute(image, report).key
        logits = handle.pass_edits(key, [edit], report)
    report("Showing the prediction")
    return key, logits[0]


def find_contributions(
    handle: ModelHandle, image: Mammogram, key: str, method: Method, report: Report
) -> tuple[str, Contributions]:
    """Find out what latents of an image add to its logits; return the key of its features too. As `pass_edit`."""
    try:
        found = handle.contributions(key, method, report)
    except FeaturesForgotten:
        key = handle.compute(image, report).key
        found = handle.contributions(key, method, report)
    report("Showing the contributions")
    return key, found
