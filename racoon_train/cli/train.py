"""``racoon train``: train alone or together, judge a model, compare."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from racoon_data import console
from racoon_data.errors import SettingsError
from racoon_train.cli.fingerprint import fingerprint, plan
from racoon_train.cli.predict import predict

app = typer.Typer(help="Train locally, in ensembles or together, and compare.", no_args_is_help=True)
app.command()(predict)

app.command()(fingerprint)
app.command()(plan)

_JOB_HELP = "Job file (TOML or JSON); racoon schema show federation-job lists every key."
JobOption = Annotated[Path, typer.Option("--job", help=_JOB_HELP)]
JobArgument = Annotated[Path, typer.Argument(help=_JOB_HELP)]
DatasetArgument = Annotated[Path, typer.Argument(help="Folder of a dataset, with its racoon.json.")]
ModelArgument = Annotated[
    Path, typer.Argument(help="Weights (.safetensors) with the model card beside them, or a folder of label files.")
]
OutOption = Annotated[Path, typer.Option("--out", help="Folder for the result.")]
SitesOption = Annotated[list[str], typer.Option("--dataset", help="A site's dataset as ALIAS=FOLDER; repeat.")]
ExternalOption = Annotated[list[str] | None, typer.Option("--external", help="A left-out dataset as NAME=FOLDER.")]
AggregatorOption = Annotated[str, typer.Option("--aggregator", help="flower, nvflare or in-process.")]
ToleranceOption = Annotated[
    float, typer.Option("--tolerance-mm", min=0, help="Surfaces this near are one, in the surface Dice.")
]
LesionOption = Annotated[float, typer.Option("--min-lesion-ml", min=0, help="Smaller lesions are not counted.")]
WRITTEN = ("comparison.json", "comparison.html", "scores.csv", "model-card.json")
JsonOption = Annotated[bool, typer.Option("--json", help="One JSON document.")]
DryOption = Annotated[bool, typer.Option("--dry-run", help="Check job and datasets, train nothing.")]


@app.command()
def local(
    dataset: DatasetArgument,
    job: JobOption,
    out: OutOption,
    resume: Annotated[
        bool, typer.Option("--resume/--anew", help="Go on where a run in this folder stopped, or forget it.")
    ] = True,
    as_json: JsonOption = False,
    dry_run: DryOption = False,
) -> None:
    """Train on one dataset alone. Example: racoon train local datasets/lung --job job.toml --out local."""
    from racoon_train.baselines.local import train_local
    from racoon_train.federated.contract import join
    from racoon_train.job.job import load_job

    if dry_run:
        _checked(job, {"local": dataset}, as_json=as_json)
        return
    with console.progress(as_json=as_json) as listener:
        site = join("local", dataset, load_job(job), out, on_event=listener)
        _written(train_local(site, out, resume=resume, on_event=listener), as_json=as_json)


@app.command()
def federated(
    job: JobArgument,
    dataset: SitesOption,
    out: OutOption,
    aggregator: AggregatorOption = "flower",
    as_json: JsonOption = False,
    dry_run: DryOption = False,
) -> None:
    """Train together. Example: racoon train federated job.toml --dataset a=A --dataset b=B --out fed."""
    from racoon_data import plugins
    from racoon_train.job.job import load_job

    datasets = pairs(dataset)
    if dry_run:
        _checked(job, datasets, as_json=as_json)
        return
    engine = plugins.load(plugins.AGGREGATORS, aggregator)()
    with console.progress(as_json=as_json) as listener:
        model = engine.run(load_job(job).to_json(), datasets=datasets, out=out, on_event=listener)
    _written(model, as_json=as_json)


@app.command()
def compare(
    job: JobArgument,
    dataset: SitesOption,
    out: OutOption,
    external: ExternalOption = None,
    aggregator: AggregatorOption = "flower",
    seed: Annotated[
        list[int] | None, typer.Option("--seed", help="Train every arm from this seed; repeat for several.")
    ] = None,
    pooled: Annotated[
        bool, typer.Option("--pooled", help="Also train on all data in one place: only where that is allowed.")
    ] = False,
    rotate: Annotated[bool, typer.Option("--rotate", help="Also leave out each site in turn (three or more).")] = False,
    tolerance_mm: ToleranceOption = 2.0,
    min_lesion_ml: LesionOption = 0.1,
    images: Annotated[bool, typer.Option(help="Show slices of losing cases on the page.")] = True,
    as_json: JsonOption = False,
    dry_run: DryOption = False,
) -> None:
    """Train every arm and compare. Example: racoon train compare job.toml --dataset a=A --dataset b=B --out study."""
    from racoon_train.evaluation.metrics import Yardstick
    from racoon_train.evaluation.report import print_tables
    from racoon_train.job.job import load_job
    from racoon_train.study import StudyPlan, run_study

    datasets, left_out = pairs(dataset), pairs(external or [])
    if dry_run:
        _checked(job, {**datasets, **left_out}, as_json=as_json)
        return
    plan = StudyPlan(
        aggregator=aggregator,
        seeds=tuple(dict.fromkeys(seed or ())),
        is_pooled=pooled,
        is_rotated=rotate,
        yardstick=Yardstick(tolerance_mm=tolerance_mm, min_lesion_ml=min_lesion_ml),
        has_images=images,
    )
    with console.progress(as_json=as_json) as listener:
        comparison = run_study(load_job(job), datasets, left_out, out, plan, on_event=listener)
    if as_json:
        console.document(comparison.document)
    else:
        print_tables(comparison)
        console.talk(f"wrote {', '.join(str(out / name) for name in WRITTEN)}")


@app.command()
def evaluate(
    model: ModelArgument,
    dataset: DatasetArgument,
    split: Annotated[str, typer.Option("--split", help="test, or all for a dataset the model never saw.")] = "test",
    cache: Annotated[
        Path | None, typer.Option("--cache", help="Folder for decoded cases; a passing one if none.")
    ] = None,
    tolerance_mm: ToleranceOption = 2.0,
    min_lesion_ml: LesionOption = 0.1,
    as_json: JsonOption = False,
) -> None:
    """Judge a model, or label files of any tool. Example: racoon train evaluate fed/model.safetensors datasets/lung.

    A folder in place of a model holds predictions as CASE.nii.gz, with the dataset's label values; a case
    without a file counts as zero.
    """
    import tempfile

    from racoon_train.evaluation.cells import class_of
    from racoon_train.evaluation.judging import judge_dataset
    from racoon_train.evaluation.label_files import judge_files
    from racoon_train.evaluation.metrics import Yardstick
    from racoon_train.evaluation.tables import MEASURES, figure_of

    if split not in ("test", "all"):
        raise SettingsError(f"there is no split {split!r}", hint="test or all")
    yardstick = Yardstick(tolerance_mm=tolerance_mm, min_lesion_ml=min_lesion_ml)
    with tempfile.TemporaryDirectory(prefix="racoon-") as passing:
        if model.is_dir():
            judged = judge_files(model, dataset, split=split, yardstick=yardstick)
        else:
            judged = judge_dataset(model, dataset, split=split, cache=cache or Path(passing), yardstick=yardstick)
    classes = {name: class_of([each.scores[name] for each in judged]) for name in judged[0].scores}
    if as_json:
        console.document({"model": model.name, "dataset": dataset.name, "split": split, "classes": classes})
    else:
        rows = [[name, *(figure_of(of(entry)) for _, of in MEASURES.values())] for name, entry in classes.items()]
        console.table(["class", *(words for words, _ in MEASURES.values())], rows)


def pairs(named: list[str]) -> dict[str, Path]:
    """Read ``NAME=FOLDER`` options.

    Raises:
        SettingsError: One is malformed or a name occurs twice.
    """
    found: dict[str, Path] = {}
    for entry in named:
        name, _, folder = entry.partition("=")
        usable = name.replace("-", "").replace("_", "").isalnum()
        if not usable or not folder or name in found:
            raise SettingsError(f"{entry!r} does not name one dataset", hint="write ALIAS=FOLDER, each alias once")
        found[name] = Path(folder)
    return found


def _written(model: Path, *, as_json: bool) -> None:
    if as_json:
        console.document({"model": str(model)})
    else:
        console.result(str(model))


def _checked(job: Path, datasets: dict[str, Path], *, as_json: bool) -> None:
    from racoon_train.data.dataset import open_dataset
    from racoon_train.federated.contract import check_fit
    from racoon_train.job.job import load_job

    plan = load_job(job)
    rows = []
    for name, root in datasets.items():
        opened = open_dataset(root)
        check_fit(opened, plan)
        rows.append([name, len(opened.split("train")), len(opened.split("test")), len(opened.quarantined)])
    columns = ["site", "train", "test", "quarantined"]
    if as_json:
        console.document(
            {"job": plan.name, "sha256": plan.sha256, "sites": [dict(zip(columns, r, strict=True)) for r in rows]}
        )
    else:
        console.table(
            columns, rows, title=f"{plan.name}: {plan.training.rounds} rounds of {plan.training.local_steps} steps"
        )
