"""An image file that is open for its pixels: one parse, any number of frames."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import pydicom
from pydicom.pixels import apply_color_lut

from racoon_data.dicom.decoding import Decoded, decode_fragment, decode_frame
from racoon_data.dicom.facts import Facts
from racoon_data.dicom.frame_pixels import Span, spans_of
from racoon_data.dicom.groups import frame_context
from racoon_data.dicom.guard import scan
from racoon_data.dicom.headers import read_dataset, texts_of
from racoon_data.dicom.layout import KEYWORDS as LAYOUT_KEYWORDS
from racoon_data.dicom.layout import Array, Layout
from racoon_data.dicom.mappings import mapped_meaning
from racoon_data.dicom.meaning import KEYWORDS as MEANING_KEYWORDS
from racoon_data.dicom.meaning import Meaning, Wanted, plain_meaning
from racoon_data.dicom.pixels import RGB
from racoon_data.errors import UnsupportedPixelsError

_KEYWORDS = (*LAYOUT_KEYWORDS, *MEANING_KEYWORDS)


@dataclass(frozen=True, slots=True, eq=False)
class OpenFile:
    """A parsed image file and where its pixels are.

    Attributes:
        path: The file.
        dataset: As parsed; without pixel data where ``spans`` are known.
        facts: What its top level says of pixels and values.
        spans: Where the fragments of each compressed frame lie in the file, ``None`` where ``dataset`` has the pixels.
    """

    path: Path
    dataset: pydicom.Dataset
    facts: Facts
    spans: tuple[tuple[Span, ...], ...] | None = None

    @property
    def float_bits(self) -> int:
        """Bits of a floating point value, 0 where values are whole numbers."""
        return 32 if "FloatPixelData" in self.dataset else 64 if "DoubleFloatPixelData" in self.dataset else 0

    def decode(self, layout: Layout, frame: int) -> Decoded:
        """Decode one frame; see ``decode_frame``. Of a compressed file that frame alone is read."""
        if self.spans is None:
            return decode_frame(self.dataset, layout, frame)
        with self.path.open("rb") as stream:
            parts = []
            for start, length in self.spans[frame]:
                stream.seek(start)
                parts.append(stream.read(length))
        return decode_fragment(b"".join(parts), layout)

    def meaning(self, facts: Facts, frame: int, wanted: Wanted, *, is_signed: bool) -> Meaning:
        """Decide what the values of one frame mean; see ``mapped_meaning``."""
        context = frame_context(self.dataset, frame)
        return mapped_meaning(plain_meaning(facts), context, wanted, is_signed=is_signed)

    def colours(self, array: Array, layout: Layout) -> Array:
        """Give decoded pixels as red, green and blue bytes ``[j, i]``, palettes looked up.

        Raises:
            UnsupportedPixelsError: The palette is broken, or samples are wider than 8 bits.
        """
        samples = array
        if layout.photometric == "PALETTE COLOR":
            try:
                samples = apply_color_lut(array, self.dataset)
            except (ValueError, AttributeError, KeyError, IndexError, TypeError) as error:
                raise UnsupportedPixelsError("the palette is broken", hint="ask for a new export") from error
            if samples.dtype.itemsize > 1:
                samples = (samples >> 8).astype(np.uint8)
        if samples.dtype.itemsize > 1 or samples.shape[-1] < 3:
            raise UnsupportedPixelsError("colours of more than 8 bits have no place in NIfTI", hint="--colour refuse")
        return np.ascontiguousarray(samples[..., :3]).view(RGB)[..., 0]


def open_frames(path: Path, *, is_kept: bool) -> OpenFile:
    """Open an image file for its pixels.

    Args:
        path: The file.
        is_kept: Keep it parsed until another one is: its next frame is asked for soon.

    Raises:
        DicomError: It cannot be read.
    """
    if not is_kept:
        return _opened(path)
    stat = path.stat()
    return _kept(path, stat.st_mtime_ns, stat.st_size)


@lru_cache(maxsize=1)
def _kept(path: Path, changed_ns: int, size: int) -> OpenFile:
    return _opened(path)


def _opened(path: Path) -> OpenFile:
    scanned = scan(path)
    spans = spans_of(path, scanned)
    dataset = read_dataset(path, pixels=spans is None, is_scanned=True)
    is_little = dataset.original_encoding[1] is not False
    values = {keyword: texts for keyword in _KEYWORDS if (texts := texts_of(dataset, keyword))}
    facts = Facts(str(dataset.file_meta.TransferSyntaxUID), True, is_little, values)
    return OpenFile(path, dataset, facts, spans)
