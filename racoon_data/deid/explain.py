"""What would happen to each attribute of a file, and why, without showing a value."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pydicom.datadict import keyword_for_tag

from racoon_data.deid.actions import Action, Decision
from racoon_data.deid.admission import Admitted, admitted
from racoon_data.deid.content import content_of, is_to_go, item_decision
from racoon_data.deid.profile import Profile
from racoon_data.deid.rules import Rulebook, rulebook
from racoon_data.deid.safe_private import safe_in
from racoon_data.dicom.opened import bytes_of, open_bytes
from racoon_data.dicom.tree import Level, Tree


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
    opened = open_bytes(bytes_of(path))
    admission = admitted(opened, profile)
    rules = rulebook(profile, admission.kind)
    return (*dict.fromkeys(_told(opened.tree, opened.tree.root, rules, "")), *_masks(admission))


def _masks(admission: Admitted) -> Iterator[Explained]:
    """Say where a rule for the device masks the pixels."""
    rule = admission.rule
    if rule is not None and rule.writes_no_text:
        yield Explained("pixels", "keep", f"device rule {rule.name}: the device writes no text")
    for left, top, width, height in rule.rectangles if rule is not None else ():
        where = f"pixels: columns {left} to {left + width - 1}, rows {top} to {top + height - 1}"
        yield Explained(where, "mask", f"device rule {rule.name if rule else ''}: black in every frame")


def _told(tree: Tree, level: Level, rules: Rulebook, parents: str) -> Iterator[Explained]:
    content, private = content_of(tree, level), safe_in(tree, level, rules.profile)
    for tag, node in sorted(level.nodes.items()):
        decision = private.get(tag) or item_decision(tag, content) or rules.decide(tag, node.vr)
        where = f"{parents}({tag >> 16:04X},{tag & 0xFFFF:04X}) {keyword_for_tag(tag)}".rstrip()
        yield Explained(where, str(decision.action), decision.reason)
        if decision.action is Action.WALK:
            for item in node.items or ():
                yield from _item(tree, item, rules, f"{where} > ")


def _item(tree: Tree, item: Level, rules: Rulebook, parents: str) -> Iterator[Explained]:
    if is_to_go(content_of(tree, item)):
        gone = Decision(Action.REMOVE, "the item holds the subject's identity or a form nobody knows")
        yield Explained(f"{parents}item", str(gone.action), gone.reason)
    else:
        yield from _told(tree, item, rules, parents)
