"""Ends a process with the one that started it, however that one ended, and everything it started itself."""

from __future__ import annotations

import os
import signal
import threading
import time
from contextlib import suppress

PARENT_VARIABLE = "RACOON_PARENT"
_WATCH_S = 0.5
_GRACE_S = 4.0


def end_with_parent(parent: int) -> None:
    """Watch the parent from a thread; when it is gone, end this process and its descendants.

    Args:
        parent: Process id of who started us. Where it is gone already, the watch ends us at once.
    """

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(_WATCH_S)
        end_family()
        os._exit(1)

    threading.Thread(target=watch, name="leash", daemon=True).start()


def end_family() -> None:
    """End everything this process started: politely first, then for certain."""
    import psutil

    family = psutil.Process().children(recursive=True)
    for signal_number in (signal.SIGTERM, signal.SIGKILL):
        for each in family:
            with suppress(psutil.NoSuchProcess):
                each.send_signal(signal_number)
        family = psutil.wait_procs(family, timeout=_GRACE_S)[1]
