"""The engine: one walk over every attribute at every depth, each given its action; what stays keeps its bytes."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

from racoon_data.deid.actions import Action, Decision
from racoon_data.deid.content import Content, content_of, is_to_go, item_decision
from racoon_data.deid.identity import Identity
from racoon_data.deid.pseudonyms import Pseudonymizer
from racoon_data.deid.rules import Rulebook
from racoon_data.deid.safe_private import safe_in
from racoon_data.deid.table import vocabulary
from racoon_data.deid.values import capped_age, cleaned, dummy, scrubbed, shifted
from racoon_data.dicom.encoding import encoded_element, encoded_items, encoded_texts
from racoon_data.dicom.tree import Level, Node, Tree
from racoon_data.dicom.walk import Buffer

_PATIENT_ID = 0x00100020
_ODD_GROUP = 0x00010000
_STRING_VRS = frozenset(
    ("AE", "AS", "CS", "DA", "DS", "DT", "IS", "LO", "LT", "PN", "SH", "ST", "TM", "UC", "UI", "UR", "UT")
)
_DUMMY_VRS = _STRING_VRS | {"SQ"}
_KEEPING = frozenset((Action.KEEP, Action.CLEAN, Action.SCRUB, Action.CHECK_CODE, Action.WALK))
_WORDS = frozenset((Action.CLEAN, Action.SCRUB))
_LONGEST_REMEMBERED = 4096
_MOST_REMEMBERED = 2048
_REPLACED = Decision(Action.DUMMY, "part of a replaced sequence")

Marks = dict[int, bytes]


@dataclass(slots=True)
class _Place:
    """The data set that is being rewritten.

    Attributes:
        level: Its elements.
        encodings: Character encodings that hold in it.
        is_dummy: It stands for a replaced one: even what would stay becomes a dummy.
        content: What it says as a content item of a report.
        private: Its private attributes that may stay, once somebody asked.
    """

    level: Level
    encodings: tuple[str, ...]
    is_dummy: bool
    content: Content | None
    private: dict[int, Decision] | None = None


@dataclass(slots=True)
class Parts:
    """Bytes to be, mostly ranges of the bytes there were.

    Attributes:
        data: The original.
        done: Finished pieces.
        start: Begin of the range that is being collected.
        end: Its end.
        is_changed: Something was left out or replaced.
    """

    data: Buffer
    done: list[bytes] = field(default_factory=list)
    start: int = 0
    end: int = 0
    is_changed: bool = False

    def keep(self, node: Node) -> None:
        """Take an element as it stands."""
        if node.start != self.end:
            self.flush()
            self.start = node.start
        self.end = node.end

    def put(self, piece: bytes) -> None:
        """Take new bytes."""
        self.flush()
        self.done.append(piece)
        self.is_changed = True

    def drop(self) -> None:
        """Leave an element out."""
        self.is_changed = True

    def flush(self) -> None:
        """Finish the range that is being collected."""
        if self.end > self.start:
            self.done.append(self.data[self.start : self.end])
        self.start = self.end = 0


@dataclass(frozen=True)
class Engine:
    """Cleans one object.

    Attributes:
        rules: What happens to which tag.
        names: Pseudonyms under the site's key.
        identity: The patient's own identifiers.
        patient: The patient's pseudonym.
        day_offset: Whole days added to every date.
        remembered: Elements of this patient, as stored, to what became of them; equal in object after object.
    """

    rules: Rulebook
    names: Pseudonymizer
    identity: Identity
    patient: str
    day_offset: int
    remembered: dict[bytes, bytes] = field(default_factory=dict, repr=False, compare=False)

    def clean(self, tree: Tree, marks: Marks, *, before: int) -> bytes:
        """Give every attribute of a data set and of its items its action.

        Args:
            tree: The object; its pixel data is not touched.
            marks: Encoded elements to stand in the result, by tag, in place of its own.
            before: First tag that is left to the caller, such as the pixel data's.

        Returns:
            The encoded elements before that tag.
        """
        root = _Place(tree.root, tree.encodings_of(tree.root), False, content_of(tree, tree.root))
        parts, waiting = Parts(tree.data), sorted(marks)
        for tag in sorted(tag for tag in root.level.nodes if tag < before):
            while waiting and waiting[0] <= tag:
                parts.put(marks[waiting.pop(0)])
            if tag not in marks:
                self._known(tree, root, root.level.nodes[tag], parts)
        for tag in waiting:
            parts.put(marks[tag])
        parts.flush()
        return b"".join(parts.done)

    def _known(self, tree: Tree, root: _Place, node: Node, parts: Parts) -> None:
        """Treat a top-level element as it was treated in the patient's last object, where its bytes are the same."""
        if root.content is None and self.rules.decide(node.tag, node.vr).action is Action.KEEP:
            parts.keep(node)
            return
        is_alone = root.content is not None or node.tag & _ODD_GROUP  # decided by what stands beside it
        if is_alone or node.end - node.start > _LONGEST_REMEMBERED:
            self._element(tree, root, node, parts)
            return
        stored = tree.data[node.start : node.end]
        if (known := self.remembered.get(stored)) is None:
            alone = Parts(tree.data)
            self._element(tree, root, node, alone)
            alone.flush()
            known = b"".join(alone.done)
            if len(self.remembered) < _MOST_REMEMBERED and not self.identity.has_uid_in(stored):
                self.remembered[stored] = known
        elif self.identity.has_uid_in(stored):  # it was harmless in another object, and names this one
            self._element(tree, root, node, parts)
            return
        parts.put(known)

    def keeps(self, node: Node) -> bool:
        """Tell whether an element of the pixel data's group or behind it stays as it is."""
        return self.rules.decide(node.tag, node.vr).action is Action.KEEP

    def _element(self, tree: Tree, place: _Place, node: Node, parts: Parts) -> None:
        decision = item_decision(node.tag, place.content) or self.rules.decide(node.tag, node.vr)
        if node.tag & _ODD_GROUP:
            decision = self._private(tree, place, node, decision)
        if place.is_dummy and decision.action in _KEEPING and node.vr in _DUMMY_VRS:
            decision = _REPLACED
        self._apply(tree, place, node, decision, parts)

    def _private(self, tree: Tree, place: _Place, node: Node, otherwise: Decision) -> Decision:
        if place.private is None:
            place.private = {} if place.is_dummy else safe_in(tree, place.level, self.rules.profile)
        return place.private.get(node.tag, otherwise)

    def _apply(self, tree: Tree, place: _Place, node: Node, decision: Decision, parts: Parts) -> None:
        action = decision.action
        if action is Action.KEEP:
            parts.keep(node)
        elif action is Action.REMOVE:
            parts.drop()
        elif node.vr == "SQ":
            self._sequence(tree, place, node, action, parts)
        elif action is Action.EMPTY:
            self._put(tree, place, node, b"", parts)
        elif action is Action.DUMMY:
            self._dummy(tree, place, node, parts)
        else:
            self._renew(tree, place, node, decision, parts)

    def _put(self, tree: Tree, place: _Place, node: Node, value: bytes, parts: Parts) -> None:
        implicit = place.level.is_implicit
        parts.put(encoded_element(node.tag, node.vr, value, is_implicit=implicit, order=tree.order))

    def _dummy(self, tree: Tree, place: _Place, node: Node, parts: Parts) -> None:
        if node.end == node.value:
            parts.keep(node)
            return
        if node.vr == "UI":
            value = self.names.uid(tree.texts(node)[0]).encode("ascii")
        else:
            value = dummy(node.vr, node.end - node.value)
        self._put(tree, place, node, value, parts)

    def _renew(self, tree: Tree, place: _Place, node: Node, decision: Decision, parts: Parts) -> None:
        old = tree.texts(node, place.encodings) if node.vr in _STRING_VRS else ()
        present = [text for text in old if text]
        if not present and node.vr in _STRING_VRS:
            parts.keep(node)
            return
        new = [self._new(text, node, decision.action) for text in present]
        kept = [text for text in new if text]
        if not kept or (len(kept) < len(new) and decision.action not in _WORDS):
            self._apply(tree, place, node, Decision(decision.otherwise, decision.reason), parts)
        elif tuple(kept) == old:
            parts.keep(node)
        else:
            self._put(tree, place, node, encoded_texts(kept, place.encodings), parts)

    def _new(self, text: str, node: Node, action: Action) -> str | None:
        if action is Action.MAP_UID:
            return text if self.rules.profile.retain_uids else self.names.uid(text)
        if action is Action.SHIFT:
            return shifted(text, node.vr, self.day_offset)
        if action is Action.PATIENT:
            return self.names.other_patient(text) if node.tag == _PATIENT_ID else self.patient
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
        return vocabulary() | self.rules.profile.own_words

    def _sequence(self, tree: Tree, place: _Place, node: Node, action: Action, parts: Parts) -> None:
        items = node.items or []
        contents = [content_of(tree, item) for item in items]
        if action is Action.WALK:
            kept = [pair for pair in zip(items, contents, strict=True) if not is_to_go(pair[1])]
        else:
            kept = list(zip(items, contents, strict=True))[:1] if action is Action.DUMMY else []
        is_dummy = action is Action.DUMMY
        cleaned_items = [
            self._item(tree, _Place(item, tree.encodings_of(item, place.encodings), is_dummy, content))
            for item, content in kept
        ]
        if len(kept) == len(items) and not any(one.is_changed for one in cleaned_items):
            parts.keep(node)
        else:
            encoded = encoded_items([b"".join(one.done) for one in cleaned_items], order=tree.order)
            self._put(tree, place, node, encoded, parts)

    def _item(self, tree: Tree, place: _Place) -> Parts:
        parts, nodes = Parts(tree.data), place.level.nodes
        for tag in sorted(nodes):
            self._element(tree, place, nodes[tag], parts)
        parts.flush()
        return parts
