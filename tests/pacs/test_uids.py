"""UIDs from peers never choose a path."""

import pytest

from racoon_data.pacs.uids import instance_path, safe_name
from racoon_data.refs import InstanceRef, is_uid


@pytest.mark.parametrize("text", ["", "..", ".", "1..2", "1.2/../../x", "/etc/passwd", "1.2\x00", "9" * 65, "1.2\n"])
def test_what_is_no_uid_becomes_a_hash(text, tmp_path):
    """Path characters, empty and overlong names give a plain file name inside the folder."""
    path = instance_path(tmp_path, InstanceRef("1.2", text, text))

    assert not is_uid(text)
    assert safe_name(text).startswith("uid-")
    assert path.resolve().is_relative_to(tmp_path / "1.2")


def test_a_uid_names_its_file(tmp_path):
    """A proper UID is its own name."""
    assert instance_path(tmp_path, InstanceRef("1.2", "1.2.3", "1.2.3.4")) == tmp_path / "1.2" / "1.2.3" / "1.2.3.4.dcm"
