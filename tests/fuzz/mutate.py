"""Our own mutator: bits, bytes, lengths, tags and pieces of good files put where they do not belong."""

from __future__ import annotations

import random
import struct

_NUMBERS = (
    0,
    1,
    2,
    7,
    8,
    127,
    128,
    255,
    256,
    0x7FFF,
    0x8000,
    0xFFFE,
    0xFFFF,
    0x7FFFFFFF,
    0x80000000,
    0xFFFFFFFE,
    0xFFFFFFFF,
)
_TOKENS = (
    b"\xfe\xff\x00\xe0", b"\xfe\xff\x0d\xe0", b"\xfe\xff\xdd\xe0", b"\xff\xff\xff\xff", b"SQ\0\0\xff\xff\xff\xff",
    b"\xe0\x7f\x10\x00OW\0\0", b"\x28\x00\x10\x00US\x02\0", b"UN\0\0", b"OB\0\0", b"1.2.840.10008.1.2", b"../../../x",
    b"\x1b$B", b"ISO 2022 IR 87", b"\\", b"\0", b"9" * 40, b"1e999", b"nan", b"-1", b"[", b"{", b'"', b"</",
    b"<!DOCTYPE", b"\r\n\r\n", b"\r\n--B\r\n", b"--B--", b"Content-Length: 99999999999", b":=", b"\n\n",
    b"\x1f\x8b\x08",
)  # fmt: skip
_LARGEST = 1 << 20


def mutated(seed: bytes, other: bytes, chance: random.Random) -> bytes:
    """Change a good input in one to six places.

    Args:
        seed: What is changed.
        other: Where foreign pieces come from.
        chance: The source of chance; the same state gives the same bytes.
    """
    data = bytearray(seed)
    for _ in range(chance.choice((1, 1, 1, 2, 3, 6))):
        chance.choice(_CHANGES)(data, other, chance)
    return bytes(data[:_LARGEST])


def _at(data: bytearray, chance: random.Random) -> int:
    return chance.randrange(len(data) + 1)


def _flip(data: bytearray, other: bytes, chance: random.Random) -> None:
    if data:
        data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)


def _byte(data: bytearray, other: bytes, chance: random.Random) -> None:
    if data:
        data[chance.randrange(len(data))] = chance.randrange(256)


def _number(data: bytearray, other: bytes, chance: random.Random) -> None:
    """Write a number of two or four bytes where one may stand."""
    form = chance.choice(("<H", "<I", ">H", ">I"))
    size = struct.calcsize(form)
    if len(data) >= size:
        at = chance.randrange(len(data) - size + 1)
        struct.pack_into(form, data, at, chance.choice(_NUMBERS) & (256**size - 1))


def _token(data: bytearray, other: bytes, chance: random.Random) -> None:
    at, token = _at(data, chance), chance.choice(_TOKENS)
    data[at : at + chance.choice((0, len(token)))] = token


def _cut(data: bytearray, other: bytes, chance: random.Random) -> None:
    del data[_at(data, chance) :]


def _drop(data: bytearray, other: bytes, chance: random.Random) -> None:
    at = _at(data, chance)
    del data[at : at + chance.choice((1, 2, 4, 8, 64, 1024))]


def _double(data: bytearray, other: bytes, chance: random.Random) -> None:
    at, size = _at(data, chance), chance.choice((1, 4, 8, 12, 64, 512))
    data[at:at] = data[at : at + size] * chance.choice((1, 1, 2, 50))


def _splice(data: bytearray, other: bytes, chance: random.Random) -> None:
    start = chance.randrange(len(other) + 1)
    at, size = _at(data, chance), chance.choice((8, 32, 128, 1024))
    data[at : at + chance.choice((0, size))] = other[start : start + size]


_CHANGES = (_flip, _byte, _number, _number, _token, _token, _cut, _drop, _double, _splice)
