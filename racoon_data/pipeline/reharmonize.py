"""A finished dataset brought to another recipe: no DICOM and no PACS, its images, labels and unfused readers."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from racoon_data.cases import Severity
from racoon_data.dataset.manifest import ManifestFacts, begin_dataset, write_manifest
from racoon_data.dataset.writer import write_case
from racoon_data.errors import DatasetError, QualityError, SettingsError, about
from racoon_data.events import OnEvent, ignore
from racoon_data.files.atomic import sha256_of, write_json
from racoon_data.files.case_sidecar import load_sidecar
from racoon_data.files.manifest import MANIFEST_NAME, CaseRecord, Manifest, load_manifest
from racoon_data.files.sidecar import software
from racoon_data.harmonize.harmonize import harmonize
from racoon_data.harmonize.planning import GridPlan, plan_case
from racoon_data.harmonize.recipe import Recipe
from racoon_data.outcomes import Outcome, Status
from racoon_data.pipeline.dataset_cases import case_of, channel_grids, check_readable
from racoon_data.pipeline.finish import write_views
from racoon_data.pipeline.settle import settled_by
from racoon_data.pipeline.staging import Staging
from racoon_data.qc.checks import check_case
from racoon_data.refs import CaseRef
from racoon_data.runner.crew import Crew
from racoon_data.runner.run import Result, run_items

JOURNAL = ".harmonized.jsonl"


@dataclass(frozen=True, slots=True)
class Harmonized:
    """How harmonizing a dataset ended.

    Attributes:
        manifest: The new dataset's manifest, ``None`` where no case is left.
        outcomes: One outcome a case.
    """

    manifest: Manifest | None
    outcomes: tuple[Outcome, ...]


@dataclass(frozen=True, slots=True)
class _Order:
    source: Path
    root: Path
    manifest: Manifest
    recipe: Recipe

    @property
    def fingerprint(self) -> dict[str, Any]:
        """What a case that is already there must have been made of."""
        return {"source": self.manifest.dataset_sha256, "recipe": self.recipe.sha256, "software": software()}


def plan_dataset(source: Path, recipe: Recipe) -> tuple[Recipe, list[Result[GridPlan]]]:
    """Tell what harmonizing a dataset would do to each case, from headers and sidecars alone.

    Args:
        source: The dataset.
        recipe: As declared.

    Returns:
        The recipe with its spacing settled, and for each case its grid or why it would be refused.

    Raises:
        DamagedDatasetError: The source is no finished dataset.
    """
    manifest = load_manifest(source)
    recipe = _settled(source, manifest, recipe)
    work = partial(_plan, source=source, recipe=recipe)
    return recipe, list(run_items("plan", [(CaseRef(one.case_id), one) for one in manifest.cases], work))


def _plan(record: CaseRecord, *, source: Path, recipe: Recipe) -> GridPlan:
    sidecar = load_sidecar(source / record.sidecar)
    check_readable(sidecar, recipe)
    return plan_case(channel_grids(source, record, sidecar), recipe)


def _settled(source: Path, manifest: Manifest, recipe: Recipe) -> Recipe:
    if recipe.spacing_mm != "median":
        return recipe
    firsts = (channel_grids(source, one, load_sidecar(source / one.sidecar))[0][2] for one in manifest.cases)
    return settled_by(recipe, firsts)


def harmonize_dataset(
    source: Path,
    out: Path,
    recipe: Recipe,
    *,
    crew: Crew | None = None,
    on_event: OnEvent = ignore,
) -> Harmonized:
    """Bring every case of a dataset to a recipe, into a dataset of its own.

    Splits, findings, sidecars' sources and earlier steps are kept. A run that was cut goes on where it stopped.

    Args:
        source: A finished dataset; it is only read.
        out: Folder of the new dataset; a dataset of ours that stands there is replaced when the new one is whole.
        recipe: What to bring it to.
        crew: How many hands, and where; this process alone by default.
        on_event: Listener.

    Raises:
        DamagedDatasetError: The source is no finished dataset.
        SettingsError: ``out`` is the source, or a folder of something else.
        StorageError: The disk is full.
    """
    manifest = load_manifest(source)
    _check_out(source, out)
    with Staging(out) as staging:
        order = _Order(source.resolve(), staging.root.resolve(), manifest, _settled(source, manifest, recipe))
        done = _journal(order)
        if not done:
            begin_dataset(order.root)
            write_line(order.root / JOURNAL, order.fingerprint)
        items = [(CaseRef(one.case_id), one) for one in manifest.cases if one.case_id not in done]
        hands = replace(crew or Crew(), folder=order.root)
        results = run_items("harmonize", items, partial(_one, order=order), crew=hands, on_event=on_event)
        outcomes = [Outcome(CaseRef(name), "harmonize") for name in done]
        for result in results:
            outcomes.append(result.outcome)
            if result.value is not None:
                done[result.value.case_id] = result.value
                write_line(order.root / JOURNAL, result.value.model_dump(mode="json"))
        outcomes.sort(key=lambda outcome: str(outcome.ref))
        if not done:
            return Harmonized(None, tuple(outcomes))
        finished = _finish(order, out.name, [done[name] for name in sorted(done)], outcomes, workers=hands.workers)
        (order.root / JOURNAL).unlink()
        staging.publish()
    return Harmonized(finished, tuple(outcomes))


def _one(record: CaseRecord, *, order: _Order) -> CaseRecord:
    """Harmonize and write one case; findings and annotations of its sidecar stay as they were."""
    schema = order.manifest.label_schema.to_schema()
    with about(CaseRef(record.case_id)):
        sidecar = load_sidecar(order.source / record.sidecar)
        check_readable(sidecar, order.recipe)
        case = harmonize(case_of(order.source, order.manifest, record, sidecar, recipe=order.recipe), order.recipe)
        if failed := [issue for issue in check_case(case, schema) if issue.severity is Severity.FAIL]:
            raise QualityError(f"{failed[0].code}: {failed[0].message}", hint=failed[0].fix)
        written = write_case(case, order.root, schema=schema, split=record.split, fold=record.fold)
        path = order.root / written.sidecar
        kept = {"findings": sidecar.findings, "annotations": sidecar.annotations}
        write_json(path, load_sidecar(path).model_copy(update=kept).model_dump(mode="json"))
        sha256 = {**written.sha256, written.sidecar: sha256_of(path)}
        return written.model_copy(update={"sha256": sha256})


def _finish(
    order: _Order, name: str, made: Sequence[CaseRecord], outcomes: Sequence[Outcome], *, workers: int
) -> Manifest:
    manifest = order.manifest
    facts = ManifestFacts(
        name=name,
        site=manifest.site,
        recipe=order.recipe.to_json(),
        recipe_sha256=order.recipe.sha256,
        schema=manifest.label_schema.to_schema(),
        channels=manifest.channels,
        annotated_labels=manifest.annotated_labels,
        splits=manifest.splits,
    )
    left_out = [outcome for outcome in outcomes if outcome.status is not Status.DONE]
    finished = write_manifest(order.root, facts, made, left_out)
    write_views(order.root, workers=workers)
    return finished


def _check_out(source: Path, out: Path) -> None:
    if out.resolve() == source.resolve():
        raise SettingsError("the dataset cannot be harmonized onto itself", hint="name another folder")
    if out.exists() and any(out.iterdir()) and not (out / MANIFEST_NAME).is_file():
        raise DatasetError(f"{out.name} holds something else than a dataset of racoon", hint="choose another folder")


def _journal(order: _Order) -> dict[str, CaseRecord]:
    """Recall what a run that was cut had finished, where it was of the same source, recipe and software."""
    path = order.root / JOURNAL
    lines = list(_lines(path)) if path.is_file() else []
    if not lines or lines[0] != order.fingerprint:
        path.unlink(missing_ok=True)
        return {}
    made = map(CaseRecord.model_validate, lines[1:])
    return {record.case_id: record for record in made if _is_whole(order.root, record)}


def _is_whole(root: Path, record: CaseRecord) -> bool:
    with suppress(OSError):
        return all(sha256_of(root / path) == expected for path, expected in record.sha256.items())
    return False


def write_line(path: Path, document: object) -> None:
    """Add a JSON line to a file."""
    with path.open("a", encoding="utf-8") as stream:
        stream.write(json.dumps(document) + "\n")


def _lines(path: Path) -> Iterator[Any]:
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            yield json.loads(line)
        except json.JSONDecodeError:
            return  # the line a kill cut; everything before it holds
