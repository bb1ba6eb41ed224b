"""The study monitor: where a site stands, what of it may leave, and several sites on one page."""

from __future__ import annotations

import shutil
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from pydantic import ValidationError

from racoon_data.disclosure import Cell, publish, publish_total
from racoon_data.documents import read_json
from racoon_data.errors import SchemaError
from racoon_data.refs import FileRef
from racoon_data.site.jobs import jobs_of
from racoon_data.site.ledger import InstanceState, Ledger, Standing
from racoon_data.site.lock import holder_of
from racoon_data.site.paths import Site
from racoon_data.site.records import JobRecord, RunAccount, StageCounts
from racoon_data.site.standing import (
    DatasetStanding,
    ExportedDataset,
    ExportedStage,
    JoinedCount,
    JoinedDataset,
    JoinedStage,
    JoinedStatus,
    SiteStatus,
    StatusExport,
    Stuck,
)

_STUCK = (InstanceState.WANTED, InstanceState.FAILED, InstanceState.REFUSED, InstanceState.CONFLICTING)
_USED = "used"


def status_of(site: Site) -> SiteStatus:
    """Tell where a site stands; nothing is written and no node is asked."""
    standing, verdicts = _ledger(site.ledger)
    datasets = _datasets(site)
    failures: Counter[str] = Counter()
    for dataset in datasets:
        for stage in dataset.stages:
            failures.update(stage.reasons)
    return SiteStatus(
        site=site.settings.site.name,
        time=datetime.now(UTC).isoformat(timespec="seconds"),
        busy=str(holder_of(site.root) or ""),
        instances={str(state): one.count for state, one in sorted(standing.items())},
        bytes=sum(one.size for one in standing.values()),
        studies=verdicts,
        stuck=tuple(_stuck(state, standing[state]) for state in _STUCK if state in standing),
        quarantined=sum(1 for path in site.quarantine.rglob("*.dcm")) if site.quarantine.is_dir() else 0,
        failures=dict(failures.most_common()),
        disk_free_bytes=shutil.disk_usage(site.root).free,
        datasets=datasets,
    )


def _ledger(path: Path) -> tuple[dict[InstanceState, Standing], dict[str, int]]:
    if not path.is_file():
        return {}, {}
    with Ledger(path) as ledger:
        return ledger.standing(), ledger.verdict_counts()


def _stuck(state: InstanceState, standing: Standing) -> Stuck:
    age = max(0, int(time.time()) - standing.since)  # a clock that was set back makes nothing younger than new
    return Stuck.model_validate({"state": str(state), "count": standing.count, "oldest_s": age})


def _datasets(site: Site) -> tuple[DatasetStanding, ...]:
    jobs = {job.dataset: job for job in jobs_of(site.runs)}
    accounts = {path.stem: path for path in sorted(site.runs.glob("*.json")) if not path.stem.endswith(".partway")}
    names = sorted({*jobs, *accounts})
    return tuple(_dataset(site, name, accounts.get(name), jobs.get(name)) for name in names)


def _dataset(site: Site, name: str, account: Path | None, job: JobRecord | None) -> DatasetStanding:
    stages = load_account(account).stages if account else ()
    is_published = (site.datasets / name / "racoon.json").is_file()
    return DatasetStanding(name=name, is_published=is_published, stages=stages, job=job)


def load_account(path: Path) -> RunAccount:
    """Read the account of a run.

    Raises:
        SchemaError: It cannot be read, or an earlier racoon wrote it.
    """
    try:
        return RunAccount.model_validate(read_json(path))
    except (OSError, ValueError, ValidationError) as error:
        hint = "run the study again; that writes the account anew"
        raise SchemaError("the file is no account of a run", ref=FileRef(path.name), hint=hint) from error


def export_of(status: SiteStatus, *, smallest: int) -> StatusExport:
    """Give what may leave the site: counts alone, small cells hidden with what would give them away.

    Args:
        status: Where the site stands.
        smallest: Fewest persons a shown count may hold.
    """
    oldest = max((one.oldest_s for one in status.stuck), default=None)
    return StatusExport(
        site=status.site,
        time=status.time,
        smallest_cell=smallest,
        oldest_stuck_days=None if oldest is None else oldest // 86_400,
        datasets=tuple(
            ExportedDataset(
                name=dataset.name,
                is_published=dataset.is_published,
                job=dataset.job.state if dataset.job else "",
                stages=tuple(_exported(stage, smallest) for stage in dataset.stages),
            )
            for dataset in status.datasets
        ),
    )


def _exported(stage: StageCounts, smallest: int) -> ExportedStage:
    cells = {_USED: Cell(stage.used + stage.repaired, stage.used_patients)}
    for row in stage.left_out:
        # one person may stand in several rows of a code: the largest row is what is known for certain
        before = cells.get(row.code, Cell(0, 0))
        cells[row.code] = Cell(before.count + row.count, max(before.people, row.patients))
    shown = publish(cells, smallest=smallest)
    total = publish_total(cells, smallest=smallest)
    return ExportedStage.model_validate(
        {"name": stage.name, "in": total, "used": shown.pop(_USED), "left_out": dict(sorted(shown.items()))}
    )


def load_export(path: Path) -> StatusExport:
    """Read a site's export.

    Raises:
        SchemaError: It cannot be read or is no export.
    """
    try:
        return StatusExport.model_validate(read_json(path))
    except (OSError, ValueError, ValidationError) as error:
        hint = "ask the site for the file that racoon status --export writes"
        raise SchemaError("the file is no export of a site's status", ref=FileRef(path.name), hint=hint) from error


def joined(exports: Iterable[StatusExport]) -> JoinedStatus:
    """Join the exports of several sites; of two exports of one site the newer holds.

    Hidden cells stay hidden: a sum says how many there are at least, and at how many sites it could not be seen.
    """
    newest: dict[str, StatusExport] = {}
    for export in sorted(exports, key=lambda one: one.time):
        newest[export.site] = export
    sites = tuple(newest[name] for name in sorted(newest))
    names = sorted({dataset.name for site in sites for dataset in site.datasets})
    return JoinedStatus(sites=sites, datasets=tuple(_joined(name, sites) for name in names))


def _joined(name: str, sites: Sequence[StatusExport]) -> JoinedDataset:
    having = [(site.site, dataset) for site in sites for dataset in site.datasets if dataset.name == name]
    stages: dict[str, list[ExportedStage]] = {}
    for _, dataset in having:
        for stage in dataset.stages:
            stages.setdefault(stage.name, []).append(stage)
    return JoinedDataset(
        name=name,
        sites=tuple(site for site, _ in having),
        stages=tuple(_joined_stage(kind, rows) for kind, rows in stages.items()),
    )


def _joined_stage(name: str, rows: Sequence[ExportedStage]) -> JoinedStage:
    codes = sorted({code for row in rows for code in row.left_out})
    left_out = {code: _sum(row.left_out[code] for row in rows if code in row.left_out) for code in codes}
    came, used = _sum(row.came_in for row in rows), _sum(row.used for row in rows)
    return JoinedStage.model_validate({"name": name, "in": came, "used": used, "left_out": left_out})


def _sum(counts: Iterable[int | None]) -> JoinedCount:
    known = list(counts)
    return JoinedCount(at_least=sum(one or 0 for one in known), hidden_at=sum(one is None for one in known))
