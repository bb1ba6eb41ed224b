"""Reports that highdicom wrote: its planar and volumetric regions, its groups and ours."""

import highdicom
import numpy as np
import pydicom
from highdicom import sr
from highdicom.sr import srread
from pydicom.sr.codedict import codes

from racoon_data.annotations.sr import SrReader
from racoon_data.testing.makers import a_series
from racoon_data.testing.saving import save
from tests.annotations.helpers import box, masks_of, read_with

CORNERS = np.array([(2.5, 3.5), (8.5, 3.5), (8.5, 7.5), (2.5, 7.5), (2.5, 3.5)])


def shared(name):
    """What every group of highdicom takes."""
    tracked = sr.TrackingIdentifier(uid=highdicom.UID(), identifier=name)
    volume = sr.Measurement(name=codes.SCT.Volume, value=1.5, unit=codes.UCUM.CubicMillimeter)
    return {"tracking_identifier": tracked, "finding_type": codes.SCT.Neoplasm, "measurements": [volume]}


def groups_of(made, ends_mm):
    """A polygon on a slice, a polygon in space and an ellipsoid, as highdicom builds them."""
    classes, uid = pydicom.dcmread(made.paths[2]).SOPClassUID, made.sop_uids[2]
    flat = sr.ImageRegion(sr.GraphicTypeValues.POLYLINE, CORNERS + 0.5, sr.SourceImageForRegion(classes, uid))
    places = np.array([made.geometry.position_lps((i, j, 3)) for i, j in CORNERS])
    frame = made.geometry.frame_of_reference
    space = sr.ImageRegion3D(sr.GraphicTypeValues3D.POLYGON, places, frame)
    source = sr.SourceSeriesForSegmentation(made.ref.series_uid)
    surface = sr.VolumeSurface(sr.GraphicTypeValues3D.ELLIPSOID, ends_mm, frame, source_series=source)
    planar, volumetric = (
        sr.PlanarROIMeasurementsAndQualitativeEvaluations,
        sr.VolumetricROIMeasurementsAndQualitativeEvaluations,
    )
    return [
        planar(referenced_region=flat, **shared("flat")),
        planar(referenced_region=space, **shared("space")),
        volumetric(referenced_volume_surface=surface, **shared("ellipsoid")),
    ]


def test_regions_written_by_highdicom_are_exact(tmp_path):
    """Its polygon on an image, its polygon in space and its ellipsoid are the voxels they mean."""
    made = a_series(tmp_path / "ct", slices=6)
    middle, radii = np.array(made.geometry.position_lps((15, 12, 2.4))), np.array([5.1, 4.2, 3.3])
    ends = np.array([middle + sign * radii[axis] * np.eye(3)[axis] for axis in range(3) for sign in (-1, 1)])
    person = sr.PersonObserverIdentifyingAttributes(name="Leser^Lena")
    context = sr.ObservationContext(
        observer_person_context=sr.ObserverContext(codes.DCM.Person, observer_identifying_attributes=person)
    )
    report = sr.MeasurementReport(
        context,
        codes.LN.CTUnspecifiedBodyRegion,
        imaging_measurements=groups_of(made, ends),
        title=codes.DCM.ImagingMeasurementReport,
    )
    evidence = [pydicom.dcmread(path) for path in made.paths]
    uids = {"series_instance_uid": highdicom.UID(), "sop_instance_uid": highdicom.UID()}
    document = sr.Comprehensive3DSR(
        evidence, report[0], series_number=3, instance_number=1, manufacturer="M", is_complete=True, **uids
    )
    save(document, tmp_path / "sr.dcm")

    annotation = read_with(SrReader(), tmp_path / "sr.dcm", made)

    shape = made.geometry.array_shape
    k, j, i = np.indices(shape)
    places = np.stack([i, j, k], axis=-1) @ made.geometry.matrix[:3, :3].T + made.geometry.matrix[:3, 3]
    truths = {
        "flat": box(shape, k=2, j=slice(4, 8), i=slice(3, 9)),
        "space": box(shape, k=3, j=slice(4, 8), i=slice(3, 9)),
        "ellipsoid": (((places - middle) / radii) ** 2).sum(axis=-1) <= 1,
    }
    for name, truth in truths.items():
        np.testing.assert_array_equal(masks_of(annotation)[name], truth, err_msg=name)
    assert annotation.issues == ()
    theirs = srread(tmp_path / "sr.dcm").content
    found = [*theirs.get_planar_roi_measurement_groups(), *theirs.get_volumetric_roi_measurement_groups()]
    assert [row.tracking_uid for row in annotation.findings] == [str(group.tracking_uid) for group in found]
    assert [row.group_kind for row in annotation.findings] == ["planar", "planar", "volumetric"]
