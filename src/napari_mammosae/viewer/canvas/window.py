"""How the mammogram is shown: inverted or not, and at which grey levels. Never what the model sees."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari.layers import Image
    from numpy.typing import NDArray

    from ...core.images.mammogram import Mammogram

Limits: TypeAlias = tuple[float, float]
_STEP = 8  # every 8th pixel each way is enough for percentiles, and takes milliseconds


def _full(values: NDArray[np.float64]) -> Limits:
    return float(values.min()), float(values.max())


def _tissue(low: float, high: float) -> Callable[[NDArray[np.float64]], Limits]:
    def limits(values: NDArray[np.float64]) -> Limits:
        darkest, brightest = values.min(), values.max()
        breast = values[values > darkest + 0.05 * (brightest - darkest)]  # the rest is air
        a, b = np.percentile(breast if breast.size else values, (low, high))
        return float(a), float(b)

    return limits


PRESETS: dict[str, Callable[[NDArray[np.float64]], Limits]] = {
    "Full range": _full,
    "Breast": _tissue(1, 99.5),
    "Dense tissue": _tissue(50, 99.9),
    "Skin line": _tissue(0, 50),
}
"""Window presets by name: grey levels from the finite pixel values of the image."""
DEFAULT = "Default"


def preset_names(image: Mammogram | None) -> list[str]:
    """Presets that can be chosen for an image; the default is the first DICOM window when the file has one."""
    return [*([DEFAULT] if image is not None else []), *_windows_of(image), *PRESETS]


def _windows_of(image: Mammogram | None) -> dict[str, Limits]:
    """The file's further windows by name, none of which hides a preset."""
    taken = (DEFAULT, *PRESETS)
    return {
        f"{name} (file)" if name in taken else name: (centre - width / 2, centre + width / 2)
        for name, centre, width in (image.windows if image is not None else ())
    }


def apply_preset(layer: Image, image: Mammogram | None, name: str) -> None:
    """Set the layer's contrast limits by a preset."""
    windows = _windows_of(image)
    if name in windows:
        low, high = windows[name]
    elif image is not None and name not in PRESETS:  # the default, or a window that another file has
        low, high = image.contrast_limits()
    else:
        data = np.asarray(layer.data[-1] if layer.multiscale else layer.data)
        sample = data[::_STEP, ::_STEP].astype(np.float64)
        finite = sample[np.isfinite(sample)]
        low, high = PRESETS[name](finite if finite.size else np.zeros(1))
    if high > low:
        layer.contrast_limits = low, high


def is_inverted(layer: Image) -> bool:
    """Whether dense tissue is shown dark."""
    return bool(layer.colormap.name == "gray_r")


def set_inverted(layer: Image, inverted: bool) -> None:
    """Show dense tissue dark, or bright."""
    if is_inverted(layer) != inverted:
        layer.colormap = "gray_r" if inverted else "gray"


def limits_text(limits: Limits) -> str:
    """Grey levels as radiologists name them: width, and level in its middle."""
    low, high = limits
    digits = 0 if high - low >= 10 else 3
    return f"width {high - low:,.{digits}f}, level {(high + low) / 2:,.{digits}f}"
