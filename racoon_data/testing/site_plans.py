"""Hospitals that differ as hospitals do: plans of the phantom sites."""

from __future__ import annotations

from dataclasses import dataclass, field

from racoon_data.testing.habits import Prevalence
from racoon_data.testing.lung_codes import CLASSES
from racoon_data.testing.phantom import Scanner
from racoon_data.testing.series_plan import Cosines

HEAD_FIRST: Cosines = (1, 0, 0, 0, 1, 0)
FEET_FIRST: Cosines = (-1, 0, 0, 0, 1, 0)
# a stack tipped 6 degrees about the patient's left-right axis, without shear
TIPPED: Cosines = (1, 0, 0, 0, 0.9945218954, 0.1045284633)


@dataclass(frozen=True, slots=True)
class SitePlan:
    """One hospital's habits.

    Attributes:
        name: Site name.
        thickness_mm: Distance between slices.
        pixels: Rows and columns.
        pixel_mm: Distance between rows and columns.
        scanner: Noise, blur and calibration error.
        kernel: ConvolutionKernel of the annotated series.
        manufacturer: Manufacturer.
        cosines: ImageOrientationPatient.
        is_numbered_backwards: InstanceNumber falls along the slice normal.
        coding: Key of ``lung_codes.CODINGS``.
        is_one_lesion_per_file: One SEG file for each lesion instead of one for all.
        annotated: Classes that are outlined here; a class that is missing is never looked for.
        has_report: A TID 1500 report lies beside each segmentation.
        has_localizer: A localizer series of one image precedes the scan.
        second_kernel: Kernel of a second reconstruction of the same scan, empty for none.
        prevalence: How often a patient keeps each kind of disease, in the order of label values.
        style_px: Readers outline wider, or if negative tighter, than the truth by so many pixels.
    """

    name: str
    thickness_mm: float = 5.0
    pixels: int = 96
    pixel_mm: float = 3.3
    scanner: Scanner = field(default_factory=Scanner)
    kernel: str = "B31f"
    manufacturer: str = "Phantom Imaging A"
    cosines: Cosines = HEAD_FIRST
    is_numbered_backwards: bool = False
    coding: str = "SCT"
    is_one_lesion_per_file: bool = False
    annotated: tuple[str, ...] = CLASSES
    has_report: bool = True
    has_localizer: bool = False
    second_kernel: str = ""
    prevalence: Prevalence = (1.0, 1.0, 1.0)
    style_px: int = 0

    @property
    def position(self) -> str:
        """PatientPosition."""
        return "FFS" if self.cosines == FEET_FIRST else "HFS"


_SOFT, _SHARP = Scanner(12, 2.2, 0), Scanner(38, 0.8, 15)

_PLANS = (
    SitePlan("alster", 5.0, scanner=_SOFT, second_kernel="B70f"),
    SitePlan(
        "brenz",
        3.0,
        scanner=_SHARP,
        kernel="LUNG",
        manufacturer="Phantom Imaging B",
        cosines=FEET_FIRST,
        coding="SRT",
        is_one_lesion_per_file=True,
        has_localizer=True,
    ),
    SitePlan(
        "donau",
        4.0,
        pixels=88,
        pixel_mm=3.6,
        scanner=Scanner(22, 1.4, -25),
        kernel="FC08",
        manufacturer="Phantom Imaging C",
        cosines=TIPPED,
        is_numbered_backwards=True,
        coding="RACOON",
        annotated=CLASSES[:2],
        has_localizer=True,
    ),
    SitePlan(
        "elbe",
        7.5,
        scanner=Scanner(9, 2.8, 8),
        kernel="B20s",
        coding="SRT",
        second_kernel="B60s",
        prevalence=(1.0, 0.5, 0.7),
    ),
    SitePlan(
        "fulda",
        4.5,
        pixels=104,
        pixel_mm=3.1,
        scanner=Scanner(28, 1.0, -10),
        kernel="BONEPLUS",
        manufacturer="Phantom Imaging B",
        cosines=FEET_FIRST,
        is_numbered_backwards=True,
        style_px=1,
    ),
    SitePlan(
        "isar",
        6.0,
        scanner=Scanner(18, 1.8, 30),
        kernel="C",
        manufacturer="Phantom Imaging D",
        coding="RACOON",
        has_report=False,
        has_localizer=True,
        prevalence=(0.6, 1.0, 1.0),
        style_px=-1,
    ),
)


def default_plans(sites: int) -> tuple[SitePlan, ...]:
    """Give the plans of the first sites.

    Args:
        sites: 1 to 6.

    Raises:
        ValueError: More sites are asked for than are planned.
    """
    if not 1 <= sites <= len(_PLANS):
        raise ValueError(f"there are 1 to {len(_PLANS)} phantom sites, not {sites}")
    return _PLANS[:sites]


def external_plan() -> SitePlan:
    """Give the plan of the site that never trains: another scanner, everything annotated."""
    scanner = Scanner(20, 1.2, -15)
    return SitePlan("havel", 3.5, scanner=scanner, kernel="YA", manufacturer="Phantom Imaging E", has_localizer=True)
