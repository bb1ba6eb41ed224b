"""A door with a fixed key into a temporary folder."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path

import pytest

from racoon_data.deid.door import Door
from racoon_data.deid.profile import Profile
from racoon_data.deid.pseudonyms import Pseudonymizer
from racoon_data.site.audit import AuditLog

KEY = sha256(b"a fixed key for tests").digest()


@pytest.fixture
def door(tmp_path: Path) -> Door:
    """A door with the built-in profile, a quarantine and an audit log."""
    log = AuditLog(tmp_path / "audit.jsonl")
    return Door(tmp_path / "work", tmp_path / "quarantine", Profile(), Pseudonymizer(KEY), log)
