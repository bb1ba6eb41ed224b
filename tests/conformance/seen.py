"""What racoon and its peers make of a folder: each as a list of volumes, or the code of a refusal."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from typer.testing import CliRunner

from racoon_data.cli.main import app
from racoon_data.dicom.pixels import RGB
from tests.conformance.judge import Output

_TO_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])
_LIMIT_S = 120


def nifti_outputs(folder: Path) -> list[Output]:
    """Read every NIfTI file below a folder, one output for each time point."""
    found: list[Output] = []
    for path in sorted([*folder.rglob("*.nii.gz"), *folder.rglob("*.nii")]):
        image: Any = nib.load(path)
        array = np.asarray(image.dataobj)
        if array.dtype.names:
            array = array.astype(RGB)
        affine = _TO_LPS @ image.affine
        volumes = np.moveaxis(array.reshape((*array.shape[:3], -1)), -1, 0)
        found += [Output(np.ascontiguousarray(volume.T), affine) for volume in volumes]
    return found


def by_racoon(source: Path, out: Path, options: tuple[str, ...] = ()) -> tuple[list[Output], tuple[str, ...]]:
    """Convert with our command; give the volumes and the codes of what was refused."""
    ended = CliRunner().invoke(app, ["convert", str(source), str(out), "--json", *options])
    refused = json.loads(ended.stdout)["refused"] if ended.stdout.startswith("{") else []
    return nifti_outputs(out), tuple(sorted({row["code"] for row in refused}))


def _run(*command: str) -> None:
    subprocess.run(command, capture_output=True, timeout=_LIMIT_S, check=False)


def by_dcm2niix(source: Path, out: Path) -> list[Output]:
    """Convert with dcm2niix, its own defaults."""
    _run(_tool("dcm2niix"), "-f", "%j_%s_%d", "-z", "n", "-o", str(out), str(source))
    return nifti_outputs(out)


def by_vtk(source: Path, out: Path) -> list[Output]:
    """Convert with vtk-dicom's dicomtonifti, several series at once."""
    _run(_tool("dicomtonifti"), "--batch", "-r", "-s", "-o", str(out), str(source))
    return nifti_outputs(out)


def by_plastimatch(source: Path, out: Path) -> list[Output]:
    """Convert with plastimatch."""
    _run(_tool("plastimatch"), "convert", "--input", str(source), "--output-img", str(out / "a.nii"))
    return nifti_outputs(out)


def _in_python(name: str) -> Callable[[Path, Path], list[Output]]:
    """Run a Python library in a process of its own, as a crash must not end the others."""

    def convert(source: Path, out: Path) -> list[Output]:
        _run(sys.executable, "-m", "tests.conformance.libraries", name, str(source), str(out))
        found = []
        for path in sorted(out.glob("*.npz")):
            with np.load(path) as data:
                found.append(Output(data["array"], data["affine_lps"]))
        return found

    return convert


def _tool(name: str) -> str:
    beside = Path(sys.executable).parent / name
    return str(beside) if beside.exists() else shutil.which(name) or name


PEERS: dict[str, tuple[str, Callable[[Path, Path], list[Output]]]] = {
    "dcm2niix": ("dcm2niix", by_dcm2niix),
    "SimpleITK": ("", _in_python("SimpleITK")),
    "highdicom": ("", _in_python("highdicom")),
    "vtk-dicom": ("dicomtonifti", by_vtk),
    "plastimatch": ("plastimatch", by_plastimatch),
}


def is_here(name: str) -> bool:
    """Tell whether a peer can be asked."""
    tool, _ = PEERS[name]
    return not tool or Path(_tool(tool)).exists()
