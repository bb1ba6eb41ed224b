"""The account of a walk: what came in equals what was used, repaired, skipped and failed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from racoon_data.files.atomic import write_json, write_text
from racoon_data.outcomes import Outcome, Status, Tally, tally
from racoon_data.pipeline.flow import flow_svg, flow_text
from racoon_data.refs import CaseRef, InstanceRef, SeriesRef, StudyRef

_NOBODY: Mapping[str, str] = {}
# Whom a thing belongs to that names neither study nor case is not known: all of these count as one person.
_UNKNOWN = ""


@dataclass(frozen=True, slots=True)
class Stage:
    """One line of the account.

    Attributes:
        name: What is counted.
        outcomes: One outcome for everything that came in.
    """

    name: str
    outcomes: tuple[Outcome, ...]

    @property
    def counts(self) -> Tally:
        """Sums by status; what was repaired is among the done."""
        return tally(self.outcomes)

    @property
    def left_out(self) -> tuple[Outcome, ...]:
        """Everything that was skipped or failed."""
        return tuple(outcome for outcome in self.outcomes if outcome.status is not Status.DONE)

    @property
    def repaired(self) -> tuple[Outcome, ...]:
        """Everything that was used after something about it was repaired."""
        return tuple(outcome for outcome in self.outcomes if outcome.status is Status.DONE and outcome.message)

    @property
    def codes(self) -> dict[str, int]:
        """How often each reason was given, most frequent first."""
        counter = Counter(outcome.code for outcome in self.left_out)
        return dict(sorted(counter.items(), key=lambda entry: (-entry[1], entry[0])))

    def to_json(self, patients: Mapping[str, str] = _NOBODY) -> dict[str, Any]:
        """Give the line as JSON.

        Args:
            patients: Pseudonym by study UID and case id, to count the persons behind each number.
        """
        counts, repaired = self.counts, len(self.repaired)
        groups = sorted({(outcome.step, outcome.code) for outcome in self.left_out})
        return {
            "name": self.name,
            "in": counts.total,
            "used": counts.done - repaired,
            "repaired": repaired,
            "skipped": counts.skipped,
            "failed": counts.failed,
            "patients": _people(self.outcomes, patients),
            "used_patients": _people((one for one in self.outcomes if one.status is Status.DONE), patients),
            "reasons": self.codes,
            "left_out": [self._group(step, code, patients) for step, code in groups],
        }

    def _group(self, step: str, code: str, patients: Mapping[str, str]) -> dict[str, Any]:
        members = [outcome for outcome in self.left_out if (outcome.step, outcome.code) == (step, code)]
        return {"step": step, "code": code, "count": len(members), "patients": _people(members, patients)}


def _people(outcomes: Iterable[Outcome], patients: Mapping[str, str]) -> int:
    return len({patients.get(_owner(outcome), _UNKNOWN) for outcome in outcomes})


def _owner(outcome: Outcome) -> str:
    match outcome.ref:
        case StudyRef(uid) | SeriesRef(uid, _) | InstanceRef(uid, _, _):
            return uid
        case CaseRef(name):
            return name
        case _:
            return ""


@dataclass(frozen=True, slots=True)
class Account:
    """Everything that came in, by stage.

    Attributes:
        dataset: Folder of the dataset that was built.
        stages: Instances and cases.
        patients: Pseudonym by study UID and case id.
        until: The step it stopped after.
        only: The cases it was about; empty for all.
        site: Alias of the site.
    """

    dataset: Path
    stages: tuple[Stage, ...]
    patients: Mapping[str, str] = field(default_factory=dict, repr=False)
    until: str = "build"
    only: tuple[str, ...] = ()
    site: str = ""

    @property
    def cases_used(self) -> int:
        """How many cases are in the dataset."""
        return self.stages[-1].counts.done

    @property
    def outcomes(self) -> tuple[Outcome, ...]:
        """Every outcome of every stage."""
        return tuple(outcome for stage in self.stages for outcome in stage.outcomes)

    def to_json(self) -> dict[str, Any]:
        """Give the account as JSON, without single outcomes."""
        return {
            "schema_version": "1.0",
            "dataset": self.dataset.name,
            "site": self.site,
            "until": self.until,
            "only": list(self.only),
            "stages": [stage.to_json(self.patients) for stage in self.stages],
        }

    def write(self, path: Path) -> None:
        """Write the account with every outcome that is not plainly used, and its flow as text and picture."""
        rows = [outcome.to_json() for stage in self.stages for outcome in (*stage.left_out, *stage.repaired)]
        document = self.to_json()
        write_json(path, {**document, "outcomes": rows})
        write_text(path.with_suffix(".txt"), flow_text(document))
        write_text(path.with_suffix(".svg"), flow_svg(document))
