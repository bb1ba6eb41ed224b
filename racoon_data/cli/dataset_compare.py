"""``racoon dataset diff`` and ``split``: what changed between two datasets, and who trains and tests in one."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from racoon_data import console
from racoon_data.errors import SettingsError

if TYPE_CHECKING:
    from racoon_data.dataset.diff import Difference
    from racoon_data.files.manifest import CaseRecord
    from racoon_data.site.paths import Site

AsJson = Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")]
_MOST = 200


def diff(
    before: Annotated[Path, typer.Argument(help="A dataset folder.")],
    after: Annotated[Path, typer.Argument(help="Another one, or a later version.")],
    as_json: AsJson = False,
) -> None:
    """Explain what changed, case by case. Example: racoon dataset diff old/lung site/datasets/lung."""
    from racoon_data.dataset.diff import diff_datasets

    found = diff_datasets(before, after)
    if as_json:
        console.document(found.to_json())
    else:
        _show_difference(found)


def _show_difference(found: Difference) -> None:
    if found.facts:
        rows = [(fact.name, _short(fact.before), _short(fact.after)) for fact in found.facts]
        console.table(("", "before", "after"), rows, title="What they say of themselves")
    if found.cases:
        cases = [(one.case_id, one.change, "; ".join(one.what), "; ".join(one.because)) for one in found.cases]
        console.table(("case", "", "what", "because"), cases[:_MOST], title="Cases")
        if len(cases) > _MOST:
            console.talk(f"and {len(cases) - _MOST} more: --json lists all")
    verdict = "one dataset: the hashes agree" if found.same_hash else "the dataset hashes differ"
    kinds = [one.change for one in found.cases]
    counts = ", ".join(f"{kinds.count(kind)} {kind}" for kind in ("added", "removed", "changed"))
    console.result(f"{verdict}; {found.same} cases are the same, {counts}")


def _short(value: Any) -> str:
    text = "" if value is None else str(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def split(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="The dataset folder.")],
    test_fraction: Annotated[
        float | None, typer.Option(min=0, max=1, help="Split anew with this share of test patients.")
    ] = None,
    seed: Annotated[str, typer.Option(help="Secret the lots are drawn with, for a dataset outside a site.")] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the new split and change nothing.")] = False,
    as_json: AsJson = False,
) -> None:
    """Show the split by site and label, or split anew. Example: racoon dataset split DIR --test-fraction 0.2."""
    from racoon_data.files.manifest import load_manifest
    from racoon_data.pipeline.resplit import planned_split, resplit

    manifest = load_manifest(folder)
    cases = manifest.cases
    if test_fraction is not None:
        site = _site_of(folder)
        key = _key(site, seed)
        if dry_run:
            cases = planned_split(manifest, key=key, test_fraction=test_fraction)
        else:
            cases = resplit(folder, key=key, test_fraction=test_fraction, site=site).cases
    moved = sum(one.split != other.split for one, other in zip(cases, manifest.cases, strict=True))
    rows = _balance(cases, manifest.site)
    if as_json:
        console.document({"dry_run": dry_run, "cases_moved": moved, "balance": rows})
        return
    columns = ("patients with", "in all", "test", "train", *(f"fold {fold}" for fold in range(5)))
    console.table(columns, [tuple(row.values()) for row in rows])
    if test_fraction is not None:
        console.result(f"{'[dry-run] ' if dry_run else ''}{moved} of {len(cases)} cases change sides")


def _balance(cases: Iterable[CaseRecord], site: str) -> list[dict[str, Any]]:
    """Count patients by site and label on every side and in every fold."""
    from racoon_data.dataset.splits import FOLDS, tags_of

    cases = list(cases)
    tags, where = tags_of(cases, site), {case.patient: (case.split, case.fold) for case in cases}
    rows = []
    for tag in sorted({tag for own in tags.values() for tag in own}, key=lambda tag: (tag.startswith("label:"), tag)):
        own = [where[patient] for patient in tags if tag in tags[patient]]
        sides = [side for side, _ in own]
        folds = {f"fold_{fold}": sum(one == fold for _, one in own) for fold in range(FOLDS)}
        rows.append({"tag": tag, "patients": len(own), "test": sides.count("test"), "train": sides.count("train")})
        rows[-1] |= folds
    return rows


def _site_of(folder: Path) -> Site | None:
    from racoon_data.site.paths import find_site

    try:
        site = find_site(folder)
    except SettingsError:
        return None
    return site if folder.resolve().parent == site.datasets.resolve() else None


def _key(site: Site | None, seed: str) -> bytes:
    """Give the site's key, or the seed of a dataset outside a site.

    Raises:
        SettingsError: Neither or both are there.
    """
    from racoon_data.deid.naming import names_of

    if site is not None and seed:
        raise SettingsError("the site draws lots with its own key", hint="leave out --seed")
    if site is not None:
        return names_of(site).key
    if not seed:
        raise SettingsError("this dataset lies in no site", hint="--seed TEXT, and keep the text: it decides the split")
    return seed.encode()
