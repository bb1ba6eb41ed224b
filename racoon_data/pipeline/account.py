"""The account of a walk: what came in equals what was used, skipped and failed."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from racoon_data.files.atomic import write_json
from racoon_data.outcomes import Outcome, Status, Tally, tally


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
        """Sums by status."""
        return tally(self.outcomes)

    @property
    def left_out(self) -> tuple[Outcome, ...]:
        """Everything that was skipped or failed."""
        return tuple(outcome for outcome in self.outcomes if outcome.status is not Status.DONE)

    @property
    def codes(self) -> dict[str, int]:
        """How often each reason was given, most frequent first."""
        counter = Counter(outcome.code for outcome in self.left_out)
        return dict(sorted(counter.items(), key=lambda entry: (-entry[1], entry[0])))

    def to_json(self) -> dict[str, object]:
        """Give the line as JSON."""
        counts = self.counts
        return {
            "name": self.name,
            "in": counts.total,
            "used": counts.done,
            "skipped": counts.skipped,
            "failed": counts.failed,
            "reasons": self.codes,
        }


@dataclass(frozen=True, slots=True)
class Account:
    """Everything that came in, by stage.

    Attributes:
        dataset: Folder of the dataset that was built.
        stages: Instances and cases.
    """

    dataset: Path
    stages: tuple[Stage, ...]

    @property
    def cases_used(self) -> int:
        """How many cases are in the dataset."""
        return self.stages[-1].counts.done

    @property
    def outcomes(self) -> tuple[Outcome, ...]:
        """Every outcome of every stage."""
        return tuple(outcome for stage in self.stages for outcome in stage.outcomes)

    def to_json(self) -> dict[str, object]:
        """Give the account as JSON."""
        stages = [stage.to_json() for stage in self.stages]
        return {"dataset": self.dataset.name, "stages": stages}

    def write(self, path: Path) -> None:
        """Write the account and every outcome that is not done."""
        left_out = [outcome.to_json() for stage in self.stages for outcome in stage.left_out]
        write_json(path, {**self.to_json(), "outcomes": left_out})
