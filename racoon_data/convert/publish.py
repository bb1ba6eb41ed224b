"""A volume to a published NIfTI file: written aside, certified on its very bytes, then renamed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from racoon_data.convert.certificate import PLAIN, certify
from racoon_data.convert.promises import Terms
from racoon_data.convert.resampled import certify_resampled
from racoon_data.dicom.filling import Stacked
from racoon_data.dicom.regularity import checks_of
from racoon_data.dicom.series import Series
from racoon_data.files.atomic import whole_file
from racoon_data.files.nifti import is_sheared, write_nifti_as
from racoon_data.files.nifti_header import Labels


@dataclass(frozen=True, slots=True)
class How:
    """How a volume came about.

    Attributes:
        terms: What its values were made to mean.
        step_s: Seconds between volumes, 0 where unknown.
        is_resampled: It lies on another grid than its slices.
    """

    terms: Terms = PLAIN
    step_s: float = 0.0
    is_resampled: bool = False


DIRECT = How()


def publish(volume: Stacked, stacks: Sequence[Series], path: Path, *, how: How = DIRECT) -> dict[str, object]:
    """Write a volume and let it appear under its name only when it is right.

    Args:
        volume: The stacked series, or several in time.
        stacks: The slices of each volume it came from.
        path: ``.nii.gz`` file to appear.
        how: What its values were made to mean, and how it is to be checked.

    Returns:
        JSON-ready facts: ``file``, ``sha256``, ``bytes``, ``dtype``, ``unit``, ``geometry`` and
        ``certificate``.

    Raises:
        UncertifiedError: The written bytes do not hold what the headers promise; no file appears.
        DiskFullError: No space is left; no file appears.
    """
    with whole_file(path) as partial:
        labels = Labels(volume.unit, (volume.slope, volume.intercept), how.step_s)
        write_nifti_as(partial, volume.array, volume.geometry, labels=labels)
        seen = (
            certify_resampled(partial, stacks[0], terms=how.terms)
            if how.is_resampled
            else certify(partial, stacks, terms=how.terms)
        )
    return {
        "file": path.name,
        "sha256": seen.sha256,
        "bytes": seen.size,
        "dtype": "rgb24" if volume.array.dtype.names else volume.array.dtype.name,
        "unit": volume.unit,
        "geometry": _geometry_facts(volume, stacks),
        "certificate": seen.certificate.to_json(),
    }


def _geometry_facts(volume: Stacked, stacks: Sequence[Series]) -> dict[str, object]:
    return {
        "shape": list(volume.array.shape[::-1]),
        "spacing_mm": [round(size, 6) for size in volume.geometry.spacing_mm],
        "affine_lps": [list(row) for row in volume.geometry.affine_lps],
        "is_sheared": is_sheared(volume.geometry),
        "checks": checks_of(stacks),
    }
