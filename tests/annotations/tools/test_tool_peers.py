"""Files as other tools really write them: dcmqi's volumes and meta JSON, NRRD and NIfTI by ITK."""

import subprocess

import numpy as np
import pytest
import SimpleITK

from racoon_data.annotations.folder import find_annotations
from racoon_data.annotations.read import read_annotation
from racoon_data.dicom.stacking import geometry_of
from racoon_data.testing.makers import a_seg, a_series
from tests.annotations.helpers import box
from tests.annotations.tools.makers import slicer_keys, write_json


@pytest.mark.peers("segimage2itkimage")
@pytest.mark.parametrize(("kind", "prefix"), [("nii", ("--prefix", "x")), ("nrrd", ())])
def test_what_dcmqi_unpacks_comes_back_whole(tmp_path, kind, prefix):
    """Overlapping segments of a SEG, unpacked by dcmqi with its meta JSON, are the same masks with the same codes."""
    made = a_series(tmp_path / "ct", slices=6)
    shape = made.geometry.array_shape
    truth = {"one": box(shape, k=slice(1, 4), j=slice(3, 9), i=slice(2, 11)), "two": box(shape, k=2, j=5, i=5)}
    [seg] = a_seg(tmp_path / "seg", made, truth)
    (tmp_path / "in").mkdir()
    command = ["segimage2itkimage", "--inputDICOM", seg.path, "--outputDirectory", tmp_path / "in"]
    subprocess.run([*map(str, command), *prefix, "--outputType", kind], check=True, capture_output=True)

    [link] = find_annotations(tmp_path / "in", images=tmp_path / "ct").links

    found = read_annotation(link, geometry_of(link.series))
    masks = {one.segment.name: one.mask for one in found.masks}
    assert (found.kind, link.confidence) == ("dcmqi", "geometry")
    assert masks.keys() == truth.keys()
    assert all(np.array_equal(masks[name], truth[name]) for name in truth)
    assert {one.segment.type.value for one in found.masks} == {"52988006"}


@pytest.mark.parametrize("suffix", ["nrrd", "seg.nrrd", "nii.gz"])
def test_what_itk_writes_lies_in_its_place(tmp_path, suffix):
    """An oblique mask written by SimpleITK, compressed, lies voxel for voxel on the oblique image."""
    made = a_series(tmp_path / "ct", slices=6, orientation="oblique")
    mask = box(made.geometry.array_shape, k=slice(1, 4), j=slice(3, 9), i=slice(2, 11))
    image = SimpleITK.GetImageFromArray(mask.astype(np.uint8))
    matrix, spacing = made.geometry.matrix, made.geometry.spacing_mm
    image.SetOrigin(matrix[:3, 3].tolist())
    image.SetSpacing(spacing)
    image.SetDirection((matrix[:3, :3] / spacing).ravel().tolist())
    for key, value in slicer_keys({"Name": "x", "LabelValue": 1, "Layer": 0}).items():
        image.SetMetaData(key, value)
    (tmp_path / "in").mkdir()
    SimpleITK.WriteImage(image, str(tmp_path / "in" / f"m.{suffix}"), True)
    if not suffix.startswith("seg"):
        masks = [{"file": f"m.{suffix}", "labels": [{"value": 1, "name": "x"}]}]
        write_json(
            tmp_path / "in" / "m.labels.json", {"format": "racoon-labels", "schema_version": "1.0", "masks": masks}
        )

    links = find_annotations(tmp_path / "in", images=tmp_path / "ct").links

    assert {link.confidence for link in links} == {"geometry"}
    for link in links:
        np.testing.assert_array_equal(read_annotation(link, geometry_of(link.series)).masks[0].mask, mask)
