"""Records to a finished dataset: views for other tools, sums that agree, one hash, and racoon.json last of all."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from racoon_data import schemas
from racoon_data.dataset.layout import CASE_FOLDERS, claim
from racoon_data.dataset.splits import check_splits
from racoon_data.dataset.views import write_views
from racoon_data.dataset.writer import check_label_values, ignore_value
from racoon_data.errors import DatasetError
from racoon_data.files.atomic import write_json
from racoon_data.files.case_sidecar import load_sidecar
from racoon_data.files.manifest import (
    MANIFEST_NAME,
    CaseRecord,
    Counts,
    LabelSchemaRecord,
    Manifest,
    OutcomeRecord,
    SplitMemory,
    load_manifest,
)
from racoon_data.files.sidecar import software
from racoon_data.labels import LabelSchema
from racoon_data.outcomes import Outcome, Status
from racoon_data.refs import CaseRef, StudyRef

__all__ = ["MANIFEST_NAME", "CaseRecord", "Manifest", "ManifestFacts", "begin_dataset"]
__all__ += ["load_manifest", "rewrite_manifest", "write_manifest"]


@dataclass(frozen=True, slots=True)
class ManifestFacts:
    """What a dataset says about itself beside its cases.

    Attributes:
        name: Name of the dataset: letters, digits, ``_`` and ``-``.
        site: Alias of the site.
        recipe: The recipe, JSON-ready and in full.
        recipe_sha256: Its hash.
        schema: The label language.
        channels: Channel names in channel order.
        annotated_labels: Labels this site looks for; empty means all.
        cases_in: Cases that came in; ``None`` where the outcomes of studies and cases tell.
        splits: Where patients stand, for the next version.
    """

    name: str
    site: str
    recipe: Mapping[str, Any]
    recipe_sha256: str
    schema: LabelSchema
    channels: tuple[str, ...]
    annotated_labels: tuple[str, ...] = ()
    cases_in: int | None = None
    splits: SplitMemory | None = None


def begin_dataset(root: Path) -> None:
    """Open a dataset folder for writing; call it before the first case.

    From here until ``write_manifest`` the dataset counts as unfinished.

    Raises:
        DatasetError: The folder holds a dataset that racoon did not write; it is left as it is.
    """
    claim(root)
    (root / MANIFEST_NAME).unlink(missing_ok=True)


def write_manifest(
    root: Path, facts: ManifestFacts, records: Sequence[CaseRecord], outcomes: Sequence[Outcome] = ()
) -> Manifest:
    """Finish a dataset: write the views, then ``racoon.json``, whose presence means complete.

    Files of cases that are no longer in the dataset are removed from racoon's own folders.

    Args:
        root: The dataset folder, with its cases written.
        facts: What it says about itself.
        records: Every case that was written, in any order.
        outcomes: Every item that is not in the dataset; done ones are left out. Studies and cases
            among them count as cases that came in, single files and instances do not.

    Returns:
        The manifest as written.

    Raises:
        SplitLeakError: One patient stands on both sides of a split.
        DatasetError: Two cases share an id, or the counts do not add up.
        SchemaError: The manifest does not fit ``schemas/dataset-manifest``.
    """
    check_label_values(facts.schema)
    ordered = sorted(records, key=lambda record: record.case_id)
    if len({record.case_id for record in ordered}) != len(ordered):
        raise DatasetError("two cases share one id", hint="name cases by pseudonymous patient, study and series")
    check_splits(ordered)
    return _finished(root, _manifest(facts, ordered, outcomes))


def rewrite_manifest(root: Path, manifest: Manifest, records: Sequence[CaseRecord], splits: SplitMemory) -> Manifest:
    """Finish a dataset again after its cases changed sides; everything else it says of itself stays.

    Args:
        root: The dataset folder, its files already on their sides.
        manifest: The manifest before.
        records: The same cases where they stand now.
        splits: Where patients stand.

    Raises:
        SplitLeakError: One patient stands on both sides of a split.
    """
    check_splits(records)
    ordered = tuple(sorted(records, key=lambda record: record.case_id))
    digest = dataset_hash(ordered, manifest.recipe_sha256, manifest.label_schema)
    return _finished(
        root, manifest.model_copy(update={"cases": ordered, "splits": splits, "dataset_sha256": digest, "files": {}})
    )


def _finished(root: Path, manifest: Manifest) -> Manifest:
    """Write the views, then the manifest."""
    begin_dataset(root)
    _remove_strays(root, manifest.cases)
    sidecars = [load_sidecar(root / record.sidecar) for record in manifest.cases]
    if any(sidecar.label and sidecar.label.ignored_voxels for sidecar in sidecars):
        manifest = manifest.model_copy(update={"ignore_value": ignore_value(manifest.label_schema.to_schema())})
    manifest = manifest.model_copy(update={"files": write_views(root, manifest, sidecars)})
    document = manifest.to_json()
    schemas.validate("dataset-manifest", document)
    write_json(root / MANIFEST_NAME, document)
    return manifest


def _manifest(facts: ManifestFacts, records: Sequence[CaseRecord], outcomes: Sequence[Outcome]) -> Manifest:
    left_out = sorted({outcome for outcome in outcomes if outcome.status is not Status.DONE}, key=_outcome_key)
    schema = LabelSchemaRecord.of(facts.schema)
    annotated = facts.annotated_labels or tuple(label.name for label in schema.labels)
    return Manifest(
        name=facts.name,
        site=facts.site,
        dataset_sha256=dataset_hash(records, facts.recipe_sha256, schema),
        recipe=dict(facts.recipe),
        recipe_sha256=facts.recipe_sha256,
        label_schema=schema,
        annotated_labels=annotated,
        channels=facts.channels,
        counts=_counts(facts, len(records), left_out),
        cases=tuple(records),
        outcomes=tuple(OutcomeRecord.model_validate(outcome.to_json()) for outcome in left_out),
        software=software(),
        splits=facts.splits,
    )


def _outcome_key(outcome: Outcome) -> tuple[str, ...]:
    return (str(outcome.ref), outcome.step, outcome.code, outcome.message)


def _counts(facts: ManifestFacts, used: int, left_out: Iterable[Outcome]) -> Counts:
    ends: dict[str, Status] = {}
    for outcome in left_out:
        if isinstance(outcome.ref, StudyRef | CaseRef) and ends.get(str(outcome.ref)) is not Status.FAILED:
            ends[str(outcome.ref)] = outcome.status
    skipped = sum(status is Status.SKIPPED for status in ends.values())
    failed = len(ends) - skipped
    total = used + skipped + failed
    if facts.cases_in is not None and facts.cases_in != total:
        message = f"{facts.cases_in} cases came in, but {used} used + {skipped} skipped + {failed} failed = {total}"
        raise DatasetError(message, hint="every case needs a record or an outcome")
    return Counts(cases_in=total, used=used, skipped=skipped, failed=failed)


def dataset_hash(records: Iterable[CaseRecord], recipe_sha256: str, schema: LabelSchemaRecord) -> str:
    """Hash what a dataset is: every file hash of every case with its split, the recipe and the label schema."""
    cases = [[r.case_id, r.patient, r.split, r.fold, sorted(r.sha256.items())] for r in records]
    whole = {"cases": sorted(cases), "recipe": recipe_sha256, "labels": schema.model_dump(mode="json")}
    text = json.dumps(whole, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def _remove_strays(root: Path, records: Iterable[CaseRecord]) -> None:
    own = {root / path for record in records for path in record.sha256}
    for folder in CASE_FOLDERS:
        for path in sorted((root / folder).rglob("*"), reverse=True):
            if path.is_dir() and not path.is_symlink():
                if not any(path.iterdir()):
                    path.rmdir()
            elif path not in own:
                path.unlink()
