"""Who does the work: this process, local processes, a Dask cluster on this machine or a scheduler elsewhere."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

LOCAL = "local"


@dataclass(frozen=True, slots=True)
class Crew:
    """How many hands, and where.

    Attributes:
        workers: Local worker processes; 1 works in this process.
        scheduler: Address of a Dask scheduler; ``local`` starts a cluster of ``workers`` on this machine.
        memory_mb: Most memory of one worker (MiB); 0 sets no bound.
        folder: Folder that every worker must see, because results are written there.
    """

    workers: int = 1
    scheduler: str | None = None
    memory_mb: int = 0
    folder: Path | None = None
