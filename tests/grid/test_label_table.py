"""The table of docs/harmonize.md about label interpolation is what our own code does."""

import pytest

from tests.grid.label_table import HEAD, SPACINGS, lines
from tests.house.code import ROOT

PAGE = ROOT / "docs" / "harmonize.md"


@pytest.mark.parametrize("pair", SPACINGS, ids=str)
def test_the_page_says_what_is_measured(pair):
    """Measured again, every row stands on the page under the same head."""
    told = PAGE.read_text(encoding="utf-8").splitlines()

    assert all(line in told for line in (*HEAD, *lines(pair)))
