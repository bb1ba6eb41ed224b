"""Faults on purpose: what the embedded PACS can be told to do wrong, so that a site can be tested."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class FaultPlan:
    """How a peer misbehaves; the default plan is a well-behaved peer.

    Counts are per operation (one C-GET, C-MOVE, C-FIND or, for stores, one association).

    Attributes:
        die_after: Instances sent before the connection is cut.
        hang_after: Instances sent before the peer falls silent.
        hang_s: How long it stays silent (seconds).
        drop_last: Instances it leaves out at the end and still reports success.
        wrong_uid_at: Position (from 0) of an instance whose data set carries another SOPInstanceUID.
        unrequested: Instances of other studies it sends before those asked for.
        lie_about_counts: Added to every ``NumberOf...RelatedInstances`` it returns.
        cap_answers: C-FIND answers before it ends with status A700 (out of resources).
        silent_cap: C-FIND answers before it ends with success, as if there were no more.
        close_queries: Close the association without a status when asked to find, get or move.
        refuse_associations: Reject every association.
        full_after: Instances stored before it answers A700 (out of resources).
    """

    die_after: int | None = None
    hang_after: int | None = None
    hang_s: float = 30.0
    drop_last: int = 0
    wrong_uid_at: int | None = None
    unrequested: int = 0
    lie_about_counts: int = 0
    cap_answers: int | None = None
    silent_cap: int | None = None
    close_queries: bool = False
    refuse_associations: bool = False
    full_after: int | None = None


NO_FAULTS = FaultPlan()
