"""A dataset folder for training: opened by its manifest, verified, bad cases set aside and counted."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from racoon_data.dataset.manifest import dataset_hash
from racoon_data.dataset.splits import check_splits
from racoon_data.errors import DamagedDatasetError, DatasetError
from racoon_data.events import OnEvent, ignore
from racoon_data.files.atomic import sha256_of
from racoon_data.files.manifest import CaseRecord, Manifest, load_manifest
from racoon_data.files.nifti import read_nifti
from racoon_data.geometry import SAME_GRID_MM
from racoon_data.labels import IGNORE
from racoon_data.outcomes import Outcome, Status
from racoon_data.refs import CaseRef
from racoon_data.runner.run import run_items

# Files of the label language, of those beside the cases; views such as index.csv are free to change.
_LANGUAGE = {"labels.json"}


@dataclass(frozen=True, slots=True)
class TrainCase:
    """One labelled case on disk.

    Attributes:
        case_id: Identity in the dataset.
        patient: Pseudonym; splits are by patient.
        split: ``train`` or ``test``.
        images: One NIfTI file per channel.
        label: Label map.
        annotated: Labels that were looked for in it.
        ignore_value: Voxel value that means "do not learn from this voxel", if any.
        sha256: Checksum by path of every file of the case.
        fold: Cross-validation fold, ``None`` in the test split.
        values: Voxel values that the label schema knows.
    """

    case_id: str
    patient: str
    split: str
    images: tuple[Path, ...]
    label: Path
    annotated: tuple[str, ...] = ()
    ignore_value: int | None = None
    sha256: tuple[tuple[str, str], ...] = ()
    fold: int | None = None
    values: frozenset[int] = frozenset(range(256))


@dataclass(frozen=True, slots=True)
class Dataset:
    """A verified dataset.

    Attributes:
        root: Its folder.
        name: Name.
        site: Pseudonymous site.
        sha256: Identity of the content.
        labels: Voxel value by label name.
        annotated: Labels that were looked for here; others are *not annotated*, which is not absent.
        cases: Cases that passed, sorted by identity.
        quarantined: Outcome of each case set aside.
    """

    root: Path
    name: str
    site: str
    sha256: str
    labels: Mapping[str, int]
    annotated: tuple[str, ...]
    cases: tuple[TrainCase, ...]
    quarantined: tuple[Outcome, ...] = ()

    def split(self, name: str) -> tuple[TrainCase, ...]:
        """Give the cases of ``train``, ``test`` or ``all``."""
        return tuple(case for case in self.cases if name in ("all", case.split))


def open_dataset(root: Path, *, verify: bool = True, on_event: OnEvent = ignore) -> Dataset:
    """Open a dataset by its manifest and verify every file before the first batch.

    Args:
        root: Dataset folder with ``racoon.json``.
        verify: Compare each file with its checksum; skip only where this process did it before.
        on_event: Listener (kind ``verify``).

    Raises:
        DamagedDatasetError: There is no manifest, it does not fit its own hash, or its label file changed.
        DatasetError: No usable case is left.
        SchemaError: The manifest does not validate.
        SplitLeakError: A patient stands on both sides of a split.
    """
    manifest = load_manifest(root)
    check_splits(manifest.cases)
    check_whole(root, manifest)
    records = sorted(manifest.cases, key=lambda record: record.case_id)
    cases = tuple(_case(root, record, manifest) for record in records if record.label)
    items = [(CaseRef(case.case_id), case) for case in cases]
    results = list(run_items("verify", items, _verified, on_event=on_event)) if verify else []
    bad = tuple(result.outcome for result in results if result.outcome.status is not Status.DONE)
    kept = tuple(case for case in cases if CaseRef(case.case_id) not in {outcome.ref for outcome in bad})
    if not kept:
        raise DatasetError("no usable labelled case is left", ref=manifest.name, hint="run racoon dataset check")
    return Dataset(
        root=root,
        name=manifest.name,
        site=manifest.site,
        sha256=manifest.dataset_sha256,
        labels={label.name: label.value for label in manifest.label_schema.labels},
        annotated=_annotated(manifest),
        cases=kept,
        quarantined=bad,
    )


def check_whole(root: Path, manifest: Manifest) -> None:
    """Refuse a manifest or label language that is not what the dataset was published with.

    Raises:
        DamagedDatasetError: See above.
    """
    if dataset_hash(manifest.cases, manifest.recipe_sha256, manifest.label_schema) != manifest.dataset_sha256:
        raise DamagedDatasetError(
            "the manifest differs from its own hash", ref=manifest.name, hint="build the dataset again"
        )
    for name in sorted(_LANGUAGE & set(manifest.files)):
        if not (root / name).is_file() or sha256_of(root / name) != manifest.files[name]:
            raise DamagedDatasetError(f"{name} is missing or changed", ref=manifest.name, hint="build it again")


def read_arrays(case: TrainCase) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.uint8]]:
    """Decode one case.

    Returns:
        Image float32 ``[c, k, j, i]`` and label uint8 ``[k, j, i]``, where 255 means ignore.

    Raises:
        DamagedDatasetError: A file cannot be read, or the label holds a value its schema does not know.
        DatasetError: Channels and label do not share one grid.
    """
    label, grid = read_nifti(case.label)
    unknown = sorted(set(np.unique(label).tolist()) - case.values - {0, case.ignore_value})
    if unknown:
        raise DamagedDatasetError(
            f"label values {unknown} are not in the label schema", ref=CaseRef(case.case_id), hint="build it again"
        )
    channels = []
    for path in case.images:
        image, own = read_nifti(path)
        if not own.same_grid(grid, tol_mm=SAME_GRID_MM):
            raise DatasetError("image and label lie on two grids", ref=CaseRef(case.case_id), hint="harmonize again")
        channels.append(image.astype(np.float32))
    values = label.astype(np.uint8)
    if case.ignore_value is not None:
        values[label == case.ignore_value] = IGNORE
    return np.stack(channels), np.ascontiguousarray(values)


def _annotated(manifest: Manifest) -> tuple[str, ...]:
    return manifest.annotated_labels or tuple(label.name for label in manifest.label_schema.labels)


def _case(root: Path, record: CaseRecord, manifest: Manifest) -> TrainCase:
    return TrainCase(
        case_id=record.case_id,
        patient=record.patient,
        split=record.split,
        images=tuple(root / name for name in record.images),
        label=root / str(record.label),
        annotated=record.annotated or _annotated(manifest),
        ignore_value=manifest.ignore_value,
        sha256=tuple(sorted((str(root / name), digest) for name, digest in record.sha256.items())),
        fold=record.fold,
        values=frozenset(label.value for label in manifest.label_schema.labels),
    )


def _verified(case: TrainCase) -> None:
    verified(case.case_id, case.sha256)


def verified(case_id: str, sha256: Iterable[tuple[str, str]]) -> None:
    """Compare the files of a case with their checksums.

    Args:
        case_id: Identity of the case.
        sha256: Path and checksum of each file.

    Raises:
        DamagedDatasetError: One is missing or differs.
    """
    for name, digest in sha256:
        path = Path(name)
        if not path.is_file() or sha256_of(path) != digest:
            raise DamagedDatasetError(
                f"{path.name} is missing or differs from its checksum", ref=CaseRef(case_id), hint="build it again"
            )
