"""Decoded cases on disk: blosc2 arrays with a foreground index, so that a new process reads no NIfTI."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from racoon_data.documents import read_json
from racoon_data.errors import DatasetError
from racoon_data.events import OnEvent, ignore
from racoon_data.files.atomic import whole_file, write_json
from racoon_data.outcomes import Outcome, Status
from racoon_data.refs import CaseRef
from racoon_data.runner.run import run_items
from racoon_train.data.dataset import Dataset, TrainCase, read_arrays

_LAYOUT = "v1"
_BLOCK = 32
_POINTS_PER_LABEL = 4096
_INT16 = np.iinfo(np.int16)


@dataclass(frozen=True, slots=True, eq=False)
class CachedCase:
    """One decoded case.

    Attributes:
        case_id: Identity in the dataset.
        split: ``train`` or ``test``.
        image: ``[c, k, j, i]``, int16 where that is exact, else float32.
        label: uint8 ``[k, j, i]``.
        foreground: Labelled voxels (k, j, i) by label value, at most 4096 each, in scan order.
        annotated: Labels that were looked for in it.
    """

    case_id: str
    split: str
    image: npt.NDArray[Any]
    label: npt.NDArray[np.uint8]
    foreground: dict[int, npt.NDArray[np.int32]]
    annotated: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class CacheEntry:
    """What a cache knows of a case without loading it."""

    case_id: str
    split: str
    annotated: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Cache:
    """A built cache: where it lies, which cases it has and which could not be decoded."""

    folder: Path
    cases: tuple[CacheEntry, ...]
    quarantined: tuple[Outcome, ...] = ()

    def load(self, split: str) -> tuple[CachedCase, ...]:
        """Load the cases of ``train``, ``test`` or ``all`` into memory, sorted by identity."""
        return tuple(_load(self.folder, entry) for entry in self.cases if split in ("all", entry.split))


def build_cache(dataset: Dataset, folder: Path, *, on_event: OnEvent = ignore) -> Cache:
    """Decode every case once; what is there already is kept.

    Args:
        dataset: A verified dataset.
        folder: Parent of the cache; the dataset's hash names the folder inside.
        on_event: Listener (kind ``cache``).

    Raises:
        DatasetError: No case could be decoded.
    """
    home = cache_home(dataset.sha256, folder)
    home.mkdir(parents=True, exist_ok=True)
    items = [(CaseRef(case.case_id), case) for case in dataset.cases]
    results = list(run_items("cache", items, partial(_store, home), on_event=on_event))
    bad = tuple(result.outcome for result in results if result.outcome.status is not Status.DONE)
    lost = {outcome.ref for outcome in bad}
    kept = [case for case in dataset.cases if CaseRef(case.case_id) not in lost]
    good = tuple(CacheEntry(case.case_id, case.split, case.annotated) for case in kept)
    if not good:
        raise DatasetError("no case could be decoded", ref=dataset.name, hint="run racoon dataset check")
    write_json(home / "cases.json", {"cases": [asdict(entry) for entry in good]})
    return Cache(home, good, bad)


def open_cache(dataset_sha256: str, folder: Path) -> Cache:
    """Open a cache that was built before, without touching the dataset.

    Raises:
        DatasetError: It was not built, or by another layout.
    """
    home = cache_home(dataset_sha256, folder)
    try:
        document = read_json(home / "cases.json")
    except (OSError, ValueError) as error:
        raise DatasetError("the cache of this dataset is not built", hint="train through racoon train") from error
    entries = (CacheEntry(case["case_id"], case["split"], tuple(case["annotated"])) for case in document["cases"])
    return Cache(home, tuple(entries))


def cache_home(dataset_sha256: str, folder: Path) -> Path:
    """Name the folder of one dataset's cache."""
    return folder / f"{dataset_sha256[:32]}-{_LAYOUT}"


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


def _store(home: Path, case: TrainCase) -> None:
    if (home / f"{case.case_id}.index.npz").is_file():
        return
    image, label = read_arrays(case)
    _write(home / f"{case.case_id}.image.b2nd", compact(image))
    _write(home / f"{case.case_id}.label.b2nd", label)
    index = {str(value): points for value, points in foreground_index(label).items()}
    with whole_file(home / f"{case.case_id}.index.npz") as partial_path, partial_path.open("wb") as stream:
        np.savez(stream, allow_pickle=False, **index)


def _write(path: Path, array: npt.NDArray[Any]) -> None:
    import blosc2

    blocks: Sequence[int] = [
        min(_BLOCK, size) if axis >= array.ndim - 3 else 1 for axis, size in enumerate(array.shape)
    ]
    with whole_file(path) as partial_path:
        settings = {"codec": blosc2.Codec.ZSTD, "clevel": 5, "filters": [blosc2.Filter.BITSHUFFLE], "nthreads": 1}
        partial_path.unlink(missing_ok=True)
        blosc2.asarray(
            np.ascontiguousarray(array), urlpath=str(partial_path), mode="w", blocks=blocks, cparams=settings
        )


def _load(home: Path, entry: CacheEntry) -> CachedCase:
    import blosc2

    image = blosc2.open(str(home / f"{entry.case_id}.image.b2nd"), mode="r")[...]
    label = blosc2.open(str(home / f"{entry.case_id}.label.b2nd"), mode="r")[...]
    with np.load(home / f"{entry.case_id}.index.npz", allow_pickle=False) as index:
        foreground = {int(name): index[name] for name in index.files}
    return CachedCase(entry.case_id, entry.split, image, label, foreground, entry.annotated)
