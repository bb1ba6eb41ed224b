"""Many readers' masks to one mask per label, and many labels to one map."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from racoon_data.errors import NoAnnotationError, SettingsError
from racoon_data.labels import Label, Mask, as_mask

SINGLE = "single:"
_POLICY = re.compile(r"^(union|majority|single:.+)$")


def check_policy(policy: str) -> None:
    """Refuse an unknown fusion policy.

    Raises:
        SettingsError: It is none of ``union``, ``majority`` and ``single:<reader>``.
    """
    if not _POLICY.match(policy):
        raise SettingsError(f"{policy!r} is no fusion policy", hint="one of: union, majority, single:<reader>")


def fuse(readers: Mapping[str, Mask], *, policy: str, among: Sequence[str]) -> Mask | None:
    """Make one mask of what several readers outlined for one label.

    Args:
        readers: Reader to the union of that reader's masks for the label.
        policy: ``union`` (any reader), ``majority`` (more than half of the readers; a tie stays
            outside) or ``single:<reader>``.
        among: Every reader of the case. One who outlined other things only counts as having seen none.

    Returns:
        The mask, or ``None`` where no reader it rests on outlined the label.

    Raises:
        NoAnnotationError: The single reader did not read this case.
    """
    if policy.startswith(SINGLE):
        chosen = policy.removeprefix(SINGLE)
        if chosen not in among:
            raise NoAnnotationError(f"reader {chosen!r} did not annotate this case", hint="choose another policy")
        return readers.get(chosen)
    if not readers:
        return None
    masks = np.stack([readers[name] for name in sorted(readers)])
    if policy == "union" or len(among) == 1:
        return as_mask(np.asarray(masks.any(axis=0)))
    return as_mask(np.asarray(2 * masks.sum(axis=0, dtype=np.uint16) > len(among)))


def paint(
    masks: Mapping[Label, Mask], shape: tuple[int, int, int]
) -> tuple[npt.NDArray[np.uint8], tuple[tuple[str, int], ...]]:
    """Lay label masks over each other, the higher priority on top.

    Where priorities are equal the smaller voxel value wins.

    Returns:
        uint8 values indexed ``[k, j, i]``, and the voxels each losing label gave up, by name.
    """
    array = np.zeros(shape, dtype=np.uint8)
    bottom_up = sorted(masks, key=lambda label: (label.priority, -label.value))
    for label in bottom_up:
        array[masks[label]] = label.value
    lost = ((label.name, int(np.count_nonzero(masks[label] & (array != label.value)))) for label in bottom_up)
    return array, tuple(sorted((name, count) for name, count in lost if count))
