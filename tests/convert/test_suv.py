"""SUV, body weight: what the formula gives, from wherever the header keeps its parts, or a refusal that names one."""

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from racoon_data.cli.main import app
from racoon_data.convert.suv import suv_of, with_suv
from racoon_data.dicom.stacking import stack, stack_stored
from racoon_data.errors import SuvError
from racoon_data.files.nifti import read_nifti
from racoon_data.schemas import validate
from racoon_data.testing.makers import MadeSeries, a_series
from tests.dicom.edits import edit, one_series

DOSE, HALF_LIFE, WEIGHT_G = 300e6, 6586.2, 70_000.0
HOUR = WEIGHT_G / (DOSE * 2 ** (-3600 / HALF_LIFE))


def _pet(folder: Path, change=None, **options) -> MadeSeries:
    made = a_series(folder, slices=3, modality="PT", slope=0.37, **options)
    edit(made.paths, change or (lambda one: None))
    return made


def _factor(folder: Path) -> float:
    (factor,) = set(suv_of(one_series(folder)).factors)
    return factor


def _tracer(one):
    return one.RadiopharmaceuticalInformationSequence[0]


def test_start_of_scan(tmp_path: Path):
    """Values corrected to the start of the scan, an hour after the injection, decay for that hour."""
    _pet(tmp_path)

    assert _factor(tmp_path) == pytest.approx(HOUR, rel=1e-12)


def _admin(one):
    one.DecayCorrection = "ADMIN"


def test_corrected_to_injection_decays_no_second_time(tmp_path: Path):
    """ADMIN values have their decay in them already."""
    _pet(tmp_path, _admin)

    assert _factor(tmp_path) == pytest.approx(WEIGHT_G / DOSE, rel=1e-12)


def test_uncorrected_slices_decay_to_their_own_time(tmp_path: Path):
    """NONE: a later bed has a larger factor, and the mean of a frame is brought to its beginning."""
    made = _pet(tmp_path)
    for k, path in enumerate(made.paths):
        edit([path], lambda one, k=k: one.update({"DecayCorrection": "NONE", "AcquisitionTime": f"10{15 + 5 * k}00"}))

    factors = suv_of(one_series(tmp_path)).factors

    decays = np.log(2) * 120 / HALF_LIFE
    assert factors[0] == pytest.approx(HOUR * decays / (1 - np.exp(-decays)), rel=1e-9)
    assert factors[2] / factors[0] == pytest.approx(2 ** (600 / HALF_LIFE), rel=1e-9)


def test_acquisition_time_of_a_later_bed_does_not_count(tmp_path: Path):
    """Siemens writes each bed's own AcquisitionTime; the series time stays the reference."""
    made = _pet(tmp_path)
    edit(made.paths[:1], lambda one: setattr(one, "AcquisitionTime", "104500"))

    assert _factor(tmp_path) == pytest.approx(HOUR, rel=1e-12)


def _midnight(one):
    one.SeriesDate = one.AcquisitionDate = "20200318"
    one.SeriesTime = one.AcquisitionTime = "001500"
    _tracer(one).RadiopharmaceuticalStartTime = "231500"


def _date_time_only(one):
    del _tracer(one).RadiopharmaceuticalStartTime
    _tracer(one).RadiopharmaceuticalStartDateTime = "20200317091500.000000+0100"


def _not_nested(one):
    del one.RadiopharmaceuticalInformationSequence
    one.RadiopharmaceuticalStartTime, one.RadionuclideTotalDose = "091500.00", DOSE
    one.RadionuclideHalfLife = HALF_LIFE


def _processed_later(one):
    one.SeriesTime = "150000"
    one.private_block(0x0009, "GEMS_PETD_01", create=True).add_new(0x0D, "DT", "20200317101500.00")


def _both(one):
    _tracer(one).RadiopharmaceuticalStartDateTime = "20200317091500"


@pytest.mark.parametrize("change", [_midnight, _date_time_only, _not_nested, _processed_later, _both])
def test_the_hour_is_found_wherever_it_stands(tmp_path: Path, change):
    """Over midnight, in a DateTime alone, outside its sequence, or in GE's private scan time."""
    _pet(tmp_path, change)

    assert _factor(tmp_path) == pytest.approx(HOUR, rel=1e-12)


def _gml(one):
    one.Units = "GML"


def test_values_that_are_suv_already_pass(tmp_path: Path):
    """GML stays as it is."""
    made = _pet(tmp_path, _gml)
    series = one_series(tmp_path)

    volume = stack(with_suv(series, suv_of(series)))

    assert np.allclose(volume.array, made.truth.array, rtol=1e-6)
    assert volume.unit == "SUVbw"


def _philips(units, element, value):
    def change(one):
        one.Units = units
        one.private_block(0x7053, "Philips PET Private Group", create=True).add_new(element, "DS", str(value))

    return change


@pytest.mark.parametrize("units", ["CNTS", "PROPCPS"])
def test_counts_need_the_factors_philips_writes(tmp_path: Path, units: str):
    """The SUV factor is used as it is; the activity factor turns counts to Bq/ml first."""
    _pet(tmp_path / "suv", _philips(units, 0x00, 0.000551))
    _pet(tmp_path / "activity", _philips(units, 0x09, 2.5))

    assert _factor(tmp_path / "suv") == pytest.approx(0.000551)
    assert _factor(tmp_path / "activity") == pytest.approx(2.5 * HOUR)


REFUSED = {
    "PatientWeight": lambda one: delattr(one, "PatientWeight"),
    "PatientWeight is no plausible": lambda one: setattr(one, "PatientWeight", 70_000),
    "RadionuclideTotalDose": lambda one: delattr(_tracer(one), "RadionuclideTotalDose"),
    "RadionuclideTotalDose is no plausible": lambda one: setattr(_tracer(one), "RadionuclideTotalDose", 300),
    "RadionuclideHalfLife": lambda one: delattr(_tracer(one), "RadionuclideHalfLife"),
    "RadiopharmaceuticalStartTime": lambda one: delattr(_tracer(one), "RadiopharmaceuticalStartTime"),
    "does not fit the time": lambda one: setattr(_tracer(one), "RadiopharmaceuticalStartDateTime", "20200317150000"),
    "DecayCorrection": lambda one: setattr(one, "DecayCorrection", ""),
    "SeriesTime": lambda one: setattr(one, "SeriesTime", "160000"),
    "Units is PCNT": lambda one: setattr(one, "Units", "PCNT"),
    "SUVType is LBM": lambda one: one.update({"Units": "GML", "SUVType": "LBM"}),
    "CorrectedImage": lambda one: setattr(one, "CorrectedImage", ["DECY"]),
    "Philips (7053,xx00)": lambda one: setattr(one, "Units", "CNTS"),
}


@pytest.mark.parametrize("words", REFUSED)
def test_what_is_missing_is_named(tmp_path: Path, words: str):
    """A refusal names the attribute, instead of a number that looks right."""
    _pet(tmp_path, REFUSED[words])

    with pytest.raises(SuvError) as caught:
        suv_of(one_series(tmp_path))

    assert words in caught.value.message


def test_the_file_keeps_whole_numbers_and_a_slope(tmp_path: Path):
    """One slope for all slices: voxels stay int16, and the scale carries the factor."""
    _pet(tmp_path)
    series = one_series(tmp_path)

    stacked = stack_stored(with_suv(series, suv_of(series)))

    assert stacked.array.dtype == np.int16
    assert stacked.slope == pytest.approx(0.37 * HOUR)


def test_a_slope_for_each_slice_is_kept(tmp_path: Path):
    """Slices with slopes of their own become float32 with each its own slope."""
    made = _pet(tmp_path)
    for k, path in enumerate(made.paths):
        edit([path], lambda one, k=k: setattr(one, "RescaleSlope", 0.5 + 0.1 * k))
    series = one_series(tmp_path)

    volume = stack(with_suv(series, suv_of(series)))

    slopes = np.array([0.5, 0.6, 0.7])[:, None, None]
    assert np.allclose(volume.array, made.truth.array / 0.37 * slopes * HOUR, rtol=1e-6)


def test_the_command_writes_suv(tmp_path: Path):
    """The file holds SUV, the sidecar the formula's parts, and neither weight nor dose."""
    made = _pet(tmp_path / "in")
    bad = _pet(tmp_path / "in" / "bad", REFUSED["PatientWeight"], seed=1)

    ended = CliRunner().invoke(app, ["convert", str(tmp_path / "in"), str(tmp_path / "out"), "--suv", "--json"])

    report = json.loads(ended.stdout)
    (row,) = report["volumes"]
    text = (tmp_path / "out" / row["file"]).with_suffix("").with_suffix(".json").read_text()
    sidecar = json.loads(text)
    validate("volume-sidecar", sidecar)
    array, _ = read_nifti(tmp_path / "out" / row["file"])
    assert np.allclose(array, made.truth.array * HOUR, rtol=1e-6)
    assert row["unit"] == sidecar["unit"] == "SUVbw"
    assert sidecar["SUV"]["ElapsedTime"] == 3600
    assert "300000000" not in text
    assert "Weight" not in text.replace("weight", "")
    assert {row["code"] for row in report["refused"]} == {"convert.no_suv"}
    assert len(report["refused"]) == len(bad.paths)
