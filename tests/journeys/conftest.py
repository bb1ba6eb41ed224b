"""A folder every journey starts from."""

import json

import pytest

from tests.journeys.steps import LABELS, a_patient


@pytest.fixture
def folder(tmp_path):
    """A folder with a label schema, and an archive whose first patient is good."""
    (tmp_path / "labels.json").write_text(json.dumps(LABELS))
    a_patient(tmp_path / "archive", "GOOD-1")
    return tmp_path
