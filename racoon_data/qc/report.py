"""qc/report.html: datasets on one page that loads nothing from anywhere, and further pages for very many cases."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from racoon_data.cases import QcIssue
from racoon_data.events import OnEvent, ignore
from racoon_data.files.atomic import write_text
from racoon_data.qc import summary
from racoon_data.qc.cards import Card, cards_of
from racoon_data.qc.findings import write_issues
from racoon_data.qc.inspect import Inspection, compare, inspect

REPORT_HTML = "qc/report.html"
PER_PAGE = 1000


@dataclass(frozen=True, slots=True)
class Report:
    """What was written.

    Attributes:
        paths: The pages; people open the first.
        issues: Every finding, of each dataset and between them.
    """

    paths: tuple[Path, ...]
    issues: tuple[QcIssue, ...]


def write_report(
    roots: Sequence[Path],
    *,
    out: Path | None = None,
    workers: int = 1,
    on_event: OnEvent = ignore,
    per_page: int = PER_PAGE,
) -> Report:
    """Look at datasets, write their ``qc/findings.jsonl`` and the report about all of them.

    The page holds its pictures, style and script; a content security policy forbids everything else,
    so a hostile name in the data can neither run nor call out.

    Args:
        roots: Dataset folders.
        out: The page; ``qc/report.html`` of the first dataset by default.
        workers: Processes that look and draw.
        on_event: Listener, one event a case.
        per_page: Cases a page; further cases stand on ``report-2.html`` and so on.

    Raises:
        DamagedDatasetError: There is no manifest.
        SchemaError: A manifest cannot be read.
        DiskFullError: No space is left.
    """
    inspections = [inspect(root, is_drawn=True, workers=workers, on_event=on_event) for root in roots]
    for one in inspections:
        write_issues(one.root, one.issues)
    between = compare(inspections)
    first = out or roots[0] / REPORT_HTML
    pages = pages_of(inspections, between, name=first.name, per_page=per_page)
    own = re.compile(re.escape(first.stem) + r"-\d+" + re.escape(first.suffix))
    for path in first.parent.glob("*") if first.parent.is_dir() else ():
        if own.fullmatch(path.name) and path.name not in pages:
            path.unlink()
    for name, text in pages.items():
        write_text(first.parent / name, text)
    issues = (*(issue for one in inspections for issue in one.issues), *between)
    return Report(tuple(first.parent / name for name in pages), issues)


def pages_of(
    inspections: Sequence[Inspection], between: Sequence[QcIssue] = (), *, name: str, per_page: int = PER_PAGE
) -> dict[str, str]:
    """Fill the pages; everything that came from data is escaped.

    Args:
        inspections: Datasets as they were seen, with pictures.
        between: Findings between datasets.
        name: File name of the first page.
        per_page: Cases a page.

    Returns:
        Pages by file name, in order.
    """
    stem, ending = name.rsplit(".", 1)
    further = f"{stem}-{{}}.{ending}"
    cards = cards_of(inspections, per_page=per_page, page_name=further)
    count = max(1, -(-len(cards) // per_page))
    names = [name, *(further.format(number) for number in range(2, count + 1))]
    template, common = _template()
    whole = {**common, **_context(inspections, between, cards), "pages": names}
    return {
        page: template.render(**whole, page=number, home=name, cases=cards[(number - 1) * per_page : number * per_page])
        for number, page in enumerate(names, start=1)
    }


def _template() -> tuple[Any, dict[str, Any]]:
    loader = PackageLoader("racoon_data.qc")
    environment = Environment(
        loader=loader,
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    style, script = (loader.get_source(environment, f"report.{kind}")[0] for kind in ("css", "js"))
    return environment.get_template("report.html.j2"), {
        "style": Markup(style),
        "style_hash": _csp_hash(style),
        "script": Markup(script),
        "script_hash": _csp_hash(script),
        "swatch": _swatch,
        "key": _key,
    }


def _context(inspections: Sequence[Inspection], between: Sequence[QcIssue], cards: Sequence[Card]) -> dict[str, Any]:
    links = {(card.number, card.record.case_id): card.href for card in cards}
    linked = [
        (issue, links.get((number, issue.case.case_id), ""))
        for number, one in enumerate(inspections)
        for issue in one.issues
    ]
    linked += [(issue, "") for issue in between]
    issues = sorted((issue for issue, _ in linked), key=lambda issue: (issue.severity, issue.code))
    manifests = [one.manifest for one in inspections]
    return {
        "title": " and ".join(dict.fromkeys(manifest.name for manifest in manifests)),
        "manifests": manifests,
        "recipes": [json.dumps(manifest.recipe, indent=2, ensure_ascii=False) for manifest in manifests],
        "verdict": summary.verdict(issues),
        "tiles": summary.tiles(inspections, cards),
        "accounting": summary.accounting(inspections),
        "sites": summary.sites(inspections),
        "coverage": summary.coverage(inspections),
        "legend": summary.legend(inspections),
        "plots": summary.distributions(inspections, cards),
        "findings": summary.findings(linked),
        "codes": list(dict.fromkeys(issue.code for issue in issues)),
        "total": len(cards),
    }


def _csp_hash(text: str) -> str:
    digest = hashlib.sha256(text.encode("utf-8")).digest()
    return f"sha256-{base64.b64encode(digest).decode('ascii')}"


def _swatch(colour: str) -> Markup:
    square = f'<rect width="12" height="12" rx="3" fill="{escape(colour)}"/>'
    return Markup(f'<svg class="swatch" viewBox="0 0 12 12" aria-hidden="true">{square}</svg>')


def _key(kind: str) -> Markup:
    square = f'<rect class="{escape(kind)}" width="12" height="12" rx="3"/>'
    return Markup(f'<svg class="key" viewBox="0 0 12 12" aria-hidden="true">{square}</svg>')
