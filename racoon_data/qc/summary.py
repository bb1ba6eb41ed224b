"""What the report says about datasets as a whole: numbers, sites, coverage, distributions, findings by code."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from racoon_data.cases import QcIssue, Severity
from racoon_data.qc.across import readers_of
from racoon_data.qc.cards import Card
from racoon_data.qc.codes import DEFECTS
from racoon_data.qc.facts import CaseFacts, LabelFacts
from racoon_data.qc.inspect import Inspection
from racoon_data.qc.plots import Dot, bars, share, strips
from racoon_data.qc.thumbnails import hex_of

_MOST_ROWS = 300
_MOST_REFS = 200

Rows = list[dict[str, Any]]


def verdict(issues: Sequence[QcIssue]) -> dict[str, str]:
    """Say it in a few words: failures and warnings, or none."""
    fails = sum(issue.severity is Severity.FAIL for issue in issues)
    warns = len(issues) - fails
    if fails:
        return {"kind": "bad", "words": f"{_some(fails, 'failure')}, {_some(warns, 'warning')}"}
    if warns:
        return {"kind": "warn", "words": _some(warns, "warning")}
    return {"kind": "good", "words": "no findings"}


def _some(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"


def tiles(inspections: Sequence[Inspection], cards: Sequence[Card]) -> Rows:
    """Give the large numbers at the top."""
    counts = [one.manifest.counts for one in inspections]
    test = sum(card.record.split == "test" for card in cards)
    return [
        {"name": f"cases used of {sum(one.cases_in for one in counts)}", "value": len(cards)},
        {"name": "patients", "value": len({(card.site, card.record.patient) for card in cards})},
        {"name": "to train / to test", "value": f"{len(cards) - test} / {test}"},
        {"name": "with a label map", "value": sum(card.record.label is not None for card in cards)},
        {"name": "left out", "value": sum(one.skipped + one.failed for one in counts)},
        {"name": "without a finding", "value": sum(not card.issues for card in cards)},
    ]


def _facts(one: Inspection) -> Iterable[CaseFacts]:
    return (seen.facts for seen in one.cases if seen.facts is not None)


def accounting(inspections: Sequence[Inspection]) -> dict[str, Any]:
    """Add up what became of the cases that came in."""
    names = ("used", "skipped", "failed")
    sums = {name: sum(getattr(one.manifest.counts, name) for one in inspections) for name in names}
    total = sum(one.manifest.counts.cases_in for one in inspections)
    return {**sums, "cases_in": total, "bar": share(sums, label="cases that came in"), "reasons": _reasons(inspections)}


def _reasons(inspections: Sequence[Inspection]) -> Rows:
    groups: dict[tuple[str, ...], list[str]] = {}
    for outcome in (outcome for one in inspections for outcome in one.manifest.outcomes):
        key = (outcome.status, outcome.code, outcome.step, outcome.message, outcome.hint)
        groups.setdefault(key, []).append(outcome.ref)
    names = ("status", "code", "step", "message", "hint")
    return [
        {**dict(zip(names, key, strict=True)), "count": len(refs), "refs": refs[:_MOST_REFS]}
        for key, refs in sorted(groups.items())
    ]


def sites(inspections: Sequence[Inspection]) -> Rows:
    """Describe each dataset in a row."""
    rows = []
    for one in inspections:
        fails = sum(issue.severity is Severity.FAIL for issue in one.issues)
        scanners = Counter(facts.stated.channels[0].scanner or "not stated" for facts in _facts(one))
        rows.append(
            {
                "site": one.manifest.site,
                "dataset": one.manifest.name,
                "cases": len(one.cases),
                "patients": len({case.patient for case in one.manifest.cases}),
                "scanners": ", ".join(f"{name} ({count})" for name, count in scanners.most_common(4)),
                "readers": ", ".join(f"{name} ({count})" for name, count in sorted(readers_of(one.cases).items())),
                "fails": fails,
                "warns": len(one.issues) - fails,
                "hash": one.manifest.dataset_sha256[:12],
            }
        )
    return rows


def coverage(inspections: Sequence[Inspection]) -> Rows:
    """Count for every label and site the cases where it is present, looked for and absent, or not annotated."""
    labels = {label.name: label for one in inspections for label in one.manifest.label_schema.labels}
    return [
        {
            "name": name,
            "codes": ", ".join(f"{code.scheme} {code.value}" for code in label.codes),
            "colour": hex_of(label.value),
            "cells": [_covered(one, name) for one in inspections],
        }
        for name, label in labels.items()
    ]


def _covered(one: Inspection, name: str) -> dict[str, Any]:
    looked = [case for case in one.manifest.cases if name in case.label_ml]
    present = sum(case.label_ml[name] > 0 for case in looked)
    counts = {"present": present, "absent": len(looked) - present, "none": len(one.manifest.cases) - len(looked)}
    label = f"{name} at {one.manifest.site}, cases"
    return {**counts, "site": one.manifest.site, "bar": share(counts, label=label)}


def legend(inspections: Sequence[Inspection]) -> Rows:
    """Name the colour of every label, each once."""
    labels = {label.name: label.value for one in inspections for label in one.manifest.label_schema.labels}
    return [{"name": name, "colour": hex_of(value)} for name, value in labels.items()]


def distributions(inspections: Sequence[Inspection], cards: Sequence[Card]) -> Rows:
    """Draw how cases differ: labels first, then images and acquisition."""
    colours = {row["name"]: row["colour"] for row in legend(inspections)}
    known = [(card, facts) for card in cards if (facts := card.seen.facts) is not None]

    def labels(read: Callable[[LabelFacts], float | None]) -> dict[str, list[Dot]]:
        rows: dict[str, list[Dot]] = {name: [] for name in colours}
        for card, facts in known:
            for label in facts.stated.schema.labels:
                one = facts.measured.label(label.value)
                if one is not None and (value := read(one)) is not None:
                    rows[label.name].append(Dot(value, card.record.case_id, card.href))
        return rows

    def images(read: Callable[[CaseFacts], Mapping[str, float]]) -> dict[str, list[Dot]]:
        rows: dict[str, list[Dot]] = defaultdict(list)
        for card, facts in known:
            for name, value in read(facts).items():
                rows[name].append(Dot(value, card.record.case_id, card.href))
        return rows

    drawn = {
        "Volume": strips(labels(lambda one: one.ml), title="Volume of each label", unit="ml", colours=colours),
        "Value inside": strips(
            labels(lambda one: one.intensity),
            title="Median image value inside each label",
            unit="",
            colours=colours,
            is_log=False,
        ),
        "Boundary": strips(
            labels(lambda one: one.roughness),
            title="Roughness of each label's boundary",
            unit="× ball",
            colours=colours,
        ),
        "Pieces": strips(
            labels(lambda one: float(one.components)), title="Connected pieces of each label", unit="", colours=colours
        ),
        "Voxel spacing": strips(images(_spacing), title="Voxel spacing", unit="mm", colours={}),
        "Image values": strips(
            images(_percentiles), title="Percentiles of the image", unit="", colours={}, is_log=False
        ),
        "Scanner": bars(_counted(facts.stated.channels[0].scanner for _, facts in known), title="Cases by scanner"),
        "Kernel": bars(_counted(facts.stated.channels[0].kernel for _, facts in known), title="Cases by kernel"),
    }
    return [{"title": title, "svg": svg, "note": _NOTES.get(title, "")} for title, svg in drawn.items()]


_NOTES = {
    "Volume": "millilitres of each label, where present",
    "Value inside": "median of the first channel inside the label",
    "Boundary": "surface against a ball of the same volume; rough outlines lie right",
    "Pieces": "connected pieces of each label",
    "Image values": "1st, 50th and 99th percentile of the first channel",
}


def _spacing(facts: CaseFacts) -> Mapping[str, float]:
    return dict(zip(("along i", "along j", "along k"), facts.measured.images[0].geometry.spacing_mm, strict=True))


def _percentiles(facts: CaseFacts) -> Mapping[str, float]:
    image = facts.measured.images[0]
    return {"1st": image.p01, "50th": image.p50, "99th": image.p99}


def _counted(names: Iterable[str]) -> Mapping[str, int]:
    return dict(Counter(name or "not stated" for name in names).most_common(12))


def findings(linked: Sequence[tuple[QcIssue, str]]) -> Rows:
    """Group findings by code, with what it means, what helps and the cases it was seen in.

    Args:
        linked: Each finding and where a link to its case leads.
    """
    groups: dict[tuple[str, str], list[tuple[QcIssue, str]]] = defaultdict(list)
    for issue, href in linked:
        groups[str(issue.severity), issue.code].append((issue, href))
    return [
        {
            "code": code,
            "severity": severity,
            "count": len(group),
            "meaning": DEFECTS[code].meaning if code in DEFECTS else "",
            "fix": group[0][0].fix,
            "rows": [
                {"case": one.case.case_id, "href": href, "message": one.message} for one, href in group[:_MOST_ROWS]
            ],
            "more": max(0, len(group) - _MOST_ROWS),
        }
        for (severity, code), group in sorted(groups.items())
    ]
