"""Cases that stand apart are found among many, and nobody is accused among few."""

from dataclasses import replace

import numpy as np
import pytest

from racoon_data.cases import Severity
from racoon_data.files.manifest import CaseRecord
from racoon_data.geometry import Geometry, as_affine
from racoon_data.labels import LabelSchema
from racoon_data.qc.across import check_across
from racoon_data.qc.codes import DEFECTS
from racoon_data.qc.facts import CaseFacts, ChannelStated, Fit, ImageFacts, LabelFacts, Measured, Stated
from racoon_data.qc.look import Seen
from racoon_data.qc.robust import LEAST, dominance, limit, outliers
from racoon_data.qc.sites import check_sites
from racoon_data.refs import CaseRef
from tests.dataset.makers import SCHEMA

GRID = Geometry((200, 200, 60), as_affine(np.diag([1.0, 1, 5, 1])))


def a_seen(number, *, label=None, image=None, channel=None, place=("train", 0)):
    """Make a case with facts that vary a little from case to case."""
    vary = np.random.default_rng(number)
    facts = LabelFacts(1, 5000, 25 * vary.lognormal(0, 0.5), (0, 0, 0), 50.0, -550 + vary.normal(0, 20))
    facts = replace(facts, components=1 + number % 3, roughness=2.4 * vary.lognormal(0, 0.08), fit=Fit(90.0, 0.9))
    picture = ImageFacts(GRID, -1024, 1500, 0, -1000, -850 + vary.normal(0, 15), 300, 0.0, 0, f"image {number}")
    stated = ChannelStated("CT", "HU", "CT", kernel="Br40f", slice_thickness_mm=5.0, series_uid=f"2.25.{number}")
    stated = Stated(CaseRef(f"case-{number:02d}"), (replace(stated, **(channel or {})),), SCHEMA)
    measured = Measured((replace(picture, **(image or {})),), GRID, (replace(facts, **(label or {})),))
    name = f"case-{number:02d}"
    record = CaseRecord(
        case_id=name, patient=f"P{number}", split=place[0], fold=place[1], images=("a",), sidecar="b", sha256={}
    )
    return Seen(record, facts=CaseFacts(stated, measured))


def long_grid():
    """Give a grid four times as long."""
    return Geometry((200, 200, 240), GRID.affine_lps)


def coarse_grid():
    """Give a grid of thicker slices and the same length."""
    return Geometry((200, 200, 15), as_affine(np.diag([1.0, 1, 20, 1])))


ODD = {
    "image.spacing_outlier": {"image": {"geometry": coarse_grid()}},
    "image.extent_outlier": {"image": {"geometry": long_grid()}},
    "image.intensity_outlier": {"image": {"p50": 200.0}},
    "acquisition.kernel_outlier": {"channel": {"kernel": "Qr59d"}},
    "acquisition.thickness_outlier": {"channel": {"slice_thickness_mm": 0.6}},
    "label.intensity_outlier": {"label": {"intensity": 60.0}},
    "label.volume_outlier": {"label": {"ml": 30000.0}},
    "label.components_outlier": {"label": {"components": 900}},
    "label.roughness_outlier": {"label": {"roughness": 9.0}},
}


@pytest.mark.parametrize("code", ODD)
def test_one_of_twenty_stands_apart(code):
    """The odd case is found by its own code, as a warning; the others are not named."""
    cases = [a_seen(number) for number in range(19)]

    assert check_across(cases, SCHEMA) == ()
    issues = check_across([*cases, a_seen(19, **ODD[code])], SCHEMA)

    assert [(issue.code, issue.case.case_id) for issue in issues] == [(code, "case-19")]
    assert issues[0].severity is Severity.WARN


@pytest.mark.parametrize("code", ODD)
def test_among_few_nobody_stands_apart(code):
    """With fewer than twelve cases there is no telling what is usual."""
    cases = [a_seen(number) for number in range(LEAST - 2)]

    assert check_across([*cases, a_seen(19, **ODD[code])], SCHEMA) == ()


def test_every_outlier_code_is_tested():
    """No code of outliers goes without a case that stands apart."""
    assert set(ODD) == {code for code in DEFECTS if code.endswith("_outlier")}


@pytest.mark.parametrize("count", [12, 20, 50, 300])
def test_the_limit_keeps_quiet(count):
    """Of 2,000 datasets of normal values at most six name anybody, however few or many the cases."""
    draw = np.random.default_rng(count)
    alarms = 0
    for _ in range(2000):
        values = draw.normal(size=count)
        median = np.median(values)
        spread = 1.4826 * np.median(np.abs(values - median))
        alarms += bool(np.abs(values - median).max() > limit(count) * spread)

    assert alarms <= 6


def test_sizes_are_compared_as_factors():
    """A hundred times the usual volume stands apart; zero is no volume and is left out."""
    values = {f"c{n}": 10.0 + n % 5 for n in range(20)} | {"huge": 1000.0, "none": 0.0}

    (found,) = outliers(values, floor=0.1, is_log=True)

    assert (found.key, found.count) == ("huge", 21)
    assert found.low < found.median < found.high < 1000


def test_nearly_equal_values_make_no_outlier():
    """Where all but one agree to the last digit, a difference below the floor is none."""
    values = {f"c{n}": 5.0 for n in range(20)} | {"odd": 5.1}

    assert list(outliers(values, floor=0.02, is_log=True)) == []


def test_leaks_name_patient_series_and_voxels():
    """One series and one image under two patients of two folds leak; within one fold they do not."""
    copy = {"channel": {"series_uid": "2.25.1"}, "image": {"fingerprint": "image 1"}}
    apart = check_across([a_seen(1), a_seen(2, **copy, place=("test", None))], SCHEMA)
    together = check_across([a_seen(1), a_seen(2, **copy)], SCHEMA)

    leaks = [issue.message for issue in apart if issue.code == "split.leak"]
    assert sorted({text.split(":")[0] for text in leaks}) == ["the same series", "the same voxels"]
    assert "case-02 (test)" in leaks[0]
    assert {issue.code for issue in together} == {"image.duplicate"}


def test_axes_follow_the_recipe_where_it_names_them():
    """A recipe that says RAS accuses every case that is not, even where those are the most."""
    cases = [a_seen(number) for number in range(3)]

    assert check_across(cases, SCHEMA) == ()
    assert len(check_across(cases, SCHEMA, orientation="RAS")) == 3


def a_site(first, **label):
    """Make a site of fifteen cases."""
    return [a_seen(number, label={**label}) for number in range(first, first + 15)]


def test_a_site_with_rougher_outlines_is_told():
    """Rough boundaries at one of three sites are told once, with both medians."""
    sites = {"north": a_site(0), "south": a_site(20), "west": a_site(40, roughness=4.4)}

    issues = check_sites(sites, [label.name for label in SCHEMA.labels])

    assert [(issue.code, issue.case.case_id) for issue in issues] == [("site.label_habit", "west")]
    assert "4.4" in issues[0].message


def test_sites_that_cannot_be_compared_are_left_alone():
    """Few cases, like habits, or voxels of another size give no warning."""
    rough = {"roughness": 4.4}
    names = [SCHEMA.labels[0].name]

    assert check_sites({"north": a_site(0), "south": a_site(20)}, names) == ()
    assert check_sites({"north": a_site(0), "south": a_site(20, **rough)[:11]}, names) == ()
    assert check_sites({"north": a_site(0), "south": a_site(20, **rough, ml=500.0)}, names) == ()
    assert check_sites({"north": a_site(0), "south": a_site(20, **rough)}, names) != ()


def test_labels_are_matched_by_name():
    """Sites may number their labels differently; a label the other does not have is not compared."""
    other = LabelSchema("other", "1", (replace(SCHEMA.labels[0], name="nodule"),))
    south = [
        replace(one, facts=replace(one.facts, stated=replace(one.facts.stated, schema=other))) for one in a_site(20)
    ]

    assert check_sites({"north": a_site(0, roughness=9.0), "south": south}, [SCHEMA.labels[0].name]) == ()


def test_dominance_is_a_share_of_pairs():
    """All larger gives 1, all smaller -1, the same values 0."""
    assert dominance([3, 4], [1, 2])[0] == 1.0
    assert dominance([1, 2], [3, 4])[0] == -1.0
    assert dominance([1, 2, 3], [1, 2, 3])[0] == 0.0
