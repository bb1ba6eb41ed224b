"""A volume to a published NIfTI file: written aside, certified on its very bytes, then renamed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from racoon_data.convert.certificate import PLAIN, certify
from racoon_data.convert.promises import Terms
from racoon_data.dicom.filling import Stacked
from racoon_data.dicom.regularity import checks_of
from racoon_data.dicom.series import Series
from racoon_data.files.atomic import whole_file
from racoon_data.files.nifti import is_sheared, write_nifti_as
from racoon_data.files.nifti_header import Labels


def publish(
    volume: Stacked, stacks: Sequence[Series], path: Path, *, terms: Terms = PLAIN, step_s: float = 0.0
) -> dict[str, object]:
    """Write a volume and let it appear under its name only when it is right.

    Args:
        volume: The stacked series, or several in time.
        stacks: The slices of each volume it came from.
        path: ``.nii.gz`` file to appear.
        terms: What its values were made to mean.
        step_s: Seconds between volumes, 0 where unknown.

    Returns:
        JSON-ready facts: ``file``, ``sha256``, ``bytes``, ``dtype``, ``unit``, ``geometry`` and
        ``certificate``.

    Raises:
        UncertifiedError: The written bytes do not hold what the headers promise; no file appears.
        DiskFullError: No space is left; no file appears.
    """
    with whole_file(path) as partial:
        labels = Labels(volume.unit, (volume.slope, volume.intercept), step_s)
        write_nifti_as(partial, volume.array, volume.geometry, labels=labels)
        seen = certify(partial, stacks, terms=terms)
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
