"""An nnU-Net v2 raw dataset of its own: shared files, ``dataset.json`` and the folds as ``splits_final.json``."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from racoon_data.dataset.exporters.folder import COPY, export_folder
from racoon_data.dataset.layout import DATASET_JSON, is_training
from racoon_data.dataset.splits import FOLDS
from racoon_data.dataset.views import nnunet_of
from racoon_data.errors import NothingMatchedError, SettingsError
from racoon_data.events import Event, OnEvent, ignore
from racoon_data.files.atomic import write_json
from racoon_data.files.manifest import CaseRecord, load_manifest
from racoon_data.ports import Exported

SPLITS_JSON = "splits_final.json"
_NAME = re.compile(r"Dataset[0-9]{3}_[A-Za-z0-9_-]+")


class NnunetExporter:
    """Writes ``DatasetNNN_NAME``, as ``nnUNetv2_plan_and_preprocess`` finds it below ``nnUNet_raw``."""

    is_view = False
    options: Mapping[str, str] = COPY

    def export(self, dataset: Path, out: Path, *, options: Mapping[str, str], on_event: OnEvent = ignore) -> Exported:
        """Write the folder.

        Raises:
            SettingsError: nnU-Net would not find a dataset of this name.
            NothingMatchedError: No training case has a label.
        """
        if not _NAME.fullmatch(out.name):
            raise SettingsError(f"nnU-Net finds no dataset called {out.name}", hint="name it Dataset001_NAME")
        manifest = load_manifest(dataset)
        training = [case for case in manifest.cases if is_training(case.split, has_label=case.label is not None)]
        if not training:
            raise NothingMatchedError("no training case has a label", hint="nnU-Net learns from labelled cases")
        with export_folder(out, manifest, exporter="nnunet", options=dict(options)) as folder:
            for done, case in enumerate(manifest.cases, start=1):
                for path in (*case.images, *([case.label] if case.label else [])):
                    folder.share(dataset / path, path)
                on_event(Event("export", case.case_id, done, len(manifest.cases)))
            write_json(folder.root / DATASET_JSON, nnunet_of(manifest))
            write_json(folder.root / SPLITS_JSON, _folds(training))
            folder.notes.append(f"for our folds, copy {SPLITS_JSON} to nnUNet_preprocessed/{out.name}")
            empty = sorted(set(range(FOLDS)) - {case.fold for case in training if case.fold is not None})
            folder.notes.extend(f"fold {fold} has no validation case" for fold in empty)
        return Exported(out, notes=tuple(folder.notes))


def _folds(training: list[CaseRecord]) -> list[dict[str, list[str]]]:
    return [
        {
            "train": [case.case_id for case in training if case.fold != fold],
            "val": [case.case_id for case in training if case.fold == fold],
        }
        for fold in range(FOLDS)
    ]
