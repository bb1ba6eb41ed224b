"""Files beside the cases, each a view of the manifest: nnU-Net, labels, index, findings, MONAI, Croissant."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from racoon_data.dataset.exporters.croissant import croissant_of
from racoon_data.dataset.exporters.datalist import datalist_of
from racoon_data.dataset.layout import (
    CROISSANT_JSON,
    DATALIST_JSON,
    DATASET_JSON,
    ENDING,
    FINDINGS_CSV,
    INDEX_CSV,
    LABELS_JSON,
    is_training,
)
from racoon_data.documents import parse_json
from racoon_data.files.atomic import sha256_of, write_json, write_text
from racoon_data.files.case_sidecar import CaseSidecar
from racoon_data.files.findings import FINDING_COLUMNS
from racoon_data.files.manifest import CaseRecord, Manifest

_INDEX_COLUMNS = (
    *("case_id", "patient", "split", "fold", "relative_day", "images", "label", "sidecar"),
    *("modality", "manufacturer", "model", "kernel", "slice_thickness_mm", "contrast_agent"),
    *("size", "spacing_mm", "orientation", "annotated", "unmapped", "image_sha256", "label_sha256"),
)


def write_views(root: Path, manifest: Manifest, sidecars: Sequence[CaseSidecar]) -> dict[str, str]:
    """Write every view.

    Args:
        root: The dataset folder.
        manifest: The manifest, without ``files``.
        sidecars: The sidecar of every case, in the manifest's order.

    Returns:
        Checksum of each file by path.
    """
    write_json(root / DATASET_JSON, nnunet_of(manifest))
    write_json(root / LABELS_JSON, labels_of(manifest))
    index = index_of(manifest, sidecars)
    write_text(root / INDEX_CSV, index)
    write_text(root / FINDINGS_CSV, findings_of(sidecars))
    write_json(root / DATALIST_JSON, datalist_of(manifest))
    columns = index.partition("\n")[0].split(",")
    croissant = croissant_of(manifest, columns, index_sha256=sha256_of(root / INDEX_CSV))
    write_json(root / CROISSANT_JSON, croissant)
    names = (CROISSANT_JSON, DATALIST_JSON, DATASET_JSON, FINDINGS_CSV, INDEX_CSV, LABELS_JSON)
    return {name: sha256_of(root / name) for name in names}


def nnunet_of(manifest: Manifest) -> dict[str, Any]:
    """Give ``dataset.json`` with the keys nnU-Net v2 knows and no other."""
    labels = {"background": 0, **{label.name: label.value for label in manifest.label_schema.labels}}
    if manifest.ignore_value is not None:
        labels["ignore"] = manifest.ignore_value
    training = [case for case in manifest.cases if is_training(case.split, has_label=case.label is not None)]
    return {
        "channel_names": {str(number): name for number, name in enumerate(manifest.channels)},
        "labels": labels,
        "numTraining": len(training),
        "file_ending": ENDING,
    }


def labels_of(manifest: Manifest) -> dict[str, Any]:
    """Give ``labels.json``: voxel value to name and codes, and what was looked for here."""
    looked_for = set(manifest.annotated_labels)
    labels = [
        {**label.model_dump(mode="json"), "annotated": label.name in looked_for}
        for label in manifest.label_schema.labels
    ]
    schema = manifest.label_schema
    head = {"schema_version": "1.0", "name": schema.name, "version": schema.version}
    return {**head, "background": 0, "ignore": manifest.ignore_value, "labels": labels}


def index_of(manifest: Manifest, sidecars: Sequence[CaseSidecar]) -> str:
    """Give ``index.csv``: one row a case."""
    names = [label.name for label in manifest.label_schema.labels]
    columns = (*_INDEX_COLUMNS, *(f"ml_{name}" for name in names))
    rows = (_index_row(case, sidecar, names) for case, sidecar in zip(manifest.cases, sidecars, strict=True))
    return _csv(columns, rows)


def _index_row(case: CaseRecord, sidecar: CaseSidecar, names: Iterable[str]) -> dict[str, object]:
    made = sidecar.channels[0].acquisition
    fields = case.model_dump(include={"case_id", "patient", "split", "fold", "relative_day", "label", "sidecar"})
    return {
        **fields,
        "images": ";".join(case.images),
        "modality": made.modality,
        "manufacturer": made.manufacturer,
        "model": made.manufacturers_model_name,
        "kernel": ";".join(made.convolution_kernel),
        "slice_thickness_mm": made.slice_thickness,
        "contrast_agent": made.contrast_bolus_agent,
        "size": "x".join(map(str, sidecar.geometry.size)),
        "spacing_mm": "x".join(f"{value:.6g}" for value in sidecar.geometry.spacing_mm),
        "orientation": sidecar.geometry.orientation,
        "annotated": ";".join(case.annotated),
        "unmapped": ";".join(case.unmapped),
        "image_sha256": ";".join(case.sha256[path] for path in case.images),
        "label_sha256": case.sha256[case.label] if case.label else "",
        **{f"ml_{name}": case.label_ml.get(name) for name in names},
    }


def findings_of(sidecars: Iterable[CaseSidecar]) -> str:
    """Give ``findings.csv``: one row for each measurement or evaluation of a report."""
    rows = ({"case_id": sidecar.case_id, **row} for sidecar in sidecars for row in sidecar.findings)
    return _csv(("case_id", *(name for name in FINDING_COLUMNS if name != "case_id")), rows)


def _csv(columns: Sequence[str], rows: Iterable[dict[str, Any]]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n", restval="")
    writer.writeheader()
    writer.writerows({name: "" if value is None else _harmless(value) for name, value in row.items()} for row in rows)
    return text.getvalue()


def _harmless(value: object) -> object:
    """Keep text from being read as a formula by a spreadsheet (OWASP, CSV injection)."""
    if isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t", "\r") and not _is_number(value):
        return f"'{value}"
    return value


def _is_number(text: str) -> bool:
    try:
        parse_json(text)
    except ValueError:
        return False
    return True
