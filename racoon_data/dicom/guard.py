"""A look at a file's structure before any parser sees it: depth, counts, lengths, inflation, pixel claims."""

from __future__ import annotations

import mmap
import struct
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from racoon_data.dicom.claims import check_claims, claimed_bytes
from racoon_data.dicom.walk import LIMITS, UNDEFINED, Buffer, Element, Limits, Traced, Walk, looks_explicit
from racoon_data.errors import HostileFileError, NotDicomError, TruncatedError, UnreadableError

_TRANSFER_SYNTAX = 0x00020010
_IMPLICIT, _BIG_ENDIAN, _DEFLATED = "1.2.840.10008.1.2", "1.2.840.10008.1.2.2", "1.2.840.10008.1.2.1.99"
_PIXEL_TAGS = (0x7FE00010, 0x7FE00008, 0x7FE00009)
_ROWS, _COLUMNS, _BITS_ALLOCATED = 0x00280010, 0x00280011, 0x00280100
_SAMPLES, _PHOTOMETRIC, _FRAMES = 0x00280002, 0x00280004, 0x00280008
_STEP = 64 << 10


@dataclass(frozen=True, slots=True)
class Scan:
    """What the guard learned.

    Attributes:
        transfer_syntax_uid: As the file meta says, empty where it says nothing.
        has_preamble: 128 bytes and ``DICM`` come first.
        is_implicit: The data set's encoding leaves the value representations out.
        is_little_endian: Its byte order.
        elements: Top-level elements by tag, of the data set and the file meta.
        kept: Raw values of the elements asked for that are there and have a length.
        trace: Elements (and items) at any depth whose tag was watched, in file order.
    """

    transfer_syntax_uid: str
    has_preamble: bool
    is_implicit: bool
    is_little_endian: bool
    elements: dict[int, Element]
    kept: dict[int, bytes]
    trace: tuple[Traced, ...] = ()


def scan(path: Path, *, keep: Iterable[int] = (), watch: Iterable[int] = (), limits: Limits = LIMITS) -> Scan:
    """Walk a file's structure without parsing values.

    Args:
        path: The file.
        keep: Tags of top-level elements whose raw values are wanted.
        watch: Tags wanted at every depth; their raw values are traced in file order.
        limits: What is let through.

    Raises:
        NotDicomError: Neither the magic word nor a plausible first element is there.
        TruncatedError: The file ends before an element, sequence or its pixels do.
        UnreadableError: Elements do not nest.
        HostileFileError: A limit is passed.
    """
    with _bytes_of(path) as data:
        body = body_of(data, limits=limits)
        return _scan(body, data[128:132] == b"DICM", (keep, watch), limits)


@contextmanager
def _bytes_of(path: Path) -> Iterator[Buffer]:
    try:
        with path.open("rb") as stream:
            is_tiny = path.stat().st_size < 16
            data = b"" if is_tiny else mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)
    except OSError as error:
        raise UnreadableError("the file cannot be opened", hint="check its permissions") from error
    try:
        yield data
    finally:
        if isinstance(data, mmap.mmap):
            data.close()


def _starts_bare(data: Buffer) -> bool:
    """Tell whether a file without preamble begins like a data set (groups 0002 or 0008)."""
    if data[0:2] not in (b"\x02\x00", b"\x08\x00", b"\x00\x08") or len(data) < 16:
        return False
    length = struct.unpack_from("<I", data, 4)[0]
    return looks_explicit(data, 0) or length < min(len(data), 1 << 16)


@dataclass(frozen=True, slots=True)
class Body:
    """Where a data set begins and how it is encoded.

    Attributes:
        data: The file's bytes; the inflated data set where it was deflated.
        offset: Where the data set begins in them.
        transfer_syntax_uid: As the file meta says, empty where it says nothing.
        is_implicit: Its encoding leaves the value representations out.
        order: Byte order, ``<`` or ``>``.
        meta: The walk over the file meta.
    """

    data: Buffer
    offset: int
    transfer_syntax_uid: str
    is_implicit: bool
    order: str
    meta: Walk


def body_of(data: Buffer, *, limits: Limits = LIMITS) -> Body:
    """Find the data set in a file's bytes.

    Raises:
        NotDicomError: Neither the magic word nor a plausible first element is there.
        TruncatedError: There is no data set.
        UnreadableError: It cannot be inflated.
        HostileFileError: It inflates beyond the limit.
    """
    has_preamble = data[128:132] == b"DICM"
    if not has_preamble and not _starts_bare(data):
        raise NotDicomError("no DICOM object", hint="nothing to do if it was not meant to be one")
    meta = Walk(data, "<", limits)
    offset = meta.meta(132 if has_preamble else 0)
    syntax = meta.raw(_TRANSFER_SYNTAX).strip(b"\0 ").decode("ascii", "replace")
    if offset + 8 > len(data):
        raise TruncatedError("the file has no data set", hint="retrieve it again")
    if syntax == _DEFLATED:
        data, offset = _inflate(data[offset:], limits), 0
    order = ">" if _is_big_endian(data, offset, syntax) else "<"
    return Body(data, offset, syntax, not looks_explicit(data, offset), order, meta)


def walk_encoded(data: Buffer, transfer_syntax_uid: str, *, last: int = UNDEFINED, limits: Limits = LIMITS) -> Walk:
    """Walk a data set that travels without file meta: a message of a peer, or the beginning of an instance.

    Args:
        data: Its bytes from the first element on.
        transfer_syntax_uid: How it is encoded.
        last: Nothing behind this top-level tag is looked at; all is where absent.
        limits: What is let through.

    Raises:
        TruncatedError: It ends inside an element.
        UnreadableError: Elements do not nest, or it cannot be inflated.
        HostileFileError: A limit is passed.
    """
    order = ">" if transfer_syntax_uid == _BIG_ENDIAN else "<"
    walk = Walk(_inflate(data[:], limits) if transfer_syntax_uid == _DEFLATED else data, order, limits)
    walk.dataset(0, is_implicit=transfer_syntax_uid == _IMPLICIT, last=last)
    return walk


def _scan(body: Body, has_preamble: bool, wanted: tuple[Iterable[int], Iterable[int]], limits: Limits) -> Scan:
    keep, watch = wanted
    walk = Walk(body.data, body.order, limits, frozenset(watch))
    walk.dataset(body.offset, is_implicit=body.is_implicit)
    _check_pixels(walk)
    kept = {tag: raw for tag in keep if (raw := walk.raw(tag) or body.meta.raw(tag))}
    elements = body.meta.elements | walk.elements
    is_little = body.order == "<"
    trace = tuple(walk.trace)
    return Scan(body.transfer_syntax_uid, has_preamble, body.is_implicit, is_little, elements, kept, trace)


def _is_big_endian(data: Buffer, offset: int, syntax: str) -> bool:
    if syntax == _IMPLICIT:
        return False
    group = struct.unpack_from("<H", data, offset)[0]
    return syntax == _BIG_ENDIAN or (not syntax and group >= 0x0400)


def _inflate(data: bytes, limits: Limits) -> bytes:
    """Inflate in steps, so that a bomb is refused before it takes the memory of the limit twice."""
    inflater, inflated = zlib.decompressobj(-zlib.MAX_WBITS), bytearray()
    try:
        for start in range(0, len(data), _STEP):
            piece = data[start : start + _STEP]
            while piece and not inflater.eof:
                inflated += inflater.decompress(piece, 16 * _STEP)
                if len(inflated) > limits.inflated_bytes:
                    raise HostileFileError("the data set inflates beyond the limit", hint="keep the file out")
                piece = inflater.unconsumed_tail
    except zlib.error as error:
        raise UnreadableError("the deflated data set cannot be inflated", hint="retrieve it again") from error
    if not inflater.eof:
        raise TruncatedError("the deflated data set ends too early", hint="retrieve it again")
    return bytes(inflated)


def _check_pixels(walk: Walk) -> None:
    stored = next((walk.elements[tag] for tag in _PIXEL_TAGS if tag in walk.elements), None)
    if stored is None:
        return
    is_encapsulated = stored.length == UNDEFINED
    claimed = claimed_bytes(
        values=walk.unsigned(_ROWS) * walk.unsigned(_COLUMNS) * (walk.unsigned(_SAMPLES) or 1),
        bits=walk.unsigned(_BITS_ALLOCATED),
        frames=walk.raw(_FRAMES),
        photometric=walk.raw(_PHOTOMETRIC),
    )
    size = len(walk.data) - stored.start if is_encapsulated else stored.length
    check_claims(claimed, stored=size, is_encapsulated=is_encapsulated, limits=walk.limits)
