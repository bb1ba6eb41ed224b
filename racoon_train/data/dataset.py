"""A dataset folder for training: opened by its manifest, verified, bad cases set aside and counted."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from racoon_data.errors import DamagedDatasetError, DatasetError, SplitLeakError
from racoon_data.events import OnEvent, ignore
from racoon_data.files.atomic import sha256_of
from racoon_data.outcomes import Outcome, Status
from racoon_data.refs import CaseRef
from racoon_data.runner.run import run_items

MANIFEST_NAME = "racoon.json"


@dataclass(frozen=True, slots=True)
class TrainCase:
    """One labelled case on disk.

    Attributes:
        case_id: Identity in the dataset.
        patient: Pseudonym; splits are by patient.
        split: ``train`` or ``test``.
        images: One NIfTI file per channel.
        label: Label map.
        sha256: Checksum by path relative to the dataset.
    """

    case_id: str
    patient: str
    split: str
    images: tuple[Path, ...]
    label: Path
    sha256: tuple[tuple[str, str], ...] = ()


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
        DatasetError: There is no manifest, or no case is left.
        SplitLeakError: A patient stands in both splits.
    """
    manifest = _manifest(root)
    cases = tuple(
        sorted((_case(root, entry) for entry in manifest["cases"] if entry["label"]), key=lambda c: c.case_id)
    )
    _refuse_leaks(cases)
    items = [(CaseRef(case.case_id), case) for case in cases]
    results = list(run_items("verify", items, _verified, on_event=on_event)) if verify else []
    bad = tuple(result.outcome for result in results if result.outcome.status is not Status.DONE)
    kept = tuple(case for case in cases if CaseRef(case.case_id) not in {outcome.ref for outcome in bad})
    if not kept:
        raise DatasetError("no usable labelled case is left", ref=manifest["name"], hint="run racoon dataset check")
    return Dataset(
        root=root,
        name=manifest["name"],
        site=manifest["site"],
        sha256=manifest["dataset_sha256"],
        labels={label["name"]: int(label["value"]) for label in manifest["label_schema"]["labels"]},
        annotated=tuple(manifest["annotated_labels"]),
        cases=kept,
        quarantined=bad,
    )


def read_arrays(case: TrainCase) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.uint8]]:
    """Decode one case.

    Returns:
        Image float32 ``[c, k, j, i]`` and label uint8 ``[k, j, i]``.

    Raises:
        DatasetError: Channels and label do not share one shape.
    """
    image = np.stack([_read_nifti(path).astype(np.float32) for path in case.images])
    label = np.ascontiguousarray(_read_nifti(case.label).astype(np.uint8))
    if image.shape[1:] != label.shape:
        raise DatasetError("image and label differ in shape", ref=CaseRef(case.case_id), hint="harmonize again")
    return image, label


def _manifest(root: Path) -> dict[str, Any]:
    path = root / MANIFEST_NAME
    try:
        document: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DatasetError(f"{root.name} has no readable {MANIFEST_NAME}", hint="name a dataset folder") from error
    return document


def _read_nifti(path: Path) -> npt.NDArray[Any]:
    import nibabel

    return np.asarray(nibabel.load(path).dataobj).transpose(2, 1, 0)


def _case(root: Path, entry: Mapping[str, Any]) -> TrainCase:
    return TrainCase(
        case_id=entry["case_id"],
        patient=entry["patient"],
        split=entry["split"],
        images=tuple(root / name for name in entry["images"]),
        label=root / entry["label"],
        sha256=tuple(sorted((str(root / name), digest) for name, digest in entry["sha256"].items())),
    )


def _refuse_leaks(cases: tuple[TrainCase, ...]) -> None:
    sides: dict[str, set[str]] = {}
    for case in cases:
        sides.setdefault(case.patient, set()).add(case.split)
    leaks = sorted(patient for patient, splits in sides.items() if len(splits) > 1)
    if leaks:
        raise SplitLeakError(f"{len(leaks)} patient(s) stand in both splits", hint="split the dataset again")


def _verified(case: TrainCase) -> TrainCase:
    for name, digest in case.sha256:
        path = Path(name)
        if not path.is_file() or sha256_of(path) != digest:
            raise DamagedDatasetError(
                f"{path.name} is missing or differs from its checksum", ref=CaseRef(case.case_id), hint="build it again"
            )
    return case
