"""A written case moves to its side of the split: its files are renamed and its sidecar tells where they are."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from racoon_data.dataset.layout import image_path, is_training, label_path
from racoon_data.dataset.splits import assign, place_of, tags_of
from racoon_data.files.atomic import make_folder, sha256_of, storage_errors, write_json
from racoon_data.files.case_sidecar import load_sidecar
from racoon_data.files.manifest import CaseRecord, Place, SplitMemory


def place_cases(
    root: Path,
    records: Sequence[CaseRecord],
    *,
    site: str,
    key: bytes,
    test_fraction: float,
    earlier: SplitMemory | None = None,
) -> tuple[tuple[CaseRecord, ...], SplitMemory]:
    """Split cases by patient and move the files of those that change sides.

    Args:
        root: The dataset folder, not finished.
        records: Every case of the dataset.
        site: Alias of the site they come from.
        key: Secret of the site.
        test_fraction: Share of patients kept for testing.
        earlier: What the version before remembers.

    Returns:
        The cases where they stand now, in the same order, and what the next version is to remember.
    """
    memory = assign(tags_of(records, site), key=key, test_fraction=test_fraction, earlier=earlier)
    placed = (place_case(root, one, place_of(memory, one.patient, key=key)) for one in records)
    return tuple(placed), memory


def place_case(root: Path, record: CaseRecord, place: Place) -> CaseRecord:
    """Move the files of one case to the side of its place.

    Args:
        root: The dataset folder, not finished: a kill between two renames leaves a case to be built again.
        record: The case where it stands.
        place: ``test``, or a fold of the training side.

    Returns:
        The case where it stands now.
    """
    record = record.model_copy(
        update={"split": "test" if place == "test" else "train", "fold": None if place == "test" else place}
    )
    training = is_training(record.split, has_label=record.label is not None)
    images = tuple(image_path(record.case_id, number, training=training) for number in range(len(record.images)))
    label = label_path(record.case_id, training=training) if record.label else None
    old, new = [*record.images, record.label], [*images, label]
    moves = {was: now for was, now in zip(old, new, strict=True) if was and now and was != now}
    if not moves:
        return record
    _rename(root, moves.items())
    sha256 = {moves.get(path, path): digest for path, digest in record.sha256.items()}
    sidecar = load_sidecar(root / record.sidecar)
    outputs = tuple(one.model_copy(update={"path": moves.get(one.path, one.path)}) for one in sidecar.outputs)
    write_json(root / record.sidecar, sidecar.model_copy(update={"outputs": outputs}).model_dump(mode="json"))
    sha256[record.sidecar] = sha256_of(root / record.sidecar)
    return record.model_copy(update={"images": images, "label": label, "sha256": dict(sorted(sha256.items()))})


def _rename(root: Path, moves: Iterable[tuple[str, str]]) -> None:
    for was, now in moves:
        make_folder((root / now).parent)
        with storage_errors(now):
            (root / was).replace(root / now)
