"""The federated fingerprint: equal to pooled statistics, in any order, and nothing of few patients leaves."""

import json
from itertools import permutations

import numpy as np
import pytest
from typer.testing import CliRunner

from racoon_data import schemas
from racoon_data.cli.main import app
from racoon_data.errors import FederationError
from racoon_train.data.dataset import open_dataset, read_arrays
from racoon_train.federated.contract import join
from racoon_train.fingerprint.counting import Counted, fingerprint_of, told
from racoon_train.fingerprint.document import Fingerprint, load_fingerprint, merge
from racoon_train.fingerprint.planning import intensity_of, plan_of
from racoon_train.job.statistics import StatisticsSettings
from tests.train.makers import a_dataset, a_job

JOB = a_job()
SMALLEST = JOB.statistics.smallest


@pytest.fixture(scope="module")
def sites(tmp_path_factory):
    """Three hospitals with 12 to 14 training patients."""
    roots = [(name, tmp_path_factory.mktemp(name), cases) for name, cases in (("a", 13), ("bb", 14), ("ccc", 15))]
    return [open_dataset(a_dataset(root, site=name, cases=cases)) for name, root, cases in roots]


@pytest.fixture(scope="module")
def told_by(sites):
    """What each of them tells."""
    return [fingerprint_of(site, JOB) for site in sites]


def a_counted(patient, bins, *, cells=(20, 20, 60), size=(4, 4, 1), classes=None):
    """Count a case by hand: voxels by bin, spacing and size cells, voxels by class."""
    voxels = np.zeros((1, JOB.statistics.bins), np.int64)
    for place, count in bins.items():
        voxels[0, place] = count
    return Counted(patient, voxels, voxels, cells, size, {"lesion": 5, "fluid": 0} if classes is None else classes)


def test_the_sum_equals_pooled_statistics(sites):
    """Mean, deviation and percentiles lie within a bin of what all voxels together give.

    So it is where each bin is shared by enough patients, which two are here: the images are a thousandth of a CT.
    """
    statistics = JOB.statistics.model_copy(update={"smallest": 2})
    job = JOB.model_copy(update={"statistics": statistics})
    arrays = [read_arrays(case) for site in sites for case in site.split("train")]
    everything = np.concatenate([image.ravel() for image, _ in arrays])
    labelled = np.concatenate([image[0][label > 0] for image, label in arrays])
    total = merge([fingerprint_of(site, job) for site in sites])

    for cells, values in ((total.channels[0].voxels, everything), (total.channels[0].foreground, labelled)):
        found = intensity_of(cells, total.statistics)
        expected = [values.mean(), values.std(), *np.percentile(values, (0.5, 50, 99.5), method="inverted_cdf")]
        measured = [found.mean, found.sd, found.low, found.median, found.high]
        assert measured == pytest.approx(expected, abs=total.statistics.width)


def test_no_voxel_and_no_case_is_lost(sites, told_by):
    """Rounding to shared bins moves the rarest voxels and drops none; the middle does not move."""
    arrays = [read_arrays(case) for site in sites for case in site.split("train")]
    total = merge(told_by)

    assert sum(total.channels[0].voxels.values()) == sum(image.size for image, _ in arrays)
    assert sum(total.channels[0].foreground.values()) == sum(int((label > 0).sum()) for _, label in arrays)
    assert total.cases == len(arrays)
    assert [part.present for part in total.classes] == [len(arrays)] * 2
    assert total.classes[0].voxels == sum(int((label == 1).sum()) for _, label in arrays)
    mean = np.mean([image.mean() for image, _ in arrays])
    assert intensity_of(total.channels[0].voxels, total.statistics).mean == pytest.approx(mean, abs=2.0)


def test_the_order_of_sites_makes_no_difference(told_by):
    """Whoever reports first, the sum is the same document."""
    assert len({json.dumps(merge(order).to_json(), sort_keys=True) for order in permutations(told_by)}) == 1


def test_a_small_site_tells_nothing_of_its_voxels(tmp_path):
    """Fewer patients than the smallest cell: no intensity, no spacing, no class, and not how many they are."""
    found = fingerprint_of(open_dataset(a_dataset(tmp_path, cases=SMALLEST)), JOB)

    assert (found.silent, found.cases) == (1, None)
    assert found.channels[0].voxels == found.channels[0].foreground == {}
    assert all(cells == {} for cells in (*found.spacing_mm, *found.size))
    assert {count for part in found.classes for count in (part.present, part.absent, part.voxels)} == {None}


def test_rare_values_join_the_nearest_shared_bin():
    """A value that one patient has (metal, an implant) is not told, and its voxels still count."""
    counted = [a_counted(f"p{number}", {100: 10, 200: 10}) for number in range(SMALLEST)]
    counted.append(a_counted("implant", {100: 10, 199: 3, 4000: 7}))

    cells = told(counted, JOB).channels[0].voxels

    assert cells == {100: 10 * (SMALLEST + 1), 200: 10 * SMALLEST + 10}


def test_many_cases_of_one_patient_are_one_patient():
    """A cell counts persons: a hundred scans of one are still one."""
    counted = [a_counted("same", {100: 10}) for _ in range(10 * SMALLEST)]

    found = told(counted, JOB)

    assert (found.silent, found.channels[0].voxels, found.cases) == (1, {}, None)


def test_a_small_class_is_hidden_with_its_complement():
    """Three patients with a lesion are hidden, and so is the rest, which would tell by subtraction."""
    have = [a_counted(f"h{number}", {100: 1}) for number in range(3)]
    lack = [a_counted(f"l{number}", {100: 1}, classes={"lesion": 0, "fluid": 0}) for number in range(20)]

    lesion, fluid = told([*have, *lack], JOB).classes

    assert (lesion.present, lesion.absent, lesion.voxels) == (None, None, None)
    assert (fluid.present, fluid.absent) == (None, 23)


def test_no_cell_stands_for_few_patients():
    """Whatever the data, each told cell of spacing and size holds at least the smallest number of patients."""
    rng = np.random.default_rng(7)
    counted = [
        a_counted(f"p{number}", {100: 1}, cells=tuple(rng.integers(1, 4, 3)), size=tuple(rng.integers(1, 5, 3)))
        for number in range(60)
    ]

    found = told(counted, JOB)

    counts = [count for cells in (*found.spacing_mm, *found.size) for count in cells.values()]
    assert counts
    assert min(counts) >= SMALLEST
    for axis in range(3):
        hidden = 60 - sum(found.spacing_mm[axis].values())
        assert hidden == 0 or hidden >= SMALLEST


def test_fingerprints_of_different_bins_are_not_added(told_by):
    """Sums of different things are refused."""
    other = told_by[0].model_copy(update={"statistics": StatisticsSettings(bins=100)})

    with pytest.raises(FederationError, match="different things"):
        merge([told_by[0], other])


def test_the_document_holds_no_case(sites, told_by, tmp_path):
    """No case, patient or file is named, it fits its schema, and reading it back gives the same."""
    text = json.dumps(told_by[0].to_json())
    (tmp_path / "told.json").write_text(text)

    assert not any(case.case_id in text or case.patient in text for case in sites[0].cases)
    assert schemas.problems("fingerprint", json.loads(text)) == ()
    assert load_fingerprint(tmp_path / "told.json") == told_by[0]


def a_fingerprint(spacing, size, *, intensities=None):
    """Make a merged fingerprint by hand: cells of spacing (0.05 mm) and size (8 voxels)."""
    told_ = {"name": "0", "voxels": {}, "foreground": intensities or {1024: 100}}
    return Fingerprint.model_validate(
        {
            "statistics": StatisticsSettings().model_dump(),
            "channels": [told_],
            "spacing_mm": spacing,
            "size": size,
            "classes": [],
        }
    )


def test_spacing_is_the_median():
    """Cases of about the same spacing are brought to their median."""
    found = plan_of(
        a_fingerprint([{14: 50, 16: 30}] * 2 + [{20: 80}], [{64: 80}] * 2 + [{25: 80}]), dimensions=3, multiple=16
    )

    assert found.spacing_mm == pytest.approx((0.7, 0.7, 1.0))
    assert found.median_size == (512, 512, 200)
    assert all(size % 16 == 0 for size in found.patch)
    assert np.prod(found.patch) <= 128**3
    assert found.patch[0] < found.patch[1] == found.patch[2]


def test_coarse_slices_take_their_finest_tenth():
    """Slices more than three times as thick as pixels, and few: the 10th percentile of their spacing is taken."""
    spacing = [{14: 100}, {14: 100}, {40: 15, 100: 85}]
    found = plan_of(a_fingerprint(spacing, [{64: 100}] * 2 + [{5: 100}]), dimensions=3, multiple=8)

    assert found.spacing_mm == pytest.approx((0.7, 0.7, 2.0))
    assert found.median_size[2] == 100


def test_a_plan_needs_something_told():
    """With nothing told there is no plan, and the remedy is named."""
    with pytest.raises(FederationError, match="too little") as caught:
        plan_of(a_fingerprint([{}] * 3, [{}] * 3), dimensions=2, multiple=8)

    assert caught.value.hint


def test_a_site_of_a_federation_tells_the_same(sites, told_by, tmp_path):
    """The site contract's fingerprint is that of its dataset."""
    assert join("a", sites[0].root, JOB, tmp_path).fingerprint() == told_by[0]


def test_the_commands_write_add_and_plan(sites, tmp_path):
    """Fingerprint at each site, plan at the coordinator: two commands and files between them."""
    job, runner = tmp_path / "job.json", CliRunner()
    job.write_text(json.dumps(JOB.to_json()))
    files = [tmp_path / f"{site.site}.json" for site in sites[:2]]
    for site, file in zip(sites, files, strict=False):
        said = runner.invoke(app, ["train", "fingerprint", str(site.root), "--job", str(job), "--out", str(file)])
        assert said.exit_code == 0, said.output
    said = runner.invoke(app, ["train", "plan", *map(str, files), "--job", str(job), "--json"])

    document = json.loads(said.stdout)
    assert document["fingerprint"]["sites"] == 2
    assert document["plan"]["training"]["spacing_mm"] == [1.0, 1.0, 3.0]
    assert document["plan"]["training"]["window"][0] < -400
