"""The generated pages tell the truth."""

import pytest

from tests.docs.write import DOCS, PAGES


@pytest.mark.parametrize("page", sorted(PAGES))
def test_generated_pages_are_current(page):
    """Pages written from code equal the code; ``make docs`` writes them."""
    assert (DOCS / page).read_text(encoding="utf-8") == PAGES[page]()
