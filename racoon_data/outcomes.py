"""What became of each item: done, skipped or failed, with a code, and sums that agree."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from enum import StrEnum

from racoon_data.errors import ExitCode, RacoonError
from racoon_data.refs import Ref


class Status(StrEnum):
    """How an item ended."""

    DONE = "done"
    SKIPPED = "skipped"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Outcome:
    """The end of one item at one step.

    Attributes:
        ref: The item.
        step: The verb it ended at, such as ``stack``.
        status: done, skipped (a declared rule set it aside) or failed.
        code: Error code, empty when done.
        message: What happened, without patient values.
        hint: What helps.
    """

    ref: Ref
    step: str
    status: Status = Status.DONE
    code: str = ""
    message: str = ""
    hint: str = ""

    def to_json(self) -> dict[str, str]:
        """Give the outcome as a JSON document (``schemas/outcome``)."""
        return {**asdict(self), "ref": str(self.ref), "status": str(self.status)}


def outcome_of(error: RacoonError, *, ref: Ref, step: str) -> Outcome:
    """Turn an error into the outcome of the item it happened to."""
    status = Status.SKIPPED if error.is_skip else Status.FAILED
    return Outcome(ref, step, status, error.code, error.message, error.hint)


@dataclass(frozen=True, slots=True)
class Tally:
    """Counts of outcomes; ``total`` is their sum."""

    done: int = 0
    skipped: int = 0
    failed: int = 0

    @property
    def total(self) -> int:
        """How many items came in."""
        return self.done + self.skipped + self.failed


def tally(outcomes: Iterable[Outcome]) -> Tally:
    """Count outcomes by status."""
    counts = Counter(outcome.status for outcome in outcomes)
    return Tally(counts[Status.DONE], counts[Status.SKIPPED], counts[Status.FAILED])


def exit_code_of(outcomes: Iterable[Outcome]) -> ExitCode:
    """Say how a command ends: 5 where an item failed, else 0."""
    return ExitCode.PARTIAL if tally(outcomes).failed else ExitCode.DONE
