"""How long Chromium takes to open the report of a thousand cases, and to filter it.

A few phantom cases are drawn and repeated under other names until there are as many as wanted: the page has the
pictures, plots and findings of a real one. Load is the time from navigation to the ``load`` event and to the first
frame after it, as the page's own clock has it; each repeat starts a fresh browser.

    python benchmarks/report_load.py               small: 100 cases
    python benchmarks/report_load.py --cases 1000  the size of the target: under 2 s
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

from playwright.sync_api import sync_playwright

sys.path.insert(0, str(Path(__file__).resolve().parent))

from qc import make

from racoon_data.qc.codes import LABEL_ROUGHNESS
from racoon_data.qc.inspect import Inspection, inspect
from racoon_data.qc.report import pages_of
from racoon_data.refs import CaseRef

CHROMIUM = "/usr/bin/chromium"
FRAME = "new Promise(done => requestAnimationFrame(() => setTimeout(() => done(performance.now()), 0)))"
TYPE = """word => { const box = document.getElementById("filter-text"), began = performance.now();
box.value = word; box.dispatchEvent(new Event("input")); document.body.offsetHeight;
return performance.now() - began; }"""


def repeated(seen: Inspection, cases: int) -> Inspection:
    """Give as many cases as wanted, one in twenty with a finding."""
    many = []
    for number in range(cases):
        one = seen.cases[number % len(seen.cases)]
        many.append(replace(one, record=one.record.model_copy(update={"case_id": f"case-{number:05d}"})))
    issues = tuple(
        LABEL_ROUGHNESS.of(CaseRef(one.record.case_id), "lesion: boundary 9.1 times a ball's; expected 1.4 to 3.2")
        for one in many[::20]
    )
    manifest = seen.manifest.model_copy(update={"cases": tuple(one.record for one in many)})
    return replace(seen, cases=tuple(many), issues=issues, manifest=manifest)


def main() -> None:
    """Write the page, open it and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=100)
    parser.add_argument("--drawn", type=int, default=8)
    parser.add_argument("--repeats", type=int, default=5)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="racoon-bench-") as folder, sync_playwright() as playwright:
        make(Path(folder) / "small", given.drawn, 96, 320)
        seen = repeated(inspect(Path(folder) / "small", is_drawn=True), given.cases)
        name, text = next(iter(pages_of([seen], name="report.html", per_page=given.cases).items()))
        page_file = Path(folder) / name
        page_file.write_text(text, encoding="utf-8")
        loads, frames, filters = [], [], []
        for _ in range(given.repeats):
            browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
            page = browser.new_page(viewport={"width": 1280, "height": 900})
            page.goto(page_file.as_uri(), wait_until="load", timeout=120_000)
            frames.append(page.evaluate(FRAME) / 1000)
            loads.append(page.evaluate("performance.getEntriesByType('navigation')[0].loadEventEnd") / 1000)
            filters.append(page.evaluate(TYPE, "case-00007") / 1000)
            assert page.text_content("#filter-count").startswith("1 of ")
            browser.close()
        print(f"{given.cases} cases, {page_file.stat().st_size / 2**20:.1f} MiB, {given.repeats} fresh browsers")
        for what, seconds in (("load event", loads), ("first frame after it", frames), ("first filter", filters)):
            print(f"{what:22s} median {statistics.median(seconds):5.2f} s, slowest {max(seconds):5.2f} s")


if __name__ == "__main__":
    main()
