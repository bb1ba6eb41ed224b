"""The index answers at four levels, counts truly and reads a file once."""

import os
import shutil

from racoon_data.pacs.index import Index


def an_index(archive):
    """A fresh index of the archive."""
    index = Index(archive.folder, archive.folder / ".index.sqlite")
    index.refresh()
    return index


def test_unchanged_files_are_read_once(archive):
    """A second refresh reads nothing; a touched file is read again."""
    index = Index(archive.folder, archive.folder / ".index.sqlite")

    assert index.refresh() == 14
    assert Index(archive.folder, archive.folder / ".index.sqlite").refresh() == 0
    os.utime(archive.ct.paths[0], ns=(1, 1))
    assert index.refresh() == 1


def test_levels_and_counts(archive):
    """Patients, studies, series and images carry the standard counts."""
    index = an_index(archive)
    (patient,) = index.find("PATIENT", {"PatientID": "P1", "NumberOfPatientRelatedInstances": ""})
    (study,) = index.find("STUDY", {"PatientID": "P1", "NumberOfStudyRelatedSeries": "", "ModalitiesInStudy": ""})
    series = list(index.find("SERIES", {"StudyInstanceUID": "1.2.826.0.1.1", "NumberOfSeriesRelatedInstances": ""}))
    images = list(index.find("IMAGE", {"SeriesInstanceUID": "1.2.826.0.1.1.2"}))

    assert patient["NumberOfPatientRelatedInstances"] == "10"
    assert (study["NumberOfStudyRelatedSeries"], study["ModalitiesInStudy"]) == ("2", "CT")
    assert [one["NumberOfSeriesRelatedInstances"] for one in series] == ["6", "4"]
    assert {one["SOPInstanceUID"] for one in images} == set(archive.ct_thick.sop_uids)


def test_filters_of_upper_levels_hold_below(archive):
    """A series query by patient name, date range and modality finds one series."""
    keys = {"PatientName": "MÜLLER*", "StudyDate": "20210101-", "Modality": "MR"}

    assert [one["SeriesInstanceUID"] for one in an_index(archive).find("SERIES", keys)] == ["1.2.826.0.1.2.1"]


def test_a_removed_file_leaves_the_index(archive):
    """A study whose last file is gone is not found any more."""
    index = an_index(archive)
    shutil.rmtree(archive.folder / "mr")
    index.refresh()

    assert [one["StudyInstanceUID"] for one in index.find("STUDY", {})] == ["1.2.826.0.1.1"]
    assert list(index.find("PATIENT", {"PatientID": "P2"})) == []


def test_a_copy_takes_the_place_of_a_removed_file(archive):
    """Of two files with one UID the first in path order is served, and the other when that one goes."""
    copy = shutil.copy(archive.ct.paths[0], archive.folder / "zz.dcm")
    index = an_index(archive)
    keys = {"SOPInstanceUID": archive.ct.sop_uids[0]}
    before = [one.path for one in index.stored("IMAGE", keys)]
    archive.ct.paths[0].unlink()
    index.refresh()

    assert before == [archive.ct.paths[0]]
    assert [one.path for one in index.stored("IMAGE", keys)] == [copy]
