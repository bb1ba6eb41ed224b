"""How talking to a PACS fails: part of the tree in ``racoon_data.errors``."""

from __future__ import annotations

from racoon_data.error_base import ExitCode, RacoonError


class PacsError(RacoonError):
    """Talking to a PACS failed."""

    code = "pacs.error"
    exit_code = ExitCode.PEER


class PacsUnreachableError(PacsError):
    """No connection could be opened."""

    code = "pacs.unreachable"


class PacsRefusedError(PacsError):
    """The peer answered and said no."""

    code = "pacs.refused"


class PacsBusyError(PacsRefusedError):
    """The peer said that it is busy for now."""

    code = "pacs.busy"


class PacsPausedError(PacsError):
    """The weekly window of a node closed, and the transfer stopped between two instances."""

    code = "pacs.paused"


class PacsTimeoutError(PacsError):
    """The peer fell silent."""

    code = "pacs.timeout"


class PacsLostError(PacsError):
    """The connection broke before the work was done."""

    code = "pacs.lost"


class PacsProtocolError(PacsError):
    """The peer sent what the DICOM protocol does not allow; the connection was cut."""

    code = "pacs.protocol"


class PacsPartialError(PacsError):
    """Some expected instances did not arrive."""

    code = "pacs.partial"
    exit_code = ExitCode.PARTIAL


class PacsCappedError(PacsError):
    """The answer to a query was cut off by the peer."""

    code = "pacs.capped"


class PacsEndlessError(PacsError):
    """The answer to a query does not end."""

    code = "pacs.endless"
