"""Our readers keep the contract that plug-in readers are held to."""

from racoon_data.annotations.rtstruct import RtstructReader
from racoon_data.annotations.seg import SegReader
from racoon_data.annotations.sr import SrReader
from racoon_data.testing.contracts import AnnotationReaderContract, Outlined
from racoon_data.testing.makers import Measured, a_seg, an_rtstruct, an_sr, rectangle
from racoon_data.testing.segmentations import LESION
from tests.annotations.helpers import box


def a_box(series):
    """A mask in the middle of a series."""
    return box(series.geometry.array_shape, k=slice(2, 4), j=slice(5, 9), i=slice(7, 15))


class TestSegReader(AnnotationReaderContract):
    """DICOM SEG."""

    def reader(self):
        """The reader of segmentations."""
        return SegReader()

    def outline(self, folder, series):
        """Two overlapping segments."""
        masks = {"a": a_box(series), "b": box(series.geometry.array_shape, k=3, j=slice(2, 20), i=slice(3, 9))}
        (seg,) = a_seg(folder, series, masks)
        return Outlined(seg.path, seg.ref, masks)


class TestRtstructReader(AnnotationReaderContract):
    """RT Structure Sets."""

    def reader(self):
        """The reader of structure sets."""
        return RtstructReader()

    def outline(self, folder, series):
        """A box of contours."""
        contours = [rectangle(k, columns=(6.5, 14.5), rows=(4.5, 8.5)) for k in (2, 3)]
        path, ref = an_rtstruct(folder, series, {"a": contours})
        return Outlined(path, ref, {"a": a_box(series)})


class TestSrReader(AnnotationReaderContract):
    """Measurement reports."""

    def reader(self):
        """The reader of reports."""
        return SrReader()

    def outline(self, folder, series):
        """A volume and a severity."""
        path, ref = an_sr(folder, series, [Measured("a", LESION, 1.25)])
        return Outlined(path, ref, {}, findings=2)
