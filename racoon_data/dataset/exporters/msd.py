"""A task of the Medical Segmentation Decathlon: one image a case, channels stacked in a fourth dimension."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from racoon_data.dataset.exporters.folder import COPY, ExportFolder, export_folder
from racoon_data.dataset.layout import DATASET_JSON, ENDING, is_training
from racoon_data.events import Event, OnEvent, ignore
from racoon_data.files.atomic import make_folder, write_json
from racoon_data.files.manifest import CaseRecord, Manifest, load_manifest
from racoon_data.files.nifti import read_nifti, write_nifti_as
from racoon_data.ports import Exported


class MsdExporter:
    """Writes a decathlon task: ``dataset.json``, ``imagesTr``, ``labelsTr``, ``imagesTs``; test labels beside."""

    is_view = False
    options: Mapping[str, str] = {
        **COPY,
        "license": "licence, as text",
        "reference": "where the data comes from; default: the site's alias",
        "description": "what it shows",
        "release": "version; default: 1.0",
    }

    def export(self, dataset: Path, out: Path, *, options: Mapping[str, str], on_event: OnEvent = ignore) -> Exported:
        """Write the folder."""
        manifest = load_manifest(dataset)
        with export_folder(out, manifest, exporter="msd", options=dict(options)) as folder:
            for done, case in enumerate(manifest.cases, start=1):
                _write_case(dataset, folder, case)
                on_event(Event("export", case.case_id, done, len(manifest.cases)))
            write_json(folder.root / DATASET_JSON, _dataset_json(manifest, options))
            if any(case.label and not _trains(case) for case in manifest.cases):
                folder.notes.append("labels of test cases lie in labelsTs, which the decathlon does not have")
        return Exported(out, notes=tuple(folder.notes))


def _trains(case: CaseRecord) -> bool:
    return is_training(case.split, has_label=case.label is not None)


def _name(case: CaseRecord, kind: str) -> str:
    return f"{kind}{'Tr' if _trains(case) else 'Ts'}/{case.case_id}{ENDING}"


def _write_case(dataset: Path, folder: ExportFolder, case: CaseRecord) -> None:
    if case.label is not None:
        folder.share(dataset / case.label, _name(case, "labels"))
    if len(case.images) == 1:
        folder.share(dataset / case.images[0], _name(case, "images"))
        return
    channels = [read_nifti(dataset / path) for path in case.images]
    kinds = {array.dtype for array, _ in channels}
    dtype = kinds.pop() if len(kinds) == 1 else np.dtype(np.float32)
    target = folder.root / _name(case, "images")
    make_folder(target.parent)
    write_nifti_as(target, np.stack([array.astype(dtype) for array, _ in channels]), channels[0][1])


def _dataset_json(manifest: Manifest, options: Mapping[str, str]) -> dict[str, Any]:
    training = [case for case in manifest.cases if _trains(case)]
    test = [case for case in manifest.cases if not _trains(case)]
    labels = {"0": "background", **{str(label.value): label.name for label in manifest.label_schema.labels}}
    if manifest.ignore_value is not None:
        labels[str(manifest.ignore_value)] = "ignore"
    schema = manifest.label_schema
    return {
        "name": manifest.name,
        "description": options.get("description", f"labels: {schema.name} {schema.version}"),
        "reference": options.get("reference", manifest.site),
        "licence": options.get("license", "not published: for use under the site's approval"),
        "release": options.get("release", "1.0"),
        "tensorImageSize": "3D" if len(manifest.channels) == 1 else "4D",
        "modality": {str(number): name for number, name in enumerate(manifest.channels)},
        "labels": labels,
        "numTraining": len(training),
        "numTest": len(test),
        "training": [{"image": f"./{_name(c, 'images')}", "label": f"./{_name(c, 'labels')}"} for c in training],
        "test": [f"./{_name(case, 'images')}" for case in test],
    }
