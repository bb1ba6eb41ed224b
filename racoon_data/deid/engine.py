"""The engine: one walk over every attribute at every depth, each given its action."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from pydicom.dataelem import DataElement, RawDataElement
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.tag import BaseTag

from racoon_data.deid.actions import Action, Decision
from racoon_data.deid.content import is_to_go, item_decision
from racoon_data.deid.identity import Identity, text_values
from racoon_data.deid.pseudonyms import Pseudonymizer
from racoon_data.deid.rules import Rulebook, vr_of
from racoon_data.deid.table import vocabulary
from racoon_data.deid.values import capped_age, cleaned, dummy, scrubbed, shifted

_PATIENT_ID = 0x00100020
_STRING_VRS = frozenset(
    ("AE", "AS", "CS", "DA", "DS", "DT", "IS", "LO", "LT", "PN", "SH", "ST", "TM", "UC", "UI", "UR", "UT")
)
_DUMMY_VRS = _STRING_VRS | {"SQ"}
_KEEPING = frozenset((Action.KEEP, Action.CLEAN, Action.SCRUB, Action.CHECK_CODE, Action.WALK))
_WORDS = frozenset((Action.CLEAN, Action.SCRUB))
_REPLACED = Decision(Action.DUMMY, "part of a replaced sequence")


@dataclass(frozen=True)
class Engine:
    """Cleans one object in place.

    Attributes:
        rules: What happens to which tag.
        names: Pseudonyms under the site's key.
        identity: The patient's own identifiers.
        patient: The patient's pseudonym.
        day_offset: Whole days added to every date.
    """

    rules: Rulebook
    names: Pseudonymizer
    identity: Identity
    patient: str
    day_offset: int

    def clean(self, dataset: Dataset) -> None:
        """Give every attribute of a data set and of its items its action; pixel data is not touched."""
        self._walk(dataset, is_dummy=False)

    def _walk(self, dataset: Dataset, *, is_dummy: bool) -> None:
        for tag in list(dataset.keys()):
            element = dataset.get_item(tag)
            vr = element.VR if element is not None else None
            decision = item_decision(dataset, int(tag)) or self.rules.decide(int(tag), vr)
            if is_dummy and decision.action in _KEEPING and (vr or vr_of(int(tag))) in _DUMMY_VRS:
                decision = _REPLACED
            if decision.action is not Action.KEEP:
                self._apply(dataset, tag, decision)

    def _apply(self, dataset: Dataset, tag: BaseTag, decision: Decision) -> None:
        if decision.action is Action.REMOVE:
            del dataset[tag]
            return
        element = _converted(dataset, tag)
        if element.VR == "SQ":
            self._sequence(dataset, element, decision.action)
            return
        old = text_values(element.value) if element.VR in _STRING_VRS else ()
        if decision.action is Action.EMPTY:
            _put(dataset, element, None)
        elif decision.action is Action.DUMMY:
            if element.value is not None and element.value not in ("", b""):
                _put(dataset, element, self._dummy(element.VR, old))
        else:
            self._renew(dataset, element, old, decision)

    def _renew(self, dataset: Dataset, element: DataElement, old: tuple[str, ...], decision: Decision) -> None:
        present = [text for text in old if text.strip("\0 ")]
        if not present and element.VR in _STRING_VRS:
            return
        new = [self._new(text, element, decision.action) for text in present]
        kept = [text for text in new if text]
        if kept and (len(kept) == len(new) or decision.action in _WORDS):
            if tuple(kept) != old:
                _put(dataset, element, kept if len(kept) > 1 else kept[0])
        else:
            self._apply(dataset, element.tag, Decision(decision.otherwise, decision.reason))

    def _new(self, text: str, element: DataElement, action: Action) -> str | None:
        if action is Action.MAP_UID:
            return text if self.rules.profile.retain_uids else self.names.uid(text)
        if action is Action.SHIFT:
            return shifted(text, element.VR, self.day_offset)
        if action is Action.PATIENT:
            return self.names.patient(text) if element.tag == _PATIENT_ID else self.patient
        if action is Action.READER:
            return self.names.reader(text)
        if action is Action.CAP_AGE:
            return capped_age(text)
        return self._worded(text, action)

    def _worded(self, text: str, action: Action) -> str:
        if action is Action.CHECK_CODE:
            return text if self.identity.taken_out(text) == text else ""
        if action is Action.SCRUB:
            return scrubbed(text, self.identity)
        return cleaned(text, self.identity, self._words)

    @cached_property
    def _words(self) -> frozenset[str]:
        return vocabulary() | {word.casefold() for word in self.rules.profile.extra_words}

    def _sequence(self, dataset: Dataset, element: DataElement, action: Action) -> None:
        items: Iterable[Dataset] = element.value or []
        if action is Action.WALK:
            kept = [item for item in items if not is_to_go(item)]
        else:
            kept = list(items)[:1] if action is Action.DUMMY else []
        for item in kept:
            self._walk(item, is_dummy=action is Action.DUMMY)
        if len(kept) != len(element.value or []):
            dataset[element.tag] = DataElement(element.tag, "SQ", Sequence(kept))

    def _dummy(self, vr: str, old: tuple[str, ...]) -> str | bytes:
        return self.names.uid(old[0]) if vr == "UI" and old else dummy(vr)


def _converted(dataset: Dataset, tag: BaseTag) -> DataElement:
    raw = dataset.get_item(tag)
    if isinstance(raw, RawDataElement) and raw.VR == "UN" and vr_of(int(tag)) == "SQ":
        # PS3.5 6.2.2: a sequence that travelled as UN is encoded as implicit VR little endian.
        dataset[tag] = raw._replace(VR="SQ", is_implicit_VR=True, is_little_endian=True)
    element: DataElement = dataset[tag]
    return element


def _put(dataset: Dataset, element: DataElement, value: Any) -> None:
    dataset[element.tag] = DataElement(element.tag, element.VR, value)
