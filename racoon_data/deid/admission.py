"""Who may pass the door: supported objects with an identity to key on and no sign of burned-in text."""

from __future__ import annotations

from dataclasses import dataclass

from racoon_data.deid.devices import DeviceRule, rule_for
from racoon_data.deid.faces import has_face
from racoon_data.deid.profile import Profile
from racoon_data.deid.pseudonyms import is_public_uid
from racoon_data.deid.table import object_kinds
from racoon_data.dicom.opened import OpenedFile
from racoon_data.errors import IdentityRiskError, QuarantineError, TruncatedError
from racoon_data.refs import is_uid

_NEEDED = ("PatientID", "StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")
_IMAGES = frozenset(("CT", "MR", "PT", "ENHANCED", "PM"))
# PS3.3 C.7.3.1.1.1: modalities of drawn, filmed, photographed or scanned pictures.
_DRAWN = frozenset(("DOC", "ES", "GM", "HC", "OT", "SC", "SM", "US", "XC"))
_SCREENS = frozenset(("SCREEN SAVE", "SCREENSAVE", "SCREENSHOT", "SCREEN"))
_OVERLAYS = range(0x60000000, 0x60200000, 0x20000)
_HINT = "ask its sender; racoon deid quarantine list shows what waits"
_LOOK = "look at it, then: racoon deid quarantine release HASH, or discard HASH"


@dataclass(frozen=True, slots=True)
class Admitted:
    """What may pass, and how.

    Attributes:
        kind: ``CT``, ``MR``, ``PT``, ``ENHANCED``, ``PM``, ``SEG``, ``RTSTRUCT``, ``SR``, ``RWV``, ``GSPS``, or a
            kind of picture that waits unless it is released or its device has a rule (``objects.json``).
        rule: Rule for the device that made it, ``None`` where there is none.
        is_released: A person looked at the picture and found no identity in it.
        has_face: It is a CT or MR image of a head.
    """

    kind: str
    rule: DeviceRule | None = None
    is_released: bool = False
    has_face: bool = False


def admitted(opened: OpenedFile, profile: Profile, *, is_released: bool = False) -> Admitted:
    """Tell how an object may pass.

    Args:
        opened: The object.
        profile: Options.
        is_released: A person looked at the picture and found no identity in it.

    Raises:
        QuarantineError: It may not; the message says why without any value of the patient.
    """
    kind = object_kinds().sop_classes.get(opened.text("SOPClassUID"), "")
    if not kind:
        raise QuarantineError("this kind of object is not supported by de-identification", hint=_HINT)
    for keyword in _NEEDED:
        values = opened.texts(keyword)
        if not any(values) or len(values) > 1:
            state = "has several values" if any(values) else "is missing"
            raise QuarantineError(f"{keyword} {state}, so no pseudonym can be keyed", hint="mend it at its source")
    _refuse_odd_uids(opened, profile)
    _refuse_unclean(opened, kind, profile)
    if not _is_picture(kind):
        return Admitted(kind)
    rule = rule_for(opened, profile.devices)
    if not is_released and (sign := _sign(opened, kind, profile, rule)):
        raise IdentityRiskError(f"the image may show identity: {sign}", hint=_LOOK)
    return Admitted(kind, rule, is_released, has_face(opened))


def _is_picture(kind: str) -> bool:
    return kind in _IMAGES or kind in object_kinds().waits


def _refuse_unclean(opened: OpenedFile, kind: str, profile: Profile) -> None:
    if kind == "SR" and not profile.clean_structured_content:
        raise QuarantineError("the profile does not clean reports", hint="switch clean_structured_content on")
    if kind == "GSPS" and not profile.clean_graphics:
        raise QuarantineError("the profile does not clean graphics", hint="switch clean_graphics on")
    if kind == "GSPS" and "BITMAP" in opened.texts("ShutterShape"):
        raise QuarantineError("its shutter is a bitmap, which nobody can read", hint=_HINT)


def _refuse_odd_uids(opened: OpenedFile, profile: Profile) -> None:
    for uid in (opened.text(keyword) for keyword in _NEEDED[1:]):
        if is_public_uid(uid):
            raise QuarantineError("a UID of this object is taken from the standard's own", hint=_HINT)
        if profile.retain_uids and not is_uid(uid):
            raise QuarantineError("a UID of this object has not the form of a UID", hint=_HINT)


def refuse_incomplete(opened: OpenedFile, kind: str) -> None:
    """Refuse an image that has no pixel data.

    Raises:
        TruncatedError: The file was cut between two attributes, which no parser notices.
    """
    if (kind == "SEG" or _is_picture(kind)) and opened.pixels is None:
        raise TruncatedError("the image has no pixel data", hint="retrieve it again")


def _sign(opened: OpenedFile, kind: str, profile: Profile, rule: DeviceRule | None) -> str:
    """Say why a picture waits; a rule that masks answers all, one that tells of no text answers for the kind alone."""
    if rule is not None and rule.rectangles:
        return ""
    marked = _marked(opened, kind, profile)
    return marked if marked or rule is not None else _suspected(opened, kind)


def _marked(opened: OpenedFile, kind: str, profile: Profile) -> str:
    image_type = {value.upper() for value in opened.texts("ImageType")}
    is_secondary = kind in ("CT", "MR") and "SECONDARY" in image_type and not profile.allow_secondary_images
    signs = {
        "BurnedInAnnotation is YES": opened.text("BurnedInAnnotation").upper() == "YES",
        "it was converted from another medium": bool(opened.text("ConversionType")) and kind != "SC",
        "it is a screenshot": bool(image_type & _SCREENS),
        "it is a secondary image": is_secondary,
        "an overlay lies in unused bits of its pixels": _has_hidden_overlay(opened),
    }
    return next((sign for sign, is_seen in signs.items() if is_seen), "")


def _suspected(opened: OpenedFile, kind: str) -> str:
    if kind in object_kinds().waits:
        return object_kinds().waits[kind]
    if opened.text("Modality").upper() in _DRAWN:
        return "its modality is one of drawn or filmed pictures"
    return "it is in colour" if opened.unsigned("SamplesPerPixel") > 1 else ""


def _has_hidden_overlay(opened: OpenedFile) -> bool:
    """Tell whether an overlay is kept where a pixel's bits are unused (PS3.3 C.9.2, retired)."""
    nodes = opened.tree.root.nodes
    return any(group | 0x0102 in nodes and group | 0x3000 not in nodes for group in _OVERLAYS)
