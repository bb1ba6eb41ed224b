"""Lesions in files of their own become one case, and a lesion that cannot be read keeps its case out."""

import nibabel
import numpy as np
import pydicom

from racoon_data.testing.makers import SegStyle, a_seg, a_series, an_rtstruct, rectangle
from tests.journeys.steps import SMALL, reasons, walk


def three_lesions():
    """Three boxes apart from each other on a small series."""
    masks = {}
    for number, k in enumerate((1, 3, 5), start=1):
        mask = np.zeros((8, 24, 28), dtype=bool)
        mask[k, 3 * number : 3 * number + 6, 4:12] = True
        masks[f"Lesion {number}"] = mask
    return masks


def test_one_lesion_a_file_is_one_case(folder):
    """Three files of one reader give one label map that holds all three lesions."""
    series = a_series(folder / "archive" / "P2" / "ct", patient_id="P2", seed="P2", **SMALL)
    a_seg(folder / "archive" / "P2" / "seg", series, three_lesions(), style=SegStyle(is_one_per_file=True))

    account = walk(folder, expect=0)

    assert reasons(account, "cases") == {}
    labels = [nibabel.load(path) for path in (folder / "site" / "datasets" / "lung" / "labelsTr").glob("*.nii.gz")]
    assert sum(mask.sum() for mask in three_lesions().values()) in [int((one.get_fdata() > 0).sum()) for one in labels]


def test_a_lesion_left_out_keeps_its_case_out(folder):
    """A frame beside the grid costs its segment; the case is refused instead of calling the lesion background."""
    series = a_series(folder / "archive" / "P2" / "ct", patient_id="P2", seed="P2", **SMALL)
    (seg,) = a_seg(folder / "archive" / "P2" / "seg", series, three_lesions())
    dataset = pydicom.dcmread(seg.path)
    position = dataset.PerFrameFunctionalGroupsSequence[0].PlanePositionSequence[0]
    position.ImagePositionPatient = [position.ImagePositionPatient[0] + 0.4, *position.ImagePositionPatient[1:]]
    dataset.save_as(seg.path)

    account = walk(folder, expect=0)

    assert reasons(account, "cases") == {"case.incomplete_labels": 1}


def test_a_region_left_out_keeps_its_case_out(folder):
    """An ROI in a frame of reference of no series here costs its case, which would call it background."""
    series = a_series(folder / "archive" / "P2" / "ct", patient_id="P2", seed="P2", **SMALL)
    lines = {name: [rectangle(k, columns=(3, 12), rows=(3, 12))] for name, k in (("Lesion", 2), ("Lesion 2", 5))}
    path, _ = an_rtstruct(folder / "archive" / "P2" / "rs", series, lines)
    dataset = pydicom.dcmread(path)
    dataset.StructureSetROISequence[1].ReferencedFrameOfReferenceUID = "1.2.9.9"
    dataset.save_as(path)

    account = walk(folder, expect=0)

    assert reasons(account, "cases") == {"case.incomplete_labels": 1}
