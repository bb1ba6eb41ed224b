"""The generated pages tell the truth."""

from tests.docs.write import DOCS, pages


def test_generated_pages_are_current():
    """Pages written from code equal the code; ``make docs`` writes them."""
    written = pages()

    assert {page: (DOCS / page).read_text(encoding="utf-8") for page in written} == written
    assert {path.name for path in (DOCS / "schemas").glob("*.md")} == {
        page.removeprefix("schemas/") for page in written if page.startswith("schemas/")
    }
