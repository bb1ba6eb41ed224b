"""Our own readers of other tools' files keep the contract they ask of others."""

import json

import numpy as np

from racoon_data.annotations.tools.dcmqi import DcmqiReader
from racoon_data.annotations.tools.fhir import FhirReader
from racoon_data.annotations.tools.labelled import LabelFileReader
from racoon_data.annotations.tools.mitk import MitkReader
from racoon_data.files.nifti import write_nifti
from racoon_data.testing.contracts import Exported, ToolReaderContract
from tests.annotations.helpers import box
from tests.annotations.tools.makers import a_label_file, a_mitk_stack, temporo, write_json


def masks_on(series):
    """Two masks that do not overlap."""
    shape = series.geometry.array_shape
    return {"one": box(shape, k=slice(1, 3), j=slice(2, 6), i=slice(1, 7)), "two": box(shape, k=4, j=9, i=slice(5, 9))}


class TestLabelFile(ToolReaderContract):
    """NIfTI with our label file."""

    def reader(self):
        """The reader."""
        return LabelFileReader()

    def export(self, folder, series):
        """Two labels in two files."""
        masks = masks_on(series)
        return Exported(a_label_file(folder, masks, series.geometry, series_uids=[series.ref.series_uid]), masks)


class TestMitk(ToolReaderContract):
    """MITK stacks."""

    def reader(self):
        """The reader."""
        return MitkReader()

    def export(self, folder, series):
        """A group of two labels that references every image."""
        masks = masks_on(series)
        sops = {"DICOM.0008.2112.[0].0008.1155": temporo(*series.sop_uids)["value"]}
        return Exported(a_mitk_stack(folder, masks, series.geometry, **sops), masks)


class TestDcmqi(ToolReaderContract):
    """dcmqi's meta JSON; it names no series, so that part of the contract is left out."""

    test_it_names_its_series = None

    def reader(self):
        """The reader."""
        return DcmqiReader()

    def export(self, folder, series):
        """Two labels in one volume."""
        masks = masks_on(series)
        values = sum(mask.astype(np.uint8) * value for value, mask in enumerate(masks.values(), start=1))
        write_nifti(folder / "x.nii.gz", values, series.geometry)
        items = [{"labelID": value, "SegmentLabel": name} for value, name in enumerate(masks, start=1)]
        return Exported(write_json(folder / "x.json", {"segmentAttributes": [items]}), masks)


class TestFhir(ToolReaderContract):
    """FHIR bundles."""

    def reader(self):
        """The reader."""
        return FhirReader()

    def export(self, folder, series):
        """One observation on the study."""
        study = {"system": "urn:dicom:uid", "value": f"urn:oid:{series.ref.study_uid}"}
        observation = {
            "resourceType": "Observation",
            "status": "final",
            "code": {"coding": [{"system": "http://snomed.info/sct", "code": "118565006"}]},
            "valueQuantity": {"value": 1.5, "system": "http://unitsofmeasure.org", "code": "ml"},
            "derivedFrom": [{"identifier": study}],
        }
        bundle = {"resourceType": "Bundle", "entry": [{"resource": observation}]}
        return Exported(write_json(folder / "bundle.json", json.loads(json.dumps(bundle))), {}, findings=1)
