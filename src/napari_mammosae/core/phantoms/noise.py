"""Random fields: power-law noise on grids whose pixels are not square, and noise steered along given directions."""

from collections.abc import Iterator

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy import fft

Field = NDArray[np.float32]
Window = tuple[slice, slice]
"""Rows and columns of a part of an image."""


def bands(rows: int, height: int = 40) -> Iterator[slice]:
    """Bands of rows: what is computed of one of them stays in the processor's cache."""
    return (slice(top, top + height) for top in range(0, rows, height))


def frequencies(shape: tuple[int, int], spacing: tuple[float, float]) -> tuple[Field, Field]:
    """Frequencies (row, column) of the half spectrum of a real field, in cycles per mm; `spacing` in mm per pixel."""
    rows = np.fft.fftfreq(shape[0], spacing[0]).astype(np.float32)[:, None]
    columns = np.fft.rfftfreq(shape[1], spacing[1]).astype(np.float32)[None, :]
    return rows, columns


def white_spectrum(rng: np.random.Generator, shape: tuple[int, int]) -> NDArray[np.complex64]:
    """Half spectrum of white noise for a real field of `shape`."""
    half = (shape[0], shape[1] // 2 + 1)
    pairs = rng.standard_normal((*half, 2), dtype=np.float32)
    return pairs.view(np.complex64)[..., 0]


def inverse(spectrum: NDArray[np.complex64], shape: tuple[int, int]) -> Field:
    """Real field of a half spectrum, which is overwritten; `irfft2` takes a third longer for the same."""
    lines = fft.ifft(spectrum, axis=0, norm="forward", overwrite_x=True)
    field: Field = fft.irfft(lines, n=shape[1], axis=1, norm="forward", overwrite_x=True)
    field *= np.float32(1 / (shape[0] * shape[1]))
    return field


def to_field(spectrum: NDArray[np.complex64], shape: tuple[int, int]) -> Field:
    """Real field of a half spectrum, scaled to zero mean and unit deviation."""
    field = inverse(spectrum, shape)
    field -= field.mean()
    field /= field.std()
    return field


def power_law(
    rng: np.random.Generator,
    shape: tuple[int, int],
    spacing: tuple[float, float],
    exponent: float,
    longest: float,
    shortest: float = 0.0,
) -> Field:
    """Isotropic noise (in mm) whose power falls as 1/f^exponent between wavelengths `longest` and `shortest` (mm)."""
    rows, columns = frequencies(shape, spacing)
    f = np.sqrt(rows**2 + columns**2 + (1.0 / longest) ** 2)  # flat below the longest wavelength
    gain = f ** (-exponent / 2)
    if shortest > 0:
        gain *= np.exp(-((f * shortest) ** 2) / 2)
    return to_field(white_spectrum(rng, shape) * gain, shape)


def steered(
    rng: np.random.Generator,
    shape: tuple[int, int],
    spacing: tuple[float, float],
    exponent: float,
    longest: float,
    direction: Field,
    strength: float = 0.7,
    orientations: int = 3,
) -> Field:
    """Power-law noise drawn out along `direction` (radians from the column axis, per pixel, modulo pi).

    One white spectrum is filtered for a few orientations and the results are blended by how close each is to the local
    direction: fibrous texture that follows the anatomy, at the price of a few inverse transforms.
    """
    rows, columns = frequencies(shape, spacing)
    white = white_spectrum(rng, shape)
    turns = 2 * np.pi * np.arange(orientations) / orientations
    axes = list(zip(np.cos(turns).astype(np.float32), np.sin(turns).astype(np.float32), strict=True))
    spectra = [np.empty_like(white) for _ in axes]
    for band in bands(shape[0]):
        across = rows[band]
        square = across**2 + columns**2
        here = white[band] * (square + np.float32(longest**-2)) ** np.float32(-exponent / 4)
        square[square == 0] = 1.0
        # Doubled angles, of the wave vectors and of the direction: no trigonometry per pixel and orientation.
        wave_cos, wave_sin = (columns**2 - across**2) / square, 2 * across * columns / square
        for (c, s), spectrum in zip(axes, spectra, strict=True):
            lobe = 0.5 * (1 - wave_cos * c - wave_sin * s)  # texture along the orientation has its power across it
            lobe *= lobe
            lobe *= np.float32(strength)
            lobe += np.float32(1 - strength)
            np.multiply(here, lobe, out=spectrum[band])
    fields = [inverse(spectrum, shape) for spectrum in spectra]
    total = np.zeros(shape, np.float32)
    for band in bands(shape[0]):
        cos, sin = np.cos(2 * direction[band]), np.sin(2 * direction[band])
        power = np.zeros_like(cos)
        for (c, s), field in zip(axes, fields, strict=True):
            weight = 0.5 * (1 + cos * c + sin * s)
            weight *= weight
            total[band] += weight * field[band]
            weight *= weight
            power += weight
        # The orientations share their white noise, so their blend lies between an incoherent and a coherent sum.
        total[band] /= np.sqrt(power)
    total -= total.mean()
    total /= total.std()
    return total


def upsampled(low: Field, shape: tuple[int, int]) -> Field:
    """A smooth field given on a coarse grid, at full size (half-pixel centres)."""
    return np.asarray(cv2.resize(low, (shape[1], shape[0]), interpolation=cv2.INTER_CUBIC), np.float32)


def smoothstep(x: Field, low: float, high: float) -> Field:
    """0 below `low`, 1 above `high`, a smooth cubic between."""
    t: Field = x - np.float32(low)
    t /= np.float32(high - low)
    np.clip(t, 0, 1, out=t)
    rest = 3 - 2 * t
    t *= t
    t *= rest
    return t
