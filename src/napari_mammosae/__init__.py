"""Look inside a mammography model: every sparse-autoencoder latent over the image.

The public names are listed in `__init__.pyi` and loaded on first use, so that importing the package (napari does it
for every plugin at start-up) imports neither torch nor pandas.
"""

from importlib.metadata import PackageNotFoundError, version

import lazy_loader

try:
    __version__ = version("napari-mammosae")
except PackageNotFoundError:  # a source tree that was never installed
    __version__ = "0+unknown"

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
