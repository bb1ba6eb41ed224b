"""Every decoder of compressed pixels: what it reads, which package it needs, and one call of one shape."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pydicom
from pydicom.encaps import encapsulate
from pydicom.pixels import get_decoder
from pydicom.uid import UID

from racoon_data.dicom.frame_codecs import (
    DEFLATED_FRAME,
    ENCAPSULATED_UNCOMPRESSED,
    RLE_LOSSLESS,
    expand_rle_bits,
    inflate_frame,
    unpack_bits,
)
from racoon_data.dicom.guard import scan
from racoon_data.dicom.layout import Array, Layout, native_frame

_JPEG = "1.2.840.10008.1.2.4."
_GREY = frozenset(("MONOCHROME1", "MONOCHROME2", "PALETTE COLOR"))

Decode = Callable[[bytes, Layout], Array]


@dataclass(frozen=True, slots=True)
class Decoder:
    """One way to decode a frame.

    Attributes:
        name: What the sidecar calls it.
        package: What to install where it is missing, as ``pip install`` takes it.
        decode: One compressed frame to stored values ``[j, i]`` or ``[j, i, sample]``.
    """

    name: str
    package: str
    decode: Decode


def chain_of(layout: Layout) -> tuple[Decoder, ...]:
    """List the decoders that may read a transfer syntax, the most trusted first; none where nothing does."""
    if layout.syntax == RLE_LOSSLESS and layout.bits_allocated == 1:
        return (_OWN_RLE,)
    return _CHAINS.get(layout.syntax, ())


def packages_of(layout: Layout) -> str:
    """Say which packages would decode a transfer syntax."""
    if layout.syntax in _BEYOND:
        return _BEYOND[layout.syntax]
    named = dict.fromkeys(one.package for one in chain_of(layout))
    return " or ".join(named) if named else "no package racoon knows; ask for an uncompressed export"


def _through_pydicom(plugin: str) -> Decode:
    """Decode with a plug-in of pydicom, colours as red, green and blue."""

    def decode(fragment: bytes, layout: Layout) -> Array:
        decoder = get_decoder(UID(layout.syntax))
        if plugin not in decoder.available_plugins:
            raise ModuleNotFoundError(f"no plug-in {plugin} for {layout.syntax}")
        array, _ = decoder.as_array(
            encapsulate([fragment], has_bot=False),
            index=0,
            validate=False,
            raw=layout.photometric in _GREY and not layout.syntax.startswith("1.2.840.10008.1.2.4.9"),
            decoding_plugin=plugin,
            transfer_syntax_uid=UID(layout.syntax),
            **_options(layout),
        )
        return np.asarray(array)

    return decode


def _options(layout: Layout) -> dict[str, int | str]:
    return {
        "rows": layout.rows,
        "columns": layout.columns,
        "number_of_frames": 1,
        "samples_per_pixel": layout.samples,
        "bits_allocated": layout.bits_allocated,
        "bits_stored": layout.bits_stored,
        "pixel_representation": int(layout.is_signed),
        "photometric_interpretation": layout.photometric or "MONOCHROME2",
        "planar_configuration": int(layout.is_planar),
        "pixel_keyword": "PixelData",
    }


def _through_itk(fragment: bytes, layout: Layout) -> Array:
    """Decode with SimpleITK: the frame alone, without any other attribute, goes into a private file.

    The guard passes the file first. It lies in a folder of its own that only this user can open.
    """
    import SimpleITK as sitk  # noqa: N813 - the library's own habit

    with tempfile.TemporaryDirectory(prefix="racoon-frame-") as folder:
        path = Path(folder) / "frame.dcm"
        _frame_file(fragment, layout, path)
        scan(path)
        reader = sitk.ImageFileReader()
        reader.SetImageIO("GDCMImageIO")
        reader.SetFileName(os.fspath(path))
        image = reader.Execute()
    array: Array = sitk.GetArrayFromImage(image)[0]
    # ITK widens by BitsAllocated and sign; a right value fits the type the header promises.
    is_kept = array.dtype.kind == "f" or (array.min() >= layout.value_range[0] and array.max() <= layout.value_range[1])
    return array.astype(layout.dtype) if is_kept else array


def _frame_file(fragment: bytes, layout: Layout, path: Path) -> None:
    dataset = pydicom.Dataset()
    dataset.file_meta = pydicom.dataset.FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = UID(layout.syntax)
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID = UID("1.2.840.10008.5.1.4.1.1.7")
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID = UID("2.25.1")
    dataset.Rows, dataset.Columns = layout.rows, layout.columns
    dataset.SamplesPerPixel = layout.samples
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = (
        layout.bits_allocated,
        layout.bits_stored,
        layout.bits_stored - 1,
    )
    dataset.PixelRepresentation = int(layout.is_signed)
    dataset.PhotometricInterpretation = layout.photometric or "MONOCHROME2"
    if layout.samples > 1:
        dataset.PlanarConfiguration = int(layout.is_planar)
    dataset.PixelData = encapsulate([fragment], has_bot=False)
    dataset["PixelData"].VR = "OB"
    dataset.save_as(path, enforce_file_format=True)


def _inflated(fragment: bytes, layout: Layout) -> Array:
    """Decode a frame of Deflated Image Frame Compression (PS3.5 A.4.14)."""
    return _plain(inflate_frame(fragment, size=(layout.frame_bits + 7) // 8), layout)


def _plain(data: bytes, layout: Layout) -> Array:
    """Read one uncompressed frame from its own bytes, little endian."""
    if layout.bits_allocated == 1:
        return unpack_bits(np.frombuffer(data, dtype=np.uint8), start=0, shape=(layout.rows, layout.columns))
    return native_frame(data, replace(layout, frames=1, is_little_endian=True), 0)


def _own_rle(fragment: bytes, layout: Layout) -> Array:
    return expand_rle_bits(fragment, shape=(layout.rows, layout.columns))


_OWN_RLE = Decoder("racoon", "racoon", _own_rle)
_OWN_DEFLATE = Decoder("racoon", "racoon", _inflated)
_OWN_PLAIN = Decoder("racoon", "racoon", _plain)
_PYLIBJPEG_RLE = Decoder("pylibjpeg-rle", "pylibjpeg-rle", _through_pydicom("pylibjpeg"))
_PYDICOM = Decoder("pydicom", "pydicom", _through_pydicom("pydicom"))
_LIBJPEG = Decoder("pylibjpeg-libjpeg", "pylibjpeg-libjpeg", _through_pydicom("pylibjpeg"))
_OPENJPEG = Decoder("pylibjpeg-openjpeg", "pylibjpeg-openjpeg", _through_pydicom("pylibjpeg"))
_JPEGLS = Decoder("pyjpegls", "pyjpegls", _through_pydicom("pyjpegls"))
_GDCM = Decoder("python-gdcm", "python-gdcm", _through_pydicom("gdcm"))
_PILLOW = Decoder("pillow", "pillow", _through_pydicom("pillow"))
_ITK = Decoder("SimpleITK", "SimpleITK", _through_itk)

_JPEG2000 = (_OPENJPEG, _GDCM, _PILLOW, _ITK)
_LOSSLESS_JPEG = (_LIBJPEG, _GDCM, _ITK)
_CHAINS: dict[str, tuple[Decoder, ...]] = {
    RLE_LOSSLESS: (_PYLIBJPEG_RLE, _PYDICOM, _GDCM, _ITK),
    _JPEG + "50": (_LIBJPEG, _PILLOW, _GDCM, _ITK),
    # Of 24 files of 12-bit JPEG Extended, SimpleITK read 24, libjpeg 8, gdcm and pillow 2 each.
    _JPEG + "51": (_ITK, _LIBJPEG, _GDCM, _PILLOW),
    _JPEG + "53": (_ITK,),
    _JPEG + "55": (_ITK,),
    _JPEG + "57": _LOSSLESS_JPEG,
    _JPEG + "70": _LOSSLESS_JPEG,
    _JPEG + "80": (_JPEGLS, _LIBJPEG, _GDCM, _ITK),
    _JPEG + "81": (_JPEGLS, _LIBJPEG, _GDCM, _ITK),
    _JPEG + "90": _JPEG2000,
    _JPEG + "91": _JPEG2000,
    _JPEG + "201": (_OPENJPEG,),
    _JPEG + "202": (_OPENJPEG,),
    _JPEG + "203": (_OPENJPEG,),
    DEFLATED_FRAME: (_OWN_DEFLATE,),
    ENCAPSULATED_UNCOMPRESSED: (_OWN_PLAIN,),
}
_BEYOND = {
    _JPEG + "110": "a JPEG XL decoder such as djxl or imagecodecs; ask for an uncompressed export",
    _JPEG + "111": "a JPEG XL decoder such as djxl or imagecodecs; ask for an uncompressed export",
    _JPEG + "112": "a JPEG XL decoder such as djxl or imagecodecs; ask for an uncompressed export",
    _JPEG + "92": "a JPEG 2000 part 2 decoder such as Kakadu; ask for an uncompressed export",
    _JPEG + "93": "a JPEG 2000 part 2 decoder such as Kakadu; ask for an uncompressed export",
    **dict.fromkeys(
        (_JPEG + tail for tail in ("100", "101", "102", "103", "104", "105", "106", "107", "108")),
        "ffmpeg: this is a video, not a stack of images",
    ),
}
