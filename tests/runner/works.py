"""Work for workers, importable by name; run as a program it is a small cluster that prints its address."""

import contextlib
import os
import time
from pathlib import Path

import numpy as np

from racoon_data.console import result
from racoon_data.errors import UnreadableError


def double(number):
    """Double a number; one of them cannot be read."""
    if number == 1:
        raise UnreadableError("unreadable")
    return 2 * number


def die(item):
    """Take the process down: the third item always, the first one once."""
    number, folder = item
    tries = len(list(Path(folder).glob(f"try-{number}-*")))
    (Path(folder) / f"try-{number}-{tries}").touch()
    if number == 3 or (number == 1 and not tries):
        os._exit(9)
    return number


def fill(number):
    """Take four gigabytes for one of the items."""
    return float(np.ones((4 << 30) if number == 1 else 10, dtype=np.uint8).sum())


def sees_nothing(folder):
    """Stand for a machine without the shared disk."""
    return False


def other_software():
    """Stand for a machine with another version."""
    return {"racoon": str(os.getpid())}


if __name__ == "__main__":
    from dask.distributed import LocalCluster

    with LocalCluster(2, threads_per_worker=1, dashboard_address="127.0.0.1:0", silence_logs=50) as cluster:
        result(cluster.scheduler_address)
        with contextlib.suppress(KeyboardInterrupt):
            time.sleep(120)
