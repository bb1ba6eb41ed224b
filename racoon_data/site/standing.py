"""Where a site stands, and what of it may leave: documents of the study monitor."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from racoon_data.node_settings import Frozen
from racoon_data.site.records import Count, JobRecord, StageCounts

Shown = Count | None


class Stuck(Frozen):
    """Instances that were expected and are not there: how many, and the age of the oldest (seconds)."""

    state: Literal["wanted", "failed", "refused", "conflicting"]
    count: Count
    oldest_s: Count


class DatasetStanding(Frozen):
    """One dataset: its account, the latest job that worked on it, and whether it was published."""

    name: str
    is_published: bool
    stages: tuple[StageCounts, ...] = ()
    job: JobRecord | None = None


class SiteStatus(Frozen):
    """Where a site stands (``racoon status --json``); it stays at the site."""

    schema_version: Literal["1.0"] = "1.0"
    site: str
    time: str
    busy: str = ""
    instances: dict[str, Count] = Field(default_factory=dict)
    bytes: Count = 0
    studies: dict[str, Count] = Field(default_factory=dict)
    stuck: tuple[Stuck, ...] = ()
    quarantined: Count = 0
    failures: dict[str, Count] = Field(default_factory=dict)
    disk_free_bytes: Count = 0
    datasets: tuple[DatasetStanding, ...] = ()


class ExportedStage(Frozen):
    """Counts of one stage that may leave the site; ``null`` is a hidden small cell."""

    name: Literal["studies", "instances", "exports", "cases"]
    came_in: Annotated[Shown, Field(alias="in")] = None
    used: Shown = None
    left_out: dict[str, Shown] = Field(default_factory=dict)


class ExportedDataset(Frozen):
    """One dataset, as counts alone."""

    name: str
    is_published: bool
    job: Literal["", "running", "done", "partial", "failed", "interrupted", "cancelled", "killed"] = ""
    stages: tuple[ExportedStage, ...] = ()


class StatusExport(Frozen):
    """What a site tells the coordinator: counts alone, small cells hidden (``racoon status --export``)."""

    schema_version: Literal["1.0"] = "1.0"
    site: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,30}$")]
    time: str
    smallest_cell: Annotated[int, Field(ge=2)]
    oldest_stuck_days: Count | None = None
    datasets: tuple[ExportedDataset, ...] = ()


class JoinedCount(Frozen):
    """A sum over sites: at least so many, and at how many sites the count is hidden."""

    at_least: Count = 0
    hidden_at: Count = 0


class JoinedStage(Frozen):
    """Counts of one stage over all sites."""

    name: str
    came_in: Annotated[JoinedCount, Field(alias="in")] = JoinedCount()
    used: JoinedCount = JoinedCount()
    left_out: dict[str, JoinedCount] = Field(default_factory=dict)


class JoinedDataset(Frozen):
    """One dataset over all sites that have it."""

    name: str
    sites: tuple[str, ...]
    stages: tuple[JoinedStage, ...]


class JoinedStatus(Frozen):
    """Several sites on one page (``racoon status --merge``)."""

    schema_version: Literal["1.0"] = "1.0"
    sites: tuple[StatusExport, ...]
    datasets: tuple[JoinedDataset, ...]
