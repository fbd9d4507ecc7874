"""Look inside a mammography model: every sparse-autoencoder latent over the image.

The public names below are loaded on first use, so that importing the package (napari does it for every plugin at
start-up) imports neither torch nor pandas.
"""

from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import Any

try:
    __version__ = version("napari-mammosae")
except PackageNotFoundError:  # a source tree that was never installed
    __version__ = "0+unknown"

_PUBLIC = {
    "read_mammogram": "core.images.mammogram",
    "Mammogram": "core.images.mammogram",
    "Preprocessing": "core.images.preprocessing",
    "load_model": "core.models.loading",
    "MammoSAE": "core.models.model",
    "SparseAutoencoder": "core.models.sae",
    "compute_latents": "core.models.compute",
    "LatentMaps": "core.models.latents",
    "read_findings": "core.annotations.boxes",
    "MammoSAEError": "core.base.errors",
}
__all__ = ["__version__", *_PUBLIC]


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_PUBLIC[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_PUBLIC})
