"""Files of strangers become trees within bounds, or an error with a name."""

import pytest

from racoon_data.annotations.tools import trees
from racoon_data.annotations.tools.trees import parse_csv, parse_json, parse_xml, read_bytes
from racoon_data.errors import BrokenExportError, HostileExportError

BILLION_LAUGHS = b"""<?xml version="1.0"?><!DOCTYPE lolz [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;">]><r>&b;</r>"""
EXTERNAL = b"""<?xml version="1.0"?><!DOCTYPE r [<!ENTITY x SYSTEM "file:///etc/passwd">]><r>&x;</r>"""


@pytest.mark.parametrize("bomb", [BILLION_LAUGHS, EXTERNAL, b'<!DOCTYPE r SYSTEM "http://a.invalid/d.dtd"><r/>'])
def test_entities_and_document_types_are_refused(bomb):
    """An entity bomb, an external entity and a DTD on another machine end before anything is expanded or opened."""
    with pytest.raises(HostileExportError) as caught:
        parse_xml(bomb)

    assert caught.value.code == "annotation.hostile"


@pytest.mark.parametrize(
    ("parse", "data"),
    [
        (parse_xml, b"<a>" * 100 + b"</a>" * 100),
        (parse_json, b"[" * 100_000 + b"]" * 100_000),
        (parse_json, b'{"a":' * 5000 + b"1" + b"}" * 5000),
    ],
)
def test_depth_is_bounded(parse, data):
    """What is nested deeper than any report is refused and exhausts no stack."""
    with pytest.raises(HostileExportError, match="deeper than 64 levels"):
        parse(data)


@pytest.mark.parametrize(
    ("parse", "data"),
    [(parse_xml, b"<a>" + b"<b/>" * 50 + b"</a>"), (parse_json, b"[" + b"1," * 50 + b"1]"), (parse_csv, b"a,b\n" * 50)],
)
def test_size_is_bounded(parse, data, monkeypatch):
    """More values than the bound are refused while they are counted."""
    monkeypatch.setattr(trees, "MAX_NODES", 40)

    with pytest.raises(HostileExportError, match="more than 40 values"):
        parse(data)


def test_a_large_file_is_not_even_read(tmp_path, monkeypatch):
    """The size on disk is asked first."""
    monkeypatch.setattr(trees, "MAX_BYTES", 1 << 20)
    (tmp_path / "big.xml").write_bytes(b" " * ((1 << 20) + 1))

    with pytest.raises(HostileExportError, match="larger than 1 MiB"):
        read_bytes(tmp_path / "big.xml")


@pytest.mark.parametrize(
    ("parse", "data"),
    [
        (parse_xml, b"<a><b></a>"),
        (parse_xml, b""),
        (parse_json, b'{"a": '),
        (parse_json, b'{"a": NaN}'),
        (parse_json, b"\xff\xfe\x00"),
        (parse_csv, b""),
        (parse_csv, b"\x00\x01"),
        (parse_csv, b"\xff"),
    ],
)
def test_broken_files_are_named_errors(parse, data):
    """Cut, empty and wrongly encoded files end in one kind of error."""
    with pytest.raises(BrokenExportError):
        parse(data)


def test_brackets_in_texts_are_no_depth():
    """JSON text full of brackets is a text."""
    tree = parse_json(b'{"note": "' + b"[{" * 500 + b'"}')

    assert tree.children[0].text == "[{" * 500


def test_the_three_kinds_give_one_tree():
    """The same two rows as XML, JSON and CSV have the same names and texts; numbers stay as written."""
    xml = parse_xml(b"<t xmlns='urn:x'><row><a>1.50</a><b>x</b></row><row><a>2</a><b>y</b></row></t>").children[0]
    json = parse_json(b'{"row": [{"a": 1.50, "b": "x"}, {"a": 2, "b": "y", "c": null}]}')
    table, uneven = parse_csv(b"\xef\xbb\xbfa;b\n1.50;x\n2;y\n\n3\n")

    expected = [[("a", "1.50"), ("b", "x")], [("a", "2"), ("b", "y")]]
    for tree in (xml, json, table):
        assert [[(cell.name, cell.text) for cell in row.children] for row in tree.children] == expected
    assert uneven == (5,)


def test_repeated_keys_are_all_kept():
    """A JSON key that stands twice gives two nodes: nothing is lost to the last one."""
    assert [node.text for node in parse_json(b'{"a": 1, "a": 2}').children] == ["1", "2"]
