"""A plan of a retrieval: which studies, how much, how long; a file that ``pull`` follows."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, ValidationError

from racoon_data.documents import read_json
from racoon_data.errors import PacsError, SchemaError
from racoon_data.events import Event, OnEvent, ignore
from racoon_data.files.atomic import write_json
from racoon_data.node_settings import Frozen
from racoon_data.pacs.expecting import Expectation
from racoon_data.pacs.profile import Speed
from racoon_data.refs import FileRef, Match, StudyRef

Count = Annotated[int, Field(ge=0)]

# Bytes of a usual instance by modality, where the node's profile has not measured any.
_USUAL_BYTES = {
    "CT": 530_000, "MR": 250_000, "PT": 70_000, "CR": 10_000_000, "DX": 15_000_000, "MG": 30_000_000, "US": 5_000_000,
    "XA": 20_000_000, "NM": 500_000, "SEG": 1_000_000, "RTSTRUCT": 2_000_000, "SR": 50_000,
}  # fmt: skip
_USUAL = 500_000
_USUAL_BYTES_PER_S = 20e6


class PlannedStudy(Frozen):
    """One study of a plan; ``counted`` tells whether the PACS announced the numbers or listed every instance."""

    study_uid: Annotated[str, Field(min_length=1)]
    modalities: tuple[str, ...] = ()
    series: Count = 0
    instances: Count = 0
    bytes: Count = 0
    counted: Literal["announced", "listed", "unknown"] = "announced"


class PullPlan(Frozen):
    """The retrieval request, what ``racoon pacs pull`` is to fetch; sizes and time are estimates, the UIDs are not."""

    schema_version: Literal["1.0"] = "1.0"
    node: str
    studies: tuple[PlannedStudy, ...]
    series: Count = 0
    instances: Count = 0
    bytes: Count = 0
    seconds: Annotated[float, Field(ge=0)] = 0.0
    is_measured: bool = False

    @property
    def refs(self) -> tuple[StudyRef, ...]:
        """The studies, in order."""
        return tuple(StudyRef(study.study_uid) for study in self.studies)


def plan_pull(
    node: str,
    matches: Iterable[Match],
    *,
    expect: Callable[[StudyRef], Expectation],
    speed: Speed | None = None,
    on_event: OnEvent = ignore,
) -> PullPlan:
    """Plan to fetch studies.

    Args:
        node: Name of the node.
        matches: Studies found, with the counts the PACS announces.
        expect: Lists the instances of a study, asked where the PACS announces no count.
        speed: What the doctor measured; usual values stand in.
        on_event: Listener, one ``plan`` event per study.
    """
    studies = []
    for done, match in enumerate(sorted(matches, key=lambda match: str(match.ref)), start=1):
        studies.append(_planned(match, expect, speed))
        on_event(Event("plan", f"study {match.ref.study_uid}", done))
    size = sum(study.bytes for study in studies)
    is_measured = speed is not None and speed.mb_per_s > 0
    pace = speed.mb_per_s * 1e6 if speed is not None and is_measured else _USUAL_BYTES_PER_S
    return PullPlan(
        node=node,
        studies=tuple(studies),
        series=sum(study.series for study in studies),
        instances=sum(study.instances for study in studies),
        bytes=size,
        seconds=round(size / pace, 1),
        is_measured=is_measured,
    )


def _planned(match: Match, expect: Callable[[StudyRef], Expectation], speed: Speed | None) -> PlannedStudy:
    ref = StudyRef(match.ref.study_uid)
    modalities = tuple(word for word in match.attributes.get("ModalitiesInStudy", "").split("\\") if word)
    series, instances = (
        _number(match.attributes.get(f"NumberOfStudyRelated{kind}", "")) for kind in ("Series", "Instances")
    )
    counted: Literal["announced", "listed", "unknown"] = "announced"
    if not instances:
        series, instances, modalities = _listed(ref, expect, modalities)
        counted = "listed" if instances else "unknown"
    each = speed.bytes_per_instance if speed is not None and speed.bytes_per_instance else _usual(modalities)
    return PlannedStudy(
        study_uid=ref.study_uid,
        modalities=modalities,
        series=series,
        instances=instances,
        bytes=instances * each,
        counted=counted,
    )


def _listed(
    ref: StudyRef, expect: Callable[[StudyRef], Expectation], modalities: tuple[str, ...]
) -> tuple[int, int, tuple[str, ...]]:
    try:
        expected = expect(ref)
    except PacsError:
        return 0, 0, modalities
    return len({one.series_uid for one in expected.instances}), len(expected.instances), expected.modalities


def _usual(modalities: tuple[str, ...]) -> int:
    return max((_USUAL_BYTES.get(word, _USUAL) for word in modalities), default=_USUAL)


def _number(text: str) -> int:
    return int(text) if text.isdigit() else 0


def write_plan(path: Path, plan: PullPlan) -> None:
    """Write a plan whole or not at all."""
    write_json(path, plan.model_dump(mode="json"))


def load_plan(path: Path) -> PullPlan:
    """Read a plan.

    Raises:
        SchemaError: The file cannot be read or is no plan.
    """
    try:
        return PullPlan.model_validate(read_json(path))
    except (OSError, ValidationError, ValueError) as error:
        hint = "write one with racoon pacs plan"
        raise SchemaError("the file is no plan of a retrieval", ref=FileRef(path.name), hint=hint) from error
