"""WADO-RS of the embedded PACS: instances as stored, metadata, frames (PS3.18 10.4)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from pydicom.dataset import Dataset
from pydicom.encaps import get_frame
from pydicom.uid import UID

from racoon_data.dicom.headers import read_dataset
from racoon_data.faults import NO_FAULTS
from racoon_data.pacs.index import Stored
from racoon_data.pacs.serve_faults import Deed, chosen, deeds
from racoon_data.pacs.serve_reply import JSON_TYPE, Reply, WebError

if TYPE_CHECKING:
    from racoon_data.pacs.serve import EmbeddedPacs

_GIANT = 0xFFFFFFFF
_END = b"--\r\n"
_FRAME_TYPES = {
    "1.2.840.10008.1.2.4.50": "image/jpeg", "1.2.840.10008.1.2.4.51": "image/jpeg",
    "1.2.840.10008.1.2.4.57": "image/jpeg", "1.2.840.10008.1.2.4.70": "image/jpeg",
    "1.2.840.10008.1.2.4.80": "image/jls", "1.2.840.10008.1.2.4.81": "image/jls",
    "1.2.840.10008.1.2.4.90": "image/jp2", "1.2.840.10008.1.2.4.91": "image/jp2",
    "1.2.840.10008.1.2.5": "image/dicom-rle",
}  # fmt: skip


def instances(pacs: EmbeddedPacs, reply: Reply, level: str, keys: dict[str, str]) -> None:
    """Send every instance below a study, series or instance, with the bytes as stored.

    Raises:
        WebError: There is none, or the accepted media types leave out what is stored.
    """
    stored = _found(pacs, level, keys)
    _check_accepted(reply.header("Accept"), stored)
    boundary = uuid4().hex
    delimiter = _delimiter(boundary)
    content_type = f'multipart/related; type="application/dicom"; boundary={boundary}'
    plan = pacs.faults
    if plan == NO_FAULTS or plan.wrong_length:
        parts = [_part_head(item, item.path.stat().st_size) for item in stored]
        length = sum(len(part) + item.path.stat().st_size for part, item in zip(parts, stored, strict=True))
        length += (len(stored) + 1) * len(delimiter) + len(_END)
        reply.begin(200, content_type, {}, length=length + plan.wrong_length)
    else:
        reply.begin(200, content_type, {}, length=None)
    reply.write(delimiter)
    for deed, item in deeds(pacs, stored):
        if deed is Deed.CUT:
            reply.cut()
            return
        size = item.path.stat().st_size
        reply.write(_part_head(item, _GIANT if deed is Deed.GIANT else size))
        reply.send_file(item.path, count=max(size // 2, 1) if deed is Deed.TRUNCATE else None)
        if deed is not Deed.SEND:
            reply.close()
            return
        reply.write(delimiter)
    reply.write(_END)


def _found(pacs: EmbeddedPacs, level: str, keys: dict[str, str]) -> list[Stored]:
    stored = chosen(pacs, level, keys)
    if not stored:
        raise WebError(404, "nothing here has these UIDs")
    return stored


def _part_head(item: Stored, size: int) -> bytes:
    kind = f"application/dicom; transfer-syntax={item.transfer_syntax}"
    return f"\r\nContent-Type: {kind}\r\nContent-Length: {size}\r\n\r\n".encode()


def _delimiter(boundary: str) -> bytes:
    return f"\r\n--{boundary}".encode()


def _accepted(header: str) -> Iterator[tuple[str, dict[str, str]]]:
    """Read an Accept header: media types and their parameters in small letters."""
    for part in re.split(r",(?=(?:[^\"]*\"[^\"]*\")*[^\"]*$)", header):
        kind, *rest = (piece.strip() for piece in part.split(";"))
        pairs = (piece.partition("=") for piece in rest)
        yield kind.lower(), {name.strip().lower(): value.strip().strip('"') for name, _, value in pairs}


def _check_accepted(header: str, stored: Sequence[Stored]) -> None:
    """Let through what is stored; nothing is transcoded here."""
    syntaxes = {item.transfer_syntax for item in stored}
    for kind, options in _accepted(header or "*/*"):
        is_dicom = (
            kind == "multipart/related" and options.get("type", "application/dicom").lower() == "application/dicom"
        )
        if kind in ("*/*", "multipart/*"):
            return
        if is_dicom and options.get("transfer-syntax", "*") in ("*", *(syntaxes if len(syntaxes) == 1 else ())):
            return
    raise WebError(406, 'instances are sent as stored: accept type="application/dicom"; transfer-syntax=*')


def metadata(pacs: EmbeddedPacs, reply: Reply, level: str, keys: dict[str, str]) -> None:
    """Send the headers of instances in the DICOM JSON model, pixels left out, one at a time."""
    stored = _found(pacs, level, keys)
    reply.begin(200, JSON_TYPE, {}, length=None)
    for position, item in enumerate(stored):
        header = read_dataset(item.path)
        text = header.to_json(bulk_data_threshold=_GIANT, suppress_invalid_tags=True)
        reply.write((b"[" if position == 0 else b",") + text.encode())
    reply.write(b"]")
    reply.close()


def frames(pacs: EmbeddedPacs, reply: Reply, keys: dict[str, str], numbers: Sequence[int]) -> None:
    """Send frames as they are encoded.

    Raises:
        WebError: The instance or a frame does not exist.
    """
    item = _found(pacs, "IMAGE", keys)[0]
    dataset = read_dataset(item.path, pixels=True)
    pieces = [_frame(dataset, item, number) for number in numbers]
    boundary = uuid4().hex
    delimiter = _delimiter(boundary)
    kind = _FRAME_TYPES.get(item.transfer_syntax, "application/octet-stream")
    head = f"\r\nContent-Type: {kind}; transfer-syntax={item.transfer_syntax}\r\n"
    parts = (f"{head}Content-Length: {len(piece)}\r\n\r\n".encode() + piece for piece in pieces)
    body = delimiter.join((b"", *parts, _END))
    reply.send(200, body, f'multipart/related; type="{kind}"; boundary={boundary}')


def _frame(dataset: Dataset, item: Stored, number: int) -> bytes:
    count = int(dataset.get("NumberOfFrames") or 1)
    pixels: Any = dataset.get("PixelData")
    if pixels is None or not 1 <= number <= count:
        raise WebError(404, "no such frame")
    if UID(item.transfer_syntax).is_compressed:
        return bytes(get_frame(pixels, number - 1, number_of_frames=count))
    bits = (
        int(dataset.Rows) * int(dataset.Columns) * int(dataset.get("SamplesPerPixel") or 1) * int(dataset.BitsAllocated)
    )
    if bits % 8:
        raise WebError(501, "frames that end within a byte are not cut out here")
    size = bits // 8
    return bytes(pixels[(number - 1) * size : number * size])
