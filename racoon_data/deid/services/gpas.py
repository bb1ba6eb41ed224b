"""gPAS, the pseudonym service of the Greifswald trusted third party, by its FHIR gateway."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from racoon_data.deid.services.channel import channel_to
from racoon_data.errors import PseudonymServiceError
from racoon_data.node_settings import PseudonymSettings

_FHIR = {"Content-Type": "application/fhir+json", "Accept": "application/fhir+json"}


def ask_gpas(settings: PseudonymSettings, root: Path, patient_ids: Sequence[str]) -> dict[str, str]:
    """Ask for pseudonyms in one domain (operations of the TTP-FHIR implementation guide).

    ``$pseudonymizeAllowCreate`` makes what is missing, ``$pseudonymize`` does not.

    Args:
        settings: ``url`` is the base of the gateway, such as ``https://ttp.example.org/ttp-fhir/fhir/gpas``.
        root: The site.
        patient_ids: PatientIDs.

    Returns:
        Pseudonym by PatientID, as the service says; those it does not name are missing.

    Raises:
        PseudonymServiceError: It does not answer, or not with what was asked.
    """
    operation = "$pseudonymizeAllowCreate" if settings.create else "$pseudonymize"
    originals = [{"name": "original", "valueString": one} for one in patient_ids]
    target = {"name": "target", "valueString": settings.target}
    document = {"resourceType": "Parameters", "parameter": [target, *originals]}
    with channel_to(settings, root=root, headers=_FHIR, is_api_key=False) as channel:
        return _named(channel.ask("POST", operation, document), settings.target)


def _named(answer: Any, target: str) -> dict[str, str]:
    if not isinstance(answer, dict) or answer.get("resourceType") != "Parameters":
        raise PseudonymServiceError("the answer is no FHIR Parameters resource", hint="check deid.pseudonyms.url")
    found: dict[str, str] = {}
    for parameter in _dicts(answer.get("parameter")):
        if parameter.get("name") != "pseudonym":
            continue
        parts = {str(part.get("name")): _value(part) for part in _dicts(parameter.get("part"))}
        if parts.get("target", target) != target:
            raise PseudonymServiceError("the answer is of another domain", hint="check deid.pseudonyms.target")
        original, pseudonym = parts.get("original", ""), parts.get("pseudonym", "")
        if original and pseudonym and found.setdefault(original, pseudonym) != pseudonym:
            hint = "a domain that gives several pseudonyms cannot name patients"
            raise PseudonymServiceError("the service gave one patient two pseudonyms", hint=hint)
    return found


def _dicts(value: Any) -> list[dict[str, Any]]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def _value(part: dict[str, Any]) -> str:
    """Give a part's text: an Identifier's value, or a string."""
    identifier = part.get("valueIdentifier")
    value = identifier.get("value") if isinstance(identifier, dict) else part.get("valueString")
    return value if isinstance(value, str) else ""
