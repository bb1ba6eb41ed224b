"""A run as a job: planned from options, recorded while it works, ended by a signal like by Ctrl-C."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from racoon_data.errors import ExitCode, InterruptedRunError, RacoonError
from racoon_data.events import Event, OnEvent

if TYPE_CHECKING:
    from racoon_data.pipeline.account import Account
    from racoon_data.pipeline.plan import Plan
    from racoon_data.pipeline.scope import Scope
    from racoon_data.site.records import JobRecord, JobState


@dataclass(frozen=True, slots=True)
class Wish:
    """What somebody asked for on the command line.

    Attributes:
        study: The study file.
        until: The step to stop after.
        only: Cases to build alone.
        workers: Local processes; 0 as the settings say.
        scheduler: Dask scheduler; empty for none.
        memory_mb: Most memory of a worker (MiB); 0 as the settings say.
        wait_s: How long to wait for the site (seconds).
    """

    study: Path
    until: str = "build"
    only: tuple[str, ...] = ()
    workers: int = 0
    scheduler: str = ""
    memory_mb: int = 0
    wait_s: float = 0.0


def planned(folder: Path | None, wish: Wish) -> tuple[Plan, Scope]:
    """Turn a wish into a plan and a scope at a site.

    Raises:
        SettingsError: The site, the study file or an option is wrong.
    """
    from racoon_data.pipeline.plan import plan_study
    from racoon_data.pipeline.scope import Scope
    from racoon_data.runner.crew import Crew
    from racoon_data.settings import StudySettings, load_toml
    from racoon_data.site.paths import find_site, open_site

    here = open_site(folder) if folder else find_site(Path.cwd())
    table = here.settings.site
    crew = Crew(wish.workers or table.workers, wish.scheduler or None, wish.memory_mb or table.memory_mb)
    plan = plan_study(here, load_toml(wish.study, StudySettings), base=wish.study.parent)
    return plan, Scope(wish.until, wish.only, crew, wish.wait_s, f"run {plan.name}")


def carry_out(
    plan: Plan, scope: Scope, wish: Wish, *, on_event: OnEvent, earlier: JobRecord | None = None
) -> tuple[Account, str]:
    """Walk, and keep the record of the job.

    Args:
        plan: What to do.
        scope: How much of it.
        wish: What was asked for, for the record.
        on_event: Listener.
        earlier: The job this continues.

    Returns:
        The account, and the name of the job.

    Raises:
        RacoonError: The walk ended early; the record says how.
        KeyboardInterrupt: It was interrupted; the record says so.
    """
    from racoon_data.cli.run import exit_code
    from racoon_data.pipeline.walk import walk
    from racoon_data.site.jobs import Progress, begin, cancel_path, end
    from racoon_data.site.records import JobError

    runs = plan.site.runs
    progress = Progress(runs, begin(runs, earlier or _record(plan, wish)))

    def listen(event: Event) -> None:
        progress(event)
        on_event(event)

    def close(state: JobState, code: ExitCode, error: JobError | None = None) -> None:
        end(runs, progress.write(), state, exit_code=int(code), error=error)

    try:
        with signals_interrupt():
            account = walk(plan, scope=scope, on_event=listen)
    except KeyboardInterrupt:
        is_cancelled = cancel_path(runs, progress.job.id).is_file()
        close("cancelled" if is_cancelled else "interrupted", ExitCode.INTERRUPTED)
        raise
    except RacoonError as error:
        state: JobState = "cancelled" if isinstance(error, InterruptedRunError) else "failed"
        close(state, error.exit_code, JobError(code=error.code, message=error.message, hint=error.hint))
        raise
    code = exit_code(account)
    close("partial" if code else "done", code)
    return account, progress.job.id


def _record(plan: Plan, wish: Wish) -> JobRecord:
    from racoon_data.files.atomic import sha256_of
    from racoon_data.site.records import JobRecord

    return JobRecord.model_validate(
        {
            "id": "new",
            "dataset": plan.name,
            "study": str(wish.study.resolve()),
            "study_sha256": sha256_of(wish.study),
            "who": plan.site.settings.site.operator or "",
            "until": wish.until,
            "only": wish.only,
            "workers": wish.workers,
            "scheduler": wish.scheduler,
            "memory_mb": wish.memory_mb,
        }
    )


@contextmanager
def signals_interrupt() -> Iterator[None]:
    """Let the end of a session, or of the machine, interrupt like Ctrl-C: what was finished is noted."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def interrupt(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    before = {number: signal.signal(number, interrupt) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
