"""SNOMED RT codes of older DICOM objects to SNOMED CT."""

from __future__ import annotations

from functools import lru_cache

# Codes of the TID 1500 context groups that pydicom's table leaves out (PS3.16, CID 7470: Length).
_FURTHER = {"G-A22A": "410668003"}


@lru_cache(maxsize=1)
def srt_to_sct() -> dict[str, str]:
    """Give the retired SRT codes of DICOM with their successors.

    Source: the table of DICOM's own retired codes that pydicom carries (made from PS3.16 annex O), and
    the few codes of measurement templates that are missing there.
    """
    # pydicom has no public name for this table; a test holds it in place.
    from pydicom.sr._snomed_dict import mapping

    return {**mapping["SRT"], **_FURTHER}
