"""Vendor habits as data: where each was learned, and the test that shows it."""

from __future__ import annotations

from dataclasses import dataclass

import pydicom
from pydicom.dataelem import DataElement

from racoon_data.dicom.headers import value_of


@dataclass(frozen=True, slots=True)
class Quirk:
    """A private attribute that carries what a public one should.

    Attributes:
        name: What it is, as our code calls it.
        vendor: Who writes it.
        creator: Private creator of its block.
        group: Group number.
        element: Element number inside the block.
        source: Where it is described.
        test: The test that shows it.
    """

    name: str
    vendor: str
    creator: str
    group: int
    element: int
    source: str
    test: str


_TESTS = "tests/dicom/test_quirks.py"
QUIRKS = (
    Quirk(
        "philips scale slope", "Philips", "Philips MR Imaging DD 001", 0x2005, 0x0E,
        "Chenevert et al., Transl Oncol 2014;7:65-71: FP = DV / (RS * SS)", f"{_TESTS}::test_philips_scale",
    ),
    Quirk(
        "philips SUV factor", "Philips", "Philips PET Private Group", 0x7053, 0x00,
        "Philips DICOM conformance statement, Gemini TF PET/CT, private attributes", "tests/convert/test_suv.py",
    ),
    Quirk(
        "philips activity factor", "Philips", "Philips PET Private Group", 0x7053, 0x09,
        "Philips DICOM conformance statement, Gemini TF PET/CT, private attributes", "tests/convert/test_suv.py",
    ),
    Quirk(
        "GE PET scan time", "GE", "GEMS_PETD_01", 0x0009, 0x0D,
        "QIBA SUV vendor-neutral pseudo-code, 2011", "tests/convert/test_suv.py",
    ),
    Quirk(
        "siemens CSA image header", "Siemens", "SIEMENS CSA HEADER", 0x0029, 0x10,
        "nipy.org/nibabel/dicom/siemens_csa.html", "tests/dicom/test_mosaic.py",
    ),
    Quirk(
        "siemens images in mosaic", "Siemens", "SIEMENS MR HEADER", 0x0019, 0x0A,
        "nipy.org/nibabel/dicom/dicom_mosaic.html", "tests/dicom/test_mosaic.py",
    ),
)  # fmt: skip
_BY_NAME = {quirk.name: quirk for quirk in QUIRKS}


def quirk_value(dataset: pydicom.Dataset, name: str) -> object | None:
    """Read a vendor's attribute, ``None`` where it is absent or empty.

    The private creator decides where its block lies; a PACS may have moved it.

    Args:
        dataset: Data set that may hold it.
        name: Name of a quirk.
    """
    quirk = _BY_NAME[name]
    try:
        element = dataset.private_block(quirk.group, quirk.creator)[quirk.element]
    except KeyError:
        return None
    return element.value if isinstance(element, DataElement) and element.value not in (None, "", b"") else None


def quirk_number(dataset: pydicom.Dataset, name: str) -> float | None:
    """Read a vendor's attribute as a number, also where it came as bytes of unknown kind."""
    value = quirk_value(dataset, name)
    if isinstance(value, bytes):
        value = value.decode("ascii", "replace").strip("\0 ").split("\\")[0]
    if isinstance(value, pydicom.multival.MultiValue):
        value = value[0]
    try:
        return float(str(value)) if value is not None else None
    except ValueError:
        return None


def philips_scale(dataset: pydicom.Dataset) -> float | None:
    """Give the private scale slope of Philips MR, of the slice or of the only item that carries it."""
    own = quirk_number(dataset, "philips scale slope")
    if own is None:
        for item in value_of(dataset, "RealWorldValueMappingSequence") or ():
            own = own or quirk_number(item, "philips scale slope")
    return own or None
