"""Marks of de-identification in every object, and file meta information without senders."""

from __future__ import annotations

from functools import lru_cache

from pydicom.dataset import Dataset
from pydicom.uid import UID

from racoon_data import __version__
from racoon_data.deid.profile import EDITION, Dates, Profile
from racoon_data.dicom.encoding import encoded_element, encoded_items

# 2.25 and 128 random bits, drawn once: names this software in file meta information.
IMPLEMENTATION_UID = UID("2.25.293461530185741629875014692837461528390")
_VERSION_NAME = f"RACOON {__version__}"[:16]
_REMOVED, _METHOD, _CODES, _LONGITUDINAL = 0x00120062, 0x00120063, 0x00120064, 0x00280303
_FACE = 0x00280302  # RecognizableVisualFeatures
_TEMPORAL = {Dates.MODIFIED: "MODIFIED", Dates.FULL: "UNMODIFIED", Dates.REMOVED: "REMOVED"}


def method(profile: Profile) -> tuple[str, str]:
    """Say how objects are de-identified: software with edition, and profile (at most 64 characters each)."""
    return (f"racoon {__version__}, DICOM {EDITION}", f"profile {profile.name}")


def marks_of(
    profile: Profile, receipt: str, *, is_implicit: bool, order: str, is_masked: bool = False, has_face: bool = False
) -> dict[int, bytes]:
    """Give the marks of PS3.15 E.1.1 as encoded elements by tag.

    Args:
        profile: Whose options are told in the method code sequence.
        receipt: Keyed mark of input and treatment, so that a later run knows this object is done.
        is_implicit: Encoding of the object leaves the value representations out.
        order: Its byte order.
        has_face: It shows a head, which is marked (PS3.3 C.7.6.1.1) and not changed.
        is_masked: Its pixels were cleaned, which is told by a code of its own.
    """
    method_text = "\\".join((*method(profile), f"receipt {receipt}")).encode("ascii")
    face = {_FACE: encoded_element(_FACE, "CS", b"YES", is_implicit=is_implicit, order=order)} if has_face else {}
    how = encoded_element(_METHOD, "LO", method_text, is_implicit=is_implicit, order=order)
    return {**_steady_marks(profile, is_implicit, order, is_masked), _METHOD: how} | face


@lru_cache(maxsize=64)
def _steady_marks(profile: Profile, is_implicit: bool, order: str, is_masked: bool) -> dict[int, bytes]:
    def element(tag: int, vr: str, value: bytes) -> bytes:
        return encoded_element(tag, vr, value, is_implicit=is_implicit, order=order)

    codes = encoded_items(
        [
            element(0x00080100, "SH", value.encode("ascii"))
            + element(0x00080102, "SH", b"DCM")
            + element(0x00080104, "LO", meaning.encode("ascii"))
            for value, meaning in profile.codes_with(is_masked=is_masked)
        ],
        order=order,
    )
    return {
        _REMOVED: element(_REMOVED, "CS", b"YES"),
        _CODES: element(_CODES, "SQ", codes),
        _LONGITUDINAL: element(_LONGITUDINAL, "CS", _TEMPORAL[profile.dates].encode("ascii")),
    }


def receipt_of(dataset: Dataset) -> str:
    """Give the receipt of a de-identified object, empty where it has none."""
    values = dataset.get("DeidentificationMethod") or []
    texts = [values] if isinstance(values, str) else [str(value) for value in values]
    return next((text.removeprefix("receipt ") for text in texts if text.startswith("receipt ")), "")


def own_texts(profile: Profile) -> tuple[bytes, ...]:
    """Give the texts we write ourselves, which are nobody's identifiers."""
    meanings = (meaning for _, meaning in profile.codes_with(is_masked=True))
    return tuple(text.encode("ascii") for text in (*method(profile), *meanings, _VERSION_NAME))


def file_head(sop_class_uid: str, sop_instance_uid: str, syntax: str) -> bytes:
    """Give preamble and file meta information anew: nothing to execute, no AE titles, addresses or private words."""
    values = {
        0x00020001: ("OB", b"\x00\x01"),
        0x00020002: ("UI", sop_class_uid.encode("ascii")),
        0x00020003: ("UI", sop_instance_uid.encode("ascii")),
        0x00020010: ("UI", syntax.encode("ascii")),
        0x00020012: ("UI", IMPLEMENTATION_UID.encode("ascii")),
        0x00020013: ("SH", _VERSION_NAME.encode("ascii")),
    }
    group = b"".join(encoded_element(tag, vr, value, is_implicit=False) for tag, (vr, value) in values.items())
    length = encoded_element(0x00020000, "UL", len(group).to_bytes(4, "little"), is_implicit=False)
    return b"\0" * 128 + b"DICM" + length + group
