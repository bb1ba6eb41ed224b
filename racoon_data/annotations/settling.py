"""Objects without clock and chance: the same input gives the same bytes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pydicom.dataset import Dataset
from pydicom.uid import UID

from racoon_data.files.atomic import whole_file

_CLOCKED = frozenset(
    ("ContentDate", "ContentTime", "InstanceCreationDate", "InstanceCreationTime", "SeriesDate", "SeriesTime",
     "ObservationDateTime", "ContributionDateTime", "VerificationDateTime")
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Moment:
    """A date and a time, as DICOM writes them.

    Attributes:
        date: ``YYYYMMDD``.
        time: ``HHMMSS``.
    """

    date: str
    time: str

    def of(self, vr: str) -> str:
        """Give the moment as a DA, TM or DT value."""
        return {"DA": self.date, "TM": self.time}.get(vr, self.date + self.time)


def settle(dataset: Dataset, moment: Moment, uids: Mapping[str, str] | None = None) -> None:
    """Take clock and chance out of an object a library built.

    Args:
        dataset: Changed in place.
        moment: What every date and time of writing becomes.
        uids: Random UID to the one that takes its place everywhere.
    """
    replaced = uids or {}
    for element in dataset.iterall():
        if element.keyword in _CLOCKED:
            element.value = moment.of(element.VR)
        elif element.VR == "UI" and isinstance(element.value, str) and element.value in replaced:
            element.value = UID(replaced[element.value])


def save_whole(dataset: Dataset, path: Path) -> None:
    """Write an object as a DICOM file, whole or not at all.

    Raises:
        DiskFullError: No space is left.
    """
    with whole_file(path) as partial:
        dataset.save_as(partial, enforce_file_format=True)
