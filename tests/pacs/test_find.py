"""Find over the wire: caps, levels, lists, patterns and outputs against the embedded PACS and Orthanc."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace
from pathlib import Path

import pydicom
import pytest
from typer.testing import CliRunner

from racoon_data.cli.main import app
from racoon_data.errors import ExitCode, SettingsError
from racoon_data.faults import FaultPlan
from racoon_data.pacs.attributes import unmangled
from racoon_data.pacs.find import find, find_listed
from racoon_data.pacs.lists import read_list
from racoon_data.pacs.profile import known_node
from racoon_data.pacs.push import push
from racoon_data.pacs.serve import EmbeddedPacs
from racoon_data.pacs.sources import Question, asked_of
from racoon_data.refs import Query
from racoon_data.site.paths import create_site
from racoon_data.testing.makers import a_series
from tests.pacs.test_peers import ORTHANC, an_orthanc


def tiny_studies(folder: Path, stamps: list[tuple[str, str]]) -> set[str]:
    """Write one instance per study with the given dates and times; give the study UIDs."""
    made = a_series(folder / "first", patient_id="P0", study_uid="1.2.3.0", slices=1, rows=4, columns=4)
    first = pydicom.dcmread(made.paths[0])
    made.paths[0].unlink()
    for n, (date, time) in enumerate(stamps):
        first.StudyInstanceUID, first.SeriesInstanceUID, first.SOPInstanceUID = f"1.2.3.{n}", f"1.2.4.{n}", f"1.2.5.{n}"
        first.file_meta.MediaStorageSOPInstanceUID = first.SOPInstanceUID
        first.StudyDate, first.StudyTime, first.PatientID = date, time, f"P{n}"
        first.save_as(folder / f"{n}.dcm")
    return {f"1.2.3.{n}" for n in range(len(stamps))}


TIMES = ("", "1200", "120000", "235959.5", "000000")
STAMPS = [("20240101", TIMES[n % 5]) for n in range(8)] + [("20240102", ""), ("20240103", "1015")]


@pytest.mark.parametrize("plan", [FaultPlan(cap_answers=5), FaultPlan(silent_cap=5)])
def test_a_capped_pacs_gives_every_study(tmp_path, plan):
    """Status A700 or silence at five answers: ten studies of three days come whole, each once."""
    uids = tiny_studies(tmp_path, STAMPS)
    with EmbeddedPacs(tmp_path, faults=plan) as pacs:
        node = replace(pacs.node(), answer_cap=5)
        found = [match.ref.study_uid for match in find(node, Query("STUDY", {"StudyDate": "20240101-20240103"}))]

    assert len(found) == len(uids)
    assert set(found) == uids


@ORTHANC
def test_orthanc_with_limits_gives_every_study_series_and_instance(tmp_path):
    """Orthanc cuts at five results and five instances; nothing is missing at any level."""
    uids = tiny_studies(tmp_path / "files", STAMPS)
    many = a_series(tmp_path / "many", patient_id="PX", study_uid="1.9", series_uid="1.9.1", slices=12)
    with an_orthanc(tmp_path, LimitFindResults=5, LimitFindInstances=5) as node:
        push(node, [*sorted((tmp_path / "files").glob("*.dcm")), *many.paths])
        studies = [match.ref.study_uid for match in find(node, Query("STUDY", {"StudyDate": "20240101-20240103"}))]
        instances = [match.ref.sop_uid for match in find(node, Query("IMAGE", {"StudyInstanceUID": "1.9"}))]

    assert sorted(studies) == sorted(uids)
    assert sorted(instances) == sorted(many.sop_uids)


def test_every_level_is_answered_from_one_filter(pacs, archive):
    """Patients, studies, series and images of one patient: hierarchical peers need no more than its ID."""
    found = {
        level: list(find(pacs.node(), Query(level, {"PatientID": "P1"})))
        for level in ("PATIENT", "STUDY", "SERIES", "IMAGE")
    }

    assert [len(found[level]) for level in found] == [1, 1, 2, 10]
    assert {match.attributes["PatientID"] for match in found["IMAGE"]} == {"P1"}
    assert {match.ref.sop_uid for match in found["IMAGE"]} == archive.sop_uids


def test_patients_come_from_studies_where_the_patient_level_is_capped(pacs):
    """A cut patient list is replaced by the patients of all studies, each once."""
    pacs.faults = FaultPlan(cap_answers=1)

    found = [match.attributes["PatientID"] for match in find(pacs.node(), Query("PATIENT"))]

    assert sorted(found) == ["P1", "P2"]


def test_a_list_is_matched_exactly(pacs):
    """Each identifier is asked for alone; one that only begins like another is no match."""
    found = find_listed(pacs.node(), Query("STUDY"), "PatientID", ["P2", "P", "P1"])

    assert [match.attributes["PatientID"] for match in found] == ["P2", "P1"]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.csv", "PatientID,Date\n007,2024\nP2,2025\n"),
        ("b.csv", "007\nP2\n007\n"),
        ("c.csv", "name;PatientID\nx;007\ny;P2\n"),
        ("d.json", '["007", "P2"]'),
        ("e.json", '[{"PatientID": "007"}, {"PatientID": "P2"}]'),
        ("f.txt", "PatientID\n007\n\nP2\n"),
    ],
)
def test_lists_are_read(tmp_path, name, text):
    """CSV with or without a header, JSON and plain lines give the same identifiers, leading zeros kept."""
    (tmp_path / name).write_text(text)

    assert read_list(tmp_path / name, "PatientID") == ("007", "P2")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.txt", "P1\nP*\n"),
        ("b.txt", "P1\nP?\n"),
        ("c.txt", "P1\nP\\P2\n"),
        ("d.csv", "a,b\n1,2\n"),
        ("e.json", '{"PatientID": "1"}'),
        ("f.json", "[1]"),
        ("g.json", "["),
        ("h.txt", ""),
        ("i.csv", "PatientID,b\n,2\n"),
    ],
)
def test_a_list_with_a_wildcard_or_a_hole_is_refused(tmp_path, name, text):
    """What would ask for other patients, or is no list, is a settings error that shows no value."""
    (tmp_path / name).write_text(text)

    with pytest.raises(SettingsError) as caught:
        read_list(tmp_path / name, "PatientID")
    assert "P*" not in caught.value.message


def run(pacs, *arguments):
    """Run ``racoon pacs find`` on the embedded PACS."""
    return CliRunner().invoke(app, ["pacs", "find", "--port", str(pacs.port), *map(str, arguments)])


def test_find_filters_by_modality_date_and_description(pacs):
    """Options become filters; a description pattern is judged without regard to case."""
    by_modality = run(pacs, "--modality", "MR", "--json")
    by_date = run(pacs, "--date", "2021-01-01..2021-12-31", "--json")
    by_text = run(pacs, "--level", "series", "--description", "*NOTHING*", "--json")

    assert json.loads(by_modality.stdout)["PatientID"] == "P2"
    assert json.loads(by_date.stdout)["PatientID"] == "P2"
    assert by_text.exit_code == ExitCode.NOTHING


def test_find_writes_csv_and_reads_lists(pacs, tmp_path):
    """A list of patients in, CSV with a header out."""
    (tmp_path / "ids.csv").write_text("P2\nP1\n")

    ended = run(pacs, "--patients", tmp_path / "ids.csv", "--csv")

    rows = list(csv.DictReader(io.StringIO(ended.stdout)))
    assert [row["PatientID"] for row in rows] == ["P2", "P1"]


@pytest.mark.parametrize(
    "arguments", [("--date", "soon"), ("--level", "IMAGE", "--description", "x"), ("--level", "X")]
)
def test_options_that_make_no_sense_are_settings_errors(pacs, arguments):
    """A day that is none, a description of images and an unknown level are told before anything is printed."""
    assert run(pacs, *arguments).exit_code == ExitCode.SETTINGS


@pytest.mark.parametrize(
    ("text", "is_read"),
    [
        ("MÃ¼ller^JÃ¶rg", "Müller^Jörg"),
        ("Müller", "Müller"),
        ("Ã", "Ã"),
        ("Ötzi Ãb", "Ötzi Ãb"),
        ("BogusÅ‚aw", "Bogusław"),
    ],
)
def test_text_encoded_twice_is_read_back(text, is_read):
    """Mojibake is undone where it is certain, and true letters stay."""
    assert unmangled(text) == is_read


def test_a_walk_asks_completely(archive, tmp_path):
    """The studies of ``racoon run`` come whole from a PACS that cuts its answers."""
    with EmbeddedPacs(archive.folder, faults=FaultPlan(cap_answers=1)) as pacs:
        site = create_site(tmp_path / "site", f'[site]\nname = "x"\n[nodes.pacs]\nport = {pacs.port}\n')
        matches = asked_of(known_node("pacs", site), Question(Query("STUDY", {"StudyDate": "20190101-20221231"})))
        found = sorted(match.ref.study_uid for match in matches)

    assert found == ["1.2.826.0.1.1", "1.2.826.0.1.2"]
