"""A run with a fault inside: ``python -m tests.soak.child FAULT AMOUNT ARGUMENTS...`` is ``racoon ARGUMENTS...``.

``full`` fails the write number AMOUNT with ENOSPC, as a full disk does; ``clock`` sets the clock AMOUNT seconds off.
"""

from __future__ import annotations

import errno
import os
import sys
import time
from typing import Any

from racoon_data.cli.main import app
from racoon_data.files import atomic


def fill_disk(after: int) -> None:
    """Let every rename of a finished file fail from the given one on: the moment at which a full disk tells late."""
    rename, done = os.replace, [0]

    def replace(source: Any, target: Any) -> None:
        done[0] += 1
        if done[0] > after:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(target))
        rename(source, target)

    atomic.os.replace = replace  # type: ignore[attr-defined]


def shift_clock(seconds: float) -> None:
    """Let the wall clock of this process be off; the monotonic one is not."""
    now = time.time
    time.time = lambda: now() + seconds


if __name__ == "__main__":
    fault, amount, *arguments = sys.argv[1:]
    if fault == "full":
        fill_disk(int(amount))
    elif fault == "clock":
        shift_clock(float(amount))
    app(arguments, prog_name="racoon")
