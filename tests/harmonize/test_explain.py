"""Why each series was chosen or not, and which phase it shows."""

import pytest

from racoon_data.cases import Acquisition, CaseRule, ChannelRule
from racoon_data.errors import AmbiguousCaseError, NoChannelError, SettingsError
from racoon_data.harmonize.case_rules import check_rule, select
from racoon_data.harmonize.explain import explain
from racoon_data.harmonize.phase import phase_of
from racoon_data.settings import StudySettings
from tests.harmonize.makers import a_series


def _rule(*channels, **parts):
    return CaseRule(channels, labels_required=False, **parts)


@pytest.mark.parametrize(
    ("made", "phase", "told_by"),
    [
        ({"description": "Abdomen nativ 1.0"}, "native", "SeriesDescription"),
        ({"description": "Abd portalvenös", "contrast_agent": "x"}, "venous", "SeriesDescription"),
        ({"description": "CTA Aorta", "contrast_agent": "x"}, "arterial", "SeriesDescription"),
        ({"description": "Spätphase", "contrast_agent": "x"}, "delayed", "SeriesDescription"),
        (
            {"description": "Thorax", "contrast_agent": "x", "contrast_delay_s": 25.0},
            "arterial",
            "ContrastBolusStartTime",
        ),
        (
            {"description": "Thorax", "contrast_agent": "x", "contrast_delay_s": 70.0},
            "venous",
            "ContrastBolusStartTime",
        ),
        ({"description": "arteriell / venös", "contrast_delay_s": 300.0}, "delayed", "ContrastBolusStartTime"),
        ({"description": "Thorax"}, "native", "ContrastBolusAgent"),
        ({"description": "Thorax", "contrast_agent": "x"}, "", ""),
    ],
)
def test_a_phase_is_told_by_words_then_times(made, phase, told_by):
    """German and English words, then the delay after the injection, then the absence of an agent; else nothing."""
    assert phase_of(Acquisition(modality="CT", **made)) == (phase, told_by)


def test_new_rules_reject_with_their_reason():
    """Body part, phase, thinness, exclusion and projections each name themselves."""
    rule = ChannelRule(
        "CT", body_part="chest|thorax", contrast_phase="venous", min_thickness_mm=1.0, exclude="topogram", prefer=()
    )
    wrong = [
        a_series("1.2.1", body_part="HEAD", description="venous", slice_thickness_mm=2.0),
        a_series("1.2.2", body_part="CHEST", description="nativ", slice_thickness_mm=2.0),
        a_series("1.2.3", body_part="CHEST", description="venous", slice_thickness_mm=0.6),
        a_series("1.2.4", body_part="CHEST", description="venous topogram", slice_thickness_mm=2.0),
        a_series(
            "1.2.5", body_part="CHEST", description="venous", slice_thickness_mm=2.0, image_type=("DERIVED", "MIP")
        ),
    ]

    with pytest.raises(NoChannelError) as caught:
        select(wrong, _rule(rule))

    for said in (
        "BodyPartExamined HEAD does not match",
        "contrast phase native (SeriesDescription) is not venous",
        "SliceThickness 0.6 mm is below 1 mm",
        "SeriesDescription is excluded",
        "ImageType says projection",
    ):
        assert said in caught.value.message


def test_ranked_preferences_decide_in_their_order():
    """A kernel first, then the thickness nearest to a value; one that no series meets decides nothing."""
    soft = [a_series(f"1.2.{mm}", kernel=("Br40f",), slice_thickness_mm=float(mm)) for mm in (1, 2, 5)]
    hard = a_series("1.2.9", kernel=("Bl64f",), slice_thickness_mm=2.0)
    prefer = ("kernel:^Qr", "kernel:^Br", "thickness:2.2")

    (chosen,) = select([*soft, hard], _rule(ChannelRule("CT", prefer=prefer)))

    assert chosen.channels[0][1] is soft[1]


@pytest.mark.parametrize("preference", ["best", "kernel:[", "thickness:thin", "sharpest:x"])
def test_an_unknown_preference_is_refused(preference):
    """A preference that means nothing is a matter of settings, in the rule and in the study file."""
    with pytest.raises(SettingsError):
        check_rule(_rule(ChannelRule("CT", prefer=(preference,))))


def test_study_files_know_the_preferences():
    """The study file takes what the rule takes."""
    channel = {"name": "CT", "prefer": ["contrast_phase:venous", "thinnest"], "contrast_phase": "venous"}

    study = StudySettings.model_validate({"name": "x", "channels": [channel], "labels": {"schema_file": "l.json"}})

    assert study.channels[0].prefer == ("contrast_phase:venous", "thinnest")


def test_every_series_has_a_fate():
    """Chosen, preferred less and rejected: the reason names the preference, or the nearest rule and all it lacks."""
    thin, thick = a_series("1.2.1", slice_thickness_mm=1.0), a_series("1.2.2", slice_thickness_mm=5.0)
    mr = a_series("1.2.3", modality="MR", slices=2)
    rule = _rule(ChannelRule("CT", "CT", prefer=("thinnest",)), ChannelRule("PET", "PT", min_slices=1))

    choices = explain([mr, thick, thin], rule, annotated=frozenset())

    assert [(one.verdict, one.channel, one.reasons) for one in choices] == [
        ("chosen", "CT", ("preferred by thinnest",)),
        ("preferred less", "CT", ("thinnest prefers another",)),
        ("rejected", "PET", ("Modality MR is not PT",)),
    ]
    assert choices[0].facts["thickness_mm"] == 1.0


def test_a_tie_is_told_for_both():
    """Two series nothing tells apart are both tied, and the study is ambiguous."""
    twins = [a_series("1.2.1"), a_series("1.2.2")]
    rule = _rule(ChannelRule("CT", "CT", prefer=("thinnest",)))

    assert {one.verdict for one in explain(twins, rule, annotated=frozenset())} == {"tied"}
    with pytest.raises(AmbiguousCaseError):
        select(twins, rule)


def test_annotated_series_are_explained():
    """Where each annotated series is a case, the others say that they carry no mask."""
    one, other = a_series("1.2.1"), a_series("1.2.2")

    choices = explain(
        [one, other], _rule(ChannelRule("CT", "CT"), per="annotated-series"), annotated=frozenset([one.key])
    )

    assert [(each.verdict, each.reasons) for each in choices] == [
        ("chosen", ("it carries a mask",)),
        ("rejected", ("it carries no mask",)),
    ]
