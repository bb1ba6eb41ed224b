"""The report in a real Chromium: filters, keys, links, colours, print, and nothing leaves the page."""

import os
from pathlib import Path

import pytest

from racoon_data.qc.report import write_report
from tests.browsers import CHROMIUM, a_page, hosts
from tests.dataset.makers import a_case, a_dataset

pytestmark = pytest.mark.peers(CHROMIUM)


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    """The report of four cases: one with a finding, one without label, spread over two pages of three."""
    root = tmp_path_factory.mktemp("report") / "thorax"
    cases = [a_case(1), a_case(2, unmapped=("Narbe",)), a_case(3, label_map=None, annotations=()), a_case(4)]
    a_dataset(root, cases)
    return write_report([root], per_page=3).paths


def _shown(page):
    return page.eval_on_selector_all(".case", "all => all.filter(one => one.offsetHeight).map(one => one.id)")


def _eventually(page, expression):
    """Ask again until it is so; the page's policy lets no script of the browser driver wait inside it."""
    for _ in range(100):
        if page.evaluate(expression):
            return
        page.wait_for_timeout(50)
    raise AssertionError(expression)


def _focused(page):
    return page.evaluate("document.activeElement.closest('.case')?.id ?? document.activeElement.id")


def test_people_find_a_case(report):
    """Words, kinds and codes filter; keys walk; a link of a finding leads to a case the filter had hidden."""
    with a_page(viewport={"width": 1280, "height": 900}) as page:
        page.goto(report[0].as_uri())
        assert len(_shown(page)) == 3

        page.keyboard.press("/")
        page.keyboard.type("case-003")
        assert _shown(page) == ["case-case-003"]
        assert page.text_content("#filter-count") == "1 of 3 shown"
        page.keyboard.press("Escape")
        page.select_option("#filter-kind", "unlabelled")
        assert _shown(page) == ["case-case-003"]
        page.click("#findings a:text('case-002')")
        _eventually(page, "document.activeElement.id === 'case-case-002'")
        assert len(_shown(page)) == 3
        page.select_option("#filter-code", "label.unmapped")
        assert _shown(page) == ["case-case-002"]
        page.fill("#filter-text", "nobody")
        page.click("#filter-clear")

        page.evaluate("document.activeElement.blur()")
        page.keyboard.press("j")
        page.keyboard.press("j")
        assert _focused(page) == "case-case-002"
        page.keyboard.press("k")
        assert _focused(page) == "case-case-001"
        if folder := os.environ.get("RACOON_SCREENSHOTS"):
            page.screenshot(path=Path(folder) / "report.png")


def test_everything_is_reached_by_tab(report):
    """Tab goes from the skip link through sections to the filter, and focus is seen."""
    with a_page() as page:
        page.goto(report[0].as_uri())
        reached = []
        for _ in range(16):
            page.keyboard.press("Tab")
            reached.append(page.evaluate("document.activeElement.getAttribute('href') ?? document.activeElement.id"))

        assert reached[0] == "#cases"
        assert {"#summary", "#findings", "#provenance", "filter-text", "filter-kind"} <= set(reached)
        assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") != "none"


def test_nothing_leaves_the_page(report):
    """Only the page itself is asked for; no script fails; pictures are drawn; an injected request is refused."""
    with a_page() as page:
        page.goto(report[0].as_uri())
        page.evaluate("document.getElementById('cases').scrollIntoView()")
        _eventually(page, "[...document.images].slice(0, 3).every(one => one.complete && one.naturalWidth > 50)")
        assert hosts(page) == set()
        assert [address for address in page.asked if not address.startswith("data:")] == [report[0].as_uri()]
        assert page.troubles == []

        blocked = page.evaluate("fetch('http://127.0.0.1:9/').then(() => 'sent', error => error.name)")
        assert blocked == "TypeError"
        assert any("Content Security Policy" in trouble for trouble in page.troubles)


def test_further_pages_are_linked(report):
    """The pager leads to the other cases and back."""
    with a_page() as page:
        page.goto(report[0].as_uri())
        page.click(".pager a:text('2')")
        page.wait_for_selector("#case-case-004")
        page.click("nav a:text('Summary and findings')")

        assert page.is_visible("#summary")


@pytest.mark.parametrize(("scheme", "dark"), [("light", False), ("dark", True)])
def test_it_follows_the_system(report, scheme, dark):
    """Dark systems get a dark page, and text stands out from it by more than 7 to 1."""
    with a_page(color_scheme=scheme) as page:
        page.goto(report[0].as_uri())
        back, ink = page.evaluate(
            "[getComputedStyle(document.body).backgroundColor, getComputedStyle(document.body).color]"
        )

    lights = [_luminance(colour) for colour in (back, ink)]
    assert (lights[0] < 0.1) is dark
    assert (max(lights) + 0.05) / (min(lights) + 0.05) > 7


def _luminance(colour):
    """Give the relative luminance of ``rgb(r, g, b)`` (WCAG 2)."""
    parts = [int(part) / 255 for part in colour[4:-1].split(",")]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_it_prints_on_white_without_tools(report):
    """In print, menus and filters are gone, the page is white even on a dark system, and it fills several sheets."""
    with a_page(color_scheme="dark") as page:
        page.goto(report[0].as_uri())
        page.emulate_media(media="print", color_scheme="dark")
        assert not page.is_visible(".tools")
        assert not page.is_visible("nav[aria-label=Sections]")
        assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
        pdf = page.pdf(format="A4")

    assert pdf.startswith(b"%PDF")
    assert pdf.count(b"/Type /Page\n") >= 3
