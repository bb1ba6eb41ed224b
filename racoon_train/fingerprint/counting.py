"""One site's fingerprint: count in fixed bins, then keep back what too few patients stand behind."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np
import numpy.typing as npt

from racoon_data.disclosure import Cell, publish, publish_total
from racoon_data.errors import DatasetError
from racoon_data.events import OnEvent, ignore
from racoon_data.files.nifti import read_nifti_grid
from racoon_data.labels import IGNORE
from racoon_data.outcomes import Status
from racoon_data.refs import CaseRef
from racoon_data.runner.run import run_items
from racoon_train.data.dataset import Dataset, TrainCase, read_arrays
from racoon_train.fingerprint.document import Cells, ChannelPart, ClassPart, Fingerprint
from racoon_train.job.job import Job, JobLabel
from racoon_train.job.statistics import StatisticsSettings

Bins = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Counted:
    """What is counted in one case; it never leaves the site.

    Attributes:
        patient: Pseudonym.
        voxels: int64 ``[channels, bins]``.
        foreground: int64 ``[channels, bins]``, inside annotated labels.
        spacing_cells: Spacing cell along i, j, k.
        size_cells: Size cell along i, j, k.
        class_voxels: Voxels by class name, for the annotated classes alone.
    """

    patient: str
    voxels: Bins
    foreground: Bins
    spacing_cells: tuple[int, ...]
    size_cells: tuple[int, ...]
    class_voxels: Mapping[str, int]


def fingerprint_of(dataset: Dataset, job: Job, *, workers: int = 1, on_event: OnEvent = ignore) -> Fingerprint:
    """Count the training cases of a dataset and keep small cells back.

    Intensity bins that fewer than ``statistics.smallest`` patients share are added to the nearest bin that
    enough share, so that sums stay exact and extremes are not told; a site with fewer patients than that tells
    no intensity at all. Cells of spacing, size and class are hidden, with what would give them away.

    Args:
        dataset: A verified dataset.
        job: Classes and bins.
        workers: Processes that read.
        on_event: Listener (kind ``fingerprint``).

    Raises:
        DatasetError: There is no training case, or one cannot be read.
    """
    items = [(CaseRef(case.case_id), case) for case in dataset.split("train")]
    counting = partial(count_case, labels=job.labels, statistics=job.statistics)
    results = list(run_items("fingerprint", items, counting, workers=workers, on_event=on_event))
    failed = [result.outcome for result in results if result.outcome.status is not Status.DONE]
    if failed or not items:
        raise DatasetError("not every training case can be counted", ref=dataset.name, hint="racoon dataset check")
    return told([result.value for result in results if result.value is not None], job)


def count_case(case: TrainCase, *, labels: Sequence[JobLabel], statistics: StatisticsSettings) -> Counted:
    """Count one case.

    Raises:
        DatasetError: It cannot be read.
    """
    image, label = read_arrays(case)
    grid = read_nifti_grid(case.label)
    marked = (label > 0) & (label != IGNORE)
    return Counted(
        patient=case.patient,
        voxels=np.stack([_binned(channel, statistics) for channel in image]),
        foreground=np.stack([_binned(channel[marked], statistics) for channel in image]),
        spacing_cells=tuple(round(spacing / statistics.spacing_mm) for spacing in grid.spacing_mm),
        size_cells=tuple(round(size / statistics.size) for size in grid.shape),
        class_voxels={one.name: int((label == one.value).sum()) for one in labels if one.name in case.annotated},
    )


def _binned(values: npt.NDArray[np.float32], statistics: StatisticsSettings) -> Bins:
    places = np.floor((values.ravel() - statistics.low) / statistics.width)
    return np.bincount(np.clip(places, 0, statistics.bins - 1).astype(np.int64), minlength=statistics.bins)


def told(counted: Sequence[Counted], job: Job) -> Fingerprint:
    """Give what may leave the site of everything that was counted."""
    smallest = job.statistics.smallest
    totals = _Totals()
    for one in counted:
        totals.add(one, [label.name for label in job.labels])
    is_silent = len(totals.patients) < smallest
    channels = range(len(counted[0].voxels))
    intensities = [_intensities(counted, channel, smallest=smallest) for channel in channels]
    return Fingerprint(
        statistics=job.statistics,
        silent=int(is_silent),
        cases=publish_total({"cases": Cell(len(counted), len(totals.patients))}, smallest=smallest),
        channels=tuple(
            ChannelPart(name=str(channel), voxels=voxels, foreground=foreground)
            for channel, (voxels, foreground) in enumerate(intensities)
        ),
        spacing_mm=totals.three("spacing", smallest),
        size=totals.three("size", smallest),
        classes=tuple(totals.of_class(label.name, smallest) for label in job.labels),
    )


def _intensities(counted: Sequence[Counted], channel: int, *, smallest: int) -> tuple[Cells, Cells]:
    return (
        _rounded(counted, lambda one: one.voxels[channel], smallest),
        _rounded(counted, lambda one: one.foreground[channel], smallest),
    )


def _rounded(counted: Sequence[Counted], bins_of: Callable[[Counted], Bins], smallest: int) -> Cells:
    """Sum the bins of all cases; those of too few patients are added to the nearest that enough share."""
    total = np.sum([bins_of(one) for one in counted], axis=0)
    patients: dict[str, npt.NDArray[np.bool_]] = {}
    for one in counted:
        patients[one.patient] = patients.get(one.patient, np.False_) | (bins_of(one) > 0)
    people = np.sum(list(patients.values()), axis=0)
    shown = np.flatnonzero(people >= smallest)
    if not shown.size:
        return {}
    filled = np.flatnonzero(total)
    after = np.searchsorted(shown, filled).clip(max=shown.size - 1)
    before = (after - 1).clip(min=0)
    is_nearer_before = np.abs(filled - shown[before]) <= np.abs(shown[after] - filled)
    nearest = np.where(is_nearer_before, shown[before], shown[after])
    sums = np.bincount(nearest, weights=total[filled]).astype(np.int64)
    return {int(place): int(sums[place]) for place in np.flatnonzero(sums)}


@dataclass(slots=True)
class _Totals:
    """Cases and patients by cell."""

    patients: set[str] = field(default_factory=set)
    cells: dict[tuple[str, str], list[str]] = field(default_factory=lambda: defaultdict(list))
    class_voxels: dict[str, int] = field(default_factory=lambda: defaultdict(int))

    def add(self, one: Counted, names: Sequence[str]) -> None:
        self.patients.add(one.patient)
        for axis in range(3):
            self.cells[f"spacing{axis}", str(one.spacing_cells[axis])].append(one.patient)
            self.cells[f"size{axis}", str(one.size_cells[axis])].append(one.patient)
        for name in names:
            voxels = one.class_voxels.get(name)
            state = "not_annotated" if voxels is None else "present" if voxels else "absent"
            self.cells[name, state].append(one.patient)
            self.class_voxels[name] += voxels or 0

    def shown(self, table: str, smallest: int) -> dict[str, int]:
        """Give the cells of one table that may be told."""
        cells = {cell: Cell(len(who), len(set(who))) for (name, cell), who in self.cells.items() if name == table}
        counts = publish(cells, smallest=smallest)
        return {cell: count for cell, count in counts.items() if count is not None}

    def three(self, table: str, smallest: int) -> tuple[Cells, Cells, Cells]:
        first, second, third = (
            {int(cell): count for cell, count in sorted(self.shown(f"{table}{axis}", smallest).items())}
            for axis in range(3)
        )
        return first, second, third

    def of_class(self, name: str, smallest: int) -> ClassPart:
        states = self.shown(name, smallest)
        voxels = self.class_voxels[name] if states.get("present") else None
        return ClassPart(name=name, voxels=voxels, **states)
