"""Predictions of any tool, as label files, put to the same test; a missing file counts as zero."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from racoon_data.annotation_errors import GridMismatchError
from racoon_data.errors import DatasetError
from racoon_data.files.nifti import read_nifti, read_nifti_grid
from racoon_data.geometry import SAME_GRID_MM, Geometry
from racoon_data.labels import IGNORE
from racoon_data.refs import CaseRef
from racoon_train.data.dataset import Dataset, TrainCase, open_dataset, read_arrays
from racoon_train.evaluation.judging import Judged
from racoon_train.evaluation.metrics import STANDARD, ClassScore, Yardstick, score_masks

ENDINGS = (".nii.gz", ".nii")


def judge_files(predictions: Path, root: Path, *, split: str, yardstick: Yardstick = STANDARD) -> tuple[Judged, ...]:
    """Score a folder of label files on a dataset.

    Args:
        predictions: Folder with ``CASE.nii.gz`` or ``CASE.nii``, with the dataset's own voxel values.
        root: Dataset folder; it is verified first.
        split: ``test`` or ``all``.
        yardstick: Tolerances.

    Raises:
        DatasetError: The split is empty, or no case has a file: then the folder is the wrong one.
        GridMismatchError: A prediction lies on another grid than its case.
    """
    dataset = open_dataset(root)
    cases = dataset.split(split)
    if not cases:
        raise DatasetError("there is no test case", ref=dataset.name, hint="raise the test fraction or add cases")
    files = {case.case_id: _file_of(predictions, case.case_id) for case in cases}
    if not any(files.values()):
        raise DatasetError(f"{predictions.name} holds no prediction", hint="name files CASE.nii.gz, as in labelsTs")
    return tuple(Judged(c.case_id, c.patient, _score(dataset, c, files[c.case_id], yardstick)) for c in cases)


def _file_of(folder: Path, case_id: str) -> Path | None:
    return next((path for ending in ENDINGS if (path := folder / f"{case_id}{ending}").is_file()), None)


def _score(dataset: Dataset, case: TrainCase, path: Path | None, yardstick: Yardstick) -> dict[str, ClassScore]:
    truth, grid = read_arrays(case)[1], read_nifti_grid(case.label)
    given = np.zeros_like(truth) if path is None else np.where(truth == IGNORE, 0, _read(path, grid, case))
    i, j, k = grid.spacing_mm
    return {
        name: score_masks(given == value, truth == value, (k, j, i), yardstick)
        if name in case.annotated
        else ClassScore()
        for name, value in dataset.labels.items()
    }


def _read(path: Path, grid: Geometry, case: TrainCase) -> npt.NDArray[np.generic]:
    values, own = read_nifti(path)
    if not own.same_grid(grid, tol_mm=SAME_GRID_MM):
        message, hint = "the prediction lies on another grid than its case", "predict on the dataset's own images"
        raise GridMismatchError(message, ref=CaseRef(case.case_id), hint=hint)
    return values
