"""What the doctor writes down: findings with their remedies, and the values of the profile."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from racoon_data.pacs.profile import Finding

# The ways to retrieve, the best first: C-GET needs no listener, WADO-RS no association, C-MOVE a way back to us.
PREFERENCE = ("get", "wado", "move")


@dataclass
class Chart:
    """What was found so far.

    Attributes:
        values: Fields of the profile.
        findings: Sentences, in order.
        studies: Some studies it holds, with what it announces about them.
    """

    values: dict[str, Any] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)
    studies: list[dict[str, str]] = field(default_factory=list)

    def good(self, check: str, message: str) -> None:
        """Note what works."""
        self.findings.append(Finding(check=check, result="good", message=message))

    def limited(self, check: str, message: str, remedy: str) -> None:
        """Note what works with a limit."""
        self.findings.append(Finding(check=check, result="limited", message=message, remedy=remedy))

    def bad(self, check: str, message: str, remedy: str) -> None:
        """Note what does not work."""
        self.findings.append(Finding(check=check, result="bad", message=message, remedy=remedy))

    def unknown(self, check: str, message: str, remedy: str) -> None:
        """Note what was not tried."""
        self.findings.append(Finding(check=check, result="unknown", message=message, remedy=remedy))

    @property
    def methods(self) -> tuple[str, ...]:
        """The ways to retrieve that are left, the best first."""
        found: tuple[str, ...] = self.values.get("methods", ())
        return found

    def offer(self, *methods: str) -> None:
        """Note ways to retrieve."""
        known = {*self.methods, *methods}
        self.values["methods"] = tuple(name for name in PREFERENCE if name in known)

    def withdraw(self, method: str) -> None:
        """Note that a way to retrieve, though offered, brings nothing."""
        self.values["methods"] = tuple(name for name in self.methods if name != method)
