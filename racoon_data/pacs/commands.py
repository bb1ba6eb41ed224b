"""DIMSE command sets as bytes: group 0000, implicit little endian (PS3.7 6.3, annex E)."""

from __future__ import annotations

import struct
from collections.abc import Mapping

from racoon_data.errors import PacsProtocolError

AFFECTED_CLASS = 0x0002
REQUESTED_CLASS = 0x0003
FIELD = 0x0100
MESSAGE_ID = 0x0110
ANSWERED_ID = 0x0120
DESTINATION = 0x0600
PRIORITY = 0x0700
DATA_SET = 0x0800
STATUS = 0x0900
COMMENT = 0x0902
AFFECTED_UID = 0x1000
REQUESTED_UID = 0x1001
EVENT_TYPE = 0x1002
ACTION_TYPE = 0x1008
REMAINING, COMPLETED, FAILED, WARNED = 0x1020, 0x1021, 0x1022, 0x1023
ORIGINATOR_TITLE = 0x1030
ORIGINATOR_ID = 0x1031

C_STORE, C_GET, C_FIND, C_MOVE, C_ECHO = 0x0001, 0x0010, 0x0020, 0x0021, 0x0030
N_EVENT_REPORT, N_ACTION, C_CANCEL = 0x0100, 0x0130, 0x0FFF
RESPONSE = 0x8000
NO_DATA_SET = 0x0101
HAS_DATA_SET = 0x0001

_ELEMENT = struct.Struct("<HHI")
_NUMBER = struct.Struct("<HHIH")
_LENGTH = struct.Struct("<HHII")
_ANSWER = struct.Struct("<" + 4 * "HHIH" + "HHI")
_UIDS = frozenset({AFFECTED_CLASS, REQUESTED_CLASS, AFFECTED_UID, REQUESTED_UID})

Values = Mapping[int, int | str]


def encode(values: Values) -> bytes:
    """Write a command set.

    Args:
        values: Element number to value: numbers become US, texts UI or AE.
    """
    parts = []
    for element in sorted(values):
        value = values[element]
        if isinstance(value, int):
            parts.append(_NUMBER.pack(0, element, 2, value))
            continue
        raw = value.encode("ascii", "replace")
        if len(raw) % 2:
            raw += b"\0" if element in _UIDS else b" "
        parts.append(_ELEMENT.pack(0, element, len(raw)) + raw)
    body = b"".join(parts)
    return _LENGTH.pack(0, 0, 4, len(body)) + body


def store_answer(sop_class: str, sop_uid: str, message: int, status: int) -> bytes:
    """Write the answer to a C-STORE request; :func:`encode` would give the same bytes, more slowly.

    Args:
        sop_class: The request's SOP class.
        sop_uid: Its SOP instance.
        message: Its message identifier.
        status: What became of it.
    """
    class_raw, uid_raw = sop_class.encode("ascii", "replace"), sop_uid.encode("ascii", "replace")
    class_raw += b"\0" * (len(class_raw) % 2)
    uid_raw += b"\0" * (len(uid_raw) % 2)
    first, last = len(class_raw), len(uid_raw)
    return b"".join(
        (
            _LENGTH.pack(0, 0, 4, first + last + 56),
            _ELEMENT.pack(0, AFFECTED_CLASS, first),
            class_raw,
            _ANSWER.pack(
                *(0, FIELD, 2, C_STORE | RESPONSE, 0, ANSWERED_ID, 2, message),
                *(0, DATA_SET, 2, NO_DATA_SET, 0, STATUS, 2, status, 0, AFFECTED_UID, last),
            ),
            uid_raw,
        )
    )


class Command:
    """A command set as it was received.

    Attributes:
        field: CommandField: which request or response it is.
        has_data_set: Whether a data set follows.
    """

    __slots__ = ("_values", "field", "has_data_set")

    def __init__(self, encoded: bytes) -> None:
        """Read a command set.

        Raises:
            PacsProtocolError: It is none.
        """
        self._values = _decode(encoded)
        self.field = self.number(FIELD)
        self.has_data_set = self.number(DATA_SET, NO_DATA_SET) != NO_DATA_SET

    def number(self, element: int, default: int = 0) -> int:
        """Give a numeric element, ``default`` where it is absent or empty."""
        raw = self._values.get(element, b"")
        return int.from_bytes(raw[:2], "little") if len(raw) >= 2 else default

    def text(self, element: int) -> str:
        """Give a textual element without its padding, empty where it is absent."""
        return self._values.get(element, b"").rstrip(b"\0 ").decode("ascii", "replace")

    def has(self, element: int) -> bool:
        """Tell whether an element is there."""
        return element in self._values


def _decode(encoded: bytes) -> dict[int, bytes]:
    values: dict[int, bytes] = {}
    at, end = 0, len(encoded)
    while at + 8 <= end:
        group, element, length = _ELEMENT.unpack_from(encoded, at)
        at += 8
        if group or at + length > end:
            break
        values[element] = encoded[at : at + length]
        at += length
    if at != end or FIELD not in values:
        raise PacsProtocolError("the peer sent a command that cannot be read", hint="report it to the peer's vendor")
    return values
