"""Mainzelliste: a session, a token for each patient, and the ID it keeps for the hospital's one."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote

from racoon_data.deid.services.channel import Channel, channel_to
from racoon_data.errors import PseudonymServiceError
from racoon_data.node_settings import PseudonymSettings

_JSON = {"Content-Type": "application/json", "Accept": "application/json", "mainzellisteApiVersion": "3.2"}


def ask_mainzelliste(settings: PseudonymSettings, root: Path, patient_ids: Sequence[str]) -> dict[str, str]:
    """Ask a Mainzelliste for the IDs of one type, by an external ID that is the PatientID; nothing else is told.

    Where ``create`` is on, patients are added (``addPatient``, which gives back the one there is); off, they are
    read (``readPatients``). The session is closed again.

    Args:
        settings: ``url`` is its base, ``target`` the ID type it gives, ``original`` the type of the PatientID.
        root: The site.
        patient_ids: PatientIDs.

    Returns:
        ID by PatientID; those it does not name are missing.

    Raises:
        PseudonymServiceError: It does not answer, or not with what was asked.
    """
    with channel_to(settings, root=root, headers=_JSON, is_api_key=True) as channel:
        session = _text_of(channel.ask("POST", "sessions", {}), "sessionId")
        try:
            return {one: found for one in patient_ids if (found := _one(channel, session, one))}
        finally:
            with suppress(PseudonymServiceError):
                channel.ask("DELETE", f"sessions/{session}")


def _one(channel: Channel, session: str, patient_id: str) -> str:
    settings = channel.settings
    if settings.create:
        asked = {"idTypes": [settings.target], "ids": {settings.original: patient_id}}
        token = _token(channel, session, "addPatient", asked)
        return _id_in(channel.ask("POST", f"patients?tokenId={token}", {}), settings.target)
    search = [{"idType": settings.original, "idString": patient_id}]
    token = _token(channel, session, "readPatients", {"searchIds": search, "resultIds": [settings.target]})
    answer = channel.ask("GET", f"patients?tokenId={token}")
    if not isinstance(answer, list) or len(answer) > 1:
        raise _odd()
    return _id_in(answer[0].get("ids"), settings.target) if answer and isinstance(answer[0], dict) else ""


def _token(channel: Channel, session: str, kind: str, data: dict[str, Any]) -> str:
    answer = channel.ask("POST", f"sessions/{session}/tokens", {"type": kind, "data": data})
    return _text_of(answer, "id", "tokenId")


def _text_of(answer: Any, *names: str) -> str:
    found = next((answer[name] for name in names if name in answer), None) if isinstance(answer, dict) else None
    if not isinstance(found, str) or not found:
        raise _odd()
    return quote(found, safe="")


def _id_in(answer: Any, id_type: str) -> str:
    ids = [one for one in answer if isinstance(one, dict)] if isinstance(answer, list) else None
    if ids is None:
        raise _odd()
    found = [one.get("idString") for one in ids if one.get("idType") == id_type]
    if len(found) > 1 or not all(isinstance(one, str) for one in found):
        raise _odd()
    return str(found[0]) if found else ""


def _odd() -> PseudonymServiceError:
    hint = "check deid.pseudonyms.url, and that its version speaks the API 3.2"
    return PseudonymServiceError("the answer is not that of a Mainzelliste", hint=hint)
