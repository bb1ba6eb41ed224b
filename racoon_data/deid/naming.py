"""Who names a site's patients: its own key, or a pseudonym service whose every answer is looked at and remembered."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from racoon_data.deid.pseudonyms import Given, Pseudonymizer
from racoon_data.deid.register import Register
from racoon_data.deid.vault import load_key
from racoon_data.dicom.headers import read_dataset, text_of
from racoon_data.errors import DicomError, PseudonymServiceError
from racoon_data.node_settings import PseudonymSettings
from racoon_data.site.paths import Site

# It names a folder, a case and a PatientID (LO, 64 characters); "exports" is a folder of ours.
_PLAIN = re.compile(r"(?!exports$)[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
_TELLING = 4
_BADLY = PseudonymServiceError(
    "the pseudonym service named some patients badly, or not at all",
    hint="it must name each patient alone, in letters, digits, - and _, and not by the PatientID",
)


def _gpas(settings: PseudonymSettings, root: Path, patient_ids: Sequence[str]) -> dict[str, str]:
    from racoon_data.deid.services.gpas import ask_gpas

    return ask_gpas(settings, root, patient_ids)


def _mainzelliste(settings: PseudonymSettings, root: Path, patient_ids: Sequence[str]) -> dict[str, str]:
    from racoon_data.deid.services.mainzelliste import ask_mainzelliste

    return ask_mainzelliste(settings, root, patient_ids)


def _csv(settings: PseudonymSettings, root: Path, patient_ids: Sequence[str]) -> dict[str, str]:
    from racoon_data.deid.services.listed import ask_list

    return ask_list(settings, root, patient_ids)


Ask = Callable[[PseudonymSettings, Path, Sequence[str]], dict[str, str]]
# The plug-in points of the house are four; a service that sees PatientIDs is chosen from ours, by name.
SERVICES: tuple[tuple[str, Ask], ...] = (("gpas", _gpas), ("mainzelliste", _mainzelliste), ("csv", _csv))


@dataclass(frozen=True, slots=True)
class PseudonymService:
    """Who gives pseudonyms of patients.

    Attributes:
        settings: Which kind, where, and how patiently it is asked.
        root: The site.
    """

    settings: PseudonymSettings
    root: Path

    @property
    def source(self) -> str:
        """Name kind and domain: another one would give the same patient another name."""
        return f"{self.settings.kind}/{self.settings.target}".rstrip("/")

    def ask(self, patient_ids: Sequence[str]) -> dict[str, str]:
        """Ask for pseudonyms; see the modules of ``services``.

        Raises:
            PseudonymServiceError: The service is away or answers nonsense.
            SettingsError: Its secret, certificate or list cannot be used.
        """
        return dict(SERVICES)[self.settings.kind](self.settings, self.root, patient_ids)


def service_of(site: Site) -> PseudonymService | None:
    """Give the pseudonym service that a site's settings name, ``None`` where its key names patients."""
    settings = site.settings.deid.pseudonyms
    return PseudonymService(settings, site.root) if settings is not None else None


def names_of(site: Site) -> Pseudonymizer:
    """Give a site's pseudonyms; where a service names patients, those of nobody yet.

    Raises:
        SettingsError: There is no usable key.
    """
    service = service_of(site)
    return Pseudonymizer(load_key(site.vault), Given(service.source) if service is not None else None)


def patients_in(paths: Iterable[Path]) -> frozenset[str]:
    """Give the PatientIDs of files; what cannot be read has none."""
    return frozenset(found for path in paths if (found := _patient_in(path)))


def _patient_in(path: Path) -> str:
    try:
        return text_of(read_dataset(path, tags=["PatientID"]), "PatientID").strip("\0 ")
    except DicomError:
        return ""


def known_names(
    names: Pseudonymizer, service: PseudonymService, register: Register, patient_ids: Iterable[str]
) -> tuple[Pseudonymizer, tuple[str, ...]]:
    """Look up pseudonyms that the service gave earlier.

    Args:
        names: Pseudonyms under the site's key.
        service: Who gives them.
        register: Where they are remembered.
        patient_ids: PatientIDs.

    Returns:
        Pseudonyms with those of the patients that are known, and the PatientIDs that are not. The forgotten keep
        their keyed name, by which the door turns them away: nobody is asked about them again.
    """
    forgotten, known, unknown = register.forgotten(), dict[str, str](), []
    for patient_id in sorted(set(patient_ids)):
        keyed = names.keyed(patient_id)
        if (found := register.given(service.source, keyed)) is not None:
            known[keyed] = found
        elif keyed in forgotten:
            known[keyed] = keyed  # enough to be turned away by
        else:
            unknown.append(patient_id)
    return replace(names, given=Given(service.source, known)), tuple(unknown)


def named(
    names: Pseudonymizer, service: PseudonymService, register: Register, patient_ids: Sequence[str]
) -> tuple[Pseudonymizer, PseudonymServiceError | None]:
    """Ask the service about patients, and remember what it says.

    Args:
        names: Pseudonyms of those who are known.
        service: Whom to ask.
        register: Where they are remembered.
        patient_ids: PatientIDs of those who are not.

    Returns:
        Pseudonyms of everybody the service named well, and why others have to wait, if they have to.

    Raises:
        SettingsError: The service's secret, certificate or list cannot be used.
    """
    given, size = dict(names.given.by_key if names.given is not None else {}), service.settings.batch
    problem: PseudonymServiceError | None = None
    for start in range(0, len(patient_ids), size):
        batch = patient_ids[start : start + size]
        try:
            good = _good(service.ask(batch), batch, register)
        except PseudonymServiceError as error:
            problem = error  # who does not answer for this batch is not asked about the next one
            break
        fresh = {names.keyed(patient_id): pseudonym for patient_id, pseudonym in good.items()}
        register.keep_given(service.source, fresh)
        given |= fresh
        problem = problem if len(good) == len(batch) else _BADLY
    return replace(names, given=Given(service.source, given)), problem


def _good(answers: Mapping[str, str], patient_ids: Sequence[str], register: Register) -> dict[str, str]:
    """Choose the answers that can name a patient: plain, telling nothing, and nobody else's."""
    asked = {one: answers[one].strip() for one in patient_ids if one in answers}
    originals = {patient_id.casefold() for patient_id in patient_ids}
    often = Counter(pseudonym.casefold() for pseudonym in asked.values())
    return {
        patient_id: pseudonym
        for patient_id, pseudonym in asked.items()
        if _PLAIN.fullmatch(pseudonym)
        and not _tells(pseudonym, patient_id)
        and pseudonym.casefold() not in originals
        and often[pseudonym.casefold()] == 1
        and register.keys_of(pseudonym) == {pseudonym}
        and register.person(pseudonym) is None
    }


def _tells(pseudonym: str, patient_id: str) -> bool:
    one, other = pseudonym.casefold(), patient_id.casefold()
    return one == other or (len(other) >= _TELLING and other in one) or (len(one) >= _TELLING and one in other)
