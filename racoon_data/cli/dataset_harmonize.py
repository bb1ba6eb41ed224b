"""``racoon dataset harmonize``: a finished dataset brought to another recipe."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from racoon_data import console
from racoon_data.errors import ExitCode

if TYPE_CHECKING:
    from racoon_data.harmonize.planning import GridPlan
    from racoon_data.harmonize.recipe import Recipe
    from racoon_data.runner.run import Result


def harmonize(
    source: Annotated[Path, typer.Argument(metavar="DIR", help="A finished dataset; it is only read.")],
    out: Annotated[Path, typer.Argument(metavar="OUT", help="Folder of the new dataset.")],
    recipe: Annotated[Path, typer.Option("--recipe", help="Recipe file (TOML).")],
    workers: Annotated[int, typer.Option("--workers", min=1, help="Local worker processes.")] = 1,
    scheduler: Annotated[str | None, typer.Option("--scheduler", help="Address of a Dask scheduler instead.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the plan and what would be refused.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document; progress as JSON lines.")] = False,
) -> None:
    """Bring a dataset to a recipe: orientation, spacing, crop, intensity, fusion; the same command continues.

    No DICOM is needed; splits, findings and sources are kept. Exits with 5 where cases are left out.
    Example: racoon dataset harmonize datasets/native datasets/iso --recipe recipe.toml --workers 2.
    """
    from racoon_data.harmonize.recipe import load_recipe
    from racoon_data.outcomes import exit_code_of
    from racoon_data.pipeline.reharmonize import harmonize_dataset, plan_dataset
    from racoon_data.runner.crew import Crew

    wanted = load_recipe(recipe)
    if dry_run:
        settled, plans = plan_dataset(source, wanted)
        _preview(settled, plans, as_json)
        outcomes = [plan.outcome for plan in plans]
    else:
        with console.progress(as_json=as_json) as on_event:
            done = harmonize_dataset(source, out, wanted, crew=Crew(workers, scheduler), on_event=on_event)
        outcomes = list(done.outcomes)
        left_out = [outcome for outcome in outcomes if outcome.code]
        if as_json:
            digest = done.manifest.dataset_sha256 if done.manifest else None
            rows = [outcome.to_json() for outcome in left_out]
            console.document({"dataset": str(out), "dataset_sha256": digest, "cases": len(outcomes), "left_out": rows})
        else:
            console.result(f"{len(outcomes) - len(left_out)} of {len(outcomes)} cases are in {out}")
            for outcome in left_out:
                console.talk(f"{outcome.status}: {outcome.ref}: {outcome.message} ({outcome.code}); {outcome.hint}")
    code = exit_code_of(outcomes)
    if not code and all(outcome.code for outcome in outcomes):
        code = ExitCode.NOTHING
    if code:
        raise typer.Exit(int(code))


def _preview(recipe: Recipe, plans: list[Result[GridPlan]], as_json: bool) -> None:
    from racoon_data.cli.dataset_build import grid_text

    if as_json:
        rows = [{"grid": plan.value.to_json() if plan.value else None, **plan.outcome.to_json()} for plan in plans]
        console.document({"dry_run": True, "recipe": recipe.to_json(), "recipe_sha256": recipe.sha256, "cases": rows})
        return
    rows_ = [
        (plan.outcome.ref, plan.outcome.status, grid_text(plan.value), plan.outcome.code, plan.outcome.message)
        for plan in plans
    ]
    console.table(("case", "", "grid", "code", "why not"), rows_, title=f"[dry-run] recipe {recipe.sha256[:12]}")
    refused = sum(bool(plan.outcome.code) for plan in plans)
    console.talk(f"[dry-run] {len(plans) - refused} of {len(plans)} cases would be written, {refused} refused")
