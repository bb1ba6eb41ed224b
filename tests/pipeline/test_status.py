"""The study monitor: where a site stands, what may leave it, several sites on one page."""

import json
import re

import pytest

from racoon_data import schemas
from racoon_data.faults import FaultPlan
from racoon_data.pipeline.status import export_of, joined, status_of
from racoon_data.site.paths import open_site
from racoon_data.site.standing import StatusExport
from tests.journeys.steps import LABELS, STUDY, a_patient, a_study, racoon, served

PATIENTS = tuple(f"P-{number}" for number in range(1, 8))


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """A site that walked: seven patients, one without a mask, one study incomplete."""
    folder = tmp_path_factory.mktemp("status")
    (folder / "labels.json").write_text(json.dumps(LABELS))
    for name in PATIENTS:
        a_patient(folder / "archive", name)
    next((folder / "archive" / "P-1" / "seg").rglob("*.dcm")).unlink()
    with served(folder):
        assert racoon("run", a_study(folder, STUDY), "--site", folder / "site").exit_code == 0
    a_patient(folder / "archive", "P-8")
    with served(folder, FaultPlan(drop_last=1)):
        racoon("run", a_study(folder, STUDY), "--site", folder / "site")
    return folder / "site"


def test_counts_by_stage_failures_by_code_and_the_oldest_stuck(site):
    """What the ledger and the account say stands in one document that fits its schema."""
    said = racoon("status", "--site", site, "--json")

    document = said.document
    assert schemas.problems("site-status", document) == ()
    (dataset,) = document["datasets"]
    assert dataset["job"]["state"] == "partial"
    assert [(row["name"], row["in"], row["used"]) for row in dataset["stages"]] == [
        ("instances", 71, 54),
        ("cases", 8, 6),
    ]
    assert document["failures"]["pacs.partial"] == 1
    assert [(one["state"], one["count"]) for one in document["stuck"]] in ([("wanted", 1)], [("failed", 1)])
    assert 0 <= document["stuck"][0]["oldest_s"] < 600
    assert document["studies"] == {"complete": 7, "partial": 1}


def test_the_terminal_shows_the_same(site):
    """Plain columns outside a terminal."""
    said = racoon("status", "--site", site)

    assert re.search(r"lung +partial +cases +8 +6 +0 +2 +0", said.out)
    assert "case.no_annotation" in said.out


def test_an_export_hides_small_cells_and_their_cover(site, tmp_path):
    """One patient without a mask is hidden, with what would give the number away; no reference leaves."""
    said = racoon("status", "--site", site, "--export", tmp_path / "a.json")
    assert said.exit_code == 0, said.err

    text = (tmp_path / "a.json").read_text()
    document = json.loads(text)
    assert schemas.problems("status-export", document) == ()
    cases = next(row for row in document["datasets"][0]["stages"] if row["name"] == "cases")
    assert cases["in"] == 8
    assert cases["used"] is None
    assert cases["left_out"] == {"case.incomplete_study": None, "case.no_annotation": None}
    for told in ("study ", "case site-a_", "2.25.", "P-1"):
        assert told not in text


def test_sites_are_joined_from_exports_alone(site, tmp_path):
    """Sums are lower bounds where a site hides its count; a newer export of a site replaces the older."""
    one = export_of(status_of(open_site(site)), smallest=2)
    large = one.model_dump(mode="json", by_alias=True)
    for stage in large["datasets"][0]["stages"]:
        stage.update({"in": 120, "used": 110, "left_out": {"case.ambiguous": 10}})
    other = StatusExport.model_validate({**large, "site": "site-b"})
    older = StatusExport.model_validate(
        {**large, "site": "site-b", "time": "2000-01-01T00:00:00+00:00", "datasets": []}
    )

    together = joined([one, other, older])

    (dataset,) = together.datasets
    cases = next(stage for stage in dataset.stages if stage.name == "cases")
    assert dataset.sites == ("site-a", "site-b")
    assert (cases.came_in.at_least, cases.came_in.hidden_at) == (128, 0)
    assert (cases.used.at_least, cases.used.hidden_at) in ((110, 1), (116, 0))
    assert cases.left_out["case.ambiguous"].at_least == 10
    for name, export in (("a", one), ("b", other)):
        (tmp_path / f"{name}.json").write_text(export.model_dump_json(by_alias=True))
    said = racoon("status", "--merge", tmp_path / "a.json", tmp_path / "b.json", "--json")
    assert said.document == json.loads(together.model_dump_json(by_alias=True))
    assert (
        racoon("status", "--merge", tmp_path / "a.json", tmp_path / "b.json", "--html", tmp_path / "all.html").exit_code
        == 0
    )
    assert "site-b" in (tmp_path / "all.html").read_text()


def test_the_page_loads_nothing_and_names_no_patient(site, tmp_path):
    """Style and pictures are inside; whatever somebody called a dataset is text."""
    said = racoon("status", "--site", site, "--html", tmp_path / "status.html")

    page = (tmp_path / "status.html").read_text()
    assert said.exit_code == 0
    assert "default-src &#39;none&#39;" in page or "default-src 'none'" in page
    assert not re.search(r"<script|src=|url\(|https?://(?!www\.w3\.org)", page)
    assert "<svg" in page
    assert "P-1" not in page


def test_what_is_no_export_is_refused(tmp_path):
    """A full status must not be passed off as an export: it holds counts that were not cleared."""
    (tmp_path / "x.json").write_text('{"site": "a"}')

    assert racoon("status", "--merge", tmp_path / "x.json").exit_code == 3
    assert racoon("status", tmp_path / "x.json").exit_code == 3
