"""How many volumes may be in memory at a time: as many as fit, whatever number of workers was asked for."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from itertools import accumulate
from pathlib import Path

from racoon_data.convert.joining import Stacks

_VOXEL_BYTES = 4  # float32, the widest a volume is written in
_PER_VOLUME = 1.5
_CGROUP = Path("/sys/fs/cgroup")
_MEMINFO = Path("/proc/meminfo")


def needed_bytes(stacks: Stacks) -> int:
    """Give the memory that converting a volume takes at most: one and a half times its voxels in single precision."""
    voxels = sum(one.slices[0].rows * one.slices[0].columns * len(one.slices) for one in stacks if one.slices)
    return int(_PER_VOLUME * _VOXEL_BYTES * voxels)


def workers_that_fit(items: Iterable[Stacks], workers: int, available_bytes: int | None) -> int:
    """Say how many workers may run: so many that the largest volumes, one for each, fit together.

    Args:
        items: The volumes to convert.
        workers: How many were asked for.
        available_bytes: Memory there is, ``None`` where that is not known.

    Returns:
        At least one.
    """
    if available_bytes is None:
        return workers
    largest = sorted(map(needed_bytes, items), reverse=True)[:workers]
    fitting = sum(total <= available_bytes for total in accumulate(largest))
    return max(1, fitting if fitting < len(largest) else workers)


def available_bytes() -> int | None:
    """Give the memory this process may still take: what the machine has free, or its container lets it have."""
    return min((size for size in (_free(), _allowed()) if size is not None), default=None)


def _free() -> int | None:
    with suppress(OSError, ValueError):
        lines = _MEMINFO.read_text(encoding="ascii").splitlines()
        return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:")), None)
    return None


def _allowed(folder: Path = _CGROUP) -> int | None:
    """What a container's limit (cgroup 2) leaves."""
    with suppress(OSError, ValueError):
        limit, used = (int((folder / f"memory.{name}").read_text(encoding="ascii")) for name in ("max", "current"))
        return max(0, limit - used)
    return None
