"""A cleaned header and untouched pixels to the bytes of a file: same transfer syntax, empty preamble."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass

from pydicom.uid import UID, DeflatedExplicitVRLittleEndian

from racoon_data.deid.masking import Picture
from racoon_data.dicom.opened import pieces_of
from racoon_data.dicom.walk import Buffer


@dataclass(frozen=True, slots=True)
class Encoded:
    """An object as bytes, in the parts that are checked differently.

    Attributes:
        meta: Preamble and file meta information.
        header: Every attribute before the pixel data, not deflated.
        source: The bytes the pixel data lie in.
        tail: Where in them the pixel data and what follows them lie: ranges from, to.
        syntax: Transfer syntax UID.
        is_implicit: The header leaves the value representations out.
        order: Its byte order, ``<`` or ``>``.
        picture: Masked pixels that stand in place of the pixel data, ``None`` where nothing is masked.
    """

    meta: bytes
    header: bytes
    source: Buffer
    tail: tuple[tuple[int, int], ...]
    syntax: UID
    is_implicit: bool
    order: str
    picture: Picture | None = None

    @property
    def is_encapsulated(self) -> bool:
        """Pixel data is compressed."""
        return bool(self.syntax.is_transfer_syntax and self.syntax.is_encapsulated)

    def pixels(self) -> Iterator[bytes | memoryview]:
        """Give the pixel data and what follows them, in pieces that are not copied where it can be avoided."""
        if self.picture is not None:
            yield from self.picture.parts()
        for start, end in self.tail:
            yield from pieces_of(self.source, start, end)

    def parts(self) -> Iterator[bytes | memoryview]:
        """Give the bytes of the file, in order."""
        yield self.meta
        if self.syntax != DeflatedExplicitVRLittleEndian:
            yield self.header
            yield from self.pixels()
            return
        deflate = zlib.compressobj(wbits=-zlib.MAX_WBITS)
        body = b"".join((deflate.compress(self.header), *map(deflate.compress, self.pixels()), deflate.flush()))
        yield body + b"\0" * (len(body) % 2)
