"""What would happen to each attribute of a file, and why, without showing a value."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pydicom.datadict import keyword_for_tag
from pydicom.dataset import Dataset

from racoon_data.deid.actions import Action, Decision
from racoon_data.deid.admission import kind_of
from racoon_data.deid.content import is_to_go, item_decision
from racoon_data.deid.profile import Profile
from racoon_data.deid.rules import Rulebook, rulebook
from racoon_data.dicom.headers import read_dataset


@dataclass(frozen=True, slots=True, order=True)
class Explained:
    """One attribute's fate.

    Attributes:
        where: Tag and keyword, led by the sequences it stands in.
        action: What is done.
        reason: Why.
    """

    where: str
    action: str
    reason: str


def explain(path: Path, profile: Profile) -> tuple[Explained, ...]:
    """Say for every attribute of a file, at every depth, what de-identification does and why.

    Items of one sequence are told together.

    Raises:
        QuarantineError: The object as a whole would wait in quarantine; the message says why.
        DicomError: It cannot be read.
    """
    dataset = read_dataset(path)
    rules = rulebook(profile, kind_of(dataset, profile))
    return tuple(dict.fromkeys(_told(dataset, rules, "")))


def _told(dataset: Dataset, rules: Rulebook, parents: str) -> Iterator[Explained]:
    for tag in sorted(dataset.keys()):
        element = dataset.get_item(tag)
        decision = item_decision(dataset, int(tag)) or rules.decide(int(tag), element.VR if element else None)
        where = f"{parents}({tag.group:04X},{tag.element:04X}) {keyword_for_tag(tag)}".rstrip()
        yield Explained(where, str(decision.action), decision.reason)
        if decision.action is Action.WALK:
            yield from _items(dataset, tag, rules, f"{where} > ")


def _items(dataset: Dataset, tag: int, rules: Rulebook, parents: str) -> Iterator[Explained]:
    gone = Decision(Action.REMOVE, "the item holds the subject's identity or a form nobody knows")
    for item in dataset[tag].value or []:
        if is_to_go(item):
            yield Explained(f"{parents}item", str(gone.action), gone.reason)
        else:
            yield from _told(item, rules, parents)
