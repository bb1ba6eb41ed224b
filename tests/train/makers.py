"""Tiny labelled datasets with known truth, written by hand in the published layout."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import nibabel
import numpy as np

from racoon_data.dataset.manifest import dataset_hash
from racoon_data.files.manifest import CaseRecord, LabelSchemaRecord
from racoon_train.job.job import Job, JobLabel
from racoon_train.job.network import NetworkSettings
from racoon_train.job.rules import RuleSettings
from racoon_train.job.training import TrainingSettings

LABELS = (JobLabel(value=1, name="lesion"), JobLabel(value=2, name="fluid"))


def a_job(*, rounds: int = 2, steps: int = 6, quorum: int = 0) -> Job:
    """A job that trains in a second."""
    return Job(
        name="tiny",
        seed=5,
        labels=LABELS,
        network=NetworkSettings(channels=(4, 8), residual_units=0),
        training=TrainingSettings(rounds=rounds, local_steps=steps, batch_size=4, patch=24, learning_rate=0.02),
        rules=RuleSettings(quorum=quorum, round_timeout_s=60, join_timeout_s=30),
    )


def a_dataset(root: Path, *, site: str = "a", cases: int = 4, annotated: tuple[str, ...] = ("lesion", "fluid")) -> Path:
    """A dataset of 32x32x4 volumes: a bright square lesion and a middling fluid stripe in dark lung."""
    rng = np.random.default_rng([len(site), *site.encode()])
    entries = [
        _case(root, f"{site}-{number}", rng, "test" if number == 0 else "train", annotated) for number in range(cases)
    ]
    schema = {
        "name": "tiny",
        "version": "1",
        "labels": [{"value": label.value, "name": label.name} for label in LABELS],
    }
    records = [CaseRecord.model_validate(entry) for entry in entries]
    whole = dataset_hash(records, "0" * 64, LabelSchemaRecord.model_validate(schema))
    manifest = {
        "schema_version": "1.0",
        "name": f"tiny-{site}",
        "site": site,
        "dataset_sha256": whole,
        "recipe": {},
        "recipe_sha256": "0" * 64,
        "label_schema": schema,
        "annotated_labels": list(annotated),
        "channels": ["CT"],
        "counts": {"cases_in": cases, "used": cases, "skipped": 0, "failed": 0},
        "cases": entries,
    }
    (root / "racoon.json").write_text(json.dumps(manifest))
    return root


def _case(
    root: Path, case_id: str, rng: np.random.Generator, split: str, annotated: tuple[str, ...]
) -> dict[str, object]:
    image = rng.normal(-800, 30, (4, 32, 32)).round()
    label = np.zeros((4, 32, 32), np.uint8)
    row, column = rng.integers(4, 14, 2)
    image[1:3, row : row + 8, column : column + 8] += 800
    label[1:3, row : row + 8, column : column + 8] = 1
    image[:, 26:30] += 400
    label[:, 26:30] = 2
    for entry in LABELS:
        if entry.name not in annotated:
            label[label == entry.value] = 0
    images, labels = f"imagesTr/{case_id}_0000.nii.gz", f"labelsTr/{case_id}.nii.gz"
    return {
        "case_id": case_id,
        "patient": f"p-{case_id}",
        "split": split,
        "fold": None,
        "images": [images],
        "label": labels,
        "sidecar": f"sidecars/{case_id}.json",
        "annotated": list(annotated),
        "sha256": {images: _save(root / images, image.astype(np.int16)), labels: _save(root / labels, label)},
    }


def _save(path: Path, array: np.ndarray) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    nibabel.save(nibabel.Nifti1Image(array.transpose(2, 1, 0), np.diag([-1.0, -1.0, 3.0, 1.0])), path)
    return hashlib.sha256(path.read_bytes()).hexdigest()
