"""NIfTI files in and out, and the one place where LPS becomes RAS."""

from __future__ import annotations

import math
import zlib
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from isal import isal_zlib
from isal.igzip_lib import IsalError

from racoon_data.errors import DamagedDatasetError, DatasetError
from racoon_data.files.atomic import storage_errors, whole_file
from racoon_data.files.nifti_header import (
    HEADER_BYTES,
    RGB,
    Header,
    HeaderError,
    Labels,
    read_header,
    write_header,
)
from racoon_data.files.packing import write_packed
from racoon_data.geometry import Geometry, as_affine
from racoon_data.labels import BoxedMask, Mask

_LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])
UNLABELLED = Labels()
_HEAD_BYTES = 1 << 16
_FIRST_STEP, _LAST_STEP = 4 << 10, 16 << 20
_MAX_VOXEL_BYTES = 8 << 30
_KEPT = ("uint8", "int16", "uint16", "int32", "float32")


def write_nifti(path: Path, array: npt.NDArray[Any], geometry: Geometry, *, unit: str = "") -> None:
    """Write a volume as NIfTI-1, whole or not at all; the same volume gives the same bytes.

    The sform holds the affine; the qform too where it can put every voxel within 1 % of a voxel of its
    place, else its code is 0: a qform cannot hold shear (a tilted gantry), and its rotation, stored as
    three float32, is 3e-4 rad off for some slightly oblique grids. Values are stored as they are
    (slope 1, intercept 0).

    Args:
        path: ``.nii.gz`` or ``.nii``.
        array: Values ``[k, j, i]``: uint8, int16, uint16, int32 or float32; bool becomes uint8, float64
            float32, other integers int32 where they fit.
        geometry: The grid (mm, LPS).
        unit: What a value means; kept in ``intent_name``.

    Raises:
        DatasetError: Array and grid differ, or the values have no NIfTI type that keeps them.
        DiskFullError: No space is left; nothing is left behind.
    """
    with whole_file(path) as partial:
        write_nifti_as(partial, array, geometry, labels=Labels(unit), is_packed=path.suffix == ".gz")


def write_mask(path: Path, mask: Mask | BoxedMask, geometry: Geometry) -> None:
    """Write a mask as uint8 (0 and 1), slice by slice where it is boxed: it is never a whole grid in memory.

    Args:
        path: A ``.nii.gz``.
        mask: The mask ``[k, j, i]``.
        geometry: Its grid.

    Raises:
        DatasetError: Mask and grid differ.
        DiskFullError: No space is left; nothing is left behind.
    """
    if not isinstance(mask, BoxedMask):
        write_nifti(path, mask, geometry)
        return
    if mask.shape != geometry.array_shape:
        raise DatasetError(f"a mask of {mask.shape} does not lie on a grid of {geometry.array_shape}")
    head = write_header(geometry.shape, np.dtype(np.uint8), _LPS_TO_RAS @ geometry.matrix, UNLABELLED)
    with (
        whole_file(path) as partial,
        storage_errors(path.name),
        partial.open("wb") as stream,
    ):
        write_packed(stream, chain([head], (plane.reshape(-1).view(np.uint8).data for plane in mask.planes())))


def write_nifti_as(
    path: Path, array: npt.NDArray[Any], geometry: Geometry, *, labels: Labels = UNLABELLED, is_packed: bool = True
) -> None:
    """Write the bytes of ``write_nifti`` under any name, without the rename.

    Args:
        path: The file.
        array: Values ``[k, j, i]``, or ``[t, k, j, i]`` for a 4D file; red, green and blue bytes too.
        geometry: The grid of each volume.
        labels: Unit, scale (slope and intercept, which a reader applies) and time step.
        is_packed: With gzip.
    """
    if array.shape[-3:] != geometry.array_shape or array.ndim not in (3, 4):
        raise DatasetError(f"an array of {array.shape} does not lie on a grid of {geometry.array_shape}")
    values = np.ascontiguousarray(_storable(array))
    head = write_header(array.shape[::-1], values.dtype, _LPS_TO_RAS @ geometry.matrix, labels)
    with storage_errors(path.name), path.open("wb") as stream:
        if not is_packed:
            stream.write(head)
            stream.write(values.reshape(-1).view(np.uint8).data)
            return
        write_packed(stream, (head, values.reshape(-1).view(np.uint8).data))


def _storable(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    if array.dtype == RGB:
        return array
    if array.dtype.name in _KEPT:
        return array.astype(array.dtype.newbyteorder("<"), copy=False)
    if array.dtype == np.bool_:
        return array.astype(np.uint8)
    if array.dtype.kind == "f":
        return array.astype(np.float32)
    limits = np.iinfo(np.int32)
    if array.dtype.kind in "iu" and (not array.size or (array.min() >= limits.min and array.max() <= limits.max)):
        return array.astype(np.int32)
    raise DatasetError(f"values of type {array.dtype} have no place in NIfTI", hint="use int32 or float32")


def is_sheared(geometry: Geometry, *, tolerance: float = 1e-4) -> bool:
    """Tell whether the axes of a grid are not at right angles (cosine beyond the tolerance)."""
    columns = geometry.matrix[:3, :3] / np.linalg.norm(geometry.matrix[:3, :3], axis=0)
    return bool(np.abs(columns.T @ columns - np.eye(3)).max() > tolerance)


def read_nifti(path: Path) -> tuple[npt.NDArray[Any], Geometry]:
    """Read a NIfTI-1 file.

    The sform is used where it has a code, else the qform. A slope or intercept in the header is applied
    (float32), otherwise the stored type is kept.

    Args:
        path: ``.nii.gz`` or ``.nii``, three dimensions.

    Returns:
        Values ``[k, j, i]`` and the grid (mm, LPS).

    Raises:
        DamagedDatasetError: The file is missing, cut or no NIfTI.
        DatasetError: It is whole but not a volume with a place.
    """
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise DamagedDatasetError(f"{path.name} cannot be read", hint="write it again") from error
    return parse_nifti(raw, name=path.name)


def read_nifti_grid(path: Path) -> Geometry:
    """Read the grid of a NIfTI-1 file from its header alone.

    Raises:
        DamagedDatasetError: The file is missing or no NIfTI.
        DatasetError: It is not a volume with a place.
    """
    try:
        with path.open("rb") as stream:
            raw = stream.read(_HEAD_BYTES)
        head = _inflated(raw, HEADER_BYTES) if raw[:2] == b"\x1f\x8b" else raw
    except (OSError, zlib.error, IsalError, EOFError) as error:  # type: ignore[misc]  # isal's stub calls it a value
        raise DamagedDatasetError(f"{path.name} cannot be read", hint="write it again") from error
    header = header_of(head, path.name)
    _require_volume(header, path.name)
    return geometry_of_header(header, path.name)


def parse_nifti(raw: bytes, *, name: str) -> tuple[npt.NDArray[Any], Geometry]:
    """Read a NIfTI-1 file from its bytes; see ``read_nifti``."""
    data = _unpacked(raw, name)
    header = header_of(data, name)
    _require_volume(header, name)
    shape = header.shape
    count = shape[0] * shape[1] * shape[2]
    if len(data) - header.offset < count * header.dtype.itemsize:
        raise DamagedDatasetError(f"{name} ends before its voxels do", hint="write it again")
    array = np.frombuffer(data, dtype=header.dtype, count=count, offset=header.offset)
    return _scaled(array.reshape(shape[2], shape[1], shape[0]), header.scale), geometry_of_header(header, name)


def _require_volume(header: Header, name: str) -> None:
    shape = header.shape
    if math.prod(shape) * header.dtype.itemsize > _MAX_VOXEL_BYTES:
        raise DamagedDatasetError(f"{name} claims more than 8 GiB of voxels", hint="write it again")
    if len(shape) < 3 or min(shape) < 1 or any(size != 1 for size in shape[3:]):
        raise DatasetError(f"{name} has shape {shape}, not three dimensions", hint="split it into volumes")


def header_of(data: bytes, name: str) -> Header:
    """Read the header at the beginning of an unpacked file.

    Raises:
        DamagedDatasetError: There is none.
    """
    try:
        return read_header(data)
    except HeaderError as error:
        raise DamagedDatasetError(f"{name} is no NIfTI-1 file: {error}", hint="write it again") from error


def geometry_of_header(header: Header, name: str) -> Geometry:
    """Give the grid of a header (mm, LPS).

    Raises:
        DatasetError: It does not say where it lies.
    """
    affine = header.affine_ras
    if affine is None or not np.isfinite(affine).all() or abs(np.linalg.det(affine[:3, :3])) < 1e-12:
        raise DatasetError(f"{name} does not say where it lies", hint="write it with an sform")
    return Geometry((header.shape[0], header.shape[1], header.shape[2]), as_affine(_LPS_TO_RAS @ affine))


def _scaled(array: npt.NDArray[Any], scale: tuple[float, float]) -> npt.NDArray[Any]:
    if scale == (1.0, 0.0):
        return array.astype(array.dtype.newbyteorder("="), copy=True)
    return (array * np.float64(scale[0]) + np.float64(scale[1])).astype(np.float32)


def _unpacked(raw: bytes, name: str) -> bytes:
    """Inflate gzip data and check its sums, no further than the header inside says there are voxels."""
    if raw[:2] != b"\x1f\x8b":
        return raw
    try:
        header = header_of(_inflated(raw, HEADER_BYTES), name)
        _require_volume(header, name)
        end = header.offset + math.prod(header.shape) * header.dtype.itemsize
        data = _inflated(raw, end + 1)
    except (zlib.error, IsalError, EOFError) as error:  # type: ignore[misc]  # isal's stub calls it a value
        raise DamagedDatasetError(f"{name} cannot be unpacked", hint="write it again") from error
    if len(data) > end:
        raise DamagedDatasetError(f"{name} holds more than its voxels", hint="write it again")
    return data


def _inflated(raw: bytes, most: int) -> bytes:
    """Inflate up to ``most`` bytes of a gzip file, which may have several members."""
    parts: list[bytes] = []
    view, at = memoryview(raw), 0
    while at < len(view) and most > 0:
        unpacker, step = isal_zlib.decompressobj(wbits=31), _FIRST_STEP
        # Members may be crumbs: what lies behind one is never copied whole.
        while at < len(view) and most > 0 and not unpacker.eof:
            piece = view[at : at + step]
            part = unpacker.decompress(piece, most)
            at += len(piece) - len(unpacker.unused_data) - len(unpacker.unconsumed_tail)
            most -= len(part)
            step = min(4 * step, _LAST_STEP)
            if part:
                parts.append(part)
    return parts[0] if len(parts) == 1 else b"".join(parts)
