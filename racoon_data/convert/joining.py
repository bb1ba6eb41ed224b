"""Volumes of one series that differ in time or weighting alone: joined into one 4D file."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace

from racoon_data.dicom.series import Series, Splits
from racoon_data.dicom.splitting import ORDER
from racoon_data.dicom.stacking import geometry_of
from racoon_data.errors import DicomError
from racoon_data.files.nifti import is_sheared
from racoon_data.geometry import SAME_GRID_MM, Geometry

# What only says when, or how strongly weighted, an otherwise equal volume was acquired.
_ALONG_TIME = frozenset(
    (
        "DiffusionBValue", "DiffusionGradientOrientation", "TemporalPositionIdentifier", "AcquisitionNumber",
        "TriggerTime", "FrameReferenceTime", "AcquisitionTime", "ContentTime", "InstanceNumber",
    )
)  # fmt: skip

Stacks = tuple[Series, ...]


def is_along_time(name: str) -> bool:
    """Tell whether an attribute that split a series makes it 4D."""
    return name in _ALONG_TIME or name.endswith(f" {ORDER}") or name.startswith("DimensionIndex")


def joined(series: Iterable[Series], *, is_regular: bool = False) -> tuple[Stacks, ...]:
    """Join volumes into 4D stacks, in order of instance number.

    Volumes are joined where they share series, splits other than time and weighting, and the grid; what cannot be
    a volume, or lies elsewhere, stays apart.

    Args:
        series: Sorted series.
        is_regular: Tilted volumes get a copy each, and stay apart for that.

    Returns:
        One or more series for every file to be written.
    """
    groups: dict[object, list[Series]] = defaultdict(list)
    for one in series:
        rest = tuple(pair for pair in one.splits if not is_along_time(pair[0]))
        is_apart = len(rest) == len(one.splits)
        groups[one.key if is_apart else (one.ref, rest)].append(one)
    return tuple(stacks for group in groups.values() for stacks in _on_one_grid(group, is_regular))


def _on_one_grid(group: Sequence[Series], is_regular: bool) -> list[Stacks]:
    if len(group) == 1:
        return [tuple(group)]
    apart: list[Stacks] = []
    grids: list[tuple[Geometry, list[Series]]] = []
    for one in sorted(group, key=_first_instance):
        try:
            geometry = geometry_of(one)
        except DicomError:
            apart.append((one,))
            continue
        if is_regular and is_sheared(geometry):
            apart.append((one,))
            continue
        for known, members in grids:
            if known.same_grid(geometry, tol_mm=SAME_GRID_MM):
                members.append(one)
                break
        else:
            grids.append((geometry, [one]))
    return [*(tuple(members) for _, members in grids), *apart]


def _first_instance(series: Series) -> tuple[int, str]:
    return min(header.instance_number for header in series.slices), series.part


def as_one(stacks: Stacks) -> Series:
    """Describe a 4D stack as a series: its slices volume after volume, and the splits that still set it apart."""
    if len(stacks) == 1:
        return stacks[0]
    splits: Splits = tuple(pair for pair in stacks[0].splits if not is_along_time(pair[0]))
    return replace(
        stacks[0],
        slices=tuple(header for one in stacks for header in one.slices),
        part="; ".join(f"{name}={value}" for name, value in splits),
        splits=splits,
    )


def joined_by(stacks: Stacks) -> tuple[str, ...]:
    """Name the attributes that differ from volume to volume of a 4D stack."""
    names = dict.fromkeys(name for one in stacks for name, _ in one.splits if is_along_time(name))
    return tuple(names) if len(stacks) > 1 else ()
