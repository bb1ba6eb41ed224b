"""Masks in pixels: rectangles become black in every frame, one frame at a time; compressed frames are decoded first."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO

import numpy as np
import pydicom
from pydicom.uid import ExplicitVRLittleEndian

from racoon_data.deid.devices import Rectangle
from racoon_data.dicom.decoding import decode_frame
from racoon_data.dicom.encoding import encoded_element
from racoon_data.dicom.facts import Facts
from racoon_data.dicom.layout import KEYWORDS, Array, Layout, layout_of
from racoon_data.dicom.opened import OpenedFile
from racoon_data.errors import QuarantineError

_PIXEL_DATA = 0x7FE00010
_TEXTS = frozenset(("PhotometricInterpretation", "NumberOfFrames"))
_PHOTOMETRIC, _PLANAR, _BURNED_IN, _LOSSY = 0x00280004, 0x00280006, 0x00280301, 0x00282110
# JPEG baseline and extended, JPEG-LS near-lossless: what they held was compressed with loss, whatever the header says.
_ALWAYS_LOSSY = frozenset(f"1.2.840.10008.1.2.4.{tail}" for tail in ("50", "51", "81"))
_MOST_BYTES = 0xFFFFFFFE
_HINT = "mask it at its source, or look at it and release it"


@dataclass(frozen=True, slots=True)
class Picture:
    """The pixels of an object as they are to be published, read frame by frame.

    Attributes:
        opened: The object.
        layout: How its pixels lie in its own bytes.
        rectangles: What becomes black.
    """

    opened: OpenedFile
    layout: Layout
    rectangles: tuple[Rectangle, ...] = ()

    @property
    def is_plain(self) -> bool:
        """Frames can be masked where they lie, without decoding."""
        return self.layout.is_native and self.layout.photometric != "YBR_FULL_422"

    @property
    def photometric(self) -> str:
        """PhotometricInterpretation of the result: decoded colours are red, green and blue."""
        is_decoded_colour = not self.is_plain and self.layout.samples > 1
        return "RGB" if is_decoded_colour else self.layout.photometric

    @property
    def syntax(self) -> str:
        """Transfer syntax of the result; decoded frames are not compressed again."""
        return self.opened.transfer_syntax_uid if self.layout.is_native else str(ExplicitVRLittleEndian)

    def frame(self, number: int) -> Array:
        """Give one masked frame ``[j, i]`` or ``[j, i, sample]``, a copy; planes lie last, as samples.

        Args:
            number: Index from 0.

        Raises:
            UnsupportedPixelsError: It cannot be decoded.
        """
        if self.is_plain:
            planes = self._planes(number)
            return (
                np.ascontiguousarray(np.moveaxis(planes, 0, -1)) if planes.shape != self.layout.frame_shape else planes
            )
        dataset = pydicom.filereader.read_dataset(
            BytesIO(self.opened.stored(KEYWORDS)), self.opened.tree.root.is_implicit, self.opened.tree.order == "<"
        )
        dataset.PixelData = self._stored()
        dataset["PixelData"].VR = "OB" if self.layout.bits_allocated == 8 else "OW"
        dataset.file_meta = pydicom.dataset.FileMetaDataset()
        dataset.file_meta.TransferSyntaxUID = self.opened.transfer_syntax_uid
        array = np.array(decode_frame(dataset, self.layout, number).array, dtype=self.layout.dtype)
        for left, top, width, height in self.rectangles:
            array[top : top + height, left : left + width] = self._black()
        return array

    def marks(self, *, is_implicit: bool, order: str) -> dict[int, bytes]:
        """Give the attributes that a mask changes, encoded, by tag."""

        def element(tag: int, vr: str, value: bytes) -> bytes:
            return encoded_element(tag, vr, value, is_implicit=is_implicit, order=order)

        marks = {_BURNED_IN: element(_BURNED_IN, "CS", b"NO")}
        if self.photometric != self.layout.photometric:
            marks[_PHOTOMETRIC] = element(_PHOTOMETRIC, "CS", self.photometric.encode("ascii"))
        if not self.is_plain and self.layout.samples > 1:
            marks[_PLANAR] = element(_PLANAR, "US", struct.pack(order + "H", 0))
        if self.layout.syntax in _ALWAYS_LOSSY:
            marks[_LOSSY] = element(_LOSSY, "CS", b"01")
        return marks

    def parts(self) -> Iterator[bytes]:
        """Give the pixel data element of the result, uncompressed, a frame at a time."""
        layout, tree = self.layout, self.opened.tree
        size = self._frame_bytes() * layout.frames
        vr = "OB" if layout.bits_allocated == 8 else "OW"
        if layout.is_native:
            vr = tree.root.nodes[_PIXEL_DATA].vr
        group, number, padded = _PIXEL_DATA >> 16, _PIXEL_DATA & 0xFFFF, size + size % 2
        if tree.root.is_implicit:
            yield struct.pack(tree.order + "HHI", group, number, padded)
        else:
            yield struct.pack(tree.order + "HH2sHI", group, number, vr.encode("ascii"), 0, padded)
        for index in range(layout.frames):
            yield self._planes(index).tobytes() if self.is_plain else self._little(self.frame(index))
        yield b"\0" * (size % 2)

    def _little(self, array: Array) -> bytes:
        return array.astype(array.dtype.newbyteorder("<"), copy=False).tobytes()

    def _planes(self, number: int) -> Array:
        """Give one frame as it is stored, masked: ``[sample, j, i]`` where planes follow each other."""
        node = self.opened.tree.root.nodes[_PIXEL_DATA]
        size = self._frame_bytes()
        start = node.value + number * size
        layout = self.layout
        stored = layout.dtype.newbyteorder("<" if layout.is_little_endian else ">")
        array = np.frombuffer(bytearray(self.opened.tree.data[start : start + size]), dtype=stored)
        black, is_planar = self._black(), layout.samples > 1 and layout.is_planar
        array = array.reshape((layout.samples, layout.rows, layout.columns) if is_planar else layout.frame_shape)
        for left, top, width, height in self.rectangles:
            rows, columns = slice(top, top + height), slice(left, left + width)
            if is_planar:
                array[:, rows, columns] = black[:, None, None]
            else:
                array[rows, columns] = black
        return array

    def _frame_bytes(self) -> int:
        return self.layout.rows * self.layout.columns * self.layout.samples * self.layout.bits_allocated // 8

    def _stored(self) -> bytes:
        return self.opened.tree.raw(self.opened.tree.root.nodes[_PIXEL_DATA])

    def _black(self) -> Array:
        """Give the stored value of black, one for each sample."""
        layout = self.layout
        if layout.samples > 1:
            is_luminance = self.photometric.startswith("YBR") and layout.bits_allocated == 8
            return np.array([0, 128, 128] if is_luminance else [0] * layout.samples, dtype=layout.dtype)
        low, high = layout.value_range
        return np.array(high if layout.photometric == "MONOCHROME1" else low, dtype=layout.dtype)


def picture_of(opened: OpenedFile, rectangles: tuple[Rectangle, ...] = ()) -> Picture:
    """Open an object's pixels for masking or reading.

    Args:
        opened: The object.
        rectangles: What becomes black.

    Raises:
        QuarantineError: Its pixels are of a form that racoon does not mask.
        UnsupportedPixelsError: Rows, columns and bits make no sense.
    """
    texts = {one: opened.texts(one) for one in _TEXTS}
    numbers = {one: (str(opened.unsigned(one)),) for one in KEYWORDS if one not in _TEXTS and opened.texts(one)}
    facts = Facts(opened.transfer_syntax_uid, True, opened.tree.order == "<", {**texts, **numbers})
    picture = Picture(opened, layout_of(facts), rectangles)
    if fault := _fault(opened, picture):
        raise QuarantineError(f"its pixels cannot be masked: {fault}", hint=_HINT)
    return picture


def _fault(opened: OpenedFile, picture: Picture) -> str:
    layout, node = picture.layout, opened.tree.root.nodes.get(_PIXEL_DATA)
    if node is None:
        return "they are floating point numbers"
    if layout.bits_allocated not in (8, 16, 32):
        return f"they take {layout.bits_allocated} bits"
    if layout.is_native and opened.tree.order == ">" and layout.bits_allocated == 8 and node.vr == "OW":
        return "bytes are swapped in words"
    if layout.rows * layout.columns * layout.samples * layout.frames * layout.bits_allocated // 8 > _MOST_BYTES:
        return "uncompressed they are more than four gigabytes"
    return ""
