"""The 348 bytes of a NIfTI-1 header, field by field, without a library to load."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

Matrix = npt.NDArray[np.float64]
# The first part of a quaternion is not stored; below these squares nifti1_io and nibabel read it as none.
_LEAST = (1e-7, 3.6e-7)

HEADER_BYTES = 352
_SCANNER = 1
_MM, _SECOND = 2, 8
RGB = np.dtype([("R", "u1"), ("G", "u1"), ("B", "u1")])
_CODES: dict[str, int] = {"uint8": 2, "int16": 4, "int32": 8, "float32": 16, "float64": 64, "int8": 256}
_CODES |= {"uint16": 512, "uint32": 768, "int64": 1024, "uint64": 1280}
_RGB_CODE = 128

# nifti1.h, in order (https://nifti.nimh.nih.gov/pub/dist/src/niftilib/nifti1.h).
_FIELDS: list[Any] = [
    ("sizeof_hdr", "i4"), ("unused", "V35"), ("dim_info", "u1"), ("dim", "i2", 8), ("intent_p", "f4", 3),
    ("intent_code", "i2"), ("datatype", "i2"), ("bitpix", "i2"), ("slice_start", "i2"), ("pixdim", "f4", 8),
    ("vox_offset", "f4"), ("scl_slope", "f4"), ("scl_inter", "f4"), ("slice_end", "i2"), ("slice_code", "u1"),
    ("xyzt_units", "u1"), ("cal_max", "f4"), ("cal_min", "f4"), ("slice_duration", "f4"), ("toffset", "f4"),
    ("glmax", "i4"), ("glmin", "i4"), ("descrip", "S80"), ("aux_file", "S24"), ("qform_code", "i2"),
    ("sform_code", "i2"), ("quatern", "f4", 3), ("qoffset", "f4", 3), ("srow", "f4", (3, 4)),
    ("intent_name", "S16"), ("magic", "S4"),
]  # fmt: skip
_LITTLE = np.dtype(_FIELDS).newbyteorder("<")
_BIG = np.dtype(_FIELDS).newbyteorder(">")


class HeaderError(ValueError):
    """The bytes are no NIfTI-1 header."""


@dataclass(frozen=True, slots=True, eq=False)
class Header:
    """What a reader needs of a header.

    Attributes:
        shape: Voxels along i, j, k and further axes.
        dtype: Type of a stored value, with its byte order.
        offset: Where voxels begin.
        scale: Slope and intercept; (1, 0) where the header applies none.
        affine_ras: 4x4 voxel index to millimetres, RAS; ``None`` where neither sform nor qform has a code.
        step_s: Seconds between volumes, 0 where unknown.
    """

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    offset: int
    scale: tuple[float, float]
    affine_ras: Matrix | None
    step_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Labels:
    """What a header says besides the grid.

    Attributes:
        unit: What a value means; kept in ``intent_name``.
        scale: Slope and intercept: what a stored number is worth.
        step_s: Seconds between the volumes of a 4D file, 0 where unknown.
    """

    unit: str = ""
    scale: tuple[float, float] = (1.0, 0.0)
    step_s: float = 0.0


def write_header(shape: tuple[int, ...], dtype: np.dtype[Any], affine_ras: Matrix, labels: Labels) -> bytes:
    """Give header and empty extension, 352 bytes, little endian.

    The sform holds the affine; the qform too where it can put every voxel within 1 % of a voxel of its place.

    Args:
        shape: Voxels along i, j, k, and t.
        dtype: Type of a stored value.
        affine_ras: Voxel index to millimetres, RAS.
        labels: What else is to be said.
    """
    sizes = np.linalg.norm(affine_ras[:3, :3], axis=0)
    header = np.zeros((), dtype=_LITTLE)
    header["sizeof_hdr"] = 348
    header["dim"] = (len(shape), *shape, *(1,) * (7 - len(shape)))
    header["datatype"] = _RGB_CODE if dtype.names else _CODES[dtype.name]
    header["bitpix"] = dtype.itemsize * 8
    header["pixdim"] = (1, *sizes, labels.step_s if len(shape) > 3 else 1, 1, 1, 1)
    header["vox_offset"] = HEADER_BYTES
    header["scl_slope"], header["scl_inter"] = labels.scale
    header["xyzt_units"] = _MM + (_SECOND if labels.step_s else 0)
    header["sform_code"] = _SCANNER
    header["srow"] = affine_ras[:3]
    header["intent_name"] = labels.unit.encode("ascii", "replace")[:15]
    header["magic"] = b"n+1"
    handed = -1.0 if np.linalg.det(affine_ras[:3, :3]) < 0 else 1.0
    _set_qform(header, affine_ras, handed)
    if not all(_agrees(_qform(header, least), affine_ras, shape[:3], sizes) for least in _LEAST):
        header["qform_code"], header["pixdim"][0] = 0, 1
        header["quatern"] = header["qoffset"] = 0
    return header.tobytes() + b"\0\0\0\0"


def _set_qform(header: Any, affine: Matrix, handed: float) -> None:
    axes = affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0)
    axes[:, 2] *= handed
    # The nearest rotation, as the reference implementation's polar decomposition gives it.
    left, _, right = np.linalg.svd(axes)
    header["qform_code"] = _SCANNER
    header["pixdim"][0] = handed
    header["quatern"] = _quaternion(left @ right)
    header["qoffset"] = affine[:3, 3]


def _quaternion(rotation: Matrix) -> Matrix:
    """Give b, c, d of the unit quaternion of a rotation, with a not negative (Bar-Itzhack, 2000)."""
    (xx, xy, xz), (yx, yy, yz), (zx, zy, zz) = rotation
    symmetric = np.array(
        [
            [xx - yy - zz, yx + xy, zx + xz, zy - yz],
            [yx + xy, yy - xx - zz, zy + yz, xz - zx],
            [zx + xz, zy + yz, zz - xx - yy, yx - xy],
            [zy - yz, xz - zx, yx - xy, xx + yy + zz],
        ]
    )
    b, c, d, a = np.linalg.eigh(symmetric / 3.0)[1][:, -1]
    return np.array([b, c, d]) * (-1.0 if a < 0 else 1.0)


def _qform(header: Any, least: float = _LEAST[0]) -> Matrix:
    """Give the affine of the qform (nifti1.h, method 2), in double precision from the stored numbers."""
    b, c, d = (float(value) for value in header["quatern"])
    a = np.sqrt(max(0.0, 1.0 - b * b - c * c - d * d))
    if a * a < least:  # three numbers alone have to make the rotation
        length = np.sqrt(b * b + c * c + d * d) or 1.0
        a, b, c, d = 0.0, b / length, c / length, d / length
    handed = -1.0 if header["pixdim"][0] < 0 else 1.0
    affine = np.eye(4)
    affine[:3, :3] = [
        [a * a + b * b - c * c - d * d, 2 * (b * c - a * d), 2 * (b * d + a * c)],
        [2 * (b * c + a * d), a * a + c * c - b * b - d * d, 2 * (c * d - a * b)],
        [2 * (b * d - a * c), 2 * (c * d + a * b), a * a + d * d - c * c - b * b],
    ]
    affine[:3, :3] *= np.abs(header["pixdim"][1:4].astype(np.float64)) * (1, 1, handed)
    affine[:3, 3] = header["qoffset"]
    return affine


def _agrees(qform: Matrix, affine: Matrix, shape: tuple[int, ...], sizes: Matrix) -> bool:
    i, j, k = (size - 1 for size in shape)
    corners = np.array([(x, y, z, 1) for x in (0, i) for y in (0, j) for z in (0, k)], dtype=np.float64)
    apart_mm = np.linalg.norm((corners @ (qform - affine).T)[:, :3], axis=1).max()
    return bool(apart_mm <= 0.01 * min(sizes))


def read_header(data: bytes) -> Header:
    """Read a header of either byte order.

    Raises:
        HeaderError: It is none, or of a type that is not read.
    """
    if len(data) < 348:
        raise HeaderError("too short")
    header = np.frombuffer(data, dtype=_LITTLE, count=1)[0]
    if header["sizeof_hdr"] != 348:
        header = np.frombuffer(data, dtype=_BIG, count=1)[0]
    if header["sizeof_hdr"] != 348 or header["magic"] not in (b"n+1", b"ni1"):
        raise HeaderError("no NIfTI-1 header")
    count = int(header["dim"][0])
    if not 1 <= count <= 7:
        raise HeaderError("it has no dimensions")
    order: Literal["<", ">"] = "<" if header.dtype == _LITTLE else ">"
    return Header(
        shape=tuple(int(size) for size in header["dim"][1 : 1 + count]),
        dtype=_dtype(int(header["datatype"]), order),
        offset=max(int(header["vox_offset"]) if np.isfinite(header["vox_offset"]) else 0, HEADER_BYTES),
        scale=_scale(float(header["scl_slope"]), float(header["scl_inter"])),
        affine_ras=_affine(header),
        step_s=float(header["pixdim"][4]) if count > 3 else 0.0,
    )


def _dtype(code: int, order: Literal["<", ">"]) -> np.dtype[Any]:
    if code == _RGB_CODE:
        return RGB
    name = next((name for name, known in _CODES.items() if known == code), None)
    if name is None:
        raise HeaderError(f"data type {code} is not read")
    return np.dtype(name).newbyteorder(order)


def _scale(slope: float, intercept: float) -> tuple[float, float]:
    if not np.isfinite(slope) or slope == 0 or not np.isfinite(intercept):
        return (1.0, 0.0)
    return (slope, intercept)


def _affine(header: Any) -> Matrix | None:
    if header["sform_code"] > 0:
        affine = np.eye(4)
        affine[:3] = header["srow"]
        return affine
    return _qform(header) if header["qform_code"] > 0 else None
