"""UIDs from peers: checked, and never a path of their own choosing."""

from __future__ import annotations

import hashlib
from pathlib import Path

from racoon_data.refs import InstanceRef, is_uid


def safe_name(text: str) -> str:
    """Give a file or folder name for a UID a peer sent: itself where it is a UID, else its hash."""
    return text if is_uid(text) else f"uid-{hashlib.sha256(text.encode('utf-8', 'replace')).hexdigest()[:40]}"


def instance_path(folder: Path, ref: InstanceRef) -> Path:
    """Say where an instance lies below a folder: ``<study>/<series>/<sop>.dcm``."""
    return folder / safe_name(ref.study_uid) / safe_name(ref.series_uid) / f"{safe_name(ref.sop_uid)}.dcm"
