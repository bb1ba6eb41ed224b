"""The vault keeps the key to its owner."""

from __future__ import annotations

from pathlib import Path

import pytest

from racoon_data.deid.vault import KEY_NAME, create_key, load_key
from racoon_data.errors import SettingsError


def test_key_is_for_its_owner_alone(tmp_path: Path):
    """The file is 0600 in a folder 0700 and reads back as it was made."""
    key = create_key(tmp_path / "vault")

    assert (tmp_path / "vault" / KEY_NAME).stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "vault").stat().st_mode & 0o777 == 0o700
    assert load_key(tmp_path / "vault") == key


def test_a_key_is_never_replaced(tmp_path: Path):
    """A second key would break every link to data made with the first."""
    key = create_key(tmp_path)

    with pytest.raises(SettingsError):
        create_key(tmp_path)

    assert load_key(tmp_path) == key


def test_a_key_others_can_read_is_refused(tmp_path: Path):
    """A key that leaked is worse than none."""
    create_key(tmp_path)
    (tmp_path / KEY_NAME).chmod(0o644)

    with pytest.raises(SettingsError, match="others can read"):
        load_key(tmp_path)


@pytest.mark.parametrize("text", ["", "no hex", "00" * 32, "ab"])
def test_a_file_that_holds_no_key_is_refused(tmp_path: Path, text: str):
    """The message says what is wrong without showing the content."""
    path = tmp_path / KEY_NAME
    path.write_text(text)
    path.chmod(0o600)

    with pytest.raises(SettingsError) as caught:
        load_key(tmp_path)

    assert not text or text not in str(caught.value)


def test_a_missing_key_says_how_to_make_one(tmp_path: Path):
    """Nothing is made silently: a fresh key would cut all links."""
    with pytest.raises(SettingsError) as caught:
        load_key(tmp_path)

    assert "racoon deid key" in caught.value.hint
    assert not list(tmp_path.iterdir())
