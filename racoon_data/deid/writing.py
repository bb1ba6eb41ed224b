"""A cleaned data set to the bytes of a file: same transfer syntax, same pixel bytes, empty preamble."""

from __future__ import annotations

import zlib
from dataclasses import dataclass

from pydicom.dataelem import DataElement, RawDataElement
from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_data_element, write_dataset, write_file_meta_info
from pydicom.uid import UID, DeflatedExplicitVRLittleEndian

from racoon_data.deid.marks import clean_file_meta

_PIXELS = 0x7FE00000


@dataclass(frozen=True, slots=True)
class Encoded:
    """An object as bytes, in the parts that are checked differently.

    Attributes:
        meta: Preamble and file meta information.
        header: Every attribute before the pixel data, not deflated.
        pixels: The pixel data and what follows it, not deflated.
        syntax: Transfer syntax UID.
    """

    meta: bytes
    header: bytes
    pixels: bytes
    syntax: UID

    def parts(self) -> tuple[bytes, ...]:
        """Give the bytes of the file, in order."""
        if self.syntax != DeflatedExplicitVRLittleEndian:
            return (self.meta, self.header, self.pixels)
        deflate = zlib.compressobj(wbits=-zlib.MAX_WBITS)
        body = deflate.compress(self.header) + deflate.compress(self.pixels) + deflate.flush()
        return (self.meta, body + b"\0" * (len(body) % 2))


def encode(dataset: Dataset) -> Encoded:
    """Encode a data set that was read with its pixels; attributes that were not touched keep their bytes.

    The pixel data is taken out of ``dataset``, so that it is held once only.
    """
    meta = DicomBytesIO()
    meta.write(b"\0" * 128 + b"DICM")
    write_file_meta_info(meta, clean_file_meta(dataset), enforce_standard=True)
    tail = [dataset.get_item(tag) for tag in sorted(dataset.keys()) if tag >= _PIXELS]
    for element in tail:
        if element is not None:
            del dataset[element.tag]
    header = _buffer(dataset)
    write_dataset(header, dataset)
    pixels = _buffer(dataset)
    for element in tail:
        if isinstance(element, (DataElement, RawDataElement)):
            write_data_element(pixels, element, ["iso8859"])
    return Encoded(meta.getvalue(), header.getvalue(), pixels.getvalue(), UID(dataset.file_meta.TransferSyntaxUID))


def _buffer(dataset: Dataset) -> DicomBytesIO:
    buffer = DicomBytesIO()
    syntax = UID(dataset.file_meta.TransferSyntaxUID)
    buffer.is_implicit_VR, buffer.is_little_endian = syntax.is_implicit_VR, syntax.is_little_endian
    return buffer
