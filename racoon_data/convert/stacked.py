"""One volume, or several in time, as one array to be written."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from racoon_data.dicom.filling import Stacked
from racoon_data.dicom.meaning import Wanted
from racoon_data.dicom.series import Series
from racoon_data.dicom.stacking import stack_stored
from racoon_data.errors import InconsistentSeriesError


def stacked_in_time(stacks: Sequence[Series], wanted: Wanted) -> Stacked:
    """Read every volume into one array ``[k, j, i]``, or ``[t, k, j, i]`` where there are several.

    Volumes of one type and scale keep both; others become real values in float32.

    Raises:
        InconsistentSeriesError: The volumes differ in unit.
        DicomError: A volume cannot be stacked.
    """
    first = stack_stored(stacks[0], wanted)
    if len(stacks) == 1:
        return first
    array = np.empty((len(stacks), *first.array.shape), dtype=first.array.dtype)
    array[0] = first.array
    for t, one in enumerate(stacks[1:], start=1):
        volume = stack_stored(one, wanted)
        if volume.unit != first.unit:
            raise InconsistentSeriesError("the volumes in time differ in unit", hint="--time split keeps them apart")
        if _kind(volume) != _kind(first):
            return _as_real(stacks, wanted)
        array[t] = volume.array
    return Stacked(array, first.geometry, first.unit, first.slope, first.intercept, first.decisions)


def _kind(volume: Stacked) -> tuple[object, ...]:
    return volume.array.dtype, volume.slope, volume.intercept


def _as_real(stacks: Sequence[Series], wanted: Wanted) -> Stacked:
    first = stack_stored(stacks[0], wanted)
    array = np.empty((len(stacks), *first.array.shape), dtype=np.float32)
    for t, one in enumerate(stacks):
        array[t] = stack_stored(one, wanted).volume.array
    return Stacked(array, first.geometry, first.unit, decisions=first.decisions)
