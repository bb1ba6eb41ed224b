"""A whole file in hand: its bytes once, its tree, and the few attributes that decisions are made on."""

from __future__ import annotations

import hashlib
import mmap
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from pydicom.datadict import tag_for_keyword

from racoon_data.dicom.claims import check_claims, claimed_bytes
from racoon_data.dicom.guard import body_of
from racoon_data.dicom.tree import Node, Tree
from racoon_data.dicom.walk import LIMITS, Buffer, Limits
from racoon_data.errors import UnreadableError

PIXEL_TAGS = (0x7FE00010, 0x7FE00008, 0x7FE00009)
_SYNTAXES = {(True, "<"): "1.2.840.10008.1.2", (False, "<"): "1.2.840.10008.1.2.1", (False, ">"): "1.2.840.10008.1.2.2"}
_ROWS, _COLUMNS, _BITS_ALLOCATED = 0x00280010, 0x00280011, 0x00280100
_SAMPLES, _PHOTOMETRIC, _FRAMES = 0x00280002, 0x00280004, 0x00280008
_MAPPED_FROM = 32 << 20  # larger files are mapped, and their pages given back as they pass
_STEP = 8 << 20


@dataclass(frozen=True, slots=True)
class OpenedFile:
    """One DICOM file that the guard let through.

    Attributes:
        data: Its bytes as they lie on disk.
        tree: Every element of its data set.
        transfer_syntax_uid: As the file says, else as its encoding shows.
    """

    data: Buffer
    tree: Tree
    transfer_syntax_uid: str

    def stored(self, keywords: Iterable[str]) -> bytes:
        """Give some top-level elements as they are encoded, in order of tag."""
        nodes = self.tree.root.nodes
        tags = sorted(tag for tag in map(_tag_of, keywords) if tag in nodes)
        return b"".join(self.tree.data[nodes[tag].start : nodes[tag].end] for tag in tags)

    def texts(self, keyword: str) -> tuple[str, ...]:
        """Give every value of a top-level attribute as text, none where it is absent or empty."""
        node = self.tree.root.nodes.get(_tag_of(keyword))
        if node is None or node.end == node.value:
            return ()
        return self.tree.texts(node, self.tree.encodings_of(self.tree.root))

    def text(self, keyword: str) -> str:
        """Give a top-level attribute as text; several values are joined by a backslash, absent gives empty."""
        return "\\".join(self.texts(keyword))

    def unsigned(self, keyword: str) -> int:
        """Give the first US value of a top-level attribute, 0 where it is absent."""
        return _unsigned(self.tree, _tag_of(keyword))

    @property
    def pixels(self) -> Node | None:
        """The pixel data, ``None`` where there are none."""
        return next((self.tree.root.nodes[tag] for tag in PIXEL_TAGS if tag in self.tree.root.nodes), None)


@lru_cache(maxsize=1024)
def _tag_of(keyword: str) -> int:
    return int(tag_for_keyword(keyword) or 0)


def bytes_of(path: Path) -> Buffer:
    """Take a file's bytes: read, or mapped where they are many.

    Raises:
        UnreadableError: It cannot be opened.
    """
    try:
        with path.open("rb") as stream:
            size = path.stat().st_size
            if size < _MAPPED_FROM:
                return stream.read()
            return mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)
    except OSError as error:
        raise UnreadableError(
            "the file cannot be opened", hint="check that it exists and that you may read it"
        ) from error


def open_bytes(data: Buffer, *, limits: Limits = LIMITS) -> OpenedFile:
    """Look through a file's bytes: structure, lengths, depth, claims of pixels; nothing is decoded.

    Raises:
        NotDicomError: It is no DICOM file.
        TruncatedError: It ends too early.
        UnreadableError: Elements do not nest, or its encoding has no name.
        HostileFileError: A limit is passed.
    """
    body = body_of(data, limits=limits)
    tree = Tree(body.data, body.offset, is_implicit=body.is_implicit, order=body.order, limits=limits)
    syntax = body.transfer_syntax_uid or _SYNTAXES.get((body.is_implicit, body.order), "")
    if not syntax:
        raise UnreadableError("implicit big endian is no transfer syntax", hint="ask the sender for a new export")
    opened = OpenedFile(data, tree, syntax)
    if (pixels := opened.pixels) is not None:
        _check_pixels(tree, pixels, limits)
    return opened


def _check_pixels(tree: Tree, pixels: Node, limits: Limits) -> None:
    rows, columns, samples, bits = (_unsigned(tree, tag) for tag in (_ROWS, _COLUMNS, _SAMPLES, _BITS_ALLOCATED))
    claimed = claimed_bytes(
        values=rows * columns * (samples or 1),
        bits=bits,
        frames=_raw(tree, _FRAMES),
        photometric=_raw(tree, _PHOTOMETRIC),
    )
    stored = pixels.end - pixels.value
    check_claims(claimed, stored=stored, is_encapsulated=pixels.is_encapsulated, limits=limits)


def _raw(tree: Tree, tag: int) -> bytes:
    node = tree.root.nodes.get(tag)
    return tree.raw(node) if node is not None else b""


def _unsigned(tree: Tree, tag: int) -> int:
    return int.from_bytes(_raw(tree, tag)[:2], "little" if tree.order == "<" else "big")


def pieces_of(data: Buffer, start: int = 0, end: int | None = None) -> Iterator[bytes | memoryview]:
    """Give a range of bytes in pieces; of a mapped file at most some megabytes are held at a time."""
    stop = len(data) if end is None else end
    if isinstance(data, bytes):
        yield memoryview(data)[start:stop]
        return
    for begin in range(start, stop, _STEP):
        yield data[begin : min(begin + _STEP, stop)]
        page = begin - begin % mmap.PAGESIZE
        data.madvise(mmap.MADV_DONTNEED, page, min(_STEP, len(data) - page))


def sha256_of_bytes(data: Buffer) -> str:
    """Hash a file's bytes, hexadecimal."""
    digest = hashlib.sha256()
    for piece in pieces_of(data):
        digest.update(piece)
    return digest.hexdigest()
