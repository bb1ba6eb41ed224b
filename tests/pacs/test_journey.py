"""From a query to files on disk, over the embedded PACS."""

from racoon_data.events import Event
from racoon_data.pacs.find import find
from racoon_data.pacs.node import echo
from racoon_data.pacs.retrieve import retrieve
from racoon_data.refs import Query
from racoon_data.site.ledger import Verdict


def files_in(folder):
    """Every file below a folder."""
    return sorted(path for path in folder.rglob("*") if path.is_file())


def test_echo(pacs):
    """The embedded PACS answers an echo in well under a second."""
    assert 0 < echo(pacs.node()) < 5


def test_a_study_is_found_with_its_counts(pacs, archive):
    """A study-level answer carries the standard counts and modalities."""
    (match,) = find(pacs.node(), Query("STUDY", {"PatientID": "P1"}))

    assert match.ref == archive.study
    assert match.attributes["NumberOfStudyRelatedInstances"] == "10"
    assert match.attributes["NumberOfStudyRelatedSeries"] == "2"
    assert match.attributes["ModalitiesInStudy"] == "CT"


def test_a_study_arrives_whole(pacs, archive, spool, ledger):
    """Every listed instance lies in the spool with the data set the PACS holds, and the verdict is complete."""
    events: list[Event] = []

    (verdict,) = retrieve(pacs.node(), [archive.study], spool=spool, ledger=ledger, on_event=events.append)

    assert (verdict.verdict, verdict.expected, verdict.arrived) == (Verdict.COMPLETE, 10, 10)
    assert {path.stem for path in files_in(spool)} == archive.sop_uids
    assert ledger.missing(archive.study.study_uid) == ()
    assert [event.kind for event in events] == ["receive"] * 10 + ["retrieve"]
