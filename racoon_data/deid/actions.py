"""What can happen to an attribute, and why it does."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Action(StrEnum):
    """What is done with one attribute."""

    KEEP = "keep"
    REMOVE = "remove"
    EMPTY = "empty"
    DUMMY = "dummy"
    MAP_UID = "map-uid"
    SHIFT = "shift-date"
    CLEAN = "clean"
    SCRUB = "scrub"
    CHECK_CODE = "check-code"
    PATIENT = "patient"
    READER = "reader"
    CAP_AGE = "cap-age"
    WALK = "walk"


@dataclass(frozen=True, slots=True)
class Decision:
    """An action with its reason.

    Attributes:
        action: What to do.
        reason: Why, for ``racoon deid explain`` and the reader of an audit.
        otherwise: What to do where nothing is left after cleaning or a date cannot be read.
    """

    action: Action
    reason: str
    otherwise: Action = Action.REMOVE
