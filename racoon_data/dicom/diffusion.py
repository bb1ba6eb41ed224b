"""Diffusion weighting of one image: b-value and gradient direction, from public attributes or a vendor's own."""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass, replace
from math import sqrt

from racoon_data.dicom.facts import Facts
from racoon_data.geometry import Point, cross, dot

_LARGEST_B = 100_000


@dataclass(frozen=True, slots=True)
class PrivateDiffusion:
    """Where a vendor keeps the diffusion weighting of an image.

    Attributes:
        vendor: Who writes it.
        b_value: Private creator, group and element of the b-value (s/mm2).
        directions: The same of the direction: one element of three numbers, or three of one.
        source: Where it is described.
        axes: ``patient`` (LPS), ``image`` (rows, columns, slices) or ``phase`` (frequency, phase, slices).
    """

    vendor: str
    b_value: tuple[str, int, int]
    directions: tuple[tuple[str, int, int], ...]
    source: str
    axes: str = "patient"


_SIEMENS, _GE_VALUES, _GE_AXES = "SIEMENS MR HEADER", "GEMS_PARM_01", "GEMS_ACQU_01"
_PHILIPS, _PHILIPS_AXES, _UIH = "Philips Imaging DD 001", "Philips MR Imaging DD 001", "Image Private Header"
VENDORS = (
    PrivateDiffusion(
        "Siemens", (_SIEMENS, 0x0019, 0x0C), ((_SIEMENS, 0x0019, 0x0E),),
        "Siemens MR DICOM conformance statement (syngo MR), private group 0019",
    ),
    PrivateDiffusion(
        "GE", (_GE_VALUES, 0x0043, 0x39), tuple((_GE_AXES, 0x0019, element) for element in (0xBB, 0xBC, 0xBD)),
        "NA-MIC wiki, 'DTI DICOM for DWI and DTI': frequency, phase and slice axes", axes="phase",
    ),
    PrivateDiffusion(
        "Philips", (_PHILIPS, 0x2001, 0x03), tuple((_PHILIPS_AXES, 0x2005, element) for element in (0xB0, 0xB1, 0xB2)),
        "Philips MR DICOM conformance statement, private groups 2001 and 2005",
    ),
    PrivateDiffusion(
        "UIH", (_UIH, 0x0065, 0x09), ((_UIH, 0x0065, 0x37),),
        "United Imaging MR DICOM conformance statement, private group 0065; axes as dcm2niix has them", axes="image",
    ),
)  # fmt: skip


def with_diffusion(facts: Facts) -> Facts:
    """Give a vendor's diffusion weighting the names of the standard, where the standard's are absent.

    Returns:
        Facts whose ``DiffusionBValue`` and ``DiffusionGradientOrientation`` (a unit vector in patient axes, LPS;
        absent where nothing is weighted) can be asked for; the same facts where there is nothing to add.
    """
    if not facts.private or facts.texts("DiffusionBValue"):
        return facts
    for vendor in VENDORS:
        found = _numbers(facts, *vendor.b_value)
        if found:
            b_value = found[0] % _LARGEST_B if found[0] >= _LARGEST_B else found[0]
            direction = _direction(facts, vendor) if b_value else None
            named: dict[str, tuple[str, ...]] = {"DiffusionBValue": (_text(b_value),)}
            if direction is not None:
                named["DiffusionGradientOrientation"] = tuple(map(_text, direction))
            return replace(facts, values={**facts.values, **named})
    return facts


def _text(number: float) -> str:
    return f"{number:.9g}"


def _direction(facts: Facts, vendor: PrivateDiffusion) -> Point | None:
    parts = [number for place in vendor.directions for number in _numbers(facts, *place)]
    if len(parts) < 3:
        return None
    x, y, z = parts[:3]
    length = sqrt(x * x + y * y + z * z)
    if not 0.5 < length < 1.5:
        return None
    vector = (x / length, y / length, z / length)
    if vendor.axes == "patient":
        return vector
    return _to_patient(facts, vector if vendor.axes == "image" else _along_phase(facts, vector))


def _along_phase(facts: Facts, vector: Point) -> Point:
    """Turn frequency and phase axes into rows and columns (NA-MIC wiki; dcm2niix agrees)."""
    x, y, z = vector
    return (-y, x, z) if facts.text("InPlanePhaseEncodingDirection") == "ROW" else (-x, -y, z)


def _to_patient(facts: Facts, vector: Point) -> Point | None:
    """Turn rows, columns and slices into patient axes."""
    orientation = facts.numbers("ImageOrientationPatient", count=6)
    if orientation is None:
        return None
    row, column = (orientation[0], orientation[1], orientation[2]), (orientation[3], orientation[4], orientation[5])
    normal = cross(row, column)
    x, y, z = (vector[0] * row[axis] + vector[1] * column[axis] + vector[2] * normal[axis] for axis in range(3))
    return (x, y, z)


def _numbers(facts: Facts, creator: str, group: int, element: int) -> tuple[float, ...]:
    """Read a private element as numbers, wherever a PACS moved its block."""
    wanted = creator.encode("ascii")
    for block in (0x10, *range(0x11, 0x100)):
        owner = facts.private.get(group << 16 | block)
        if owner is not None and owner[1].rstrip(b"\0 ") == wanted:
            found = facts.private.get(group << 16 | block << 8 | element)
            return () if found is None else _parsed(*found)
        if block == 0x10 and owner is None and not any(tag >> 16 == group for tag in facts.private):
            return ()
    return ()


def _parsed(vr: bytes, raw: bytes) -> tuple[float, ...]:
    """Read numbers written as text, or as binary of a known or likely kind."""
    if vr in _BINARY:
        return _BINARY[vr](raw)
    try:
        return tuple(float(part) for part in raw.decode("ascii").strip("\0 ").split("\\") if part.strip())
    except ValueError:
        likely = _doubles(raw) if len(raw) % 8 == 0 else _floats(raw)
        return likely if all(abs(number) < 1e7 for number in likely) else ()


def _doubles(raw: bytes) -> tuple[float, ...]:
    return struct.unpack(f"<{len(raw) // 8}d", raw[: len(raw) // 8 * 8])


def _floats(raw: bytes) -> tuple[float, ...]:
    return struct.unpack(f"<{len(raw) // 4}f", raw[: len(raw) // 4 * 4])


_BINARY: dict[bytes, Callable[[bytes], tuple[float, ...]]] = {b"FD": _doubles, b"FL": _floats}


def in_voxel_axes(direction: Point, axes: tuple[Point, Point, Point]) -> Point:
    """Give a direction (LPS) along unit voxel axes i, j, k."""
    return (dot(direction, axes[0]), dot(direction, axes[1]), dot(direction, axes[2]))
