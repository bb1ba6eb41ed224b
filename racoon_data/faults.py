"""Faults on purpose: what the embedded PACS can be told to do wrong, so that a site can be tested."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, ValidationError

from racoon_data.documents import read_json
from racoon_data.errors import SettingsError
from racoon_data.settings import Frozen, load_toml

Count = Annotated[int, Field(ge=0)]
Seconds = Annotated[float, Field(ge=0)]


class FaultPlan(Frozen):
    """How a peer misbehaves; the default plan is a well-behaved peer (``schemas/fault-plan``).

    Counts are per operation (one C-GET, C-MOVE, C-FIND or HTTP request, or for stores one
    association); positions count its instances from 0. The table in ``docs/pacs-faults.md`` says
    which service shows which fault.

    Attributes:
        die_after: Instances sent before the connection is cut.
        hang_after: Instances sent before the peer falls silent.
        hang_s: How long it stays silent (seconds).
        slow_s: Seconds it waits before each instance and each answer to a query.
        drop_last: Instances it leaves out at the end and still reports success.
        wrong_uid_at: Position of an instance whose data set carries another SOPInstanceUID than it is sent under.
        renamed_at: Position of an instance sent under another SOPInstanceUID, in data set and command alike.
        traversal_uid_at: Position of an instance listed and sent under ``../../../racoon-escape`` as its UID.
        other_bytes_at: Position of an instance that comes again with other bytes under its UID.
        repeat_at: Position of an instance that comes twice, the same bytes.
        unrequested: Instances of other studies it sends before those asked for.
        lie_about_counts: Added to every ``NumberOf...RelatedInstances`` it returns and to the completed
            sub-operations it reports.
        no_counts: Leave every ``NumberOf...Related...`` empty.
        cap_answers: Answers before a query ends with status A700 (out of resources); QIDO-RS ends with 413.
        silent_cap: Answers before a query ends with success, as if there were no more.
        endless_answers: Repeat the answers to a query without end.
        ignore_cancel: Go on after C-CANCEL.
        character_set: SpecificCharacterSet claimed by answers, whatever their bytes are (UTF-8).
        close_queries: Close the connection without an answer when asked to find, get or move.
        no_get: Offer no C-GET (read when the PACS starts).
        refuse_associations: Reject every association; HTTP requests are answered 403.
        full_after: Instances stored before it answers A700 (out of resources); STOW-RS fails them with A700.
        giant_pdu_at: Position of an instance in whose place comes a PDU that claims 4 GiB.
        truncate_at: Position of an instance whose body ends half-way in a WADO-RS answer, with nothing behind it.
        wrong_length: Added to the Content-Length of WADO-RS answers.
        redirect_to: Base URL to which WADO-RS requests are redirected.
        busy: HTTP requests answered ``busy_status`` before the first that is served.
        busy_status: 429 or 503.
        retry_after_s: Seconds named in their Retry-After.
    """

    die_after: Count | None = None
    hang_after: Count | None = None
    hang_s: Seconds = 30.0
    slow_s: Seconds = 0.0
    drop_last: Count = 0
    wrong_uid_at: Count | None = None
    renamed_at: Count | None = None
    traversal_uid_at: Count | None = None
    other_bytes_at: Count | None = None
    repeat_at: Count | None = None
    unrequested: Count = 0
    lie_about_counts: int = 0
    no_counts: bool = False
    cap_answers: Count | None = None
    silent_cap: Count | None = None
    endless_answers: bool = False
    ignore_cancel: bool = False
    character_set: str = ""
    close_queries: bool = False
    no_get: bool = False
    refuse_associations: bool = False
    full_after: Count | None = None
    giant_pdu_at: Count | None = None
    truncate_at: Count | None = None
    wrong_length: int = 0
    redirect_to: str = ""
    busy: Count = 0
    busy_status: Literal[429, 503] = 503
    retry_after_s: Seconds = 1.0


NO_FAULTS = FaultPlan()


def read_faults(path: Path) -> FaultPlan:
    """Read a fault plan (TOML, or JSON by its suffix).

    Raises:
        SettingsError: The file is missing, cannot be parsed or does not fit; the message names the key.
    """
    if path.suffix.lower() != ".json":
        return load_toml(path, FaultPlan)
    try:
        return FaultPlan.model_validate(read_json(path))
    except (OSError, ValueError) as error:
        first = error.errors()[0] if isinstance(error, ValidationError) else None
        what = f"{'.'.join(str(part) for part in first['loc'])}: {first['msg']}" if first else str(error)
        hint = "racoon schema show fault-plan lists every key"
        raise SettingsError(f"{path.name} is no fault plan: {what}", hint=hint) from error
