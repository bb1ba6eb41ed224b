"""Hostile files of every other kind: volumes, documents, weights, archives and links."""

from __future__ import annotations

import gzip
import io
import json
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from racoon_data.files.nifti_header import Labels, write_header


@dataclass(frozen=True)
class Hostile:
    """A hostile file.

    Attributes:
        name: File name it comes under.
        make: Gives its bytes.
    """

    name: str
    make: Callable[[], bytes]


def _head(shape: tuple[int, ...], **changes: object) -> bytes:
    head = bytearray(write_header(tuple(min(size, 100) for size in shape), np.dtype("uint8"), np.eye(4), Labels()))
    struct.pack_into(f"<{len(shape) + 1}h", head, 40, len(shape), *shape)
    if "offset" in changes:
        struct.pack_into("<f", head, 108, changes["offset"])
    return bytes(head)


def _gzipped(head: bytes, mebibytes: int) -> bytes:
    packer = zlib.compressobj(9, wbits=31)
    block = bytes(1 << 20)
    parts = [packer.compress(head), *(packer.compress(block) for _ in range(mebibytes))]
    return b"".join((*parts, packer.flush()))


def _nrrd(sizes: str, encoding: str, body: bytes, *, more: str = "") -> bytes:
    text = (
        f"NRRD0004\ntype: uchar\ndimension: 3\nspace: left-posterior-superior\nsizes: {sizes}\n"
        "space directions: (1,0,0) (0,1,0) (0,0,1)\nkinds: domain domain domain\nendian: little\n"
        f"encoding: {encoding}\nspace origin: (0,0,0)\n{more}"
        "Segment0_ID:=1\nSegment0_Name:=x\nSegment0_LabelValue:=1\nSegment0_Layer:=0\nSegment0_Extent:=0 8 0 6 0 4\n\n"
    )
    return text.encode() + body


def _safetensors(header: object, body: bytes = b"", *, length: int | None = None) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + body


def _tensor(shape: list[int], offsets: list[int], dtype: str = "F32") -> dict[str, object]:
    return {"w": {"dtype": dtype, "shape": shape, "data_offsets": offsets}}


_LAUGHS = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 10))
_PICKLE = b"\x80\x04\x95\x1f\0\0\0\0\0\0\0\x8c\x05posix\x8c\x06system\x93\x8c\x0ctouch escape\x85R."


def _zip_of_escapes() -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("../../../escape.dcm", b"x")
        archive.writestr("/tmp/racoon-escape", b"x")
    return stream.getvalue()


def _tar_of_escapes() -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        for name in ("../../../escape.dcm", "/tmp/racoon-escape"):
            archive.addfile(tarfile.TarInfo(name), io.BytesIO(b""))
        link = tarfile.TarInfo("link")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc"
        archive.addfile(link)
    return stream.getvalue()


VOLUMES = {
    "NIfTI claims 32 TB": Hostile("a.nii", lambda: _head((32767, 32767, 32767)) + bytes(64)),
    "NIfTI claims 32 TB, gzipped": Hostile("a.nii.gz", lambda: gzip.compress(_head((32767, 32767, 32767)) + bytes(64))),
    "NIfTI gzip bomb, 1 GiB": Hostile("a.nii.gz", lambda: _gzipped(_head((100, 100, 10)), 1024)),
    "NIfTI gzip bomb that says so": Hostile("a.nii.gz", lambda: _gzipped(_head((32767, 32767, 9)), 1024)),
    "NIfTI of negative size": Hostile("a.nii", lambda: _head((-5, -5, 10)) + bytes(512)),
    "NIfTI whose voxels begin at 1e30": Hostile("a.nii", lambda: _head((4, 4, 4), offset=1e30) + bytes(64)),
    "gzip bomb of no header": Hostile("a.nii.gz", lambda: _gzipped(b"", 1024)),
    "100,000 empty gzip members": Hostile("a.nii.gz", lambda: gzip.compress(b"") * 100_000),
}
NRRDS = {
    "NRRD claims 1 PB": Hostile("a.seg.nrrd", lambda: _nrrd("100000 100000 100000", "raw", bytes(64))),
    "NRRD of a number of 5,000 digits": Hostile("a.seg.nrrd", lambda: _nrrd("9" * 5000 + " 1 1", "raw", bytes(64))),
    "NRRD gzip bomb": Hostile("a.seg.nrrd", lambda: _nrrd("9 7 5", "gzip", _gzipped(b"", 1024))),
    "NRRD of another file's voxels": Hostile(
        "a.seg.nrrd", lambda: _nrrd("9 7 5", "raw", b"", more="data file: /etc/passwd\n")
    ),
    "NRRD of negative size": Hostile("a.seg.nrrd", lambda: _nrrd("-9 -7 5", "raw", bytes(400))),
}  # fmt: skip
DOCUMENTS = {
    "JSON 100,000 deep": Hostile("racoon.json", lambda: b"[" * 100_000),
    "JSON 100,000 objects deep": Hostile("racoon.json", lambda: b'{"a":' * 100_000 + b"1" + b"}" * 100_000),
    "JSON number of a million digits": Hostile("racoon.json", lambda: b'{"schema_version": ' + b"9" * 1_000_000 + b"}"),
    "JSON of 10 million values": Hostile("racoon.json", lambda: b"[" + b"0," * 10_000_000 + b"0]"),
    "JSON of one key, 100,000 times": Hostile("racoon.json", lambda: b"{" + b'"a":1,' * 100_000 + b'"a":1}'),
    "JSON that is no UTF-8": Hostile("racoon.json", lambda: b'{"a": "\xff\xfe"}'),
}
TOMLS = {
    "TOML array 100,000 deep": Hostile("racoon.toml", lambda: b"a = " + b"[" * 100_000 + b"]" * 100_000),
    "TOML key of 10,000 dots": Hostile("racoon.toml", lambda: b".".join([b"a"] * 10_000) + b" = 1\n"),
    "TOML of dotted keys, 1 MB": Hostile(
        "racoon.toml", lambda: b"".join(b".".join([b"a"] * 500) + b".k%d = 1\n" % n for n in range(1000))
    ),
    "TOML number of a million digits": Hostile("racoon.toml", lambda: b"a = " + b"9" * 1_000_000 + b"\n"),
    "TOML of 3 million lines": Hostile("racoon.toml", lambda: b"".join(b"k%d=1\n" % n for n in range(3_000_000))),
    "TOML that is YAML": Hostile(
        "racoon.toml", lambda: b"a: &a [x,x]\nb: &b [*a,*a]\n!!python/object/apply:os.system ['id']\n"
    ),
}  # fmt: skip
EXPORTS = {
    "XML billion laughs": Hostile("a.xml", lambda: f'<!DOCTYPE l [<!ENTITY l0 "lol">{_LAUGHS}]><l>&l9;</l>'.encode()),
    "XML that reads a file": Hostile(
        "a.xml", lambda: b'<!DOCTYPE l [<!ENTITY x SYSTEM "file:///etc/passwd">]><l>&x;</l>'
    ),
    "XML 100,000 deep": Hostile("a.xml", lambda: b"<a>" * 100_000),
    "XML of 3 million elements": Hostile("a.xml", lambda: b"<r>" + b"<a/>" * 3_000_000 + b"</r>"),
    "XML with a million attributes": Hostile(
        "a.xml", lambda: b"<r " + b" ".join(b'a%d=""' % n for n in range(1_000_000)) + b"/>"
    ),
    "JSON 100,000 deep, as an export": Hostile("a.json", lambda: b"[" * 100_000),
    "JSON of 10 million values, as an export": Hostile("a.json", lambda: b"[" + b"0," * 10_000_000 + b"0]"),
}
WEIGHTS = {
    "safetensors header of 2^63 bytes": Hostile("w.safetensors", lambda: _safetensors({}, length=1 << 63)),
    "safetensors header of 99 MB of blanks": Hostile("w.safetensors", lambda: _safetensors(b"{}" + b" " * 99_000_000)),
    "safetensors that claims 4 TB": Hostile("w.safetensors", lambda: _safetensors(_tensor([1 << 40], [0, 1 << 42]))),
    "safetensors whose shape overflows": Hostile(
        "w.safetensors", lambda: _safetensors(_tensor([1 << 62, 16], [0, 4]), bytes(4))
    ),
    "safetensors offsets run backwards": Hostile("w.safetensors", lambda: _safetensors(_tensor([1], [8, 4]), bytes(8))),
    "safetensors offsets overlap": Hostile(
        "w.safetensors",
        lambda: _safetensors(
            {**_tensor([2], [0, 8]), "v": {"dtype": "F32", "shape": [2], "data_offsets": [4, 12]}}, bytes(12)
        ),
    ),
    "safetensors header 100,000 deep": Hostile("w.safetensors", lambda: _safetensors(b'{"a":' * 100_000)),
    "a pickle under that name": Hostile("w.safetensors", lambda: _PICKLE),
    "a torch file under that name": Hostile("w.safetensors", _zip_of_escapes),
    "safetensors of no numbers": Hostile(
        "w.safetensors", lambda: _safetensors(_tensor([2], [0, 8]), struct.pack("<2f", float("nan"), float("inf")))
    ),
    "safetensors of another shape": Hostile("w.safetensors", lambda: _safetensors(_tensor([1], [0, 4]), bytes(4))),
    "safetensors of huge values": Hostile(
        "w.safetensors", lambda: _safetensors(_tensor([2], [0, 8]), struct.pack("<2f", 1e38, 1e38))
    ),
}  # fmt: skip
ARCHIVES = {
    "zip that leads out": Hostile("images.zip", _zip_of_escapes),
    "tar that leads out": Hostile("images.tar", _tar_of_escapes),
}
ALL = VOLUMES | NRRDS | DOCUMENTS | TOMLS | EXPORTS | WEIGHTS | ARCHIVES


def write(folder: Path, name: str) -> Path:
    """Write one of the files under its own name."""
    path = folder / ALL[name].name
    path.write_bytes(ALL[name].make())
    return path
