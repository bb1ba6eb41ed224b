"""How much of a walk is wanted: until which step, for which cases, by whose hands."""

from __future__ import annotations

from dataclasses import dataclass, replace

from racoon_data.errors import NothingMatchedError, SettingsError
from racoon_data.pipeline.propose import CaseItem, Proposal
from racoon_data.runner.crew import Crew
from racoon_data.site.records import STEPS


@dataclass(frozen=True, slots=True)
class Scope:
    """What of a plan is to be done.

    Attributes:
        until: The step to stop after: find, retrieve, deidentify, select or build.
        only: Case ids, or pseudonyms of patients, to build alone; empty for all.
        crew: Who builds; ``None`` for the workers of the site's settings.
        wait_s: How long to wait for another process on the site (seconds).
        job: What others are told while they wait, such as ``run lung``.
    """

    until: str = "build"
    only: tuple[str, ...] = ()
    crew: Crew | None = None
    wait_s: float = 0.0
    job: str = ""

    def __post_init__(self) -> None:
        if self.until not in STEPS:
            raise SettingsError(f"there is no step {self.until!r}", hint=f"one of {', '.join(STEPS)}")

    def reaches(self, step: str) -> bool:
        """Tell whether a step is to be done."""
        return STEPS.index(self.until) >= STEPS.index(step)

    def of(self, proposal: Proposal) -> Proposal:
        """Keep the cases that are wanted.

        Raises:
            NothingMatchedError: None of the proposed cases is among them.
        """
        if not self.only:
            return proposal
        items = tuple(item for item in proposal.items if self._is_wanted(item))
        kept_out = tuple((item, end) for item, end in proposal.kept_out if self._is_wanted(item))
        if not items and not kept_out:
            some = ", ".join(item.ref.case_id for item in proposal.items[:3]) or "none"
            hint = f"cases of this study: {some}{' ...' if len(proposal.items) > 3 else ''}"
            raise NothingMatchedError(f"no case is called {' or '.join(self.only)}", hint=hint)
        return replace(proposal, items=items, kept_out=kept_out, refused=())

    def _is_wanted(self, item: CaseItem) -> bool:
        return item.ref.case_id in self.only or item.patient in self.only


WHOLE = Scope()
