"""A site folder: made whole or not at all, and found from within."""

from __future__ import annotations

from pathlib import Path

import pytest

from racoon_data.errors import ExitCode, SettingsError
from racoon_data.site.paths import create_site, find_site
from tests.journeys.steps import racoon


def test_wrong_settings_leave_no_half_made_site(tmp_path: Path):
    """A name that is refused can be corrected and the same command run again."""
    refused = racoon("init", tmp_path / "site", "--name", "Hospital A")
    left = list(tmp_path.iterdir())
    made = racoon("init", tmp_path / "site", "--name", "hospital-a")

    assert (refused.exit_code, left) == (ExitCode.SETTINGS, [])
    assert "site.name" in refused.err
    assert made.exit_code == 0, made.err


def test_a_site_is_not_made_twice(tmp_path: Path):
    """A second init would hide the first one's settings and key."""
    create_site(tmp_path / "site", '[site]\nname = "a"\n')

    with pytest.raises(SettingsError, match="already"):
        create_site(tmp_path / "site", '[site]\nname = "b"\n')

    assert find_site(tmp_path / "site" / "spool").settings.site.name == "a"
