"""``racoon dataset build``: build a dataset from a study file, or explain every choice before."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from racoon_data import console

if TYPE_CHECKING:
    from racoon_data.harmonize.explain import Choice
    from racoon_data.harmonize.planning import GridPlan
    from racoon_data.pipeline.explain import Outlook


def build(
    study: Annotated[Path, typer.Argument(help="Study file (TOML).")],
    site: Annotated[
        Path | None, typer.Option(envvar="RACOON_SITE", help="Site folder; default: found upwards.")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Explain every choice and rejection; asks no PACS, reads no pixels.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document; progress as JSON lines.")] = False,
) -> None:
    """Build a dataset, or say first which series and cases it would take, and why not the others.

    Without --dry-run this is racoon run. Example: racoon dataset build study.toml --dry-run.
    """
    if not dry_run:
        from racoon_data.cli.run import run

        run(study, site, dry_run=False, as_json=as_json)
        return
    from racoon_data.outcomes import exit_code_of
    from racoon_data.pipeline.explain import outlook
    from racoon_data.pipeline.plan import plan_study
    from racoon_data.settings import StudySettings, load_toml
    from racoon_data.site.paths import find_site, open_site

    here = open_site(site) if site else find_site(Path.cwd())
    found = outlook(plan_study(here, load_toml(study, StudySettings), base=study.parent))
    if as_json:
        console.document(found.to_json())
    else:
        _show(found)
    if code := exit_code_of(found.outcomes):
        raise typer.Exit(int(code))


def _show(found: Outlook) -> None:
    rows = [
        (one.study.study_uid, choice.series, choice.verdict, choice.channel, "; ".join(choice.reasons), _facts(choice))
        for one in found.studies
        for choice in one.choices
    ]
    console.table(("study", "series", "", "channel", "why", "what it is"), rows, title="[dry-run] series")
    cases = [
        (case.outcome.ref, case.outcome.status, grid_text(case.grid), case.outcome.message)
        for study in found.studies
        for case in study.cases
    ]
    cases += [(one.study, one.refused.status, "", one.refused.message) for one in found.studies if one.refused]
    console.table(("case or study", "", "grid", "why not"), cases, title="[dry-run] cases")
    taken = sum(outcome.code == "" for outcome in found.outcomes)
    console.talk(f"[dry-run] {taken} of {len(found.outcomes)} would be built; recipe {found.recipe.sha256[:12]}")
    for outcome in found.outcomes:
        if outcome.hint:
            console.talk(f"{outcome.ref}: {outcome.code}: {outcome.hint}")


def _facts(choice: Choice) -> str:
    known = ((key, value) for key, value in choice.facts.items() if value not in (None, "", [], False))
    return ", ".join(f"{key} {' '.join(value) if isinstance(value, list) else value}" for key, value in known)


def grid_text(grid: GridPlan | None) -> str:
    """Say in one cell what a case's grid would become."""
    if grid is None:
        return ""
    size = " x ".join(map(str, grid.size[1]))
    spacing = " x ".join(f"{mm:g}" for mm in grid.spacing_mm[1])
    return (
        f"{size} at {spacing} mm, {grid.orientation[1]}, {grid.megabytes:g} MB ({'; '.join(grid.steps) or 'as it is'})"
    )
