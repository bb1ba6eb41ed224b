"""Is a dataset on disk what its manifest says? Schema, checksums, strays, grids, label values, splits."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from racoon_data import schemas
from racoon_data.dataset.layout import CASE_FOLDERS
from racoon_data.dataset.manifest import dataset_hash
from racoon_data.dataset.splits import check_splits
from racoon_data.documents import read_json
from racoon_data.errors import DamagedDatasetError, RacoonError, SchemaError, SplitLeakError
from racoon_data.events import Event, OnEvent, ignore
from racoon_data.files.atomic import sha256_of
from racoon_data.files.case_sidecar import REBUILD, load_sidecar
from racoon_data.files.manifest import MANIFEST_NAME, CaseRecord, Manifest, load_manifest
from racoon_data.files.nifti import read_nifti
from racoon_data.geometry import SAME_GRID_MM
from racoon_data.outcomes import Outcome, Status, outcome_of
from racoon_data.refs import CaseRef, FileRef, Ref

_STEP = "check"


def check_dataset(root: Path, *, on_event: OnEvent = ignore) -> tuple[Outcome, ...]:
    """Compare a dataset with its manifest.

    Args:
        root: The dataset folder.
        on_event: Listener, one event a case.

    Returns:
        One failed outcome for each defect, naming the file or case; nothing for a sound dataset.

    Raises:
        DamagedDatasetError: There is no manifest.
        SchemaError: The manifest cannot be read at all.
    """
    manifest = load_manifest(root)
    defects = [*_manifest_defects(root, manifest), *_stray_files(root, manifest)]
    for done, case in enumerate(manifest.cases, start=1):
        defects += _case_defects(root, manifest, case)
        on_event(Event(_STEP, case.case_id, done, len(manifest.cases)))
    return tuple(defects)


def _defect(ref: Ref, message: str, *, code: str = DamagedDatasetError.code, hint: str = REBUILD) -> Outcome:
    return Outcome(ref, _STEP, Status.FAILED, code, message, hint)


def _manifest_defects(root: Path, manifest: Manifest) -> Iterator[Outcome]:
    ref = FileRef(MANIFEST_NAME)
    document = read_json(root / MANIFEST_NAME)
    try:
        schemas.validate("dataset-manifest", document)
        check_splits(manifest.cases)
    except (SchemaError, SplitLeakError) as error:
        yield outcome_of(error, ref=ref, step=_STEP)
    counts = manifest.counts
    if counts.used != len(manifest.cases) or counts.used + counts.skipped + counts.failed != counts.cases_in:
        yield _defect(ref, "the counts of used, skipped and failed cases do not add up")
    if dataset_hash(manifest.cases, manifest.recipe_sha256, manifest.label_schema) != manifest.dataset_sha256:
        yield _defect(ref, "dataset_sha256 differs from what the manifest lists")
    yield from _file_defects(root, manifest.files)


def _file_defects(root: Path, sha256: dict[str, str]) -> Iterator[Outcome]:
    for path, expected in sorted(sha256.items()):
        if not (root / path).is_file():
            yield _defect(FileRef(path), "the file is missing")
        elif sha256_of(root / path) != expected:
            yield _defect(FileRef(path), "the file differs from its checksum")


def _stray_files(root: Path, manifest: Manifest) -> Iterator[Outcome]:
    known = {root / path for case in manifest.cases for path in case.sha256}
    for folder in CASE_FOLDERS:
        for path in sorted((root / folder).rglob("*")):
            if not path.is_dir() and path not in known:
                name = path.relative_to(root).as_posix()
                yield _defect(FileRef(name), "the file belongs to no case", hint="move it out of the dataset")


def _case_defects(root: Path, manifest: Manifest, case: CaseRecord) -> list[Outcome]:
    unlisted = sorted({*case.images, case.sidecar, *([case.label] if case.label else [])} - set(case.sha256))
    defects = [_defect(FileRef(path), "the file has no checksum") for path in unlisted]
    defects += _file_defects(root, case.sha256)
    if defects:
        return defects
    try:
        load_sidecar(root / case.sidecar)
        return list(_voxel_defects(root, manifest, case))
    except RacoonError as error:
        return [outcome_of(error, ref=CaseRef(case.case_id), step=_STEP)]


def _voxel_defects(root: Path, manifest: Manifest, case: CaseRecord) -> Iterator[Outcome]:
    ref = CaseRef(case.case_id)
    grids = [read_nifti(root / path)[1] for path in case.images]
    if case.label is not None:
        array, grid = read_nifti(root / case.label)
        grids.append(grid)
        known = {0, manifest.ignore_value, *(label.value for label in manifest.label_schema.labels)}
        unknown = sorted(set(np.unique(array).tolist()) - known)
        if unknown:
            yield _defect(ref, f"label values {unknown} are not in the label schema")
    if not all(grids[0].same_grid(grid, tol_mm=SAME_GRID_MM) for grid in grids[1:]):
        yield _defect(ref, "images and label lie on different grids")
