"""Where the files of a dataset lie: nnU-Net's folders for images and labels, ours beside them."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from pathlib import Path

from racoon_data.errors import DatasetError

ENDING = ".nii.gz"
DATASET_JSON = "dataset.json"
LABELS_JSON = "labels.json"
INDEX_CSV = "index.csv"
FINDINGS_CSV = "findings.csv"
DATALIST_JSON = "datalist.json"
CROISSANT_JSON = "croissant.json"
SIDECARS = "sidecars"
CASE_FOLDERS = ("imagesTr", "imagesTs", "labelsTr", "labelsTs", "readers", SIDECARS)

_SAFE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,100}")
_UNSAFE = re.compile(r"[^A-Za-z0-9-]+")


def check_case_id(case_id: str) -> str:
    """Refuse a case id that could not be a file name everywhere.

    Raises:
        DatasetError: It holds anything but letters, digits, ``_`` and ``-``.
    """
    if not _SAFE.fullmatch(case_id):
        raise DatasetError("a case id may hold letters, digits, _ and - only", hint="name cases by pseudonyms")
    return case_id


def claim(root: Path) -> None:
    """Make a folder a dataset of ours, marked by its ``sidecars`` folder.

    Raises:
        DatasetError: It holds a dataset that racoon did not write; nothing in it is touched.
    """
    if not (root / SIDECARS).is_dir():
        held = [root / DATASET_JSON, *(path for folder in CASE_FOLDERS for path in (root / folder).glob("*"))]
        if any(path.exists() for path in held):
            raise DatasetError(f"{root.name} holds a dataset racoon did not write", hint="choose another folder")
        (root / SIDECARS).mkdir(parents=True, exist_ok=True)


def is_training(split: str, *, has_label: bool) -> bool:
    """Tell whether a case lies in nnU-Net's training folders: only labelled training cases do."""
    return split == "train" and has_label


def image_path(case_id: str, channel: int, *, training: bool) -> str:
    """Give the path of one channel's image, such as ``imagesTr/X_0000.nii.gz``."""
    return f"images{'Tr' if training else 'Ts'}/{case_id}_{channel:04d}{ENDING}"


def label_path(case_id: str, *, training: bool) -> str:
    """Give the path of the label map, such as ``labelsTr/X.nii.gz``."""
    return f"labels{'Tr' if training else 'Ts'}/{case_id}{ENDING}"


def sidecar_path(case_id: str) -> str:
    """Give the path of the sidecar."""
    return f"{SIDECARS}/{case_id}.json"


def reader_path(case_id: str, reader: str, layer: int) -> str:
    """Give the path of one reader's masks; overlapping masks need further layers."""
    name = _UNSAFE.sub("-", reader).strip("-")[:60] or "reader"
    if name != reader and reader:
        name = f"{name}-{hashlib.sha256(reader.encode()).hexdigest()[:8]}"
    return f"readers/{case_id}/{name}{f'_{layer + 1}' if layer else ''}{ENDING}"


def files_of_case(root: Path, case_id: str) -> Iterator[Path]:
    """Find every file a case has in a dataset folder, on either side of the split."""
    patterns = (f"images*/{case_id}_????{ENDING}", f"labels*/{case_id}{ENDING}", f"readers/{case_id}/*")
    for pattern in (*patterns, sidecar_path(case_id)):
        yield from sorted(root.glob(pattern))
