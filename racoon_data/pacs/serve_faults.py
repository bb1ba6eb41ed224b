"""What a fault plan makes of the answers and instances the embedded PACS is about to send."""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

from racoon_data.dicom.headers import read_dataset
from racoon_data.faults import FaultPlan
from racoon_data.pacs.index import Stored
from racoon_data.refs import InstanceRef

if TYPE_CHECKING:
    from racoon_data.pacs.serve import EmbeddedPacs

TRAVERSAL_UID = "../../../racoon-escape"
Row = dict[str, str]


class Deed(StrEnum):
    """What happens next on the way out."""

    SEND = "send"
    CUT = "cut"
    GIANT = "giant"
    TRUNCATE = "truncate"


def answers(pacs: EmbeddedPacs, level: str, keys: Mapping[str, str]) -> Iterator[Row | None]:
    """Give the rows a query is answered with, faults included.

    Yields:
        Rows of the index; ``None`` as the last where the answer is cut off openly.
    """
    plan = pacs.faults
    rows = _rows(pacs, level, keys)
    if plan.endless_answers:
        rows = itertools.cycle(rows)
    for done, row in enumerate(rows):
        if done == plan.cap_answers:
            yield None
            return
        if done == plan.silent_cap:
            return
        pacs.stopping.wait(plan.slow_s)
        yield _lied_about(plan, row)


def _rows(pacs: EmbeddedPacs, level: str, keys: Mapping[str, str]) -> Iterator[Row]:
    victims: dict[str, str] = {}
    for row in pacs.index.find(level, keys):
        study = row.get("StudyInstanceUID", "")
        if level == "IMAGE" and study not in victims:
            victims[study] = _victim(pacs, study)
        is_victim = level == "IMAGE" and row["SOPInstanceUID"] == victims[study]
        yield row | {"SOPInstanceUID": TRAVERSAL_UID} if is_victim else row


def _lied_about(plan: FaultPlan, row: Row) -> Row:
    counts = [name for name in row if name.startswith("NumberOf") and "Related" in name]
    if plan.no_counts:
        return row | dict.fromkeys(counts, "")
    return row | {name: str(int(row[name] or 0) + plan.lie_about_counts) for name in counts}


def chosen(pacs: EmbeddedPacs, level: str, keys: Mapping[str, str]) -> list[Stored]:
    """Choose what a request is answered with: what it names, less what is dropped, more what nobody asked for."""
    plan = pacs.faults
    stored = list(pacs.index.stored(level, _true_keys(pacs, keys)))
    if stored and plan.unrequested:
        studies = {item.ref.study_uid for item in stored}
        others = [item for item in pacs.index.stored("STUDY", {}) if item.ref.study_uid not in studies]
        stored = others[: plan.unrequested] + stored
    return stored[: len(stored) - plan.drop_last] if plan.drop_last else stored


def _true_keys(pacs: EmbeddedPacs, keys: Mapping[str, str]) -> dict[str, str]:
    """Know again the instance that was listed under a path."""
    uids = keys.get("SOPInstanceUID", "")
    if TRAVERSAL_UID not in uids:
        return dict(keys)
    return {**keys, "SOPInstanceUID": uids.replace(TRAVERSAL_UID, _victim(pacs, keys.get("StudyInstanceUID", "")))}


def _victim(pacs: EmbeddedPacs, study_uid: str) -> str:
    """SOPInstanceUID of the instance of a study that is listed and sent under a path."""
    position = pacs.faults.traversal_uid_at
    if position is None:
        return ""
    stored = pacs.index.stored("STUDY", {"StudyInstanceUID": study_uid})
    return stored[position].ref.sop_uid if position < len(stored) else ""


def deeds(pacs: EmbeddedPacs, stored: list[Stored]) -> Iterator[tuple[Deed, Stored]]:
    """Say what happens instance by instance; silence and slowness happen here."""
    plan = pacs.faults
    for position, item in enumerate(stored):
        if position == plan.die_after:
            yield Deed.CUT, item
            return
        if position == plan.hang_after:
            pacs.stopping.wait(plan.hang_s)
        pacs.stopping.wait(plan.slow_s)
        yield _deed(plan, position), _disguised(pacs, item, position)
        if position == plan.repeat_at:
            yield Deed.SEND, item
        if position == plan.other_bytes_at:
            yield Deed.SEND, _altered(pacs, item, None)


def _deed(plan: FaultPlan, position: int) -> Deed:
    if position == plan.giant_pdu_at:
        return Deed.GIANT
    return Deed.TRUNCATE if position == plan.truncate_at else Deed.SEND


def _disguised(pacs: EmbeddedPacs, item: Stored, position: int) -> Stored:
    plan = pacs.faults
    other = f"{item.ref.sop_uid[:60]}.9"
    if plan.traversal_uid_at is not None and item.ref.sop_uid == _victim(pacs, item.ref.study_uid):
        return _renamed(pacs, item, TRAVERSAL_UID)
    if position == plan.renamed_at:
        return _renamed(pacs, item, other)
    if position == plan.wrong_uid_at:
        return _altered(pacs, item, other)
    return item


def _renamed(pacs: EmbeddedPacs, item: Stored, sop_uid: str) -> Stored:
    ref = InstanceRef(item.ref.study_uid, item.ref.series_uid, sop_uid)
    return replace(_altered(pacs, item, sop_uid, meta_too=True), ref=ref)


def _altered(pacs: EmbeddedPacs, item: Stored, sop_uid: str | None, *, meta_too: bool = False) -> Stored:
    """Copy an instance with another SOPInstanceUID in its data set, or the same UID and other bytes."""
    dataset = read_dataset(item.path, pixels=True)
    if sop_uid is None:
        dataset.PatientComments = "altered"
    else:
        dataset.SOPInstanceUID = sop_uid
    if sop_uid is not None and meta_too:
        dataset.file_meta.MediaStorageSOPInstanceUID = sop_uid
    with tempfile.NamedTemporaryFile(dir=pacs.scratch, suffix=".dcm", delete=False) as stream:
        path = Path(stream.name)
    dataset.save_as(path, enforce_file_format=False)
    return replace(item, path=path)
