"""Who may pass the door: supported objects with an identity to key on and no sign of burned-in text."""

from __future__ import annotations

from racoon_data.deid.profile import Profile
from racoon_data.deid.pseudonyms import is_public_uid
from racoon_data.deid.table import object_kinds
from racoon_data.dicom.opened import OpenedFile
from racoon_data.errors import IdentityRiskError, QuarantineError, TruncatedError
from racoon_data.refs import is_uid

_NEEDED = ("PatientID", "StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")
_IMAGES = frozenset(("CT", "MR", "PT", "ENHANCED"))
_WITH_PIXELS = _IMAGES | {"SEG"}
# PS3.3 C.7.3.1.1.1: modalities of drawn, filmed, photographed or scanned pictures.
_DRAWN = frozenset(("DOC", "ES", "GM", "HC", "OT", "SC", "SM", "US", "XC"))
_SCREENS = frozenset(("SCREEN SAVE", "SCREENSAVE", "SCREENSHOT", "SCREEN"))
_HINT = "ask its sender; racoon deid quarantine list shows what waits"
_LOOK = "look at it, then: racoon deid quarantine release HASH, or discard HASH"


def kind_of(opened: OpenedFile, profile: Profile, *, is_released: bool = False) -> str:
    """Give the kind of an object that may pass.

    Args:
        opened: The object.
        profile: Options.
        is_released: A person looked at the picture and found no identity in it.

    Returns:
        ``CT``, ``MR``, ``PT``, ``ENHANCED``, ``SEG``, ``RTSTRUCT``, ``SR`` or ``RWV``.

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
    if kind == "SR" and not profile.clean_structured_content:
        raise QuarantineError("the profile does not clean reports", hint="switch clean_structured_content on")
    if kind in _IMAGES and not is_released and (sign := _burned_in_sign(opened, kind, profile)):
        raise IdentityRiskError(f"the image may show identity: {sign}", hint=_LOOK)
    return kind


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
    if kind in _WITH_PIXELS and opened.pixels is None:
        raise TruncatedError("the image has no pixel data", hint="retrieve it again")


def _burned_in_sign(opened: OpenedFile, kind: str, profile: Profile) -> str:
    image_type = {value.upper() for value in opened.texts("ImageType")}
    is_secondary = kind in ("CT", "MR") and "SECONDARY" in image_type and not profile.allow_secondary_images
    signs = {
        "BurnedInAnnotation is YES": opened.text("BurnedInAnnotation").upper() == "YES",
        "it was converted from another medium": bool(opened.text("ConversionType")),
        "its modality is one of drawn or filmed pictures": opened.text("Modality").upper() in _DRAWN,
        "it is a screenshot": bool(image_type & _SCREENS),
        "it is a secondary image": is_secondary,
        "it is in colour": opened.unsigned("SamplesPerPixel") > 1,
    }
    return next((sign for sign, is_seen in signs.items() if is_seen), "")
