"""Decoded cases on disk: blosc2 arrays with a foreground index, so that a new process reads no NIfTI."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from racoon_data.documents import read_json
from racoon_data.errors import DamagedDatasetError, DatasetError
from racoon_data.events import OnEvent, ignore
from racoon_data.files.atomic import sweep_partials, whole_file, write_json
from racoon_data.outcomes import Outcome, Status
from racoon_data.refs import CaseRef
from racoon_data.runner.run import run_items
from racoon_train.data.dataset import Dataset, TrainCase, read_arrays
from racoon_train.data.stored import BLOCK, LEVEL, StoredArray, write_array

_POINTS_PER_LABEL = 4096
_INT16 = np.iinfo(np.int16)
_HELD_BYTES = 256 << 20
_WORTH_WORKERS_BYTES = 64 << 20

# What is done to a case on its way into the cache; a change here makes a new cache beside the old one.
TRANSFORM = {
    "layout": 3,
    "codec": f"zstd-{LEVEL} after a shuffle of image bytes, blocks of {BLOCK}",
    "image": "channels stacked, int16 where exact, else float32",
    "label": "uint8, the ignore value is 255",
    "foreground": f"at most {_POINTS_PER_LABEL} voxels a value, evenly in scan order",
}


@dataclass(frozen=True, slots=True, eq=False)
class CachedCase:
    """One decoded case.

    Attributes:
        case_id: Identity in the dataset.
        split: ``train`` or ``test``.
        image: ``[c, k, j, i]``, int16 where that is exact, else float32; a numpy array or a
            ``StoredArray``, which decodes only what is asked for.
        label: uint8 ``[k, j, i]``, the same.
        foreground: Labelled voxels (k, j, i) by label value, at most 4096 each, in scan order.
        annotated: Labels that were looked for in it.
        fold: Cross-validation fold, ``None`` in the test split.
    """

    case_id: str
    split: str
    image: Any
    label: Any
    foreground: dict[int, npt.NDArray[np.int32]]
    annotated: tuple[str, ...] = ()
    fold: int | None = None


@dataclass(frozen=True, slots=True)
class CacheEntry:
    """What a cache knows of a case without opening it."""

    case_id: str
    split: str
    annotated: tuple[str, ...]
    fold: int | None = None
    nbytes: int = 0


@dataclass(frozen=True, slots=True)
class Cache:
    """A built cache: where it lies, which cases it has and which could not be decoded."""

    folder: Path
    cases: tuple[CacheEntry, ...]
    quarantined: tuple[Outcome, ...] = ()

    def load(
        self, split: str, *, validation_fold: int | None = None, hold_bytes: int = _HELD_BYTES
    ) -> tuple[CachedCase, ...]:
        """Open cases, sorted by identity; voxels are decoded when asked for.

        Args:
            split: ``train``, ``validation``, ``test`` or ``all``.
            validation_fold: Fold of the training cases that is ``validation`` and no longer ``train``.
            hold_bytes: Cases that are together no larger than this are decoded once and kept in memory.

        Raises:
            DamagedDatasetError: The cache is not whole.
        """
        chosen = [entry for entry in self.cases if split in ("all", _part(entry, validation_fold))]
        is_held = sum(entry.nbytes for entry in chosen) <= hold_bytes
        return tuple(_load(self.folder, entry, is_held=is_held) for entry in chosen)


def _part(entry: CacheEntry, validation_fold: int | None) -> str:
    is_kept_back = entry.split == "train" and validation_fold is not None and entry.fold == validation_fold
    return "validation" if is_kept_back else entry.split


def build_cache(dataset: Dataset, folder: Path, *, workers: int | None = None, on_event: OnEvent = ignore) -> Cache:
    """Decode every case once; what is there already is kept, also after a kill.

    Args:
        dataset: A verified dataset.
        folder: Parent of the cache; hashes of the dataset and of the transform name the folder inside.
        workers: Processes; by default one a core where there is much to decode.
        on_event: Listener (kind ``cache``).

    Raises:
        DatasetError: No case could be decoded.
        StorageError: The disk is full or closed to us.
    """
    home = cache_home(dataset.sha256, folder)
    home.mkdir(parents=True, exist_ok=True)
    sweep_partials(home)
    items = [(CaseRef(case.case_id), case) for case in dataset.cases]
    results = list(
        run_items("cache", items, partial(_store, home), workers=workers or _workers(dataset), on_event=on_event)
    )
    pairs = list(zip(dataset.cases, results, strict=True))
    bad = tuple(result.outcome for result in results if result.outcome.status is not Status.DONE)
    good = tuple(
        CacheEntry(case.case_id, case.split, case.annotated, case.fold, result.value or 0)
        for case, result in pairs
        if result.outcome.status is Status.DONE
    )
    if not good:
        raise DatasetError("no case could be decoded", ref=dataset.name, hint="run racoon dataset check")
    write_json(home / "cases.json", {"transform": TRANSFORM, "cases": [asdict(entry) for entry in good]})
    return Cache(home, good, bad)


def _workers(dataset: Dataset) -> int:
    size = sum(path.stat().st_size for case in dataset.cases for path in (*case.images, case.label))
    return (os.cpu_count() or 1) if size > _WORTH_WORKERS_BYTES else 1


def open_cache(dataset_sha256: str, folder: Path) -> Cache:
    """Open a cache that was built before, without touching the dataset.

    Raises:
        DatasetError: It was not built, or by another layout.
    """
    home = cache_home(dataset_sha256, folder)
    try:
        document = read_json(home / "cases.json")
        cases = tuple(_entry(case) for case in document["cases"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DatasetError("the cache of this dataset is not built", hint="train through racoon train") from error
    return Cache(home, cases)


def _entry(case: dict[str, Any]) -> CacheEntry:
    return CacheEntry(case["case_id"], case["split"], tuple(case["annotated"]), case["fold"], case["nbytes"])


def cache_home(dataset_sha256: str, folder: Path) -> Path:
    """Name the folder of one dataset's cache: its hash and that of the transform."""
    transform = hashlib.sha256(json.dumps(TRANSFORM, sort_keys=True).encode("utf-8")).hexdigest()
    return folder / f"{dataset_sha256[:32]}-{transform[:8]}"


def foreground_index(label: npt.NDArray[np.uint8]) -> dict[int, npt.NDArray[np.int32]]:
    """Find labelled voxels by value, thinned evenly to a bounded number each."""
    found: dict[int, npt.NDArray[np.int32]] = {}
    for value in np.unique(label):
        if value in (0, 255):
            continue
        points = np.argwhere(label == value).astype(np.int32)
        step = max(1, -(-len(points) // _POINTS_PER_LABEL))
        found[int(value)] = points[::step]
    return found


def compact(image: npt.NDArray[np.float32]) -> npt.NDArray[Any]:
    """Store as int16 where that loses nothing."""
    if image.min() < _INT16.min or image.max() > _INT16.max:
        return image
    small = image.astype(np.int16)
    return small if np.array_equal(small, image) else image


def _store(home: Path, case: TrainCase) -> int:
    """Decode one case unless that is done; the index is written last, so where it stands the case is whole."""
    index_path = home / f"{case.case_id}.index.npz"
    if index_path.is_file():
        return _nbytes(home, case.case_id)
    image, label = read_arrays(case)
    small = compact(image)
    write_array(home / f"{case.case_id}.image", small)
    write_array(home / f"{case.case_id}.label", label)
    index = {str(value): points for value, points in foreground_index(label).items()}
    with whole_file(index_path) as partial_path, partial_path.open("wb") as stream:
        np.savez(stream, allow_pickle=False, **index)
    return int(small.nbytes + label.nbytes)


def _nbytes(home: Path, case_id: str) -> int:
    parts = (StoredArray(home / f"{case_id}.{part}") for part in ("image", "label"))
    return sum(int(np.prod(part.shape)) * part.dtype.itemsize for part in parts)


def _load(home: Path, entry: CacheEntry, *, is_held: bool) -> CachedCase:
    image, label = (StoredArray(home / f"{entry.case_id}.{part}", is_held=is_held) for part in ("image", "label"))
    try:
        with np.load(home / f"{entry.case_id}.index.npz", allow_pickle=False) as index:
            foreground = {int(name): index[name] for name in index.files}
    except (OSError, ValueError) as error:
        hint = "delete the cache folder: it is built again"
        raise DamagedDatasetError("the cache has lost the index of a case", ref=entry.case_id, hint=hint) from error
    return CachedCase(entry.case_id, entry.split, image, label, foreground, entry.annotated, entry.fold)
