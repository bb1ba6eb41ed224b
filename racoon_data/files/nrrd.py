"""NRRD files in: header fields, key-value pairs and voxels, within bounds, as volumes in LPS."""

from __future__ import annotations

import bz2
import math
import re
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from racoon_data.errors import BrokenExportError, HostileExportError, UnsupportedAnnotationError
from racoon_data.geometry import Geometry, as_affine

_TYPES = {
    "int8": ("signed char", "int8", "int8_t"),
    "uint8": ("uchar", "unsigned char", "uint8", "uint8_t"),
    "int16": ("short", "short int", "signed short", "signed short int", "int16", "int16_t"),
    "uint16": ("ushort", "unsigned short", "unsigned short int", "uint16", "uint16_t"),
    "int32": ("int", "signed int", "int32", "int32_t"),
    "uint32": ("uint", "unsigned int", "uint32", "uint32_t"),
    "int64": ("longlong", "long long", "long long int", "signed long long", "int64", "int64_t"),
    "uint64": ("ulonglong", "unsigned long long", "unsigned long long int", "uint64", "uint64_t"),
    "float32": ("float",),
    "float64": ("double",),
}
_DTYPES = {name: dtype for dtype, names in _TYPES.items() for name in names}
_SPACES = {
    "left-posterior-superior": (1, 1, 1), "lps": (1, 1, 1),
    "right-anterior-superior": (-1, -1, 1), "ras": (-1, -1, 1),
    "left-anterior-superior": (1, -1, 1), "las": (1, -1, 1),
}  # fmt: skip
_MAX_HEADER = 4 << 20
_MAX_VOXELS_BYTES = 8 << 30
_VECTOR = re.compile(r"\(([^()]*)\)|(none)")
_AGAIN = "export it again"


@dataclass(frozen=True, slots=True, eq=False)
class Nrrd:
    """A NRRD file.

    Attributes:
        geometry: The grid (mm, LPS).
        layers: How many values every voxel has; 1 where the file has three axes.
        keys: Key-value pairs (``key:=value``).
        header: Fields of the format itself, keys in lower case.
        body: The encoded voxels.
    """

    geometry: Geometry
    layers: int
    keys: dict[str, str]
    header: dict[str, str]
    body: bytes

    def array(self) -> npt.NDArray[Any]:
        """Decode the voxels as ``[layer, k, j, i]``.

        Raises:
            BrokenExportError: They cannot be decoded or end too early.
            HostileExportError: They would unpack to more than 8 GiB.
        """
        sizes = [int(size) for size in self.header["sizes"].split()]
        dtype = np.dtype(_DTYPES[self.header["type"].lower()])
        if dtype.itemsize > 1:
            dtype = dtype.newbyteorder(">" if self.header.get("endian", "little").lower() == "big" else "<")
        count = math.prod(sizes)
        if count * dtype.itemsize > _MAX_VOXELS_BYTES:
            raise HostileExportError("the NRRD would unpack to more than 8 GiB", hint="it is no segmentation")
        data = _decoded(self.body, self.header["encoding"].lower(), count * dtype.itemsize, dtype)
        values = np.frombuffer(data, dtype=dtype, count=count).reshape(sizes[::-1])
        if values.ndim == 4:
            values = np.moveaxis(values, 3 - _list_axis(self.header), 0)
            return values.astype(values.dtype.newbyteorder("="), copy=False)
        return values.astype(values.dtype.newbyteorder("="), copy=False)[np.newaxis]


def read_nrrd(path: Path) -> Nrrd:
    """Read a NRRD file of three axes, or of four where one lists layers; voxels are decoded on demand.

    Raises:
        BrokenExportError: It is no NRRD, or cut.
        UnsupportedAnnotationError: It is detached, or does not say where it lies.
    """
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise BrokenExportError(f"{path.name} cannot be read: {error.strerror}", hint=_AGAIN) from error
    blank = b"\r\n\r\n" if b"\r\n" in raw[:64] else b"\n\n"
    split = raw.find(blank, 0, _MAX_HEADER)
    if not raw.startswith(b"NRRD") or split < 0:
        raise BrokenExportError(f"{path.name} is no NRRD file, or its header is cut", hint=_AGAIN)
    header, keys = _header(raw[:split].decode("utf-8", "replace"))
    for key in ("type", "dimension", "sizes", "encoding"):
        if key not in header:
            raise BrokenExportError(f"{path.name} has no field {key!r}", hint=_AGAIN)
    if "data file" in header or "datafile" in header:
        raise UnsupportedAnnotationError("the NRRD keeps its voxels in another file", hint="export it as one file")
    geometry, layers = _geometry(header)
    return Nrrd(geometry, layers, keys, header, raw[split + len(blank) :])


def _header(text: str) -> tuple[dict[str, str], dict[str, str]]:
    header: dict[str, str] = {}
    keys: dict[str, str] = {}
    for line in text.splitlines()[1:]:
        if line.startswith("#") or not line.strip():
            continue
        name, separator, value = line.partition(":=")
        if separator and ": " not in name:
            keys[name.strip()] = value.strip().replace("\\n", "\n")
        else:
            name, _, value = line.partition(":")
            header[name.strip().lower()] = value.strip()
    return header, keys


def _list_axis(header: dict[str, str]) -> int:
    """Give the axis (in file order) that lists layers: the one without a direction, else without extent in space."""
    directions = [bool(none) for _, none in _VECTOR.findall(header["space directions"])]
    return directions.index(True)


def _geometry(header: dict[str, str]) -> tuple[Geometry, int]:
    signs = _SPACES.get(header.get("space", "").lower())
    directions = _VECTOR.findall(header.get("space directions", ""))
    origin = _VECTOR.findall(header.get("space origin", ""))
    try:
        sizes = [int(size) for size in header["sizes"].split()]
        spatial = [axis for axis, (_, none) in enumerate(directions) if not none]
        if signs is None or len(spatial) != 3 or len(directions) != len(sizes) or len(origin) != 1:
            raise UnsupportedAnnotationError(
                "the NRRD does not say where it lies in the patient",
                hint="export three axes with space, directions and origin",
            )
        vectors = [[float(one) for one in directions[axis][0].split(",")] for axis in spatial]
        corner = [float(one) for one in origin[0][0].split(",")]
        shape = tuple(sizes[axis] for axis in spatial)
        matrix = np.eye(4)
        matrix[:3, :3], matrix[:3, 3] = np.array(vectors).T, corner
    except ValueError as error:
        raise BrokenExportError("the NRRD's sizes or directions are no numbers", hint=_AGAIN) from error
    matrix[:3] *= np.array(signs)[:, np.newaxis]
    if min(sizes) < 1 or len(sizes) > 4 or _DTYPES.get(header["type"].lower()) is None:
        raise UnsupportedAnnotationError("the NRRD has no voxels, five axes or blocks of bytes", hint=_AGAIN)
    if not np.isfinite(matrix).all() or abs(float(np.linalg.det(matrix[:3, :3]))) < 1e-12:
        raise BrokenExportError("the NRRD's directions span no space", hint=_AGAIN)
    layers = math.prod(sizes) // math.prod(shape)
    return Geometry((shape[0], shape[1], shape[2]), as_affine(matrix)), layers


def _decoded(body: bytes, encoding: str, size: int, dtype: np.dtype[Any]) -> bytes:
    try:
        if encoding == "raw":
            data = body
        elif encoding in ("gzip", "gz"):
            data = _gunzip(body, size)
        elif encoding in ("bzip2", "bz2"):
            data = bz2.BZ2Decompressor().decompress(body, size)
        elif encoding in ("ascii", "text", "txt"):
            data = np.array(body.split(), dtype=np.float64).astype(dtype).tobytes()
        else:
            raise UnsupportedAnnotationError(f"NRRD encoding {encoding[:20]!r}", hint="use raw, gzip, bzip2 or ascii")
    except (zlib.error, OSError, EOFError, ValueError) as error:
        raise BrokenExportError("the NRRD's voxels cannot be unpacked", hint=_AGAIN) from error
    if len(data) < size:
        raise BrokenExportError("the NRRD ends before its voxels do", hint=_AGAIN)
    return data[:size]


def _gunzip(body: bytes, size: int) -> bytes:
    """Inflate no further than the header says there are voxels; the file's sum is checked where it ends there."""
    unpacker = zlib.decompressobj(wbits=31)
    data = unpacker.decompress(body, size + 1)
    if len(data) <= size and not unpacker.eof:
        data += unpacker.flush()
        if not unpacker.eof:
            raise EOFError
    return data
