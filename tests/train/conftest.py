"""Fixtures of the training tests."""

from pathlib import Path

import pytest

from tests.train.makers import a_dataset


@pytest.fixture(scope="session")
def two_sites(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Two datasets; site b never annotated fluid."""
    root = tmp_path_factory.mktemp("sites")
    return {
        "site-a": a_dataset(root / "a", site="a"),
        "site-b": a_dataset(root / "b", site="b", annotated=("lesion",)),
    }
