"""Mammograms: reading DICOM, PNG, TIFF, JPEG and NPY, and turning them into model inputs."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..base.arguments import expect
from ..base.errors import ImageError
from ..base.figures import axes_or_new, plain
from ..base.files import explain_unreadable
from ..base.limits import check_limit
from ..base.names import ImageNames, image_id_of, valid_text
from ..base.reading import reading
from ..base.text import size_text
from .dicom.display import VoiTable
from .dicom.facts import Laterality, View
from .dicom.reading import read_dicom
from .kinds import DICOM_SUFFIXES, is_dicom
from .preprocessing import ModelInput, Preprocessing, check_varies, prepare
from .rasters import JPEG_START, NPY_START, PNG_START, TIFF_STARTS, read_raster, single_plane
from .scale import Scale

if TYPE_CHECKING:
    import torch
    from matplotlib.axes import Axes

    from .geometry import Frame


@dataclass(frozen=True, slots=True, eq=False)
class Mammogram:
    """One mammogram: its pixels as they are in the file, and what is known about them.

    Parameters
    ----------
    pixels
        (rows, cols), the file's own dtype, read-only; MONOCHROME1 is inverted already, so bright is dense.
    image_id
        File name without folders and image suffix.
    path
        Where it was read from; None for arrays, unless it is given.
    spacing
        Millimetres between rows and between columns, at the detector.
    spacing_source, magnification
        What the file calls the spacing, and how much larger than in the breast lengths are at the detector; see
        `scale`.
    laterality, view, patient
        From DICOM, or given. `patient` is a pseudonym, never the Patient ID.
    window
        (centre, width) for display, in units of `pixels`.
    padding
        Lowest and highest value that mean "no image here", in units of `pixels`. Ignored by the published
        preprocessing, and so by `prepared`; left out when contrast is chosen.
    voi
        Lookup table for display.
    metadata
        What may be shown about the image; nothing in it identifies a person.
    notes
        What was decided in reading the file that a person should know, a clause each.
    border
        Pixels the preprocessing drops on every side: 5 for DICOM.
    crop
        False refuses images that do not have the model's input size already.
    windows
        Name, centre and width of the file's further windows, in units of `pixels`.
    listed
        What a list or run calls it, with its folders there; empty for an image that is in none.
    """

    pixels: NDArray[Any]
    image_id: str
    path: Path | None = None
    spacing: tuple[float, float] | None = None
    spacing_source: str = ""
    magnification: float = 1.0
    laterality: Laterality | None = None
    view: View | None = None
    patient: str | None = None
    window: tuple[float, float] | None = None
    padding: tuple[float, float] | None = None
    voi: VoiTable | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    border: int = 0
    crop: bool = True
    windows: tuple[tuple[str, float, float], ...] = ()
    listed: str = ""
    _prepared: dict[Preprocessing, ModelInput] = field(default_factory=dict, init=False, repr=False)

    def __post_init__(self) -> None:
        expect(self.pixels, "pixels")
        if self.path is not None:
            object.__setattr__(self, "path", Path(self.path))

    def __repr__(self) -> str:
        rows, cols = self.shape
        facts = [f"{rows} x {cols} {self.pixels.dtype}", *filter(None, (self.laterality, self.view))]
        return f"<Mammogram {self.image_id}: {', '.join(facts)}>"

    @property
    def name(self) -> str:
        """What messages call the image: the file name, else the identifier."""
        return valid_text(self.path.name) if self.path else self.image_id

    @property
    def full_name(self) -> str:
        """By what tables know the image: its name with as many folders as are known, else the identifier."""
        if self.listed or self.path is None:
            return self.listed or self.image_id
        path = valid_text(self.path.absolute().as_posix())
        return path if ImageNames([path]).find(self.image_id) == 0 else self.image_id  # it may be given another name

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        rows, cols = self.pixels.shape
        return rows, cols

    @property
    def scale(self) -> Scale | None:
        """Lengths in the breast, in millimetres; None where the spacing is not known."""
        return None if self.spacing is None else Scale(self.spacing, self.spacing_source, self.magnification)

    def prepared(self, preprocessing: Preprocessing) -> ModelInput:
        """The model's view of the image, uint8 (H, W), before normalisation; computed once for each preprocessing."""
        if preprocessing not in self._prepared:
            if not self.crop and self.shape != preprocessing.size:
                preprocessing = replace(preprocessing, crop=False)
            self._prepared[preprocessing] = prepare(self.pixels, preprocessing, border=self.border, name=self.name)
        return self._prepared[preprocessing]

    def frame_for(self, preprocessing: Preprocessing) -> "Frame":
        """Map between the model input and the pixels of this image."""
        return self.prepared(preprocessing).frame

    def to_input(self, preprocessing: Preprocessing) -> "torch.Tensor":
        """Normalised model input: float32 tensor (1, C, H, W); C is 3, or 1 for a model of grey images."""
        import torch

        from .tensors import normalise

        pixels = self.prepared(preprocessing).pixels
        check_varies(pixels, f"{self.name} as the model sees it")
        return normalise(torch.tensor(pixels)[None], preprocessing).contiguous()

    def displayed(self) -> NDArray[Any]:
        """Pixels (rows, cols) for the screen: through the VOI LUT if there is one, padding as dark as the darkest.

        They lie on the same grid as `pixels`, and are `pixels` itself where there is neither.
        """
        shown = self.pixels if self.voi is None else self.voi(self.pixels)
        padded = self._padded(self.pixels)
        if padded is None or padded.all() or not padded.any():
            return shown
        return np.where(padded, shown[~padded].min(), shown)

    def contrast_limits(self) -> tuple[float, float]:
        """Lowest and highest value of `displayed` to show: the window, else the 0.5 to 99.9 % range without padding."""
        if self.window is not None and self.voi is None:
            centre, width = self.window
            if centre - width / 2 < self.pixels.max() and centre + width / 2 > self.pixels.min():
                return centre - width / 2, centre + width / 2  # one beside all values would show nothing
        step = max(1, int(np.sqrt(self.pixels.size / 250_000)))  # a sample is enough for percentiles
        sample = self.pixels[::step, ::step]
        padded = self._padded(sample)
        if padded is not None and not padded.all():
            sample = sample[~padded]
        low, high = np.percentile(sample if self.voi is None else self.voi(sample), (0.5, 99.9))
        if low < high:
            return float(low), float(high)
        shown = self.displayed()
        return float(shown.min()), max(float(shown.max()), float(shown.min()) + 1.0)

    def plot(self, ax: "Axes | None" = None) -> "Axes":
        """Draw the image in grey as the viewer shows it, and return the axes; the numbers on them are pixels.

        Examples
        --------
        >>> import napari_mammosae as ms
        >>> ms.read_mammogram("phantoms/phantom-000001.png").plot().get_title()
        'phantom-000001'
        """
        rows, cols = self.shape
        axis = axes_or_new(ax, (4.0 * cols / rows + 0.6, 4.6))
        low, high = self.contrast_limits()
        axis.imshow(self.displayed(), cmap="gray", vmin=low, vmax=high)
        axis.set_title(plain(self.image_id), fontsize=9)
        return axis

    def _padded(self, pixels: NDArray[Any]) -> NDArray[np.bool_] | None:
        if self.padding is None:
            return None
        return np.asarray((pixels >= self.padding[0]) & (pixels <= self.padding[1]))

    def _frozen(self) -> Self:
        self.pixels.setflags(write=False)  # prepared inputs are kept, so the pixels must not change under them
        return self


def read_mammogram(
    source: Path | str | ArrayLike, *, image_id: str | None = None, crop: bool = True, **facts: Any
) -> Mammogram:
    """Read a mammogram from a file or an array: the one way in for every image.

    Parameters
    ----------
    source
        A file, its format told by its content and not by its name: DICOM (8 to 16 bit, MONOCHROME1 or 2), PNG, TIFF or
        JPEG (grayscale, or colour channels that are all equal), or a NumPy array file (2-D, finite). Or an array (rows,
        cols), or (rows, cols, channels) with equal colours; it is copied.
    image_id
        By default the file's name without folders and image suffix; ``array`` for an array.
    crop
        Whether images of another size than the model's are cropped to the breast and resized later on; False makes
        such images an error when they are prepared.
    **facts
        Other fields of `Mammogram`, in place of what the file says: ``spacing=(0.07, 0.07), laterality="L"``.

    Raises
    ------
    ImageError
        The file is missing, empty, of another kind, truncated, in colour, has several pages or frames; or file or array
        hold a constant or non-finite image.

    Examples
    --------
    >>> import napari_mammosae as ms
    >>> ms.read_mammogram("phantoms/phantom-000001.png")
    <Mammogram phantom-000001: 1520 x 912 uint8>
    """
    found: dict[str, Any]
    if isinstance(source, (str, Path)):
        path = Path(source)
        with reading(path, ImageError, "a mammogram"):
            found = {"image_id": valid_text(image_id_of(path)), "path": path, **_read_file(path)}
            found["pixels"] = _usable(found["pixels"], path.name)
    else:
        name = image_id or "array"
        found = {"image_id": name, "pixels": _usable(np.array(single_plane(np.asarray(source), name)), name)}
    found |= {"crop": crop, **facts}
    if image_id is not None:
        found["image_id"] = image_id
    return Mammogram(**found)._frozen()


def _read_file(path: Path) -> dict[str, Any]:
    """Fields of `Mammogram` that a file holds."""
    start = _start(path)
    size = path.stat().st_size
    check_limit("decoded_bytes", size, f"{path.name}: a file of {size_text(size)}", ImageError)
    if is_dicom(start):
        return read_dicom(path)
    if path.suffix.lower() in DICOM_SUFFIXES:
        raise ImageError(
            f"{path.name}: not a DICOM file, although its name says so (no DICM mark in its header); export it again "
            "as DICOM, or correct its suffix"
        )
    if not start.startswith((PNG_START, JPEG_START, NPY_START, *TIFF_STARTS)):
        raise ImageError(f"{path.name}: not an image known here; expected DICOM, PNG, TIFF, JPEG or NPY")
    try:
        return {"pixels": read_raster(path, path.read_bytes())}
    except OSError as error:
        raise ImageError(explain_unreadable(path, error)) from error


def _start(path: Path) -> bytes:
    if path.is_dir():
        raise ImageError(f"{path.name}: a folder; expected an image file, choose one in it")
    try:
        with path.open("rb") as file:
            start = file.read(132)
    except OSError as error:
        raise ImageError(explain_unreadable(path, error)) from error
    if not start:
        raise ImageError(f"{path.name}: the file is empty (0 bytes); copy it again")
    return start


def _usable(pixels: NDArray[Any], name: str) -> NDArray[Any]:
    """The pixels in the machine's byte order, contiguous; empty, constant and non-finite images are refused."""
    if pixels.dtype.kind not in "iuf":
        raise ImageError(f"{name}: values of type {pixels.dtype}; expected integers or real numbers: save it as such")
    if not pixels.size:
        raise ImageError(f"{name}: an empty image of shape {pixels.shape}; expected a mammogram, export it again")
    if pixels.dtype.kind == "f" and not np.isfinite(pixels).all():
        raise ImageError(
            f"{name}: holds values that are not finite (NaN or infinity); expected finite pixel values, export it again"
        )
    check_varies(pixels, name)
    return np.ascontiguousarray(pixels, dtype=pixels.dtype.newbyteorder("="))
