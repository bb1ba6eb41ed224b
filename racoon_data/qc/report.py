"""qc/report.html: the dataset on one page that loads nothing from anywhere."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from racoon_data.cases import QcIssue, Severity
from racoon_data.events import OnEvent, ignore
from racoon_data.files.atomic import write_text
from racoon_data.files.manifest import Manifest, load_manifest
from racoon_data.qc.cards import Card, cards_of
from racoon_data.qc.findings import all_issues
from racoon_data.qc.plots import bars, share, strips
from racoon_data.qc.thumbnails import hex_of

REPORT_HTML = "qc/report.html"


def write_report(root: Path, *, workers: int = 1, on_event: OnEvent = ignore) -> Path:
    """Write the quality report of a finished dataset.

    The page holds its pictures, style and script; a content security policy forbids everything else,
    so a hostile name in the data can neither run nor call out.

    Args:
        root: The dataset folder.
        workers: Processes that draw.
        on_event: Listener, one event a case.

    Returns:
        The page.

    Raises:
        DamagedDatasetError: There is no manifest, or a sidecar is damaged.
        SchemaError: Manifest or findings cannot be read.
    """
    manifest = load_manifest(root)
    issues = all_issues(root, manifest)
    cards = cards_of(root, manifest, issues, workers=workers, on_event=on_event)
    write_text(root / REPORT_HTML, page_of(manifest, issues, cards))
    return root / REPORT_HTML


def page_of(manifest: Manifest, issues: Sequence[QcIssue], cards: Sequence[Card]) -> str:
    """Fill the page; everything that came from data is escaped."""
    loader = PackageLoader("racoon_data.qc")
    environment = Environment(
        loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, keep_trailing_newline=True
    )
    style, script = (loader.get_source(environment, f"report.{kind}")[0] for kind in ("css", "js"))
    return environment.get_template("report.html.j2").render(
        style=Markup(style),
        style_hash=_csp_hash(style),
        script=Markup(script),
        script_hash=_csp_hash(script),
        manifest=manifest,
        verdict=_verdict(issues),
        tiles=_tiles(manifest, issues),
        accounting=_accounting(manifest),
        reasons=_reasons(manifest),
        coverage=_coverage(manifest),
        plots=_plots(manifest, cards),
        issues=issues,
        known={case.case_id for case in manifest.cases},
        cases=cards,
        recipe=json.dumps(manifest.recipe, indent=2, ensure_ascii=False),
        swatch=_swatch,
        key=_key,
    )


def _csp_hash(text: str) -> str:
    digest = hashlib.sha256(text.encode("utf-8")).digest()
    return f"sha256-{base64.b64encode(digest).decode('ascii')}"


def _verdict(issues: Sequence[QcIssue]) -> dict[str, str]:
    fails = sum(issue.severity is Severity.FAIL for issue in issues)
    warns = len(issues) - fails
    if fails:
        return {"kind": "bad", "words": f"{_some(fails, 'failure')}, {_some(warns, 'warning')}"}
    if warns:
        return {"kind": "warn", "words": _some(warns, "warning")}
    return {"kind": "good", "words": "no findings"}


def _some(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"


def _tiles(manifest: Manifest, issues: Sequence[QcIssue]) -> list[dict[str, object]]:
    cases = manifest.cases
    test = sum(case.split == "test" for case in cases)
    return [
        {"name": f"cases used of {manifest.counts.cases_in}", "value": len(cases)},
        {"name": "patients", "value": len({case.patient for case in cases})},
        {"name": "to train / to test", "value": f"{len(cases) - test} / {test}"},
        {"name": "with a label map", "value": sum(case.label is not None for case in cases)},
        {"name": "left out", "value": manifest.counts.skipped + manifest.counts.failed},
        {"name": "findings", "value": len(issues)},
    ]


def _accounting(manifest: Manifest) -> Markup:
    counts = manifest.counts
    return share({"used": counts.used, "skipped": counts.skipped, "failed": counts.failed}, label="cases that came in")


def _reasons(manifest: Manifest) -> list[dict[str, Any]]:
    groups: dict[tuple[str, ...], list[str]] = {}
    for outcome in manifest.outcomes:
        key = (outcome.status, outcome.code, outcome.step, outcome.message, outcome.hint)
        groups.setdefault(key, []).append(outcome.ref)
    names = ("status", "code", "step", "message", "hint")
    return [{**dict(zip(names, key, strict=True)), "refs": refs} for key, refs in sorted(groups.items())]


def _coverage(manifest: Manifest) -> list[dict[str, Any]]:
    rows = []
    for label in manifest.label_schema.labels:
        looked = [case for case in manifest.cases if label.name in case.label_ml]
        present = sum(case.label_ml[label.name] > 0 for case in looked)
        counts = {"present": present, "absent": len(looked) - present, "none": len(manifest.cases) - len(looked)}
        rows.append(
            {
                "name": label.name,
                "codes": ", ".join(f"{code.scheme} {code.value}" for code in label.codes),
                "colour": hex_of(label.value),
                "present": counts["present"],
                "absent": counts["absent"],
                "not_annotated": counts["none"],
                "bar": share(counts, label=f"cases by {label.name}"),
            }
        )
    return rows


def _plots(manifest: Manifest, cards: Sequence[Card]) -> list[dict[str, Any]]:
    labels = manifest.label_schema.labels
    volumes = {label.name: [case.label_ml.get(label.name, 0.0) for case in manifest.cases] for label in labels}
    colours = {label.name: hex_of(label.value) for label in labels}
    spacing = {axis: [card.spacing_mm[n] for card in cards] for n, axis in enumerate(("along i", "along j", "along k"))}
    drawn = {
        "Volume of each label": strips(volumes, title="Volume of each label", unit="ml", colours=colours),
        "Voxel spacing": strips(spacing, title="Voxel spacing", unit="mm", colours={}),
        "Scanner": bars(_counted([card.scanner for card in cards]), title="Cases by scanner"),
        "Kernel": bars(_counted([card.kernel for card in cards]), title="Cases by reconstruction kernel"),
    }
    return [{"title": title, "svg": svg} for title, svg in drawn.items()]


def _counted(names: Sequence[str]) -> Mapping[str, int]:
    return {name or "not stated": names.count(name) for name in sorted(set(names))}


def _swatch(colour: str) -> Markup:
    square = f'<rect width="12" height="12" rx="3" fill="{escape(colour)}"/>'
    return Markup(f'<svg class="swatch" viewBox="0 0 12 12" aria-hidden="true">{square}</svg>')


def _key(kind: str) -> Markup:
    square = f'<rect class="{escape(kind)}" width="12" height="12" rx="3"/>'
    return Markup(f'<svg class="key" viewBox="0 0 12 12" aria-hidden="true">{square}</svg>')
