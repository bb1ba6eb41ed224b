"""Other tools write and rewrite segmentations; what they wrote is read the same."""

import subprocess
import warnings

import highdicom
import numpy as np
import pydicom
import pytest

from racoon_data.testing.makers import a_series
from racoon_data.testing.seg_cases import seg_cases, two_balls
from tests.annotations.helpers import masks_of, read_seg

SIZE = {"slices": 7, "rows": 33, "columns": 35}


@pytest.mark.peers("dcmconv")
@pytest.mark.parametrize("option", ["+tb", "+td", "+ti"])
def test_dcmtk_rewrites_in_another_byte_order(tmp_path, option):
    """Big endian, deflated and implicit copies made by dcmtk hold the same masks."""
    series = a_series(tmp_path / "ct", **SIZE)
    wanted = {"binary", "fractional probability", "label map of 16 bits"}
    for case in seg_cases(tmp_path / "seg", series):
        if case.name not in wanted:
            continue
        copy = tmp_path / "copy.dcm"
        subprocess.run(["dcmconv", option, str(case.path), str(copy)], check=True, capture_output=True, timeout=60)
        found = masks_of(read_seg(copy, series))
        for name, truth in case.truth.items():
            np.testing.assert_array_equal(found[name], truth, err_msg=f"{case.name}: {name}")


@pytest.mark.parametrize("syntax", [pydicom.uid.ExplicitVRLittleEndian, pydicom.uid.JPEG2000Lossless])
def test_highdicom_writes_bits_that_are_read(tmp_path, syntax):
    """Packed bits and JPEG 2000 of one bit a pixel, both by highdicom, give the same masks."""
    series = a_series(tmp_path / "ct", **SIZE)
    masks = two_balls(series)
    code = highdicom.sr.CodedConcept("52988006", "SCT", "Lesion")
    described = [highdicom.seg.SegmentDescription(n, name, code, code, "MANUAL") for n, name in enumerate(masks, 1)]
    images = [pydicom.dcmread(path) for path in series.paths]
    pixels = np.stack(list(masks.values()), axis=-1).astype(np.uint8)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        seg = highdicom.seg.Segmentation(
            images, pixels, "BINARY", described, "1.2.3.1", 1, "1.2.3.2", 1, "m", "n", "1", "1",
            transfer_syntax_uid=syntax,
        )  # fmt: skip
    seg.save_as(tmp_path / "seg.dcm")

    found = masks_of(read_seg(tmp_path / "seg.dcm", series))

    for name, truth in masks.items():
        np.testing.assert_array_equal(found[name], truth)
