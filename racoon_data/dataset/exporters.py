"""Further views of a finished dataset for other tools: a MONAI datalist and Croissant metadata."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from racoon_data.dataset.layout import CROISSANT_JSON, DATALIST_JSON, ENDING, INDEX_CSV
from racoon_data.files.atomic import write_json
from racoon_data.files.manifest import CaseRecord, Manifest, load_manifest

_CROISSANT = "http://mlcommons.org/croissant/1.1"


class DatalistExporter:
    """Writes ``datalist.json``, as MONAI's ``load_decathlon_datalist`` reads it."""

    def export(self, dataset: Path) -> Path:
        """Write the view inside the dataset folder and return its file."""
        write_json(dataset / DATALIST_JSON, datalist_of(load_manifest(dataset)))
        return dataset / DATALIST_JSON


class CroissantExporter:
    """Writes ``croissant.json``: what the dataset is, and nothing about any patient."""

    def export(self, dataset: Path) -> Path:
        """Write the view inside the dataset folder and return its file."""
        write_json(dataset / CROISSANT_JSON, croissant_of(load_manifest(dataset)))
        return dataset / CROISSANT_JSON


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


def croissant_of(manifest: Manifest) -> dict[str, Any]:
    """Give the Croissant 1.1 document: names, counts, label codes and file sets; no case and no patient."""
    return {
        "@context": _CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": _CROISSANT,
        "name": manifest.name,
        "description": _description(manifest),
        "version": manifest.schema_version,
        "identifier": f"sha256:{manifest.dataset_sha256}",
        "keywords": ["radiology", "segmentation", *manifest.channels],
        "variableMeasured": [_variable(manifest, number) for number in range(len(manifest.label_schema.labels))],
        "distribution": [
            {
                "@type": "cr:FileObject",
                "@id": "root",
                "name": "root",
                "contentUrl": ".",
                "encodingFormat": "text/plain",
            },
            *(_file_set(name, f"{name}/*{ENDING}") for name in ("imagesTr", "imagesTs", "labelsTr", "labelsTs")),
            _file_set("sidecars", "sidecars/*.json"),
            _file_set("index", INDEX_CSV),
        ],
    }


_CONTEXT = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "sc": "https://schema.org/",
    "cr": "http://mlcommons.org/croissant/",
    "conformsTo": "dct:conformsTo",
    "dct": "http://purl.org/dc/terms/",
    "containedIn": "cr:containedIn",
    "includes": "cr:includes",
}


def _description(manifest: Manifest) -> str:
    labels = ", ".join(label.name for label in manifest.label_schema.labels) or "none"
    schema = manifest.label_schema
    return (
        f"{manifest.counts.used} de-identified cases of site {manifest.site}; "
        f"channels: {', '.join(manifest.channels)}; labels: {labels} (schema {schema.name} {schema.version})"
    )


def _variable(manifest: Manifest, number: int) -> dict[str, Any]:
    label = manifest.label_schema.labels[number]
    return {
        "@type": "PropertyValue",
        "name": label.name,
        "value": label.value,
        "propertyID": [f"{code.scheme}:{code.value}" for code in label.codes],
    }


def _file_set(name: str, includes: str) -> dict[str, Any]:
    kinds = {".json": "application/json", ".csv": "text/csv"}
    kind = next((kind for ending, kind in kinds.items() if includes.endswith(ending)), "application/gzip")
    return {
        "@type": "cr:FileSet",
        "@id": name,
        "name": name,
        "containedIn": {"@id": "root"},
        "includes": includes,
        "encodingFormat": kind,
    }
