"""The fingerprint as it travels: histograms with fixed bins and counts, which add up in any order."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field

from racoon_data import schemas
from racoon_data.documents import read_json
from racoon_data.errors import FederationError, SettingsError
from racoon_data.settings import Frozen
from racoon_train.job.statistics import StatisticsSettings

Count = Annotated[int, Field(ge=0)]
Cells = dict[int, Count]


class ChannelPart(Frozen):
    """Intensities of one channel.

    Attributes:
        name: Its number, from 0.
        voxels: Voxels by intensity bin, all of the image.
        foreground: Voxels by intensity bin, of annotated labels alone.
    """

    name: str
    voxels: Cells = Field(default_factory=dict)
    foreground: Cells = Field(default_factory=dict)


class ClassPart(Frozen):
    """How often a class occurs.

    Attributes:
        name: Class name.
        present: Cases that have it; ``None`` where too few to tell.
        absent: Cases somebody searched in vain.
        not_annotated: Cases nobody searched.
        voxels: Its voxels.
    """

    name: str
    present: Count | None = None
    absent: Count | None = None
    not_annotated: Count | None = None
    voxels: Count | None = None


class Fingerprint(Frozen):
    """What one or several sites tell of their training cases (``schemas/fingerprint``).

    Cells with fewer patients than the job's ``statistics.smallest`` are not in it, and nothing that gives
    them away by subtraction.

    Attributes:
        schema_version: Version of this layout.
        statistics: The bins.
        sites: Sites in the sum.
        silent: Sites among them that are too small to tell any intensity.
        cases: Cases behind the sum; ``None`` where it would give a hidden cell away.
        channels: Intensities.
        spacing_mm: Cases by spacing cell, along i, j, k; the cell's number times its width is its middle.
        size: Cases by size cell, along i, j, k.
        classes: Classes of the job.
    """

    schema_version: Literal["1.0"] = "1.0"
    statistics: StatisticsSettings
    sites: Annotated[int, Field(ge=1)] = 1
    silent: Count = 0
    cases: Count | None = None
    channels: tuple[ChannelPart, ...]
    spacing_mm: tuple[Cells, Cells, Cells]
    size: tuple[Cells, Cells, Cells]
    classes: tuple[ClassPart, ...]

    def to_json(self) -> dict[str, Any]:
        """Give the document; bins are texts, as JSON wants keys."""
        return self.model_dump(mode="json")

    def merged(self, other: Self) -> Self:
        """Add another fingerprint; the order of sites makes no difference.

        Raises:
            FederationError: The two do not count the same things.
        """
        if self._kinds() != other._kinds():
            raise FederationError("fingerprints count different things", hint="make them by one job")
        return type(self)(
            statistics=self.statistics,
            sites=self.sites + other.sites,
            silent=self.silent + other.silent,
            cases=_sum(self.cases, other.cases),
            channels=tuple(map(_channel, self.channels, other.channels)),
            spacing_mm=_three(self.spacing_mm, other.spacing_mm),
            size=_three(self.size, other.size),
            classes=tuple(map(_class, self.classes, other.classes)),
        )

    def _kinds(self) -> tuple[object, ...]:
        return self.statistics, [part.name for part in self.channels], [part.name for part in self.classes]


def merge(fingerprints: Sequence[Fingerprint]) -> Fingerprint:
    """Add the fingerprints of several sites.

    Raises:
        FederationError: There is none, or they do not count the same things.
    """
    if not fingerprints:
        raise FederationError("no site told anything", hint="name at least one fingerprint")
    total, *others = fingerprints
    for other in others:
        total = total.merged(other)
    return total


def _sum(first: int | None, second: int | None) -> int | None:
    """Add what is told; a site that hides a count adds nothing."""
    return second if first is None else first if second is None else first + second


def _cells(first: Mapping[int, int], second: Mapping[int, int]) -> Cells:
    total = Counter(first)
    total.update(second)
    return dict(sorted(total.items()))


def _three(first: tuple[Cells, Cells, Cells], second: tuple[Cells, Cells, Cells]) -> tuple[Cells, Cells, Cells]:
    return _cells(first[0], second[0]), _cells(first[1], second[1]), _cells(first[2], second[2])


def _channel(first: ChannelPart, second: ChannelPart) -> ChannelPart:
    voxels, foreground = _cells(first.voxels, second.voxels), _cells(first.foreground, second.foreground)
    return ChannelPart(name=first.name, voxels=voxels, foreground=foreground)


def _class(first: ClassPart, second: ClassPart) -> ClassPart:
    return ClassPart(
        name=first.name,
        present=_sum(first.present, second.present),
        absent=_sum(first.absent, second.absent),
        not_annotated=_sum(first.not_annotated, second.not_annotated),
        voxels=_sum(first.voxels, second.voxels),
    )


def load_fingerprint(path: Path) -> Fingerprint:
    """Read a fingerprint.

    Raises:
        SchemaError: It does not fit its schema.
        SettingsError: The file cannot be read.
    """
    try:
        document = read_json(path)
    except (OSError, ValueError) as error:
        raise SettingsError(f"{path} is no readable fingerprint", hint="racoon train fingerprint writes one") from error
    schemas.validate("fingerprint", document)
    return Fingerprint.model_validate(document)
