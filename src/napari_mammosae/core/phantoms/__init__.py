"""Synthetic phantom mammograms with known truth: a small world to train, demonstrate and test on."""

from napari_mammosae.core.phantoms.dataset import write_phantoms
from napari_mammosae.core.phantoms.phantom import FINDINGS, STRUCTURES, Phantom, make_phantom

__all__ = ["FINDINGS", "STRUCTURES", "Phantom", "make_phantom", "write_phantoms"]
