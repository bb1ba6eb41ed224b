"""Back to DICOM: the label maps of a dataset as SEG and TID 1500 reports on the images they were drawn on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from racoon_data.annotations.export_input import drawing_of
from racoon_data.annotations.exporting import choose_series, plan_export, write_export
from racoon_data.annotations.written_segments import author_of
from racoon_data.dataset.exporters.folder import export_folder
from racoon_data.dicom.series import Series
from racoon_data.dicom.sorting import files_under, sort_files
from racoon_data.errors import NoAnnotationError, NothingMatchedError, SettingsError, about
from racoon_data.events import OnEvent, ignore
from racoon_data.files.atomic import write_json
from racoon_data.files.case_sidecar import CaseSidecar, load_sidecar
from racoon_data.files.manifest import CaseRecord, Manifest, load_manifest
from racoon_data.files.nifti import read_nifti
from racoon_data.labels import IGNORE
from racoon_data.ports import Exported
from racoon_data.refs import CaseRef
from racoon_data.runner.run import run_items
from racoon_data.site.paths import find_site

EXPORT_JSON = "export.json"


class DicomSegExporter:
    """Writes SEG and SR for every labelled case, with the pseudonymous identity of its images.

    ``racoon deid restore`` and ``racoon pacs push`` take them on to a PACS.
    """

    is_view = False
    options: Mapping[str, str] = {
        "images": "folder of the de-identified DICOM images; default: work of the site the dataset lies in",
        "as": "binary (default) or labelmap",
        "channel": "channel whose series the objects belong to; default: the first",
        "reader": "who outlined; default: the readers the sidecar names",
        "algorithm": "name of the algorithm that outlined",
        "algorithm_version": "its version",
    }

    def export(self, dataset: Path, out: Path, *, options: Mapping[str, str], on_event: OnEvent = ignore) -> Exported:
        """Write the folder; a case that cannot be written is an outcome.

        Raises:
            SettingsError: No images are named, or an option has no such value.
            NothingMatchedError: Nothing could be written.
        """
        manifest = load_manifest(dataset)
        work = _Work(dataset, manifest, _images_of(dataset, options), _kind_of(options), dict(options))
        with export_folder(out, manifest, exporter="dicom-seg", options=dict(options)) as folder:
            items = [(CaseRef(case.case_id), case) for case in manifest.cases]
            results = list(run_items("export", items, partial(_export_case, work, folder.root), on_event=on_event))
            folder.outcomes.extend(result.outcome for result in results)
            accounts = [result.value for result in results if result.value is not None]
            if not accounts:
                first = folder.outcomes[0] if folder.outcomes else None
                why = f": {first.message}" if first is not None else ""
                raise NothingMatchedError(f"no label map could be written{why}", hint=first.hint if first else "")
            write_json(folder.root / EXPORT_JSON, {"schema_version": "1.0", "exports": accounts})
        return Exported(out, tuple(folder.outcomes))


@dataclass(frozen=True, slots=True)
class _Work:
    """What is the same for every case."""

    dataset: Path
    manifest: Manifest
    images: Path
    kind: str
    options: dict[str, str]

    @property
    def channel(self) -> int:
        name = self.options.get("channel", self.manifest.channels[0])
        if name not in self.manifest.channels:
            raise SettingsError(f"there is no channel {name!r}", hint=f"one of: {', '.join(self.manifest.channels)}")
        return self.manifest.channels.index(name)


def _images_of(dataset: Path, options: Mapping[str, str]) -> Path:
    if "images" in options:
        return Path(options["images"])
    try:
        return find_site(dataset).work
    except SettingsError as error:
        hint = "-o images=DIR names the de-identified images"
        raise SettingsError("the dataset lies in no site, so its images are not known", hint=hint) from error


def _kind_of(options: Mapping[str, str]) -> str:
    kind = options.get("as", "binary")
    if kind not in ("binary", "labelmap"):
        raise SettingsError(f"a SEG is not written as {kind!r}", hint="binary or labelmap")
    return kind


def _export_case(work: _Work, out: Path, case: CaseRecord) -> dict[str, Any]:
    """Write one case and give its account.

    Raises:
        NoAnnotationError: It has no label, or nothing is labelled.
        NothingMatchedError: Its series is not among the images.
    """
    if case.label is None:
        raise NoAnnotationError("the case has no label map", hint="only labelled cases become an object")
    array, geometry = read_nifti(work.dataset / case.label)
    if work.manifest.ignore_value is not None:
        array = np.where(array == work.manifest.ignore_value, IGNORE, array).astype(np.uint8)
    if not np.isin(array, (0, IGNORE), invert=True).any():
        hint = "an object without a segment cannot be written; the label map itself says that nothing is there"
        raise NoAnnotationError("nothing is labelled", hint=hint)
    sidecar = load_sidecar(work.dataset / case.sidecar)
    with about(CaseRef(case.case_id)):
        drawing = drawing_of(array, geometry, work.manifest.label_schema.to_schema())
        uid = sidecar.channels[work.channel].series_instance_uid
        chosen = choose_series(_series_of(work, case, uid), drawing, series_uid=uid)
        author = author_of(
            [segment for segment, _ in drawing.parts],
            algorithm=work.options.get("algorithm", ""),
            version=work.options.get("algorithm_version", ""),
            reader=work.options.get("reader", "" if "algorithm" in work.options else _readers_of(sidecar)),
        )
        return write_export(plan_export(drawing, chosen, author, kind=work.kind), out / case.case_id)


def _series_of(work: _Work, case: CaseRecord, uid: str) -> tuple[Series, ...]:
    """Find the series of a case; the work folder of a site has a folder for every patient."""
    own = work.images / case.patient
    folder = own if own.is_dir() else work.images
    return tuple(one for one in sort_files(files_under(folder), root=folder).series if one.ref.series_uid == uid)


def _readers_of(sidecar: CaseSidecar) -> str:
    readers = sorted({one.reader for one in sidecar.annotations if one.reader})
    return "+".join(readers) or "not named"
