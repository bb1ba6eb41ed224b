"""Vendor habits: each with a source and a test, found wherever a PACS moved its block."""

from pathlib import Path

import numpy as np
import pytest
from pydicom.dataset import Dataset

from racoon_data.dicom.meaning import PHILIPS, REAL_WORLD, Wanted
from racoon_data.dicom.quirks import QUIRKS, quirk_number
from racoon_data.dicom.stacking import stack, stack_stored
from racoon_data.testing.makers import a_series
from tests.dicom.edits import edit, one_series


def test_every_quirk_names_its_source_and_an_existing_test():
    """A vendor's habit without a source or a test does not stay."""
    root = Path(__file__).resolve().parents[2]

    assert all(quirk.source for quirk in QUIRKS)
    assert all((root / quirk.test.split("::")[0]).is_file() for quirk in QUIRKS)


@pytest.mark.parametrize("block", [0x10, 0x42])
def test_a_private_block_is_found_where_it_was_moved(block: int):
    """The creator says where a block lies, and a value without known form is read as a number."""
    dataset = Dataset()
    dataset.add_new((0x2005, block), "LO", "Philips MR Imaging DD 001")
    dataset.add_new((0x2005, (block << 8) | 0x0E), "UN", b"4.5 ")

    assert quirk_number(dataset, "philips scale slope") == 4.5
    assert quirk_number(Dataset(), "philips scale slope") is None


def _philips(one):
    one.RescaleSlope, one.RescaleIntercept = 2.5, 10
    one.private_block(0x2005, "Philips MR Imaging DD 001", create=True).add_new(0x0E, "FL", 0.25)


def test_philips_scale(tmp_path: Path):
    """Display values by default, floating point values where wanted; which was taken is recorded."""
    made = a_series(tmp_path, slices=3, modality="MR")
    edit(made.paths, _philips)
    series, stored = one_series(tmp_path), made.plan.stored()

    shown, floating = stack_stored(series), stack_stored(series, Wanted(PHILIPS))

    assert np.allclose(shown.volume.array, stored * 2.5 + 10)
    assert np.allclose(floating.volume.array, (stored * 2.5 + 10) / (2.5 * 0.25))
    assert shown.decisions[0].startswith("Philips display values")
    assert floating.decisions[0].startswith("Philips floating point values")


def _with_map(one):
    unit = Dataset()
    unit.CodeValue, unit.CodingSchemeDesignator, unit.CodeMeaning = "um2/s", "UCUM", "um2/s"
    item = Dataset()
    item.RealWorldValueFirstValueMapped, item.RealWorldValueLastValueMapped = 0, 4095
    item.RealWorldValueSlope, item.RealWorldValueIntercept, item.LUTLabel = 0.5, -3.0, "ADC"
    item.MeasurementUnitsCodeSequence = [unit]
    one.RealWorldValueMappingSequence = [item]


def test_a_real_world_map_is_used_where_it_is_wanted_or_alone(tmp_path: Path):
    """Without a rescale the map gives the values and their unit; beside one it waits to be asked for."""
    alone = a_series(tmp_path / "alone", slices=2, modality="MR")
    edit(alone.paths, _with_map)
    beside = a_series(tmp_path / "beside", slices=2)
    edit(beside.paths, _with_map)
    stored = alone.plan.stored()

    mapped, rescaled = stack(one_series(tmp_path / "alone")), stack(one_series(tmp_path / "beside"))
    asked = stack(one_series(tmp_path / "beside"), Wanted(REAL_WORLD))

    assert np.array_equal(mapped.array, (stored * 0.5 - 3).astype(np.float32))
    assert (mapped.unit, rescaled.unit, asked.unit) == ("um2/s", "HU", "um2/s")
    assert np.array_equal(rescaled.array, beside.truth.array)
    assert np.array_equal(asked.array, (beside.plan.stored() * 0.5 - 3).astype(np.float32))
