"""Annotations find the series they lie on, or say why not."""

import pytest

from racoon_data.annotations.linking import link
from racoon_data.outcomes import Status
from racoon_data.testing.makers import a_series
from tests.annotations.helpers import a_file, series_of


@pytest.fixture(scope="module")
def two_series(tmp_path_factory):
    """A CT and a PET of one study, in one frame of reference."""
    folder = tmp_path_factory.mktemp("series")
    return tuple(series_of(a_series(folder / kind, slices=4, modality=kind)) for kind in ("CT", "PT"))


def linked(series, *files):
    """Links as (annotation UID, series UID) and outcomes as (status, code)."""
    links = link(series, files)
    pairs = [(pair.file.ref.sop_uid, pair.series and pair.series.ref.series_uid) for pair in links.pairs]
    return pairs, [(str(outcome.status), outcome.code) for outcome in links.outcomes]


def test_referenced_images_decide_first(two_series):
    """A SEG goes to the series whose images it references, not to one it merely names."""
    ct, pet = two_series
    seg = a_file("5", referenced_sops=frozenset(pet.sop_uids[:1]), referenced_series=frozenset({ct.ref.series_uid}))

    assert linked(two_series, seg) == ([("5", pet.ref.series_uid)], [])


def test_the_referenced_series_decides_second(two_series):
    """Where no instance is named, the series UID is enough."""
    ct, _ = two_series

    assert linked(two_series, a_file("5", referenced_series=frozenset({ct.ref.series_uid}))) == (
        [("5", ct.ref.series_uid)],
        [],
    )


def test_a_segmentation_of_absent_images_is_a_coded_skip(two_series):
    """References to images that are not here are never replaced by a guess."""
    frame = two_series[0].frame_of_reference
    seg = a_file("5", referenced_sops=frozenset({"9.9"}), frame_of_reference=frame)
    struct = a_file("6", modality="RTSTRUCT", referenced_series=frozenset({"9.8"}), frame_of_reference=frame)

    links = link(two_series, [seg, struct])

    assert links.pairs == ()
    assert {outcome.code for outcome in links.outcomes} == {"annotation.dangling_reference"}
    assert {outcome.status for outcome in links.outcomes} == {Status.SKIPPED}


def test_the_frame_of_reference_decides_last(two_series):
    """Without any reference, patient and frame of reference link where one series fits."""
    ct, pet = two_series
    bare = a_file("5", frame_of_reference=ct.frame_of_reference)

    assert linked([ct], bare) == ([("5", ct.ref.series_uid)], [])
    assert linked([ct, pet], bare) == ([], [("skipped", "annotation.ambiguous_reference")])
    assert linked([ct], a_file("6", frame_of_reference="9.9")) == ([], [("skipped", "annotation.dangling_reference")])
    stranger = a_file("7", frame_of_reference=ct.frame_of_reference, patient="P2")
    assert linked([ct], stranger) == ([], [("skipped", "annotation.dangling_reference")])


def test_a_structure_set_over_two_series_gives_two_links(two_series):
    """Contours on CT and PET are read on both."""
    ct, pet = two_series
    sops = frozenset({ct.sop_uids[0], pet.sop_uids[0]})

    pairs, outcomes = linked(two_series, a_file("5", modality="RTSTRUCT", referenced_sops=sops))

    assert sorted(uid for _, uid in pairs) == sorted([ct.ref.series_uid, pet.ref.series_uid])
    assert outcomes == []


def test_a_segmentation_goes_to_the_series_it_references_most(two_series):
    """A SEG lies on one series; an even split is ambiguous and skipped."""
    ct, pet = two_series
    most = a_file("5", referenced_sops=frozenset({*ct.sop_uids, pet.sop_uids[0]}))
    even = a_file("6", referenced_sops=frozenset({ct.sop_uids[0], pet.sop_uids[0]}))

    assert linked(two_series, most, even) == (
        [("5", ct.ref.series_uid)],
        [("skipped", "annotation.ambiguous_reference")],
    )


def test_a_report_on_a_segmentation_goes_to_its_images(two_series):
    """A report that references only a SEG is about the images of that SEG."""
    ct, _ = two_series
    seg = a_file("5", referenced_sops=frozenset(ct.sop_uids))
    report = a_file("6", modality="SR", referenced_sops=frozenset({"5"}))

    assert linked(two_series, seg, report) == ([("5", ct.ref.series_uid), ("6", ct.ref.series_uid)], [])


def test_a_report_over_several_series_is_read_once(two_series):
    """A report goes to the series it references most, and to none where two share the lead."""
    ct, pet = two_series
    most = a_file("5", modality="SR", referenced_sops=frozenset({*pet.sop_uids, ct.sop_uids[0]}))
    even = a_file("6", modality="SR", referenced_sops=frozenset({*pet.sop_uids, *ct.sop_uids}))

    assert linked(two_series, most, even) == ([("5", pet.ref.series_uid), ("6", None)], [])


def test_a_report_without_images_here_is_kept(two_series):
    """Findings need no grid: the report is linked with no series instead of being skipped."""
    report = a_file("6", modality="SR", referenced_sops=frozenset({"9.9"}))

    assert linked(two_series, report) == ([("6", None)], [])


def test_an_annotation_of_another_patient_is_refused(two_series):
    """References across patients are an error of the source, not a link."""
    ct, _ = two_series
    seg = a_file("5", referenced_sops=frozenset(ct.sop_uids), patient="P2")

    assert linked(two_series, seg) == ([], [("failed", "annotation.wrong_patient")])
