"""Makers of bad input: what hospitals' folders hold besides whole DICOM files."""

from __future__ import annotations

from pathlib import Path


def truncated(path: Path, *, keep: float = 0.6) -> Path:
    """Cut a file off, as a full disk or a lost connection does.

    Args:
        path: The file; changed in place.
        keep: Part of its bytes that stays, 0 to 1.
    """
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * keep)])
    return path


def not_dicom(folder: Path) -> tuple[Path, ...]:
    """Lay files that are no DICOM into a folder: text, an empty file, a picture, a DICOMDIR-like name."""
    folder.mkdir(parents=True, exist_ok=True)
    contents = {
        "README.txt": b"exported by the viewer\n",
        "empty.dcm": b"",
        "thumbs.png": b"\x89PNG\r\n\x1a\n" + bytes(64),
        "autorun.inf": b"[autorun]\nopen=viewer.exe\n",
    }
    paths = tuple(folder / name for name in contents)
    for path in paths:
        path.write_bytes(contents[path.name])
    return paths
