"""Croissant 1.1 metadata: ``croissant.json`` says what a dataset is, and nothing about any case or patient."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from racoon_data.dataset.layout import CROISSANT_JSON, ENDING, INDEX_CSV
from racoon_data.events import OnEvent, ignore
from racoon_data.files.atomic import write_json
from racoon_data.files.manifest import Manifest, load_manifest
from racoon_data.ports import Exported

_CROISSANT = "http://mlcommons.org/croissant/1.1"
_NOT_PUBLISHED = "not published: for use under the site's approval"
_FOLDERS = ("imagesTr", "imagesTs", "labelsTr", "labelsTs")
_TYPES = {"fold": "sc:Integer", "relative_day": "sc:Integer", "slice_thickness_mm": "sc:Float"}


class CroissantExporter:
    """Writes ``croissant.json``: what the dataset is, and nothing about any patient."""

    is_view = True
    options: Mapping[str, str] = {
        "license": "URL or name of the licence",
        "url": "page of the dataset",
        "creator": "organization that made it; default: the site's alias",
        "date": "day of publication, YYYY-MM-DD; a build carries no time, so its own view has none",
        "version": "version of the dataset; default: 1.0.0",
    }

    def export(self, dataset: Path, out: Path, *, options: Mapping[str, str], on_event: OnEvent = ignore) -> Exported:
        """Write the view into a folder; its paths are relative to the dataset."""
        manifest = load_manifest(dataset)
        columns = (dataset / INDEX_CSV).read_text(encoding="utf-8").partition("\n")[0].split(",")
        document = croissant_of(manifest, columns, index_sha256=manifest.files[INDEX_CSV], options=options)
        write_json(out / CROISSANT_JSON, document)
        notes = () if "date" in options else ("datePublished is missing: Croissant asks for it, name it with date",)
        return Exported(out / CROISSANT_JSON, notes=notes)


def croissant_of(
    manifest: Manifest, columns: Iterable[str], *, index_sha256: str, options: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """Give the Croissant 1.1 document: names, counts, label codes, files and columns; no case and no patient.

    Args:
        manifest: The manifest.
        columns: Column names of ``index.csv``.
        index_sha256: Checksum of ``index.csv``.
        options: See ``CroissantExporter.options``.
    """
    given = options or {}
    date = {"datePublished": given["date"]} if "date" in given else {}
    licence = given.get("license", "")
    return {
        "@context": _CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": _CROISSANT,
        "name": manifest.name,
        "description": _description(manifest),
        "license": licence or {"@type": "sc:CreativeWork", "name": _NOT_PUBLISHED},
        "url": given.get("url", f"urn:sha256:{manifest.dataset_sha256}"),
        "creator": {"@type": "sc:Organization", "name": given.get("creator", manifest.site)},
        **date,
        "version": given.get("version", "1.0.0"),
        "identifier": f"sha256:{manifest.dataset_sha256}",
        "isLiveDataset": False,
        "keywords": ["radiology", "segmentation", *manifest.channels],
        "variableMeasured": [_variable(manifest, number) for number in range(len(manifest.label_schema.labels))],
        "distribution": _distribution(manifest, index_sha256),
        "recordSet": [_cases(columns)],
    }


_CONTEXT: dict[str, Any] = {
    "@language": "en",
    "@vocab": "http://schema.org/",
    "sc": "http://schema.org/",
    "cr": "http://mlcommons.org/croissant/",
    "dct": "http://purl.org/dc/terms/",
    "conformsTo": "dct:conformsTo",
    **{
        term: f"cr:{term}"
        for term in (
            *("citeAs", "column", "containedIn", "excludes", "extract", "field", "fileObject", "fileProperty"),
            *("fileSet", "format", "includes", "isLiveDataset", "key", "md5", "recordSet", "references", "regex"),
            *("separator", "source", "subField", "transform"),
        )
    },
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
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


def _distribution(manifest: Manifest, index_sha256: str) -> list[dict[str, Any]]:
    root: dict[str, Any] = {
        "@type": "cr:FileObject",
        "@id": "root",
        "name": "root",
        "description": "the dataset folder",
    }
    root |= {"contentUrl": "./", "encodingFormat": "inode/directory", "sha256": manifest.dataset_sha256}
    index: dict[str, Any] = {"@type": "cr:FileObject", "@id": INDEX_CSV, "name": INDEX_CSV, "contentUrl": INDEX_CSV}
    index |= {"containedIn": {"@id": "root"}, "encodingFormat": "text/csv", "sha256": index_sha256}
    sets = [_file_set(name, f"{name}/*{ENDING}", "application/gzip") for name in _FOLDERS]
    return [root, index, *sets, _file_set("sidecars", "sidecars/*.json", "application/json")]


def _file_set(name: str, includes: str, encoding: str) -> dict[str, Any]:
    head: dict[str, Any] = {"@type": "cr:FileSet", "@id": name, "name": name, "containedIn": {"@id": "root"}}
    return {**head, "includes": includes, "encodingFormat": encoding}


def _cases(columns: Iterable[str]) -> dict[str, Any]:
    """Describe ``index.csv``: the names of its columns, none of its rows."""
    fields = [
        {
            "@type": "cr:Field",
            "@id": f"cases/{name}",
            "name": name,
            "dataType": "sc:Float" if name.startswith("ml_") else _TYPES.get(name, "sc:Text"),
            "source": {"fileObject": {"@id": INDEX_CSV}, "extract": {"column": name}},
        }
        for name in columns
    ]
    return {"@type": "cr:RecordSet", "@id": "cases", "name": "cases", "key": {"@id": "cases/case_id"}, "field": fields}
