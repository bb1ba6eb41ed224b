"""A hospital's archive of phantoms on disk, and the truth about every voxel of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from racoon_data.geometry import Geometry
from racoon_data.labels import CodedConcept
from racoon_data.refs import SeriesRef
from racoon_data.testing.habits import styled, with_prevalence
from racoon_data.testing.lung_codes import CODINGS
from racoon_data.testing.makers import write_series
from racoon_data.testing.phantom import NAMES, Phantom, Rendered, Scanner, a_phantom, render
from racoon_data.testing.reports import Measured, an_sr
from racoon_data.testing.segmentations import MadeSeg, SegStyle, a_seg
from racoon_data.testing.series_plan import MadeSeries, Person, SeriesPlan
from racoon_data.testing.site_plans import SitePlan, default_plans, external_plan
from racoon_data.testing.uids import made_uid

__all__ = ["SitePlan", "SiteTruth", "StudyTruth", "default_plans", "external_plan", "write_site"]

_HEIGHT_MM = 168.0
_SHARP_NOISE = 2.5
_FAMILIES = ("Ahrens", "Brandt", "Claasen", "Dietz", "Eggers", "Fink", "Gerdes", "Harms", "Jäger", "Müller")
_GIVEN = ("Anna", "Bernd", "Clara", "Detlef", "Elke", "Frank", "Greta")


@dataclass(frozen=True, slots=True, eq=False)
class StudyTruth:
    """What is true about one study.

    Attributes:
        patient_id: PatientID as written.
        study_uid: StudyInstanceUID.
        image: The annotated series: the one a right case rule chooses.
        labels: True label of every voxel ``[k, j, i]``, uint8, classes that were not annotated too.
        geometry: Grid of ``labels``.
        volume_ml: True volume of each class, 0 where absent.
    """

    patient_id: str
    study_uid: str
    image: SeriesRef
    labels: npt.NDArray[np.uint8]
    geometry: Geometry
    volume_ml: Mapping[str, float]


@dataclass(frozen=True, slots=True, eq=False)
class SiteTruth:
    """What is true about a site.

    Attributes:
        plan: The site's habits.
        studies: Truth by StudyInstanceUID.
    """

    plan: SitePlan
    studies: Mapping[str, StudyTruth]

    def annotated_ml(self, study_uid: str) -> dict[str, float]:
        """True volumes of the classes this site outlines; a reader with a style outlines more or less."""
        volumes = self.studies[study_uid].volume_ml
        return {name: volumes[name] for name in self.plan.annotated}


def write_site(folder: Path, plan: SitePlan, *, patients: int, seed: int) -> SiteTruth:
    """Write a hospital's archive: for each patient a CT with its segmentations and report.

    Args:
        folder: Where it goes; one folder a patient.
        plan: The site's habits.
        patients: How many.
        seed: Seed of the site; give each site another one. The same seed gives the same bytes.

    Returns:
        The truth by study.
    """
    truths = [_write_patient(folder, plan, number=number, seed=seed) for number in range(patients)]
    return SiteTruth(plan, {truth.study_uid: truth for truth in truths})


def _write_patient(folder: Path, plan: SitePlan, *, number: int, seed: int) -> StudyTruth:
    phantom = with_prevalence(
        a_phantom(seed, number=number), plan.prevalence, np.random.default_rng([seed, number, 31])
    )
    base = _series_plan(plan, number=number, seed=seed)
    home = folder / base.patient_id
    rendered = render(phantom, base.geometry, plan.scanner, seed=seed * 1009 + number)
    series = write_series(home / "scan", replace(base, value_of=rendered.hu))
    _write_others(home, plan, base=base, phantom=phantom)
    segs = _write_segs(home / "annotations", plan, series=series, rendered=rendered)
    if plan.has_report:
        measured = _measurements(plan, rendered, series.geometry)
        an_sr(home / "annotations", series, measured, segs=segs, observer=f"Leser^{plan.name.title()}")
    volumes = {name: _ml(rendered.labels == value, series.geometry) for value, name in NAMES.items()}
    return StudyTruth(base.patient_id, base.study, series.ref, rendered.labels, series.geometry, volumes)


def _series_plan(plan: SitePlan, *, number: int, seed: int) -> SeriesPlan:
    slices = round(_HEIGHT_MM / plan.thickness_mm)
    base = SeriesPlan(
        slices=slices,
        rows=plan.pixels,
        columns=plan.pixels,
        spacing_mm=(plan.pixel_mm, plan.pixel_mm, plan.thickness_mm),
        orientation=plan.cosines,
        description="Thorax nativ",
        kernel=plan.kernel,
        manufacturer=plan.manufacturer,
        patient_id=f"{plan.name.upper()}-{number + 1:04d}",
        person=_person(plan, number),
        position=plan.position,
        is_numbered_backwards=plan.is_numbered_backwards,
        has_private_tags=True,
        seed=(plan.name, seed),
        origin_lps=(0, 0, 0),
    )
    middle = np.array(base.geometry.position_lps([(size - 1) / 2 for size in base.geometry.shape]))
    x, y, z = (round(float(-value), 3) for value in middle)
    return replace(base, origin_lps=(x, y, z))


def _person(plan: SitePlan, number: int) -> Person:
    chance = int(made_uid(plan.name, number).rsplit(".", maxsplit=1)[1]) % 9973
    return Person(
        name=f"{_FAMILIES[chance % len(_FAMILIES)]}^{_GIVEN[chance % len(_GIVEN)]}",
        birth_date=f"19{40 + chance % 50:02d}{1 + chance % 12:02d}{1 + chance % 28:02d}",
        sex="FM"[chance % 2],
        age=f"{80 - chance % 50:03d}Y",
        institution=f"Klinikum {plan.name.title()}",
        accession_number=f"{plan.name[:2].upper()}{chance:06d}",
        study_date=f"2020{1 + chance % 12:02d}{1 + chance % 28:02d}",
    )


def _write_others(home: Path, plan: SitePlan, *, base: SeriesPlan, phantom: Phantom) -> None:
    if plan.second_kernel:
        sharp = Scanner(plan.scanner.noise_hu * _SHARP_NOISE, 0.0, plan.scanner.offset_hu)
        again = replace(base, kernel=plan.second_kernel, series_number=3, description="Thorax nativ scharf")
        hu = render(phantom, again.geometry, sharp, seed=11).hu
        write_series(home / "second", replace(again, value_of=hu))
    if plan.has_localizer:
        _write_localizer(home / "localizer", base, phantom)


def _write_localizer(folder: Path, base: SeriesPlan, phantom: Phantom) -> None:
    plan = replace(
        base,
        slices=1,
        rows=64,
        columns=64,
        spacing_mm=(5.0, 5.0, 5.0),
        orientation="coronal",
        origin_lps=(-157.5, 0, 157.5),
        description="Topogramm",
        image_type=("ORIGINAL", "PRIMARY", "LOCALIZER"),
        series_number=1,
        is_numbered_backwards=False,
    )
    write_series(folder, replace(plan, value_of=render(phantom, plan.geometry, Scanner(20, 0)).hu))


def _write_segs(folder: Path, plan: SitePlan, *, series: MadeSeries, rendered: Rendered) -> tuple[MadeSeg, ...]:
    masks = _masks(plan, rendered)
    if not masks:
        return ()
    coding = CODINGS[plan.coding]
    style = SegStyle(
        codes={name: coding.types[_class_of(name)] for name in masks},
        labels={name: coding.names[_class_of(name)] for name in masks},
        category=coding.category,
        region=coding.region,
        is_one_per_file=plan.is_one_lesion_per_file,
        creator=f"Leser^{plan.name.title()}",
        description="Befunde",
    )
    return a_seg(folder, series, masks, style=style)


def _masks(plan: SitePlan, rendered: Rendered) -> dict[str, npt.NDArray[np.bool_]]:
    masks: dict[str, npt.NDArray[np.bool_]] = {}
    outlined = styled(rendered.labels, plan.style_px)
    for value, name in NAMES.items():
        of_class = outlined == value
        if name not in plan.annotated or not of_class.any():
            continue
        if not plan.is_one_lesion_per_file:
            masks[name] = of_class
            continue
        for lesion in np.unique(rendered.lesions[of_class]):
            masks[f"{name}#{lesion}"] = rendered.lesions == lesion
    return masks


def _class_of(name: str) -> str:
    return name.partition("#")[0]


def _measurements(plan: SitePlan, rendered: Rendered, geometry: Geometry) -> list[Measured]:
    coding = CODINGS[plan.coding]
    return [
        Measured(
            name=name,
            finding=coding.types[_class_of(name)],
            volume_ml=_ml(mask, geometry),
            mean_hu=float(rendered.hu[mask].mean()),
            severity=_severity(_ml(mask, geometry)),
            site=coding.region,
        )
        for name, mask in _masks(plan, rendered).items()
    ]


def _severity(volume_ml: float) -> CodedConcept:
    if volume_ml < 50:
        return CodedConcept("255604002", "SCT", "Mild")
    if volume_ml < 200:
        return CodedConcept("6736007", "SCT", "Moderate")
    return CodedConcept("24484000", "SCT", "Severe")


def _ml(mask: npt.NDArray[np.bool_], geometry: Geometry) -> float:
    return float(np.count_nonzero(mask) * geometry.voxel_ml)
