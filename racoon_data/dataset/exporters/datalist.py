"""A MONAI datalist: ``datalist.json`` inside the dataset."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from racoon_data.dataset.layout import DATALIST_JSON
from racoon_data.events import OnEvent, ignore
from racoon_data.files.atomic import write_json
from racoon_data.files.manifest import CaseRecord, Manifest, load_manifest
from racoon_data.ports import Exported


class DatalistExporter:
    """Writes ``datalist.json``, as MONAI's ``load_decathlon_datalist`` reads it."""

    is_view = True
    options: Mapping[str, str] = {}

    def export(self, dataset: Path, out: Path, *, options: Mapping[str, str], on_event: OnEvent = ignore) -> Exported:
        """Write the view into a folder; its paths are relative to the dataset."""
        write_json(out / DATALIST_JSON, datalist_of(load_manifest(dataset)))
        return Exported(out / DATALIST_JSON)


def datalist_of(manifest: Manifest) -> dict[str, Any]:
    """Give the datalist: labelled training cases with their fold, and test cases; paths relative to the dataset."""
    return {
        "name": manifest.name,
        "labels": {"0": "background", **{str(label.value): label.name for label in manifest.label_schema.labels}},
        "training": [_entry(case) for case in manifest.cases if case.split == "train" and case.label],
        "testing": [_entry(case) for case in manifest.cases if case.split == "test"],
    }


def _entry(case: CaseRecord) -> dict[str, Any]:
    image: object = case.images[0] if len(case.images) == 1 else list(case.images)
    label = {"label": case.label} if case.label else {}
    fold = {"fold": case.fold} if case.fold is not None else {}
    return {"image": image, **label, **fold, "case_id": case.case_id, "patient": case.patient}
