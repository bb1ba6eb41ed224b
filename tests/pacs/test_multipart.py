"""Multipart bodies read piece by piece, whole or not at all."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from racoon_data.errors import PacsLostError, PacsProtocolError
from racoon_data.pacs.web.multipart import Multipart, boundary_of


def reader(body, step):
    """Give a body in pieces of at most ``step`` bytes."""
    rest = memoryview(body)

    def read_into(view):
        nonlocal rest
        count = min(step, len(rest), len(view))
        view[:count] = rest[:count]
        rest = rest[count:]
        return count

    return read_into


def a_body(parts, *, with_length, boundary=b"xyz"):
    """Write a multipart body."""
    body = b""
    for part in parts:
        length = b"Content-Length: %d\r\n" % len(part) if with_length else b""
        body += b"--" + boundary + b"\r\nContent-Type: application/dicom\r\n" + length + b"\r\n" + part + b"\r\n"
    return body + b"--" + boundary + b"--\r\n"


def read_all(body, *, step=7, boundary=b"xyz", **options):
    """Read every part."""
    multipart = Multipart(reader(body, step), boundary, **options)
    found = []
    while multipart.next_part() is not None:
        pieces = []
        multipart.pour(lambda piece, pieces=pieces: pieces.append(bytes(piece)))
        found.append(b"".join(pieces))
    return found


@settings(max_examples=60, deadline=None)
@given(
    parts=st.lists(st.binary(max_size=200).filter(lambda part: b"--xyz" not in part), max_size=5),
    step=st.integers(1, 64),
    with_length=st.booleans(),
)
def test_parts_come_back_whatever_the_pieces(parts, step, with_length):
    """Any bodies, cut anywhere by the network, with and without lengths, are given back."""
    assert read_all(a_body(parts, with_length=with_length), step=step) == parts


def test_a_large_part_passes_a_small_buffer():
    """A part far longer than the buffer comes whole."""
    part = bytes(range(256)) * 8000

    assert read_all(a_body([part, b"x"], with_length=False), step=1 << 20) == [part, b"x"]


@pytest.mark.parametrize("with_length", [True, False])
def test_every_cut_is_noticed(with_length):
    """A body that ends anywhere before its closing delimiter is lost, never complete."""
    body = a_body([b"first", b"second"], with_length=with_length)
    for end in range(len(body) - 4):
        with pytest.raises(PacsLostError):
            read_all(body[:end])


def test_a_wrong_length_is_noticed():
    """Where no boundary follows the announced length, the part is not believed."""
    body = b"--xyz\r\nContent-Length: 3\r\n\r\nfirst\r\n--xyz--\r\n"

    with pytest.raises(PacsProtocolError, match="Content-Length"):
        read_all(body)


def test_limits_hold():
    """A part beyond the limit and headers without end are refused."""
    with pytest.raises(PacsProtocolError, match="limit"):
        read_all(a_body([b"a" * 5000], with_length=False), max_part_bytes=1000)
    with pytest.raises(PacsProtocolError, match="limit"):
        read_all(b"--xyz\r\nContent-Length: 99999999999999\r\n\r\n", max_part_bytes=1000)
    with pytest.raises(PacsProtocolError, match="headers"):
        read_all(b"--xyz\r\n" + b"a: b\r\n" * 9000)
    with pytest.raises(PacsProtocolError, match="no multipart"):
        read_all(b"<html>" * 9000)


@pytest.mark.parametrize(
    ("text", "boundary"),
    [
        ('multipart/related; type="application/dicom"; boundary=abc', b"abc"),
        ('multipart/related; boundary="a b=c"', b"a b=c"),
        ("application/json", None),
        ("multipart/related", None),
    ],
)
def test_the_boundary_is_read(text, boundary):
    """Quoted or not; other content has none."""
    assert boundary_of(text) == boundary
