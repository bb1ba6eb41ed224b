"""Hospitals of thin datasets: single lung slices with known truth, written straight to disk for studies of training."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import numpy.typing as npt
from pydantic import Field

from racoon_data.cases import Acquisition, Case, Channel
from racoon_data.dataset.manifest import ManifestFacts, begin_dataset, write_manifest
from racoon_data.dataset.writer import write_case
from racoon_data.files.manifest import Split
from racoon_data.geometry import Geometry
from racoon_data.labels import Label, LabelMap, LabelSchema
from racoon_data.refs import CaseRef, SeriesRef
from racoon_data.settings import Frozen
from racoon_data.testing.lesions import NAMES
from racoon_data.testing.phantom import Phantom, Rendered, Scanner, a_phantom, render
from racoon_data.testing.uids import made_uid
from racoon_data.volumes import Volume

SCHEMA = LabelSchema("thin-lung", "1", tuple(Label(value, name) for value, name in NAMES.items()))
Labels = npt.NDArray[np.uint8]
Share = Annotated[float, Field(ge=0, le=1)]
Patients = Annotated[int, Field(ge=0)]
_LEVELS_MM = (-55.0, -40.0, -25.0, -10.0, 5.0, 20.0, 35.0, 50.0)


class ThinSite(Frozen):
    """A hospital of the study: how many patients, and what is special about its scanner, patients and readers.

    Attributes:
        name: Alias.
        train: Patients to train on.
        test: Patients to be judged on.
        blur_mm: Standard deviation of the reconstruction kernel in the slice.
        noise_hu: Standard deviation of the noise.
        offset_hu: Calibration error.
        prevalence: How often a patient has each class, in the order of their values.
        style_px: Readers outline training cases wider (dilation) or, if negative, tighter (erosion) by so many
            pixels; test cases carry the true outline.
    """

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,30}$")]
    train: Patients = 0
    test: Patients = 0
    blur_mm: Annotated[float, Field(ge=0)] = 1.5
    noise_hu: Annotated[float, Field(ge=0)] = 12.0
    offset_hu: float = 0.0
    prevalence: tuple[Share, Share, Share] = (0.5, 0.5, 0.5)
    style_px: Annotated[int, Field(ge=-3, le=3)] = 0


@dataclass(frozen=True, slots=True)
class Thinness:
    """What all thin sites share.

    Attributes:
        pixels: Rows and columns.
        pixel_mm: Distance between them.
        slices: Slices a patient, each a case of its own.
    """

    pixels: int = 64
    pixel_mm: float = 5.0
    slices: int = 2


def write_thin_site(root: Path, site: ThinSite, thinness: Thinness, *, seed: int) -> None:
    """Write a site's dataset; the same seed gives the same bytes.

    Args:
        root: Dataset folder.
        site: The site.
        thinness: Grid and slices.
        seed: Seed of its patients; give each site another one.
    """
    begin_dataset(root)
    records = []
    for number in range(site.train + site.test):
        split: Split = "train" if number < site.train else "test"
        style_px = site.style_px if split == "train" else 0
        cases = _patient(site, thinness, number=number, seed=seed, style_px=style_px)
        records += [write_case(case, root, schema=SCHEMA, split=split, fold=number % 5) for case in cases]
    facts = ManifestFacts(f"thin-{site.name}", site.name, {"maker": "thin slices"}, "0" * 64, SCHEMA, ("CT",))
    write_manifest(root, facts, records)


def _patient(site: ThinSite, thinness: Thinness, *, number: int, seed: int, style_px: int) -> list[Case]:
    rng = np.random.default_rng([seed, number, 31])
    person = a_phantom(seed, number=number)
    kinds = {value for value, share in zip(NAMES, site.prevalence, strict=True) if rng.random() < share}
    person = Phantom(person.anatomy, tuple(lesion for lesion in person.lesions if lesion.kind in kinds))
    scanner = Scanner(site.noise_hu, site.blur_mm, site.offset_hu)
    name = f"{site.name}-{number + 1:03d}"
    cases = []
    for place, level in enumerate(_levels(person, thinness), start=1):
        grid = _grid(thinness, level)
        rendered = render(person, grid, scanner, seed=seed * 1009 + number * 7 + place)
        cases.append(_case(f"{name}-{place}", name, grid, rendered, style_px))
    return cases


def _levels(person: Phantom, thinness: Thinness) -> list[float]:
    """Choose the levels with most disease."""
    quiet = Scanner(0.0, 0.0, 0.0)
    sizes = [int((render(person, _grid(thinness, level), quiet).labels > 0).sum()) for level in _LEVELS_MM]
    best = sorted(range(len(sizes)), key=lambda place: (-sizes[place], place))[: thinness.slices]
    return [_LEVELS_MM[place] for place in sorted(best)]


def _grid(thinness: Thinness, level_mm: float) -> Geometry:
    corner = -(thinness.pixels - 1) * thinness.pixel_mm / 2
    step = thinness.pixel_mm
    affine = ((step, 0.0, 0.0, corner), (0.0, step, 0.0, corner), (0.0, 0.0, step, level_mm), (0.0, 0.0, 0.0, 1.0))
    return Geometry((thinness.pixels, thinness.pixels, 1), affine)


def _case(case_id: str, patient: str, grid: Geometry, rendered: Rendered, style_px: int) -> Case:
    image = Volume(np.rint(rendered.hu).astype(np.int16), grid, "HU")
    series = SeriesRef(made_uid("thin", patient), made_uid("thin", case_id))
    channel = Channel("CT", image, series, Acquisition(modality="CT"))
    labels = LabelMap(styled(rendered.labels, style_px), grid, tuple(NAMES.values()))
    return Case(CaseRef(case_id), patient, (channel,), labels)


def styled(labels: Labels, style_px: int) -> Labels:
    """Outline every class wider or tighter by pixels in the plane; classes grow into background only.

    Args:
        labels: ``[k, j, i]``.
        style_px: Pixels; negative for tighter.
    """
    for _ in range(abs(style_px)):
        labels = _grown(labels) if style_px > 0 else _shrunk(labels)
    return labels


def _neighbours(labels: Labels) -> list[Labels]:
    padded = np.pad(labels, ((0, 0), (1, 1), (1, 1)))
    return [padded[:, 1:-1, 2:], padded[:, 1:-1, :-2], padded[:, 2:, 1:-1], padded[:, :-2, 1:-1]]


def _grown(labels: Labels) -> Labels:
    return np.where(labels > 0, labels, np.max(_neighbours(labels), axis=0))


def _shrunk(labels: Labels) -> Labels:
    inside = np.all([each == labels for each in _neighbours(labels)], axis=0)
    return np.where(inside, labels, 0).astype(np.uint8)
