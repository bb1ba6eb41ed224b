"""Paths of the mapping language lead where they say."""

import pytest

from racoon_data.annotations.tools.paths import compile_path, is_showable, nearest, select
from racoon_data.annotations.tools.trees import parse_json, parse_xml
from racoon_data.errors import SettingsError

TREE = parse_xml(
    b"""<r><p id="7"><l name="A"><v kind="long">14</v><v kind="short">9</v><type>T</type></l>
    <l name="B"><v kind="long">6</v><type>N</type><e x="1"/></l></p></r>"""
)
FIRST = TREE.children[0].children[0].children[0]


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("v", ["14", "9"]),
        ("v[2]", ["9"]),
        ("v[@kind='short']", ["9"]),
        ("v[@kind=long]/../type", ["T"]),
        ("@name", ["A"]),
        ("../@id", ["7"]),
        ("/r/p/l/@name", ["A", "B"]),
        ("/r/p/l[type=N]/v", ["6"]),
        ("/r/p/l[2]/*", ["6", "N", ""]),
        ("../../../r/p/l[3]", []),
        (".", [""]),
        ("'type'", ["T"]),
        ("nothing/v", []),
        ("../../../../../..", []),
    ],
)
def test_a_path_leads_to_its_nodes(path, found):
    """Children, attributes, parents, places, conditions and absolute paths from the first lesion."""
    assert [node.text for node in select(FIRST, compile_path(path))] == found


def test_lists_are_their_members():
    """In JSON a step into a list goes to every member."""
    tree = parse_json(b'{"visits": [{"lesions": [{"v": 1}, {"v": 2}]}, {"lesions": {"v": 3}}]}')

    assert [node.text for node in select(tree, compile_path("visits/lesions/v"))] == ["1", "2", "3"]


@pytest.mark.parametrize(
    ("path", "place"), [("", 1), ("a//b", 3), ("a[", 2), ("a[0]", 2), ("a/", 3), ("@", 1), ("a]", 2)]
)
def test_a_bad_path_is_shown(path, place):
    """What cannot be read is named with its character."""
    with pytest.raises(SettingsError, match=f"character {place}$"):
        compile_path(path)


def test_the_nearest_name_is_suggested():
    """Where a path breaks off, the names that stand there are given, and the one that resembles it most."""
    assert nearest(FIRST, compile_path("typ")) == ("typ", ("v", "type"), "type")
    assert nearest(FIRST, compile_path("@Name")) == ("Name", ("name",), "name")
    assert nearest(FIRST, compile_path("../q/v")) == ("q", ("l",), "")


@pytest.mark.parametrize(
    ("name", "shown"),
    [("Volumen [ml]", True), ("LongAxis", True), ("Läsion", True), ("12345", False), ("p19620317", False)],
)
def test_names_that_may_be_data_are_not_shown(name, shown):
    """A JSON key can be a patient number; only names like those of fields are shown."""
    assert is_showable(name) is shown
