"""The viewer in a real Chromium: the voxels are the file's, and nothing leaves the machine."""

import os
from pathlib import Path

import numpy as np
import pytest

from racoon_data.files.nifti import read_nifti
from racoon_data.qc.viewer.server import Viewer
from racoon_data.qc.viewer.shelf import Shelf
from racoon_data.site.reviews import ReviewVerdict, latest_reviews
from tests.browsers import CHROMIUM, a_page, hosts
from tests.dataset.makers import a_case, a_dataset

pytestmark = pytest.mark.peers(CHROMIUM)


def _read(page):
    return {name: page.text_content(f"#at-{name}") for name in ("voxel", "mm", "value", "label")}


def test_the_value_under_the_crosshair_is_the_value_of_the_file(tmp_path):
    """Gallery, case, crosshair, window, review: what people see is what the files hold, and the review is kept."""
    root, database = tmp_path / "thorax", tmp_path / "ledger.sqlite"
    manifest = a_dataset(root, [a_case(1), a_case(2)])
    record = manifest.cases[1]
    image, geometry = read_nifti(root / record.images[0])
    label = read_nifti(root / record.label)[0]
    with (
        Viewer(Shelf({"thorax": root}, database, "R1")) as viewer,
        a_page(viewport={"width": 1400, "height": 900}) as page,
    ):
        page.goto(viewer.gate.url)
        page.click(f"text={record.case_id}")
        page.wait_for_selector("#loading[hidden]", state="attached", timeout=60_000)
        for value in (1, 2, 0):
            k, j, i = (int(part) for part in np.argwhere(label == value)[7])
            page.evaluate(f"racoon.goTo({i}, {j}, {k})")
            shown = _read(page)
            assert shown["voxel"] == f"{i}, {j}, {k}"
            assert float(shown["value"].removesuffix(" HU")) == pytest.approx(float(image[k, j, i]), rel=1e-5)
            assert shown["label"].startswith(f"{value} ")
            mm = np.array(geometry.affine_lps) @ (i, j, k, 1) * (-1, -1, 1, 1)
            assert [float(part) for part in shown["mm"].split(",")] == pytest.approx(list(mm[:3]), abs=0.051)
        page.select_option("#window", "bone")
        page.fill("#comment", "outline too wide")
        page.click("button[data-verdict=rejected]")
        page.wait_for_selector("#verdict.bad")
        if folder := os.environ.get("RACOON_SCREENSHOTS"):
            page.screenshot(path=Path(folder) / "viewer.png")
        page.goto(f"{viewer.gate.url}#/thorax")
        page.wait_for_selector(".gallery .badge.bad")

        assert hosts(page) == {f"127.0.0.1:{viewer.gate.port}"}
        assert page.troubles == []
    review = latest_reviews(database, "thorax")[record.case_id]
    assert (review.verdict, review.comment, review.reviewer) == (ReviewVerdict.REJECTED, "outline too wide", "R1")


def test_a_changed_file_is_told_instead_of_shown(tmp_path):
    """A file that is not the one the manifest names is refused, and the page says so."""
    root = tmp_path / "thorax"
    record = a_dataset(root, [a_case(1)]).cases[0]
    path = root / record.images[0]
    path.write_bytes(path.read_bytes() + b"\0")
    with Viewer(Shelf({"thorax": root})) as viewer, a_page() as page:
        page.goto(f"{viewer.gate.url}#/thorax/{record.case_id}")
        page.wait_for_selector("text=not the one that was written", timeout=60_000)

        assert page.is_disabled("button[data-verdict=accepted]")
