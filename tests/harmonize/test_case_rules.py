"""A rule chooses series, or says for each one why it does not."""

import pytest

from racoon_data.cases import CaseRule, ChannelRule
from racoon_data.errors import (
    AmbiguousCaseError,
    NoAnnotationError,
    NoChannelError,
    RecognizableFaceError,
    SettingsError,
)
from racoon_data.harmonize.case_rules import candidates, select
from tests.harmonize.makers import a_series

CT = ChannelRule("CT", modality="CT")


def _rule(*channels: ChannelRule, **parts) -> CaseRule:
    return CaseRule(channels or (CT,), **{"labels_required": False, **parts})


def _masks(*series):
    return frozenset((one.ref, one.part) for one in series)


@pytest.mark.parametrize(
    ("channel", "series", "attribute"),
    [
        (CT, a_series(modality="MR"), "Modality"),
        (CT, a_series(image_type=("ORIGINAL", "PRIMARY", "LOCALIZER")), "ImageType"),
        (CT, a_series(slices=2), "slices"),
        (ChannelRule("CT", description="thorax"), a_series(description="Name, abdomen"), "SeriesDescription"),
        (ChannelRule("CT", kernel="^B3"), a_series(kernel=("Br40f", "3")), "ConvolutionKernel"),
        (ChannelRule("CT", max_thickness_mm=2.0), a_series(slice_thickness_mm=5.0), "SliceThickness 5 mm"),
        (ChannelRule("CT", max_thickness_mm=2.0), a_series(), "SliceThickness is absent"),
        (ChannelRule("CT", contrast=True), a_series(), "ContrastBolusAgent is absent"),
        (ChannelRule("CT", contrast=False), a_series(contrast_agent="agent"), "ContrastBolusAgent is present"),
    ],
)
def test_a_series_that_does_not_fit_says_why(channel, series, attribute):
    """The error names the series and the deciding attribute, and never echoes a description."""
    with pytest.raises(NoChannelError) as caught:
        select([series], _rule(channel))

    assert caught.value.is_skip
    assert f"series {series.ref.series_uid}: " in caught.value.message
    assert attribute in caught.value.message
    assert "Name" not in caught.value.message + caught.value.hint


def test_a_series_that_fits_is_chosen():
    """Patterns search anywhere, without regard to case; one kernel value is enough."""
    rule = ChannelRule("CT", "CT", description="thorax", kernel="br4", max_thickness_mm=2.0, contrast=True)
    good = a_series(
        description="CT THORAX nativ", kernel=("Br40f", "3"), slice_thickness_mm=2.0, contrast_agent="agent"
    )

    (chosen,) = select([good, a_series("1.2.2", modality="MR")], _rule(rule))

    assert chosen.channels == (("CT", good),)


def test_equal_candidates_are_ambiguous_and_no_guess():
    """Two series that fit equally well set the case aside; the message lists both and the rejected one."""
    series = [a_series("1.2.1"), a_series("1.2.2"), a_series("1.2.3", modality="PT")]

    with pytest.raises(AmbiguousCaseError) as caught:
        select(series, _rule())

    assert caught.value.is_skip
    assert "series 1.2.1, series 1.2.2" in caught.value.message
    assert "series 1.2.3: Modality PT is not CT" in caught.value.message


def test_preferences_count_in_their_order():
    """Annotated first or thinnest first makes another choice."""
    thin = a_series("1.2.1", slice_thickness_mm=1.0)
    thick = a_series("1.2.2", slice_thickness_mm=5.0)

    def choose(*prefer):
        rule = _rule(ChannelRule("CT", prefer=prefer))
        return select([thin, thick], rule, annotated=_masks(thick))[0].channels[0][1]

    assert choose("annotated", "thinnest") == thick
    assert choose("thinnest", "annotated") == thin


def test_more_slices_and_unknown_thickness():
    """The longer series wins, and a series that does not state its thickness is not the thinnest."""
    short, long = a_series("1.2.1", slices=10), a_series("1.2.2", slices=11, slice_thickness_mm=9.0)

    for preference in ("most_slices", "thinnest"):
        (chosen,) = select([short, long], _rule(ChannelRule("CT", prefer=(preference,))))
        assert chosen.channels[0][1] == long


def test_two_channels_come_from_two_series():
    """Channels keep their order; a series that fits both is ambiguous."""
    ct, pet = a_series("1.2.2"), a_series("1.2.1", modality="PT")

    (chosen,) = select([ct, pet], _rule(CT, ChannelRule("PET", modality="PT")))

    assert [(name, one.ref.series_uid) for name, one in chosen.channels] == [("CT", "1.2.2"), ("PET", "1.2.1")]
    with pytest.raises(AmbiguousCaseError, match="both channels CT and second"):
        select([ct], _rule(CT, ChannelRule("second")))


def test_one_case_for_every_annotated_series():
    """Each series with a mask becomes a case; parts of one series UID count apart."""
    first, second = a_series("1.2.1"), a_series("1.2.2", part="b", modality="MR")
    other_part = a_series("1.2.2", part="a", modality="MR")
    rule = _rule(ChannelRule("image"), per="annotated-series")

    chosen = select([second, other_part, first], rule, annotated=_masks(first, second))

    assert [one.channels for one in chosen] == [(("image", first),), (("image", second),)]


def test_no_mask_is_said_apart_from_no_series():
    """A study without masks is skipped for that reason, and the message says where masks lie."""
    chosen, other = a_series("1.2.1"), a_series("1.2.2", modality="MR")

    with pytest.raises(NoAnnotationError, match=r"masks lie on series 1\.2\.2"):
        select([chosen, other], _rule(labels_required=True), annotated=_masks(other))
    with pytest.raises(NoAnnotationError, match=r"series 1\.2\.1: fits"):
        select([chosen], _rule(per="annotated-series"))


def test_an_empty_study_has_no_channel():
    """No image series at all is said so."""
    with pytest.raises(NoChannelError, match="no image series"):
        select([], _rule())


@pytest.mark.parametrize(
    ("rule", "key"),
    [
        (_rule(ChannelRule("CT", description="(")), r"channels\.CT\.description"),
        (_rule(ChannelRule("CT", kernel="*")), r"channels\.CT\.kernel"),
        (_rule(ChannelRule("CT", prefer=("prettiest",))), r"channels\.CT\.prefer"),
        (_rule(CT, CT, per="annotated-series"), r"case\.per"),
    ],
)
def test_a_wrong_rule_names_its_key(rule, key):
    """What cannot work is refused before any series is looked at."""
    with pytest.raises(SettingsError, match=key):
        select([], rule)


def test_every_series_is_explained():
    """A dry run can list what fits and what does not, in order of series."""
    listed = candidates([a_series("1.2.2"), a_series("1.2.1", slices=1)], CT)

    assert [str(one) for one in listed] == ["series 1.2.1: 1 slices are fewer than 3", "series 1.2.2: fits"]


@pytest.mark.parametrize("per", ["study", "annotated-series"])
def test_faces_are_refused_where_the_rule_says_so(per):
    """A series marked as showing a face sets the case aside with its own code; by default it is allowed."""
    head = a_series(has_face=True)

    assert select([head], _rule(per=per), annotated=_masks(head))
    with pytest.raises(RecognizableFaceError) as caught:
        select([head], _rule(per=per, faces="refuse"), annotated=_masks(head))
    assert (caught.value.code, caught.value.is_skip) == ("case.recognizable_face", True)
    assert head.ref.series_uid in caught.value.message
    assert select([a_series()], _rule(faces="refuse"))
