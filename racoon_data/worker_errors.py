"""How work on many items says no: workers that die, run out of memory or are gone, and jobs that are cancelled."""

from __future__ import annotations

from racoon_data.error_base import ExitCode, RacoonError


class WorkerError(RacoonError):
    """A worker process could not do its item."""

    code = "worker.error"
    exit_code = ExitCode.PARTIAL


class WorkerKilledError(WorkerError):
    """The item killed its worker twice, the second time with nothing beside it; it is set apart, the others go on."""

    code = "worker.killed"


class WorkerMemoryError(WorkerError):
    """The item needs more memory than a worker may take."""

    code = "worker.memory"


class WorkersLostError(RacoonError):
    """The Dask scheduler or all of its workers are gone; what was finished is kept."""

    code = "worker.lost"
    exit_code = ExitCode.PEER


class InterruptedRunError(RacoonError):
    """Somebody cancelled the job; the same command continues where it stopped."""

    code = "run.cancelled"
    exit_code = ExitCode.INTERRUPTED
