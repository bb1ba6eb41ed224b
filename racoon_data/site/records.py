"""What a site writes about its own work: the account of a run and the record of a job."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from racoon_data.node_settings import Frozen

Count = Annotated[int, Field(ge=0)]
Step = Literal["find", "retrieve", "deidentify", "select", "build"]
STEPS: tuple[Step, ...] = ("find", "retrieve", "deidentify", "select", "build")
JobState = Literal["running", "done", "partial", "failed", "interrupted", "cancelled", "killed"]


class LeftOut(Frozen):
    """How often one reason kept something out at one step, and how many patients stand behind it."""

    step: str
    code: str
    count: Count
    patients: Count


class StageCounts(Frozen):
    """One kind of thing that came in: ``came_in`` equals used, repaired, skipped and failed together."""

    name: Literal["studies", "instances", "exports", "cases"]
    came_in: Annotated[int, Field(ge=0, alias="in")]
    used: Count
    repaired: Count = 0
    skipped: Count
    failed: Count
    patients: Count = 0
    used_patients: Count = 0
    reasons: dict[str, Count] = Field(default_factory=dict)
    left_out: tuple[LeftOut, ...] = ()


class OutcomeRow(Frozen):
    """The end of one thing that was left out or repaired (``schemas/outcome``)."""

    ref: str
    step: str
    status: Literal["done", "skipped", "failed"]
    code: str
    message: str
    hint: str


class RunAccount(Frozen):
    """The account of a run (``runs/NAME.json``): what came in equals what was used, repaired, skipped and failed.

    ``until`` names the step it stopped after; ``only`` the cases it was about, empty for all.
    """

    schema_version: Literal["1.0"] = "1.0"
    dataset: str
    site: str
    until: Step = "build"
    only: tuple[str, ...] = ()
    stages: tuple[StageCounts, ...]
    outcomes: tuple[OutcomeRow, ...] = ()


class JobStep(Frozen):
    """How far one kind of work is, and its pace."""

    kind: str
    done: Count
    total: Count | None = None
    seconds: Annotated[float, Field(ge=0)] = 0.0
    per_s: Annotated[float, Field(ge=0)] | None = None
    eta_s: Annotated[float, Field(ge=0)] | None = None


class JobError(Frozen):
    """What ended a job early."""

    code: str
    message: str
    hint: str = ""


class JobRecord(Frozen):
    """The record of a job (``runs/jobs/ID.json``): who runs which study, how far it is, how it ended.

    ``process_started`` tells a process from a later one with the same number.
    """

    schema_version: Literal["1.0"] = "1.0"
    id: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$")]
    dataset: str
    study: str
    study_sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    state: JobState = "running"
    attempt: Annotated[int, Field(ge=1)] = 1
    exit_code: int | None = None
    who: str = ""
    host: str = ""
    process: Count = 0
    process_started: str = ""
    started: str = ""
    updated: str = ""
    ended: str = ""
    until: Step = "build"
    only: tuple[str, ...] = ()
    workers: Annotated[int, Field(ge=0)] = 0
    scheduler: str = ""
    memory_mb: Count = 0
    steps: tuple[JobStep, ...] = ()
    error: JobError | None = None
