"""UIDs from peers: checked, and never a path of their own choosing."""

from __future__ import annotations

from pathlib import Path

from racoon_data.refs import InstanceRef, safe_name

__all__ = ["instance_path", "safe_name"]


def instance_path(folder: Path, ref: InstanceRef) -> Path:
    """Say where an instance lies below a folder: ``<study>/<series>/<sop>.dcm``."""
    return folder / safe_name(ref.study_uid) / safe_name(ref.series_uid) / f"{safe_name(ref.sop_uid)}.dcm"
