"""Multi-frame images: each frame is a slice, described as a single image would be."""

from pathlib import Path

import numpy as np
import pytest

from racoon_data.dicom.sorting import files_under, sort_files
from racoon_data.dicom.stacking import stack
from racoon_data.testing import multiframe as maker
from racoon_data.testing.multiframe import Frame, Shape, write_multiframe
from racoon_data.testing.series_plan import SeriesPlan
from tests.dicom.edits import edit, one_series, sorted_series

STACK_POSITION, TEMPORAL, ECHO_TIME, B_VALUE = 0x00209057, 0x00209128, 0x00189082, 0x00189087


def _frames(plan: SeriesPlan) -> list[Frame]:
    return [Frame(k, plane) for k, plane in enumerate(plan.stored())]


@pytest.mark.parametrize(
    ("modality", "sop_class"),
    [
        ("CT", maker.ENHANCED_CT),
        ("MR", maker.ENHANCED_MR),
        ("PT", maker.ENHANCED_PET),
        ("CT", maker.LEGACY_CT),
        ("MR", maker.LEGACY_MR),
        ("PT", maker.LEGACY_PET),
    ],
)
@pytest.mark.parametrize("orientation", ["axial", "oblique"])
def test_an_enhanced_image_is_a_volume(tmp_path: Path, modality: str, sop_class: str, orientation: str):
    """Frames stored in any order become the volume their functional groups describe."""
    plan = SeriesPlan(slices=5, modality=modality, orientation=orientation)
    frames = _frames(plan)
    write_multiframe(tmp_path / "a.dcm", plan, [frames[k] for k in (3, 0, 4, 1, 2)], Shape(sop_class))

    series = one_series(tmp_path)
    volume = stack(series)

    truth = plan.truth_of(plan.stored())
    assert np.array_equal(volume.array, truth.array)
    assert volume.geometry.same_grid(truth.geometry, tol_mm=1e-3)
    assert [header.frame for header in series.slices] == [1, 3, 4, 0, 2]
    assert len(set(series.sop_uids)) == 1


def test_each_frame_has_its_own_rescaling(tmp_path: Path):
    """A slope that differs from frame to frame is used frame by frame."""
    plan = SeriesPlan(slices=4, modality="PT")
    stored = plan.stored()
    rescaled = [
        {"PixelValueTransformationSequence": {"RescaleSlope": 0.5 + k, "RescaleIntercept": 0, "RescaleType": "US"}}
        for k in range(4)
    ]
    frames = [Frame(k, stored[k], rescaled[k]) for k in range(4)]
    write_multiframe(tmp_path / "a.dcm", plan, frames, Shape(maker.ENHANCED_PET))

    volume = stack(one_series(tmp_path))

    assert np.allclose(volume.array, stored * (0.5 + np.arange(4))[:, None, None])


@pytest.mark.parametrize("bits", [32, 64])
def test_a_parametric_map_keeps_floating_point_values(tmp_path: Path, bits: int):
    """Float and double pixel data come out as float32, with the unit their value map names."""
    plan = SeriesPlan(slices=3, modality="MR")
    values = (plan.stored() / 7).astype(f"f{bits // 8}")
    groups = {"RealWorldValueMappingSequence": {"RealWorldValueSlope": 1.0, "RealWorldValueIntercept": 0.0}}
    frames = [Frame(k, values[k]) for k in range(3)]
    shape = Shape(maker.PARAMETRIC_MAP, shared=groups, without=("PixelValueTransformationSequence",))
    write_multiframe(tmp_path / "a.dcm", plan, frames, shape)

    volume = stack(one_series(tmp_path))

    assert volume.array.dtype == np.float32
    assert np.array_equal(volume.array, values.astype(np.float32))


def test_time_points_echoes_and_b_values_are_apart(tmp_path: Path):
    """Frames in one place are told apart by what their groups say, named as for single images."""
    plan = SeriesPlan(slices=3, modality="MR")
    stored = plan.stored()
    kinds = {
        "echo": lambda n: {"MREchoSequence": {"EffectiveEchoTime": 10.0 * (n + 1)}},
        "b": lambda n: {"MRDiffusionSequence": {"DiffusionBValue": 500.0 * n}},
        "time": lambda n: {"FrameContentSequence": {"TemporalPositionIndex": n + 1}},
    }
    parts = {}
    for name, groups in kinds.items():
        frames = [Frame(k, stored[k] + n, groups(n), (k + 1, n + 1)) for n in range(2) for k in range(3)]
        shape = Shape(maker.ENHANCED_MR, pointers=(STACK_POSITION, TEMPORAL))
        write_multiframe(tmp_path / name / "a.dcm", plan, frames, shape)
        series = sorted_series(tmp_path / name)
        parts[name] = [one.part for one in series]
        assert [int(stack(one).array[0, 0, 0] - stored[0, 0, 0]) for one in series] == [0, 1]

    assert parts == {
        "echo": ["EchoTime=10.0", "EchoTime=20.0"],
        "b": ["DiffusionBValue=0.0", "DiffusionBValue=500.0"],
        "time": ["TemporalPositionIdentifier=1", "TemporalPositionIdentifier=2"],
    }


def test_a_private_dimension_tells_frames_apart(tmp_path: Path):
    """Where only a private dimension pointer differs, its index splits the frames."""
    plan = SeriesPlan(slices=3, modality="MR")
    frames = [Frame(k, plane + n, {}, (k + 1, n + 1)) for n in range(2) for k, plane in enumerate(plan.stored())]
    write_multiframe(tmp_path / "a.dcm", plan, frames, Shape(maker.ENHANCED_MR, pointers=(STACK_POSITION, 0x2005106E)))

    assert [one.part for one in sorted_series(tmp_path)] == ["DimensionIndex2=1", "DimensionIndex2=2"]


def test_several_enhanced_files_make_one_series(tmp_path: Path):
    """One file a time point is as many volumes; one file a slab of slices is one volume."""
    plan = SeriesPlan(slices=4, modality="MR")
    frames = _frames(plan)
    for number in (1, 2):
        shape = Shape(maker.ENHANCED_MR, number=number)
        write_multiframe(tmp_path / "times" / f"{number}.dcm", plan, frames, shape)
        slab = frames[2 * (number - 1) : 2 * number]
        write_multiframe(tmp_path / "slabs" / f"{number}.dcm", plan, slab, shape)

    times, slabs = sorted_series(tmp_path / "times"), sorted_series(tmp_path / "slabs")

    assert [len(one.slices) for one in times] == [4, 4]
    assert np.array_equal(stack(slabs[0]).array, plan.truth_of(plan.stored()).array)


@pytest.mark.parametrize("group", ["PixelMeasuresSequence", "PlaneOrientationSequence", "PlanePositionSequence"])
def test_a_missing_group_is_named(tmp_path: Path, group: str):
    """Without a place there is no volume; the refusal says which functional group is missing."""
    plan = SeriesPlan(slices=2)
    write_multiframe(tmp_path / "a.dcm", plan, _frames(plan), Shape(maker.ENHANCED_CT, without=(group,)))

    (outcome,) = sort_files(files_under(tmp_path), root=tmp_path).outcomes

    assert outcome.code == "dicom.no_geometry"
    assert group in outcome.message


def test_a_tiled_image_is_refused(tmp_path: Path):
    """Tiles of a slide are no slices."""
    plan = SeriesPlan(slices=2)
    write_multiframe(tmp_path / "a.dcm", plan, _frames(plan), Shape(maker.PARAMETRIC_MAP))
    edit([tmp_path / "a.dcm"], lambda one: setattr(one, "DimensionOrganizationType", "TILED_FULL"))

    (outcome,) = sort_files(files_under(tmp_path), root=tmp_path).outcomes

    assert (outcome.code, outcome.status) == ("dicom.unsupported_object", "skipped")
    assert "tiles" in outcome.message


def test_a_lying_frame_count_is_refused(tmp_path: Path):
    """Fewer frames described than claimed is an error with a code of its own."""
    plan = SeriesPlan(slices=3)
    write_multiframe(tmp_path / "a.dcm", plan, _frames(plan), Shape(maker.ENHANCED_CT))
    edit([tmp_path / "a.dcm"], lambda one: setattr(one, "NumberOfFrames", 2))

    (outcome,) = sort_files(files_under(tmp_path), root=tmp_path).outcomes

    assert outcome.code == "dicom.frame_count"
