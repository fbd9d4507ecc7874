"""What GDCM decodes and pydicom does not ask it for: 12-bit JPEG Extended and High-Throughput JPEG 2000.

Importing this module tells pydicom; it needs pydicom and, to be of use, GDCM.
"""

from pydicom.pixels.decoders.base import DecodeRunner, get_decoder
from pydicom.uid import HTJ2K, UID, HTJ2KLossless, HTJ2KLosslessRPCL, JPEG2000Lossless, JPEGExtended12Bit

from ..sizes import stream_size

try:
    import gdcm
except ImportError:
    gdcm = None

HIGH_THROUGHPUT = (HTJ2K, HTJ2KLossless, HTJ2KLosslessRPCL)

DECODER_DEPENDENCIES = {UID(syntax): ("gdcm>=3.0.24",) for syntax in (JPEGExtended12Bit, *HIGH_THROUGHPUT)}
"""As pydicom wants it of a plugin."""


def is_available(uid: str) -> bool:
    """Whether GDCM is installed, and `uid` a transfer syntax to decode here; pydicom asks."""
    return gdcm is not None and uid in DECODER_DEPENDENCIES


def decode_frame(source: bytes, runner: DecodeRunner) -> bytes:
    """Return a frame, decoded; pydicom calls this with what it knows of the image."""
    size = stream_size(source)
    bits = size.bits if size else runner.bits_stored
    held = 8 if bits <= 8 else 16 if bits <= 16 else 32
    fragment, fragments = gdcm.Fragment(), gdcm.SequenceOfFragments.New()
    fragment.SetByteStringValue(source)
    fragments.AddFragment(fragment)
    element = gdcm.DataElement(gdcm.Tag(0x7FE0, 0x0010))
    element.SetValue(fragments.__ref__())
    image = gdcm.Image()
    image.SetNumberOfDimensions(2)
    image.SetDimensions((runner.columns, runner.rows, 1))
    image.SetDataElement(element)
    kind = gdcm.PhotometricInterpretation.GetPIType(runner.photometric_interpretation)
    image.SetPhotometricInterpretation(gdcm.PhotometricInterpretation(kind))
    if runner.samples_per_pixel > 1:
        image.SetPlanarConfiguration(runner.planar_configuration)
    # GDCM has no name for the high-throughput kind; its OpenJPEG reads it as the JPEG 2000 it is a part of
    syntax = str(JPEG2000Lossless if runner.transfer_syntax in HIGH_THROUGHPUT else runner.transfer_syntax)
    image.SetTransferSyntax(gdcm.TransferSyntax(gdcm.TransferSyntax.GetTSType(syntax)))
    image.SetPixelFormat(gdcm.PixelFormat(runner.samples_per_pixel, held, bits, bits - 1, runner.pixel_representation))
    decoded = image.GetBuffer()
    if decoded is None:
        raise ValueError("it reads no image from the stream")
    runner.set_option("bits_allocated", held)
    return bytes(decoded.encode("utf-8", "surrogateescape"))  # GDCM returns bytes as text


for _syntax in DECODER_DEPENDENCIES:
    get_decoder(_syntax).add_plugin("gdcm (all depths)", (__name__, "decode_frame"))
