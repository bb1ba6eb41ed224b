"""One thing a doctor looked at: how it is, in a sentence, and what helps."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Literal

# Extensions add checks: a function in this entry-point group takes the site's settings (or None) and yields checks.
GROUP = "racoon.checks"
Verdict = Literal["good", "limited", "bad", "unknown"]


@dataclass(frozen=True, slots=True)
class Check:
    """The end of one check.

    Attributes:
        name: What was looked at.
        verdict: good; limited (it works, and something is missing); bad; unknown (it could not be looked at).
        message: What it is, without patient values and secrets.
        remedy: What helps; empty where nothing has to.
    """

    name: str
    verdict: Verdict
    message: str
    remedy: str = ""

    def to_json(self) -> dict[str, str]:
        """Give the check as JSON."""
        return asdict(self)
