"""Twelve defects planted in an otherwise clean dataset, each where it would come into being."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from racoon_data.cases import Case
from racoon_data.files.manifest import Manifest, load_manifest
from racoon_data.files.nifti import read_nifti, write_nifti
from racoon_data.geometry import Geometry, as_affine
from racoon_data.grid.places import place_rows
from racoon_data.grid.reorient import reorient, reorient_array
from racoon_data.volumes import Volume
from tests.dataset.makers import GRID, a_case, a_dataset, a_mask

COUNT = 14
PLANTED_IN = 3  # the index of the case a defect is planted in; a training case of the clean dataset


def outlined(case: Case) -> Case:
    """Record where the labels were outlined, as the walk does."""
    rows = place_rows(case.label_map.array, case.label_map.geometry)
    rows = [{**row, "spacing_mm": list(case.label_map.geometry.spacing_mm)} for row in rows]
    return replace(case, steps=(*case.steps, {"step": "label_places", "labels": rows}))


def clean_cases() -> list[Case]:
    """Give fourteen clean cases of fourteen patients."""
    return [outlined(a_case(number)) for number in range(1, COUNT + 1)]


def _changed(change: Callable[[Case], Case]) -> Callable[[Path], None]:
    """Plant a defect before the case is written: upstream of the dataset."""

    def plant(root: Path) -> None:
        cases = clean_cases()
        cases[PLANTED_IN] = outlined(change(cases[PLANTED_IN]))
        a_dataset(root, [replace(case, steps=case.steps[-1:]) for case in cases])

    return plant


def _edited(
    image: Callable[[np.ndarray, Geometry], tuple[np.ndarray, Geometry]] | None = None,
    label: Callable[[np.ndarray, Geometry], tuple[np.ndarray, Geometry]] | None = None,
) -> Callable[[Path], None]:
    """Plant a defect in written files by a tool that also brings the checksums up to date."""

    def plant(root: Path) -> None:
        manifest = a_dataset(root, clean_cases())
        record = manifest.cases[PLANTED_IN]
        for change, path in ((image, record.images[0]), (label, record.label)):
            if change is not None:
                array, grid = change(*read_nifti(root / path))
                write_nifti(root / path, array, grid)
        reseal(root)

    return plant


def reseal(root: Path) -> None:
    """Bring the checksums of the manifest up to date."""
    path = root / "racoon.json"
    document = json.loads(path.read_text())
    for case in document["cases"]:
        case["sha256"] = {
            name: hashlib.sha256((root / name).read_bytes()).hexdigest()
            for name in case["sha256"]
            if (root / name).exists()
        }
    path.write_text(json.dumps(document))


def shifted_grid(grid: Geometry, mm: float) -> Geometry:
    """Move a grid's origin along x."""
    matrix = grid.matrix
    matrix[0, 3] += mm
    return Geometry(grid.shape, as_affine(matrix), grid.frame_of_reference)


def _flipped(array: np.ndarray, grid: Geometry) -> tuple[np.ndarray, Geometry]:
    return np.ascontiguousarray(array[:, :, ::-1]), grid


def _cut(array: np.ndarray, grid: Geometry) -> tuple[np.ndarray, Geometry]:
    return array[:7], Geometry((grid.shape[0], grid.shape[1], 7), grid.affine_lps)


def _with_nan(array: np.ndarray, grid: Geometry) -> tuple[np.ndarray, Geometry]:
    array[0, 0, 0] = np.nan
    return array, grid


def _reoriented(case: Case) -> Case:
    volume = reorient(case.channels[0].volume, "LPS")
    labels, grid = reorient_array(case.label_map.array, case.label_map.geometry, "LPS")
    return _on(case, volume, labels, grid)


def _spaced(case: Case) -> Case:
    matrix = GRID.matrix
    matrix[:, 2] *= 4
    grid = Geometry(GRID.shape, as_affine(matrix), GRID.frame_of_reference)
    return _on(case, Volume(case.channels[0].volume.array, grid, "HU"), case.label_map.array, grid)


def _outside(case: Case) -> Case:
    labels = np.where(a_mask(slice(0, 1), slice(0, 4), slice(0, 6)), 1, 0).astype(np.uint8)
    return _on(case, case.channels[0].volume, labels, GRID)


def _on(case: Case, volume: Volume, labels: np.ndarray, grid: Geometry) -> Case:
    """Give a case another image and label map; its readers' masks are left out."""
    channel = replace(case.channels[0], volume=volume)
    label_map = replace(case.label_map, array=labels, geometry=grid)
    return replace(case, channels=(channel,), label_map=label_map, annotations=())


def _twice(root: Path) -> None:
    manifest = a_dataset(root, clean_cases())
    first = manifest.cases[PLANTED_IN]
    place = (first.split, first.fold)
    other = next(one for one in manifest.cases if one is not first and (one.split, one.fold) == place)
    (root / other.images[0]).write_bytes((root / first.images[0]).read_bytes())
    (root / other.label).write_bytes((root / first.label).read_bytes())
    reseal(root)


def _leaking(root: Path) -> None:
    manifest: Manifest = a_dataset(root, clean_cases())
    first = manifest.cases[PLANTED_IN]
    other = next(one for one in manifest.cases if one.fold != first.fold)
    path = root / "racoon.json"
    document = json.loads(path.read_text())
    for case in document["cases"]:
        if case["case_id"] == other.case_id:
            case["patient"] = first.patient
    path.write_text(json.dumps(document))
    load_manifest(root)


TWELVE: dict[str, tuple[str, Callable[[Path], None]]] = {
    "label origin shifted by 50 mm": ("label.grid_mismatch", _edited(label=lambda a, g: (a, shifted_grid(g, 50)))),
    "label mirrored, header intact": ("label.mirrored", _edited(label=_flipped)),
    "CT without its rescale": ("image.no_rescale", _edited(image=lambda a, g: (a + 1024, g))),
    "duplicate case": ("image.duplicate", _twice),
    "wrong label value": (
        "label.unexpected_value",
        _edited(label=lambda a, g: (np.where(a == 2, 9, a).astype(np.uint8), g)),
    ),
    "mixed orientation": ("image.mixed_orientation", _changed(_reoriented)),
    "empty label": ("label.empty", _edited(label=lambda a, g: (np.zeros_like(a), g))),
    "spacing outlier": ("image.spacing_outlier", _changed(_spaced)),
    "truncated volume": ("image.truncated", _edited(image=_cut, label=_cut)),
    "non-finite values": ("image.non_finite", _edited(image=_with_nan)),
    "label outside the body": ("label.outside_body", _changed(_outside)),
    "leakage between splits": ("split.leak", _leaking),
}
