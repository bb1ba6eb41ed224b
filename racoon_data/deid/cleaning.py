"""One object to its cleaned bytes: header rewritten, marks set, result searched; the pixel data only pointed at."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

from pydicom.uid import UID

from racoon_data.deid.admission import Admitted
from racoon_data.deid.engine import Engine
from racoon_data.deid.identity import Identity, identity_in
from racoon_data.deid.marks import file_head, marks_of
from racoon_data.deid.masking import Picture, picture_of
from racoon_data.deid.profile import Profile
from racoon_data.deid.pseudonyms import Pseudonymizer
from racoon_data.deid.rules import Rulebook, rulebook
from racoon_data.deid.selfcheck import check
from racoon_data.deid.writing import Encoded
from racoon_data.dicom.opened import OpenedFile

_PIXELS = 0x7FE00000


def clean(opened: OpenedFile, profile: Profile, names: Pseudonymizer, *, admission: Admitted, receipt: str) -> Encoded:
    """De-identify one object in memory and check the result.

    Args:
        opened: The object; its pixel data is neither decoded nor copied, unless a rule for its device masks it.
        profile: Options.
        names: Pseudonyms under the site's key.
        admission: How it may pass.
        receipt: Mark of this input.

    Raises:
        QuarantineError: The self-check found something.
    """
    tree, rules = opened.tree, rulebook(profile, admission.kind)
    is_implicit, order = tree.root.is_implicit, tree.order
    identity, patient_id = _identity(opened, profile), opened.text("PatientID")
    pseudonym, offset = names.patient(patient_id), names.day_offset(patient_id)
    spelling = (identity.encodings, is_implicit, order)
    patient = _Patient(pseudonym, offset, identity.phrases, *spelling)
    engine = Engine(rules, names, identity, patient.pseudonym, patient.day_offset, _remembered(rules, names, patient))
    picture = _masked(opened, admission)
    shows, is_masked = admission.has_face, picture is not None
    marks = marks_of(profile, receipt, is_implicit=is_implicit, order=order, is_masked=is_masked, has_face=shows)
    marks |= picture.marks(is_implicit=is_implicit, order=order) if picture is not None else {}
    nodes = sorted(tree.root.nodes.items()) if picture is None else ()
    tail = [node for tag, node in nodes if tag >= _PIXELS]
    syntax = opened.transfer_syntax_uid if picture is None else picture.syntax
    uid = str if profile.retain_uids else names.uid
    encoded = Encoded(
        meta=file_head(opened.text("SOPClassUID"), uid(opened.text("SOPInstanceUID")), syntax),
        header=engine.clean(tree, marks, before=_PIXELS),
        source=tree.data,
        tail=tuple((node.start, node.end) for node in tail if engine.keeps(node)),
        syntax=UID(syntax),
        is_implicit=is_implicit,
        order=order,
        picture=picture,
    )
    check(encoded, identity, profile)
    return encoded


def _masked(opened: OpenedFile, admission: Admitted) -> Picture | None:
    """Open the pixels for masking where a rule asks for it; the first frame is decoded, so that none fails late."""
    if admission.rule is None or not admission.rule.rectangles:
        return None
    picture = picture_of(opened, admission.rule.rectangles)
    picture.frame(0)
    return picture


@dataclass(frozen=True, slots=True)
class _Patient:
    """What decides, beside the rules, what becomes of a value."""

    pseudonym: str
    day_offset: int
    phrases: frozenset[str]
    encodings: tuple[str, ...]
    is_implicit: bool
    order: str


@lru_cache(maxsize=16)
def _remembered(rules: Rulebook, names: Pseudonymizer, patient: _Patient) -> dict[bytes, bytes]:
    return {}


def _identity(opened: OpenedFile, profile: Profile) -> Identity:
    identity = identity_in(opened)
    return replace(identity, uids=frozenset()) if profile.retain_uids else identity
