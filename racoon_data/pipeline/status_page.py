"""The study monitor as one page that loads nothing: light or dark as the reader's system is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from racoon_data.pipeline.flow import flow_svg
from racoon_data.rates import span
from racoon_data.site.records import StageCounts
from racoon_data.site.standing import JoinedCount, JoinedStatus, SiteStatus


def page_of_site(status: SiteStatus) -> str:
    """Draw the page of one site; it names counts, codes and jobs, and no patient."""
    oldest = max((one.oldest_s for one in status.stuck), default=None)
    tiles = [
        ("studies complete", f"{status.studies.get('complete', 0)}", f"of {sum(status.studies.values())}"),
        (
            "instances here",
            f"{status.instances.get('arrived', 0) + status.instances.get('passed', 0)}",
            _gb(status.bytes),
        ),
        (
            "cases in datasets",
            str(sum(_cases(one.stages) for one in status.datasets)),
            f"{len(status.datasets)} datasets",
        ),
        ("oldest stuck item", span(oldest) if oldest is not None else "none", _stuck(status)),
        ("in quarantine", str(status.quarantined), "wait for a person"),
        ("disk", _gb(status.disk_free_bytes), "free"),
    ]
    datasets = [
        {
            "name": one.name,
            "state": one.job.state if one.job else "",
            "about": _about(one.job.model_dump() if one.job else {}, one.is_published),
            "stages": [_bar(stage) for stage in one.stages],
            "flow": Markup(flow_svg(_account(one.name, one.stages))) if one.stages else "",
        }
        for one in status.datasets
    ]
    return _rendered(
        title=f"Site {status.site}", time=status.time, note=status.busy or "nobody works on this site right now",
        tiles=tiles, datasets=datasets, failures=list(status.failures.items()), sites=[],
    )  # fmt: skip


def page_of_sites(joined: JoinedStatus) -> str:
    """Draw the page of several sites: sums, and what could not be seen."""
    sites = [
        {
            "name": site.site,
            "time": site.time,
            "oldest": _days(site.oldest_stuck_days),
            "datasets": [(one.name, one.job, [_seen(stage.used) for stage in one.stages]) for one in site.datasets],
        }
        for site in joined.sites
    ]
    failures: dict[str, list[str]] = {}
    for dataset in joined.datasets:
        for stage in dataset.stages:
            for code, count in stage.left_out.items():
                failures.setdefault(code, []).append(f"{_total(count)} {stage.name}")
    tiles = [("sites", str(len(joined.sites)), "reported")]
    for dataset in joined.datasets:
        tiles += [
            (f"{dataset.name}: {one.name} used", _total(one.used), f"of {_total(one.came_in)}")
            for one in dataset.stages
        ]
    sums = [(code, "; ".join(counts)) for code, counts in failures.items()]
    newest = max((site.time for site in joined.sites), default="")
    note = "counts alone; small cells were hidden at the sites, so sums are lower bounds where marked"
    title = f"{len(joined.sites)} sites"
    return _rendered(title=title, time=newest, note=note, tiles=tiles, datasets=[], failures=sums, sites=sites)


def _rendered(**facts: Any) -> str:
    loader = PackageLoader("racoon_data.pipeline")
    environment = Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    style = loader.get_source(environment, "status.css")[0]
    return environment.get_template("status.html.j2").render(style=Markup(style), **facts)


def _account(name: str, stages: tuple[StageCounts, ...]) -> Mapping[str, Any]:
    rows = [stage.model_dump(mode="json", by_alias=True) for stage in stages]
    return {"dataset": name, "until": "build", "only": [], "stages": rows}


def _cases(stages: tuple[StageCounts, ...]) -> int:
    return sum(stage.used + stage.repaired for stage in stages if stage.name == "cases")


def _bar(stage: StageCounts) -> dict[str, Any]:
    parts = {"used": stage.used, "repaired": stage.repaired, "skipped": stage.skipped, "failed": stage.failed}
    whole = max(1, stage.came_in)
    widths, start = [], 0.0
    for kind, count in parts.items():
        widths.append((kind, round(start, 2), round(100 * count / whole, 2)))
        start += 100 * count / whole
    return {"name": stage.name, "in": stage.came_in, "parts": parts, "widths": widths}


def _about(job: Mapping[str, Any], is_published: bool) -> str:
    published = "published" if is_published else "not published yet"
    return f"{published}; {job['id']}, {job['ended'] or job['updated']}" if job else published


def _stuck(status: SiteStatus) -> str:
    return ", ".join(f"{one.count} {one.state}" for one in status.stuck) or "nothing waits"


def _gb(size: int) -> str:
    return f"{size / 1e9:.1f} GB"


def _days(days: int | None) -> str:
    if days is None:
        return "none"
    return f"{days} days" if days > 1 else "a day" if days else "less than a day"


def _seen(count: int | None) -> str:
    return "hidden" if count is None else str(count)


def _total(count: JoinedCount) -> str:
    if count.hidden_at and not count.at_least:
        return "hidden"
    return f"\u2265 {count.at_least}" if count.hidden_at else str(count.at_least)
