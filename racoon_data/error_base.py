"""What every racoon error carries: a code, a reference, a hint, and how a command ends."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from enum import IntEnum
from typing import ClassVar


class ExitCode(IntEnum):
    """What a command tells the shell when it ends."""

    DONE = 0
    BUG = 1
    USAGE = 2
    SETTINGS = 3
    PEER = 4
    PARTIAL = 5
    QUALITY = 6
    POLICY = 7
    NOTHING = 8
    STORAGE = 9
    INTERRUPTED = 130


_WORST_FIRST = (
    ExitCode.BUG,
    ExitCode.SETTINGS,
    ExitCode.POLICY,
    ExitCode.STORAGE,
    ExitCode.PEER,
    ExitCode.PARTIAL,
    ExitCode.QUALITY,
    ExitCode.NOTHING,
)


def worst(codes: Iterable[ExitCode]) -> ExitCode:
    """Choose the exit code to report where several hold.

    Args:
        codes: Any number of exit codes; none means done.

    Returns:
        The first of the house order (1, 3, 7, 9, 4, 5, 6, 8) that occurs, else ``DONE``.
    """
    present = set(codes)
    return next((code for code in _WORST_FIRST if code in present), ExitCode.DONE)


class RacoonError(Exception):
    """Something racoon can name.

    Attributes:
        code: Stable name of the kind of error; ``docs/errors.md`` has a section for each.
        exit_code: What a command exits with when this error ends it.
        is_skip: True where the item is set aside by a declared rule and is no failure.
        ref: The object it happened to (never a patient value).
        hint: What helps.
    """

    code: ClassVar[str] = "racoon.error"
    exit_code: ClassVar[ExitCode] = ExitCode.BUG
    is_skip: ClassVar[bool] = False

    def __init__(self, message: str, *, ref: object | None = None, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.ref = ref
        self.hint = hint

    def __str__(self) -> str:
        where = f" [{self.ref}]" if self.ref is not None else ""
        return f"{self.message}{where}"

    def __reduce__(self) -> tuple[object, ...]:
        """Cross process borders whole: keyword-only attributes travel as state."""
        return (_rebuild, (type(self), self.message, dict(self.__dict__)))


def _rebuild(kind: type[RacoonError], message: str, state: dict[str, object]) -> RacoonError:
    error = kind.__new__(kind)
    Exception.__init__(error, message)
    error.__dict__.update(state)
    return error


@contextmanager
def about(ref: object) -> Iterator[None]:
    """Attach a reference to any racoon error raised inside that does not carry one yet."""
    try:
        yield
    except RacoonError as error:
        if error.ref is None:
            error.ref = ref
        raise
