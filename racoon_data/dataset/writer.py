"""Case to files: images, labels, unfused readers and the sidecar, whole or not at all."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from racoon_data.cases import Case
from racoon_data.dataset.layout import (
    check_case_id,
    claim,
    files_of_case,
    image_path,
    is_training,
    label_path,
    sidecar_path,
)
from racoon_data.dataset.readers import reader_files
from racoon_data.dataset.sidecar import sidecar_of
from racoon_data.errors import DatasetError, GridMismatchError, SchemaError, about
from racoon_data.files.atomic import sha256_of, write_json
from racoon_data.files.case_sidecar import CaseSidecar, OutputPart, ReaderPart
from racoon_data.files.manifest import CaseRecord, Split
from racoon_data.files.nifti import write_nifti
from racoon_data.geometry import SAME_GRID_MM, Geometry
from racoon_data.labels import BACKGROUND, IGNORE, LabelMap, LabelSchema

_INT16 = np.iinfo(np.int16)


def write_case(
    case: Case, root: Path, *, schema: LabelSchema, split: Split = "train", fold: int | None = None
) -> CaseRecord:
    """Write one case; the files of a case that fails are taken away again.

    Cases may be written by several processes at once; ``write_manifest`` finishes the dataset.
    A training case without a label lies in nnU-Net's ``imagesTs``, for ``imagesTr`` requires labels.

    Args:
        case: Harmonized case; all channels and the label map on one grid.
        root: The dataset folder.
        schema: The label language; values 1, 2, 3 ... without a gap.
        split: Side of the patient, see ``splits``.
        fold: Cross-validation fold of a training patient.

    Returns:
        The case's entry of the manifest.

    Raises:
        GridMismatchError: Channels or labels lie on different grids.
        DatasetError: The case id is no file name, the folder is somebody else's, or the label map holds a
            value that the schema does not know.
        DiskFullError: No space is left.
    """
    files = _CaseFiles(root, check_case_id(case.ref.case_id))
    with about(case.ref):
        check_label_values(schema)
        _check_grids(case)
        claim(root)
        files.take_back()
        try:
            sidecar = _write_files(case, files, schema, split)
        except BaseException:
            files.take_back()
            raise
    return _record(case, sidecar, files, split=split, fold=fold if split == "train" else None)


@dataclass(slots=True)
class _CaseFiles:
    """The files of one case as they come into being."""

    root: Path
    case_id: str
    sha256: dict[str, str] = field(default_factory=dict)

    def nifti(self, path: str, array: npt.NDArray[Any], geometry: Geometry, *, unit: str = "") -> OutputPart:
        """Write an array and describe the file."""
        write_nifti(self.root / path, array, geometry, unit=unit)
        self.sha256[path] = sha256_of(self.root / path)
        return OutputPart(path=path, sha256=self.sha256[path], dtype=array.dtype.name, pixel_sha256=_hash(array))

    def sidecar(self, sidecar: CaseSidecar) -> None:
        """Write the sidecar, last of all."""
        path = sidecar_path(self.case_id)
        write_json(self.root / path, sidecar.model_dump(mode="json"))
        self.sha256[path] = sha256_of(self.root / path)

    def take_back(self) -> None:
        """Remove every file of this case, of an older build too: on either side, with any number of readers."""
        for path in files_of_case(self.root, self.case_id):
            path.unlink(missing_ok=True)


def _write_files(case: Case, files: _CaseFiles, schema: LabelSchema, split: str) -> CaseSidecar:
    training = is_training(split, has_label=case.label_map is not None)
    outputs = []
    for number, channel in enumerate(case.channels):
        path = image_path(files.case_id, number, training=training)
        volume = channel.volume
        outputs.append(files.nifti(path, _storable(volume.array), volume.geometry, unit=volume.unit))
    label_ml: dict[str, float] = {}
    if case.label_map is not None:
        label_ml = label_volumes_ml(case.label_map, schema)
        path = label_path(files.case_id, training=training)
        outputs.append(files.nifti(path, _label_values(case.label_map, schema), case.label_map.geometry))
    readers: list[ReaderPart] = []
    for reader, array, geometry in reader_files(files.case_id, case.annotations):
        files.nifti(reader.path, array, geometry)
        readers.append(reader)
    sidecar = sidecar_of(case, outputs=outputs, readers=readers, label_ml=label_ml)
    files.sidecar(sidecar)
    return sidecar


def _record(case: Case, sidecar: CaseSidecar, files: _CaseFiles, *, split: Split, fold: int | None) -> CaseRecord:
    paths = [output.path for output in sidecar.outputs]
    count = len(case.channels)
    return CaseRecord(
        case_id=files.case_id,
        patient=case.patient,
        split=split,
        fold=fold,
        images=tuple(paths[:count]),
        label=paths[count] if len(paths) > count else None,
        sidecar=sidecar_path(files.case_id),
        readers=tuple(reader.path for reader in sidecar.readers),
        sha256=dict(sorted(files.sha256.items())),
        relative_day=case.relative_day,
        label_ml=sidecar.label.volume_ml if sidecar.label else {},
        annotated=sidecar.label.annotated if sidecar.label else (),
        unmapped=case.unmapped,
    )


def ignore_value(schema: LabelSchema) -> int:
    """Give the voxel value of "ignore" in label files: nnU-Net wants the one after the last label."""
    return max((label.value for label in schema.labels), default=0) + 1


def check_label_values(schema: LabelSchema) -> None:
    """Make sure label values are 1, 2, 3 ... without a gap, as nnU-Net reads them.

    Raises:
        SchemaError: They are not.
    """
    values = sorted(label.value for label in schema.labels)
    if values != list(range(1, len(values) + 1)):
        raise SchemaError(f"label values {values} are not 1 to {len(values)}", hint="number the labels without gaps")


def _check_grids(case: Case) -> None:
    grid = case.channels[0].volume.geometry
    others = [channel.volume.geometry for channel in case.channels[1:]]
    if case.label_map is not None:
        others.append(case.label_map.geometry)
    if not all(grid.same_grid(other, tol_mm=SAME_GRID_MM) for other in others):
        raise GridMismatchError("images and labels of the case lie on different grids", hint="harmonize the case")


def _storable(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Choose int16 where it holds every value exactly, else float32."""
    is_whole = np.issubdtype(array.dtype, np.integer)
    if is_whole and array.size and array.min() >= _INT16.min and array.max() <= _INT16.max:
        return array.astype(np.int16, copy=False)
    return array.astype(np.float32, copy=False)


def _hash(array: npt.NDArray[Any]) -> str:
    """Hash shape and values, whatever their place in the patient."""
    digest = hashlib.sha256(repr(array.shape).encode())
    digest.update(np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<")).tobytes())
    return digest.hexdigest()


def _label_values(label_map: LabelMap, schema: LabelSchema) -> npt.NDArray[np.uint8]:
    known = {BACKGROUND, IGNORE, *(label.value for label in schema.labels)}
    unknown = sorted(set(np.unique(label_map.array).tolist()) - known)
    if unknown:
        raise DatasetError(f"label values {unknown} are not in schema {schema.name}", hint="map the labels again")
    ignored = label_map.array == IGNORE
    return np.where(ignored, np.uint8(ignore_value(schema)), label_map.array).astype(np.uint8)


def label_volumes_ml(label_map: LabelMap, schema: LabelSchema) -> dict[str, float]:
    """Measure each label that was looked for or is present.

    Returns:
        Millilitres by label name in order of value, rounded to a thousandth; 0 means looked for and absent.
    """
    counts = np.bincount(label_map.array.ravel(), minlength=256)
    wanted = set(label_map.annotated)
    return {
        label.name: round(float(counts[label.value]) * label_map.geometry.voxel_ml, 3)
        for label in sorted(schema.labels, key=lambda label: label.value)
        if label.name in wanted or counts[label.value]
    }
