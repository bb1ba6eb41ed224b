"""Jobs of a site: each run leaves a record that tells who runs what, how far it is and how it ended."""

from __future__ import annotations

import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from pydantic import ValidationError

from racoon_data.documents import read_json
from racoon_data.errors import InterruptedRunError, SettingsError
from racoon_data.events import NOTE, Event
from racoon_data.files.atomic import write_json, write_text
from racoon_data.rates import Rates
from racoon_data.site.audit import account
from racoon_data.site.records import JobError, JobRecord, JobState, JobStep

FOLDER = "jobs"
_EACH_S = 1.0


def job_path(runs: Path, name: str) -> Path:
    """Name the file of a job."""
    return runs / FOLDER / f"{name}.json"


def jobs_of(runs: Path) -> tuple[JobRecord, ...]:
    """Read every job of a site, the oldest first; one whose process is gone is told as killed."""
    return tuple(sorted(_records(runs), key=lambda job: (job.started, job.id)))


def _records(runs: Path) -> Iterator[JobRecord]:
    for path in (runs / FOLDER).glob("*.json"):
        with suppress(OSError, ValueError, ValidationError):  # a record that was damaged hides no other
            yield _seen(JobRecord.model_validate(read_json(path)))


def find_job(runs: Path, name: str) -> JobRecord:
    """Give one job; ``last`` is the latest.

    Raises:
        SettingsError: There is no such job.
    """
    jobs = jobs_of(runs)
    found = [job for job in jobs if job.id == name] or (list(jobs[-1:]) if name == "last" else [])
    if not found:
        known = ", ".join(job.id for job in jobs[-5:]) or "none yet"
        raise SettingsError(f"there is no job {name}", hint=f"the latest: {known}; racoon jobs list shows all")
    return found[0]


def _seen(job: JobRecord) -> JobRecord:
    if job.state == "running" and job.host == socket.gethostname() and not is_alive(job):
        return job.model_copy(update={"state": "killed"})
    return job


def is_alive(job: JobRecord) -> bool:
    """Tell whether the process of a job still lives on this host; its number alone may be somebody else's by now."""
    return bool(job.process) and process_started(job.process) == job.process_started != ""


def process_started(process: int) -> str:
    """Give the kernel's start time of a process, empty where it is gone."""
    try:
        text = Path(f"/proc/{process}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    fields = text.rpartition(")")[2].split()
    return "" if fields[0] == "Z" else fields[19]  # a zombie has ended; field 22 of proc(5) is the start time


def begin(runs: Path, job: JobRecord) -> JobRecord:
    """Give a new job its name and note that it runs in this process.

    Args:
        runs: Folder of the site's runs.
        job: What is to be done; with a name it goes on as its next attempt.
    """
    now = _now()
    taken = {one.stem for one in (runs / FOLDER).glob("*.json")}
    name = next(text for number in range(1, len(taken) + 2) if (text := f"{job.dataset}-{number:04d}") not in taken)
    again = {"attempt": job.attempt + 1, "error": None, "exit_code": None, "ended": ""}
    fresh = {"id": name, "started": now}
    mine = {"state": "running", "updated": now, "who": job.who or account(), "host": socket.gethostname()}
    here = {"process": os.getpid(), "process_started": process_started(os.getpid())}
    begun = job.model_copy(update={**mine, **here, **(again if job.started else fresh)})
    cancel_path(runs, begun.id).unlink(missing_ok=True)
    write_json(job_path(runs, begun.id), begun.model_dump(mode="json"))
    return begun


def end(runs: Path, job: JobRecord, state: JobState, *, exit_code: int, error: JobError | None = None) -> JobRecord:
    """Note how a job ended."""
    ended = job.model_copy(
        update={"state": state, "exit_code": exit_code, "error": error, "ended": _now(), "updated": _now()}
    )
    write_json(job_path(runs, job.id), ended.model_dump(mode="json"))
    cancel_path(runs, job.id).unlink(missing_ok=True)
    return ended


def cancel_path(runs: Path, name: str) -> Path:
    """Name the file by which a job is asked to stop, also from another host."""
    return runs / FOLDER / f"{name}.cancel"


def cancel(runs: Path, job: JobRecord, *, who: str) -> None:
    """Ask a running job to stop; it ends at its next item, and nothing that was finished is lost."""
    write_text(cancel_path(runs, job.id), f"{who}\n")
    if job.host == socket.gethostname() and is_alive(job):
        os.kill(job.process, signal.SIGINT)


class Progress:
    """A listener that keeps the record of a job up to date, and stops the job when it is cancelled.

    Attributes:
        job: The record as it is now.
    """

    def __init__(self, runs: Path, job: JobRecord) -> None:
        """Listen for a job that has begun."""
        self.job = job
        self._runs = runs
        self._rates = Rates()
        self._began: dict[str, float] = {}
        self._steps: dict[str, JobStep] = {}
        self._written = 0.0

    def __call__(self, event: Event) -> None:
        """Take an event.

        Raises:
            InterruptedRunError: Somebody cancelled the job.
        """
        if event.kind == NOTE:
            return
        now = time.monotonic()
        seconds = round(now - self._began.setdefault(event.kind, now), 2)
        rate = self._rates.of(event)
        pace, left = (rate.per_s, rate.eta_s) if rate else (None, None)
        done = max(event.done, 0)
        self._steps[event.kind] = JobStep(
            kind=event.kind, done=done, total=event.total, seconds=seconds, per_s=pace, eta_s=left
        )
        if now - self._written >= _EACH_S and threading.current_thread() is threading.main_thread():
            self._written = now
            self.write()
            self._stop_where_cancelled()

    def write(self) -> JobRecord:
        """Write the record as it is."""
        self.job = self.job.model_copy(update={"steps": tuple(self._steps.values()), "updated": _now()})
        write_json(job_path(self._runs, self.job.id), self.job.model_dump(mode="json"))
        return self.job

    def _stop_where_cancelled(self) -> None:
        path = cancel_path(self._runs, self.job.id)
        if path.is_file():
            who = path.read_text(encoding="utf-8").strip() or "somebody"
            raise InterruptedRunError(f"{who} cancelled the job", hint=f"racoon jobs resume {self.job.id} continues it")


def paces(runs: Path) -> dict[str, float]:
    """Give items a second by kind of work, as the latest finished job that did it measured them."""
    measured: dict[str, float] = {}
    for job in jobs_of(runs):
        for step in job.steps:
            if job.state in ("done", "partial") and step.done > 1 and step.seconds > 0:
                measured[step.kind] = step.done / step.seconds
    return measured


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
