"""From a tag to its action: our rules first, then the standard's table with the profile's options, then the VR."""

from __future__ import annotations

from functools import lru_cache

from pydicom.datadict import dictionary_VR

from racoon_data.deid.actions import Action, Decision
from racoon_data.deid.profile import EDITION, Dates, Profile
from racoon_data.deid.table import Row, object_kinds, own_rules, standard_rows

_DATE_VRS = frozenset(("DA", "DT", "TM"))
_TEXT_VRS = frozenset(("LT", "ST", "UT", "UC"))
_TIMEZONE = 0x00080201

_BY_VR = {
    "SQ": Decision(Action.WALK, "sequence: each item is treated by the same rules"),
    "UI": Decision(Action.MAP_UID, "UIDs not listed may still be unique to this patient"),
    "PN": Decision(Action.REMOVE, "names of persons go, listed or not"),
    "AE": Decision(Action.REMOVE, "application entities name machines of the hospital"),
    "UR": Decision(Action.REMOVE, "addresses may carry identifiers"),
    "UN": Decision(Action.REMOVE, "a value of unknown form cannot be checked"),
}
_KEEP = Decision(Action.KEEP, "not listed, and its form holds no free text")
_UNLISTED_TEXT = Decision(Action.CLEAN, "free text not listed: known words stay")
_UNLISTED_DATE = Decision(Action.SHIFT, "dates not listed are shifted like the listed ones")


def vr_of(tag: int) -> str | None:
    """Give the VR the standard's dictionary has for a tag, ``None`` where it is unknown."""
    try:
        vr: str = dictionary_VR(tag)
    except KeyError:
        return None
    return vr


@lru_cache(maxsize=32)
def rulebook(profile: Profile, kind: str) -> Rulebook:
    """Give the rulebook for a profile and kind of object; it is shared by all objects of that kind."""
    return Rulebook(profile, kind)


class Rulebook:
    """Decides for each tag; decisions are remembered, so an object costs one lookup per attribute."""

    def __init__(self, profile: Profile, kind: str) -> None:
        """Take the options and the kind of object (``CT``, ``SEG``, ...), which knows its attribute types."""
        self.profile = profile
        self._types = object_kinds().types.get(kind, {})
        self._known: dict[tuple[int, str | None], Decision] = {}

    def decide(self, tag: int, vr: str | None) -> Decision:
        """Choose the action for an attribute.

        Args:
            tag: Its tag.
            vr: The VR as written in the file, ``None`` where the file does not say (implicit VR).
        """
        key = (tag, vr)
        if (known := self._known.get(key)) is None:
            known = self._known[key] = self._choose(tag, vr)
        return known

    def _choose(self, tag: int, vr: str | None) -> Decision:
        if (by_group := _by_group(tag)) is not None:
            return by_group
        standard_vr = vr_of(tag)
        if standard_vr is None:
            return Decision(Action.REMOVE, "unknown tag: nobody can say what it holds")
        form = standard_vr if vr in (None, "UN") else str(vr)
        if (form == "SQ") != (standard_vr == "SQ"):
            return Decision(Action.REMOVE, "its VR contradicts the standard")
        own, row = own_rules().get(tag), standard_rows().get(tag)
        if own is not None:
            return self._our_own(own, row, form, tag)
        return self._by_vr(form) if row is None else self._by_row(row, form, tag)

    def _our_own(self, own: Decision, row: Row | None, form: str, tag: int) -> Decision:
        needs_cleaning = own.action in (Action.SCRUB, Action.CLEAN) and row is not None
        if needs_cleaning and not self.profile.clean_descriptors and row is not None:
            return self._basic(row, form, tag)
        if own.action is Action.CAP_AGE and not self.profile.retain_patient_characteristics:
            return Decision(Action.REMOVE, f"{EDITION} Table E.1-1: X")
        return own

    def _by_vr(self, form: str) -> Decision:
        if form in _DATE_VRS:
            if self.profile.dates is Dates.FULL:
                return Decision(Action.KEEP, "the profile keeps dates")
            return _UNLISTED_DATE if self.profile.dates is Dates.MODIFIED else Decision(Action.EMPTY, "dates go")
        if form in _TEXT_VRS:
            return _UNLISTED_TEXT
        return _BY_VR.get(form, _KEEP)

    def _by_row(self, row: Row, form: str, tag: int) -> Decision:
        basic = self._basic(row, form, tag)
        return _kept(row, self.profile) or self._cleaned(row, form, tag, basic.action) or basic

    def _cleaned(self, row: Row, form: str, tag: int, otherwise: Action) -> Decision | None:
        options, profile = row.options, self.profile
        is_date = form in _DATE_VRS or tag == _TIMEZONE
        if "modified_dates" in options and profile.dates is Dates.MODIFIED and is_date:
            return Decision(Action.SHIFT, f"{EDITION}: modified dates option", otherwise)
        if "clean_structured_content" in options and profile.clean_structured_content:
            return Decision(Action.WALK, f"{EDITION}: clean structured content option", otherwise)
        if "clean_graphics" in options and profile.clean_graphics:
            return Decision(Action.WALK, f"{EDITION}: clean graphics option, shapes and known words stay", otherwise)
        wants_words = "clean_descriptors" in options and profile.clean_descriptors
        wants_words |= options.get("patient_characteristics") == "C" and profile.retain_patient_characteristics
        wants_words |= options.get("device_identity") == "C" and profile.retain_device_identity
        if wants_words and form != "SQ":
            return Decision(Action.CLEAN, f"{EDITION}: clean descriptors option, known words stay", otherwise)
        return None

    def _basic(self, row: Row, form: str, tag: int) -> Decision:
        reason = f"{EDITION} Table E.1-1: {row.basic}"
        if row.basic == "X/Z/U*":
            return Decision(Action.WALK, f"{reason}, references are kept with mapped UIDs")
        if row.basic == "U":
            return Decision(Action.MAP_UID, reason)
        return Decision(_by_type(row.basic, self._types.get(tag, 3)), reason)


def _kept(row: Row, profile: Profile) -> Decision | None:
    retained = {
        "patient_characteristics": profile.retain_patient_characteristics,
        "device_identity": profile.retain_device_identity,
        "institution_identity": profile.retain_institution_identity,
        "full_dates": profile.dates is Dates.FULL,
        "uids": profile.retain_uids,
    }
    for option, is_on in retained.items():
        if is_on and row.options.get(option) == "K":
            return Decision(Action.KEEP, f"{EDITION}: retain {option.replace('_', ' ')} option")
    return None


def _by_type(basic: str, attribute_type: int) -> Action:
    # The first letter that the IOD allows: type 3 may go, type 2 may be empty, type 1 needs a value.
    order = {3: "XZD", 2: "ZD", 1: "D"}[attribute_type]
    letters = basic.split("/")
    if letters == ["X"]:  # the standard would remove what the IOD needs; a dummy keeps the object valid
        letters = {3: ["X"], 2: ["Z"], 1: ["D"]}[attribute_type]
    chosen = next((letter for letter in order if letter in letters), letters[-1])
    return {"X": Action.REMOVE, "Z": Action.EMPTY, "D": Action.DUMMY}[chosen]


def _by_group(tag: int) -> Decision | None:
    group, element = tag >> 16, tag & 0xFFFF
    if group % 2:
        return Decision(Action.REMOVE, "private attribute")
    if element == 0:
        return Decision(Action.REMOVE, "group length: no longer true")
    if group & 0xFF00 == 0x5000:
        return Decision(Action.REMOVE, "curves may draw or spell identity")
    if group & 0xFF00 == 0x6000:
        return Decision(Action.REMOVE, "overlays may draw or spell identity")
    if group < 0x0008 and tag != 0x00041511:
        return Decision(Action.REMOVE, "command, file meta or directory group inside a data set")
    return None
