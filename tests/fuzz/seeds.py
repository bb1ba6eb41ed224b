"""Good inputs to begin with, all synthetic and small."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import numpy as np
import pydicom
from pydicom.uid import CTImageStorage
from pynetdicom.pdu import A_ASSOCIATE_RQ
from pynetdicom.pdu_primitives import A_ASSOCIATE, ImplementationClassUIDNotification, MaximumLengthNotification
from pynetdicom.presentation import build_context

from racoon_data.labels import CodedConcept
from racoon_data.testing.makers import MadeSeries, Measured, a_seg, a_series, an_rtstruct, an_sr, rectangle

_GGO = CodedConcept("50196008", "SCT", "Ground-glass opacity")
_SITE = """[site]
name = "site-a"

[nodes.pacs]
host = "127.0.0.1"
port = 104
ae_title = "PACS"
"""


def series(folder: Path) -> MadeSeries:
    """Write the small series that annotations lie on."""
    return a_series(folder / "ct", slices=3, rows=8, columns=8, has_private_tags=True)


def objects(folder: Path) -> list[bytes]:
    """One image in each encoding without compression, and every kind of annotation."""
    image = series(folder).paths[0]
    dataset = pydicom.dcmread(image)
    forms = [image.read_bytes()]
    for syntax in ("1.2.840.10008.1.2", "1.2.840.10008.1.2.1.99"):
        dataset.file_meta.TransferSyntaxUID = pydicom.uid.UID(syntax)
        path = folder / f"{syntax}.dcm"
        implicit = syntax == "1.2.840.10008.1.2"
        pydicom.dcmwrite(path, dataset, implicit_vr=implicit, little_endian=True, enforce_file_format=True)
        forms.append(path.read_bytes())
    return [*forms, *annotations(folder / "other")]


def annotations(folder: Path) -> list[bytes]:
    """SEG, RTSTRUCT and SR on the small series."""
    made = series(folder)
    mask = np.zeros((3, 8, 8), dtype=bool)
    mask[1:3, 2:5, 2:5] = True
    (seg,) = a_seg(folder, made, {"GGO": mask})
    sr, _ = an_sr(folder, made, [Measured("GGO", _GGO, 12.5, -640.0)], segs=[seg])
    rtstruct, _ = an_rtstruct(folder, made, {"GTV": [rectangle(1, columns=(1, 4), rows=(1, 4))]})
    return [path.read_bytes() for path in (seg.path, sr, rtstruct)]


def planted(folder: Path) -> list[bytes]:
    """The same objects with identifiers in the places that name a patient."""
    found = []
    for number, raw in enumerate(objects(folder)):
        path = folder / f"planted{number}.dcm"
        path.write_bytes(raw)
        dataset = pydicom.dcmread(path)
        dataset.PatientName, dataset.PatientID = "PLANTED^IDENTITY", "PLANTED-4711-ID"
        dataset.PatientComments = "seen: PLANTED-4711-ID, PLANTED^IDENTITY"
        dataset.save_as(path)
        found.append(path.read_bytes())
    return found


def nrrd(folder: Path) -> list[bytes]:
    """A segmentation of 3D Slicer, raw and packed."""
    from tests.hostile.other_files import _nrrd

    voxels = bytes(100) + bytes([1] * 15) + bytes(9 * 7 * 5 - 115)
    return [_nrrd("9 7 5", "raw", voxels), _nrrd("9 7 5", "gzip", gzip.compress(voxels, mtime=0))]


def xml(folder: Path) -> list[bytes]:
    """An annotation in AIM."""
    from tests.annotations.tools.test_aim import AIM

    return [AIM.encode()]


def fhir(folder: Path) -> list[bytes]:
    """A bundle of FHIR."""
    from tests.annotations.tools.test_fhir import LESION, PATIENT, REPORT, SIDE, STUDY, VOLUME

    entries = [{"resource": one} for one in (PATIENT, STUDY, SIDE, LESION, VOLUME, REPORT)]
    return [json.dumps({"resourceType": "Bundle", "entry": entries}).encode()]


def multipart(folder: Path) -> list[bytes]:
    """A body of two parts, one with its length."""
    parts = b"--B\r\nContent-Type: application/dicom\r\n\r\nfirst part\r\n"
    parts += b"--B\r\nContent-Type: application/dicom\r\nContent-Length: 11\r\n\r\nsecond part\r\n--B--\r\n"
    return [parts, b"preamble\r\n" + parts + b"epilogue"]


def pdu(folder: Path) -> list[bytes]:
    """A request for an association, a C-ECHO, a C-STORE in two fragments and the release."""
    from racoon_data.pacs import commands
    from racoon_data.pacs.link import fragment_head

    primitive = A_ASSOCIATE()
    primitive.application_context_name = "1.2.840.10008.3.1.1.1"
    primitive.calling_ae_title, primitive.called_ae_title = "FUZZ", "RACOON"
    length, ours = MaximumLengthNotification(), ImplementationClassUIDNotification()
    length.maximum_length_received, ours.implementation_class_uid = 16384, pydicom.uid.UID("2.25.1")
    primitive.user_information = [length, ours]
    contexts = [build_context("1.2.840.10008.1.1"), build_context(CTImageStorage)]
    for number, context in enumerate(contexts):
        context.context_id = 2 * number + 1
    primitive.presentation_context_definition_list = contexts
    request = A_ASSOCIATE_RQ()
    request.from_primitive(primitive)
    store = commands.encode({
        commands.AFFECTED_CLASS: CTImageStorage, commands.FIELD: commands.C_STORE, commands.MESSAGE_ID: 1,
        commands.DATA_SET: 1, commands.AFFECTED_UID: "2.25.7",
    })  # fmt: skip
    sent = fragment_head(len(store), 3, 3) + store
    sent += fragment_head(4, 3, 0) + b"\x08\x00\x16\x00" + fragment_head(4, 3, 2) + b"UI\0\0"
    return [request.encode() + sent + b"\5\0\0\0\0\4\0\0\0\0", request.encode() + b"\5\0\0\0\0\4\0\0\0\0"]


def nifti(folder: Path) -> list[bytes]:
    """A small volume, plain and packed."""
    from racoon_data.files.nifti_header import Labels, write_header

    plain = write_header((4, 3, 2), np.dtype("int16"), np.diag([1.0, 2.0, 3.0, 1.0]), Labels()) + bytes(48)
    return [
        plain,
        gzip.compress(plain, mtime=0),
        gzip.compress(plain[:100], mtime=0) + gzip.compress(plain[100:], mtime=0),
    ]


def weights(folder: Path) -> list[bytes]:
    """One array."""
    from safetensors.numpy import save

    return [save({"w": np.ones((2, 3), dtype=np.float32)})]


def toml(folder: Path) -> list[bytes]:
    """The settings of a site."""
    return [_SITE.encode()]


def json_manifest(folder: Path) -> list[bytes]:
    """The manifest of a dataset."""
    from tests.dataset.makers import a_case, a_dataset

    a_dataset(folder / "lung", [a_case(1)])
    return [(folder / "lung" / "racoon.json").read_bytes()]
