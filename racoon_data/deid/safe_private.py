"""Private attributes that science needs and that can hold nothing but numbers: kept by their creator's name."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from types import MappingProxyType

from racoon_data.deid.actions import Action, Decision
from racoon_data.deid.profile import EDITION, Dates, Profile
from racoon_data.dicom.tree import Level, Node, Tree

_NUMBERS = re.compile(rb"[ 0-9+\-.eE\\]*\0?")
_DATE_TIME = re.compile(rb"[0-9.+\- ]*\0?")
_WIDTHS = {"FL": 4, "FD": 8, "US": 2, "SS": 2, "UL": 4, "SL": 4}
_TEXTS = frozenset(("DS", "IS"))
_LONGEST = 4096
_CREATORS = range(0x10, 0x100)

Safe = Mapping[tuple[str, int], Mapping[int, Decision]]


@cache
def safe_private() -> Safe:
    """Give the table ``safe_private.json``: creator and group to element number to what is done with it."""
    text = files("racoon_data.deid").joinpath("safe_private.json").read_text(encoding="utf-8")
    table: dict[tuple[str, int], dict[int, Decision]] = {}
    for row in json.loads(text):
        reason = f"{EDITION}: retain safe private option: {row['what']}"
        decision = Decision(Action(row["action"]), reason)
        table.setdefault((row["creator"], int(row["group"], 16)), {})[int(row["element"], 16)] = decision
    return MappingProxyType(table)


def safe_in(tree: Tree, level: Level, profile: Profile) -> dict[int, Decision]:
    """Find the private attributes of one data set that may stay, with the creators of their blocks.

    Args:
        tree: The object.
        level: The data set; a block belongs to the creator that stands in it.
        profile: Options.
    """
    if not profile.retain_safe_private:
        return {}
    found: dict[int, Decision] = {}
    for tag in (tag for tag in level.nodes if tag >> 16 & 1 and tag & 0xFFFF in _CREATORS):
        creator = tree.texts(level.nodes[tag])[0]
        for element, decision in safe_private().get((creator, tag >> 16), {}).items():
            target = tag & 0xFFFF0000 | (tag & 0xFF) << 8 | element
            node = level.nodes.get(target)
            if node is None or not _is_harmless(tree, node, decision):
                continue
            if decision.action is Action.SHIFT and profile.dates is not Dates.MODIFIED:
                if profile.dates is Dates.REMOVED:
                    continue
                decision = Decision(Action.KEEP, decision.reason)
            found[target] = decision
            found[tag] = Decision(Action.KEEP, "names the block of a safe private attribute")
    return found


def _is_harmless(tree: Tree, node: Node, decision: Decision) -> bool:
    """Tell whether a value is of the form the table promises: numbers, or one date and time."""
    if node.items is not None or node.is_encapsulated or node.end - node.value > _LONGEST:
        return False
    if decision.action is Action.SHIFT:
        return node.vr == "DT" and _DATE_TIME.fullmatch(tree.raw(node)) is not None
    if node.vr in _WIDTHS:
        return (node.end - node.value) % _WIDTHS[node.vr] == 0
    if node.vr in _TEXTS:
        return _NUMBERS.fullmatch(tree.raw(node)) is not None
    # an archive that does not know the creator passes the value on as UN: text of numbers, or a few binary ones
    return node.vr == "UN" and (_NUMBERS.fullmatch(tree.raw(node)) is not None or _is_binary(tree.raw(node)))


def _is_binary(raw: bytes) -> bool:
    """Tell whether a value of unknown form can be numbers and is no text."""
    return len(raw) % 2 == 0 and any(byte < 0x20 or byte > 0x7E for byte in raw) and len(raw) <= 64
