"""The de-identification profile: which options of PS3.15 Annex E apply, read from TOML, told truthfully."""

from __future__ import annotations

import hashlib
import json
from enum import StrEnum
from pathlib import Path
from typing import Annotated

from pydantic import Field

from racoon_data.deid.devices import DeviceRule
from racoon_data.settings import Frozen, load_toml

EDITION = "PS3.15 2024e"

# Codes of PS3.16 CID 7050 with their meanings.
_MEANINGS = {
    "113100": "Basic Application Confidentiality Profile",
    "113101": "Clean Pixel Data Option",
    "113103": "Clean Graphics Option",
    "113104": "Clean Structured Content Option",
    "113105": "Clean Descriptors Option",
    "113106": "Retain Longitudinal Temporal Information Full Dates Option",
    "113107": "Retain Longitudinal Temporal Information Modified Dates Option",
    "113108": "Retain Patient Characteristics Option",
    "113109": "Retain Device Identity Option",
    "113110": "Retain UIDs Option",
    "113111": "Retain Safe Private Option",
    "113112": "Retain Institution Identity Option",
}


class Dates(StrEnum):
    """What becomes of dates."""

    MODIFIED = "modified"
    FULL = "full"
    REMOVED = "removed"


class TextRecognition(StrEnum):
    """Whether pictures that pass by a rule for their device are read for text."""

    OFF = "off"
    AVAILABLE = "available"
    REQUIRED = "required"


class Profile(Frozen):
    """Options of the standard's Basic Application Level Confidentiality Profile, as this project uses them.

    Attributes:
        name: Shown in every object's DeidentificationMethod.
        dates: ``modified`` shifts all dates of a patient by the same whole days; ``full`` keeps them;
            ``removed`` takes them out.
        clean_descriptors: Descriptions keep known words; off, they go.
        clean_structured_content: Reports are cleaned item by item; off, reports wait in quarantine.
        clean_graphics: Presentation states keep their shapes and the known words of their texts; off, they wait in
            quarantine. Overlays and curves go either way.
        retain_patient_characteristics: Sex, age, size, weight and the like stay.
        retain_device_identity: Station names and serial numbers stay.
        retain_institution_identity: The institution stays.
        retain_uids: UIDs stay as they are.
        retain_safe_private: Private attributes of ``safe_private.json`` stay (diffusion, scaling, SUV factors): only
            numbers, and only under the creator they belong to.
        allow_secondary_images: CT and MR images marked SECONDARY pass; off, they wait in quarantine because
            screenshots and dose sheets carry the same mark.
        extra_words: Words of this project that may stay in descriptions.
        text_recognition: Read pictures that pass by a rule for their device: ``available`` where tesseract is
            installed, ``required`` (without it they wait), or ``off``.
        devices: Where devices write text into their pictures; the first rule that matches counts.
    """

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,40}$")] = "racoon-default"
    dates: Dates = Dates.MODIFIED
    clean_descriptors: bool = True
    clean_structured_content: bool = True
    clean_graphics: bool = True
    retain_patient_characteristics: bool = True
    retain_device_identity: bool = False
    retain_institution_identity: bool = False
    retain_uids: bool = False
    retain_safe_private: bool = True
    allow_secondary_images: bool = False
    extra_words: tuple[str, ...] = ()
    devices: tuple[DeviceRule, ...] = ()
    text_recognition: TextRecognition = TextRecognition.AVAILABLE

    def codes_with(self, *, is_masked: bool) -> tuple[tuple[str, str], ...]:
        """Code value (scheme DCM) and meaning of the profile and of every option applied to an object, ascending.

        Recognizable visual features are never cleaned, so their code (113102) is never given.

        Args:
            is_masked: Its pixels were cleaned by a rule for its device.
        """
        applied = {
            "113100": True,
            "113101": is_masked,
            "113103": self.clean_graphics,
            "113104": self.clean_structured_content,
            "113105": self.clean_descriptors,
            "113106": self.dates is Dates.FULL,
            "113107": self.dates is Dates.MODIFIED,
            "113108": self.retain_patient_characteristics,
            "113109": self.retain_device_identity,
            "113110": self.retain_uids,
            "113111": self.retain_safe_private,
            "113112": self.retain_institution_identity,
        }
        return tuple((code, _MEANINGS[code]) for code, is_applied in applied.items() if is_applied)

    @property
    def own_words(self) -> frozenset[str]:
        """The extra words, in lower case."""
        return frozenset(word.casefold() for word in self.extra_words)

    @property
    def sha256(self) -> str:
        """Hash of every option, hexadecimal."""
        text = json.dumps(self.model_dump(mode="json"), sort_keys=True)
        return hashlib.sha256(text.encode("utf-8")).hexdigest()


def load_profile(path: Path | None) -> Profile:
    """Read a profile; ``None`` gives the built-in one.

    Raises:
        SettingsError: The file is missing, is no TOML or has an unknown option.
    """
    return Profile() if path is None else load_toml(path, Profile)
