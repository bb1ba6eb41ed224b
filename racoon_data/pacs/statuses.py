"""DIMSE status codes racoon sends and reads (PS3.4 annexes B and C, PS3.7 annex C)."""

from __future__ import annotations

SUCCESS = 0x0000
DUPLICATE = 0x0111
PROCESSING_FAILURE = 0x0110
NOT_AUTHORISED = 0x0124
UNRECOGNISED = 0x0211
OUT_OF_RESOURCES = 0xA700
ALL_FAILED = 0xA702
UNKNOWN_DESTINATION = 0xA801
DOES_NOT_MATCH = 0xA900
SOME_FAILED = 0xB000
CANNOT_UNDERSTAND = 0xC000
CANCELLED = 0xFE00
PENDING = 0xFF00

IS_PENDING = frozenset({PENDING, 0xFF01})
IS_CAPPED = frozenset({OUT_OF_RESOURCES, CANCELLED})
# Stored, with a remark: coercion, elements discarded, class mismatch.
IS_STORE_WARNING = frozenset({0xB000, 0xB006, 0xB007})
