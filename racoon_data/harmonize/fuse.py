"""Many readers' masks to one mask per label, and many labels to one map."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import SimpleITK as sitk  # noqa: N813 - the library's own habit

from racoon_data.errors import NoAnnotationError, SettingsError
from racoon_data.grid.boxes import around, boxes_of, cut
from racoon_data.labels import BACKGROUND, IGNORE, Label, Mask, as_mask

SINGLE = "single:"
_POLICY = re.compile(r"^(union|majority|staple|single:.+)$")
# STAPLE answers with probabilities that are almost 0 or almost 1; what lies between is a matter of dispute.
STAPLE_SURE = 0.95
_STAPLE_ROUNDS = 100


def check_policy(policy: str) -> None:
    """Refuse an unknown fusion policy.

    Raises:
        SettingsError: It is none of ``union``, ``majority``, ``staple`` and ``single:<reader>``.
    """
    if not _POLICY.match(policy):
        hint = "one of: union, majority, staple, single:<reader>"
        raise SettingsError(f"{policy!r} is no fusion policy", hint=hint)


@dataclass(frozen=True, slots=True, eq=False)
class Fused:
    """One label after fusion.

    Attributes:
        mask: Where it is.
        undecided: Where the readers leave it open, ``None`` where they do not.
    """

    mask: Mask
    undecided: Mask | None = None


def fuse(readers: Mapping[str, Mask], *, policy: str, among: Sequence[str]) -> Fused | None:
    """Make one mask of what several readers outlined for one label.

    Args:
        readers: Reader to the union of that reader's masks for the label.
        policy: ``union`` (any reader), ``majority`` (more than half of the readers; a tie is undecided), ``staple``
            (Warfield 2004, doi 10.1109/TMI.2004.828354: readers weighed by their agreement; probabilities from 5 to
            95 % are undecided, 50 % and more are inside) or ``single:<reader>``.
        among: Every reader of the case who looked for this label. One who outlined other things only counts as
            having seen none.

    Returns:
        The mask, or ``None`` where no reader it rests on outlined the label.

    Raises:
        NoAnnotationError: The single reader did not read this case.
    """
    if policy.startswith(SINGLE):
        return _single(readers, policy.removeprefix(SINGLE), among)
    if not readers:
        return None
    masks = np.stack([readers[name] for name in sorted(readers)])
    if policy == "union" or len(among) == 1:
        return Fused(as_mask(np.asarray(masks.any(axis=0))))
    if policy == "staple":
        return _staple(masks, count=len(among))
    votes = 2 * masks.sum(axis=0, dtype=np.uint16)
    return Fused(as_mask(np.asarray(votes > len(among))), as_mask(np.asarray(votes == len(among))))


def _single(readers: Mapping[str, Mask], chosen: str, among: Sequence[str]) -> Fused | None:
    if chosen not in among:
        raise NoAnnotationError(f"reader {chosen!r} did not annotate this case", hint="choose another policy")
    mask = readers.get(chosen)
    return Fused(mask) if mask is not None else None


def _staple(masks: npt.NDArray[np.bool_], *, count: int) -> Fused:
    """Weigh readers inside the box around what any of them outlined.

    On the whole image its prior would be the image's share of lesion, and readers would look alike by the background
    they agree on (Asman 2011, doi 10.1109/TMI.2011.2147795).
    """
    box = around(boxes_of(np.asarray(masks.any(axis=0)).view(np.uint8), margin=1).values())
    pieces = [np.ascontiguousarray(cut(mask, box)).view(np.uint8) for mask in masks]
    pieces += [np.zeros_like(pieces[0])] * (count - len(pieces))
    finder = sitk.STAPLEImageFilter()
    finder.SetNumberOfThreads(1)
    finder.SetForegroundValue(1.0)
    finder.SetMaximumIterations(_STAPLE_ROUNDS)
    probability = sitk.GetArrayFromImage(finder.Execute([sitk.GetImageFromArray(piece) for piece in pieces]))
    mask, undecided = np.zeros((2, *masks.shape[1:]), dtype=np.bool_)
    cut(mask, box)[...] = probability >= 0.5
    cut(undecided, box)[...] = (probability > 1 - STAPLE_SURE) & (probability < STAPLE_SURE)
    return Fused(mask, undecided)


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


def ignore(array: npt.NDArray[np.uint8], masks: Iterable[Mask]) -> None:
    """Mark what no label claims and the masks leave open as "do not learn from this voxel", in place."""
    for mask in masks:
        array[mask & (array == BACKGROUND)] = IGNORE
