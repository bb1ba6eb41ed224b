"""Makers of other tools' mask files: NRRD, MITK stacks and label files with known truth."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import numpy as np

from racoon_data.files.nifti import write_nifti
from racoon_data.geometry import Geometry

TISSUE = (
    "Segmentation category and type~SCT^49755003^Morphologically abnormal structure~SCT^52988006^Lesion~^^"
    "~Anatomic codes~SCT^39607008^Lung~SCT^24028007^Right"
)


def write_nrrd(path: Path, layers, geometry: Geometry, *, keys=None, space="left-posterior-superior", **fields) -> Path:
    """Write layers ``[layer, k, j, i]`` (or one volume) as NRRD, as 3D Slicer does: the list axis is the fastest."""
    layers = np.asarray(layers)
    sign = np.array({"left-posterior-superior": (1, 1, 1), "right-anterior-superior": (-1, -1, 1)}[space])
    vectors = [_vector(geometry.matrix[:3, axis] * sign) for axis in range(3)]
    sizes, kinds = list(geometry.shape), ["domain"] * 3
    values = layers
    if layers.ndim == 4:
        vectors, sizes, kinds = ["none", *vectors], [len(layers), *sizes], ["list", *kinds]
        values = np.moveaxis(layers, 0, -1)
    header = {
        "type": {"u1": "unsigned char", "u2": "ushort", "i2": "short", "f4": "float"}[values.dtype.str[1:]],
        "dimension": len(sizes),
        "space": space,
        "sizes": " ".join(map(str, sizes)),
        "space directions": " ".join(vectors),
        "kinds": " ".join(kinds),
        "endian": "little",
        "encoding": "gzip",
        "space origin": _vector(geometry.matrix[:3, 3] * sign),
        **{key.replace("_", " "): value for key, value in fields.items()},
    }
    data = np.ascontiguousarray(values)
    if header["endian"] == "big":
        data = data.byteswap()
    body = gzip.compress(data.tobytes(), mtime=0) if header["encoding"] == "gzip" else data.tobytes()
    text = ["NRRD0004", "# by hand", *(f"{key}: {value}" for key, value in header.items() if value is not None)]
    text += [f"{key}:={value}" for key, value in (keys or {}).items()]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes("\n".join(text).encode() + b"\n\n" + body)
    return path


def _vector(numbers) -> str:
    return "(" + ",".join(repr(float(number)) for number in numbers) + ")"


def slicer_keys(*segments: dict) -> dict[str, str]:
    """Key-value pairs of a Slicer segmentation."""
    return {f"Segment{place}_{key}": str(value) for place, one in enumerate(segments) for key, value in one.items()}


def a_label_file(folder: Path, masks: dict, geometry: Geometry, **facts) -> Path:
    """Write masks of names as one NIfTI each with a label file over them."""
    parts = []
    for value, (name, mask) in enumerate(masks.items(), start=1):
        write_nifti(folder / f"{value}.nii.gz", mask.astype(np.uint8) * value, geometry)
        lesion = {"value": "52988006", "scheme": "SCT", "meaning": "Lesion"}
        parts.append({"file": f"{value}.nii.gz", "labels": [{"value": value, "name": name, "type": lesion}]})
    return write_json(
        folder / "case.labels.json", {"format": "racoon-labels", "schema_version": "1.0", "masks": parts} | facts
    )


def a_mitk_stack(folder: Path, masks: dict, geometry: Geometry, *, is_per_label: bool = False, **properties) -> Path:
    """Write masks that do not overlap as a MITK stack: one volume for the group, or one per label."""
    labels = []
    group = np.zeros(geometry.array_shape, dtype=np.uint16)
    for value, (name, mask) in enumerate(masks.items(), start=1):
        label = {
            "name": name,
            "value": value,
            "color": [1.0, 0.0, 0.0],
            "opacity": 0.6,
            "locked": True,
            "visible": True,
        }
        label |= {"tracking_id": str(value), "tracking_uid": f"2.25.{value}"}
        label["DICOM.0062.0002.0062.0008"] = temporo("MANUAL")
        label["DICOM.0062.0002.0062.000F.[0].0008.0100"] = temporo("52988006")
        label["DICOM.0062.0002.0062.000F.[0].0008.0102"] = temporo("SCT")
        label["DICOM.0062.0002.0062.000F.[0].0008.0104"] = temporo("Lesion")
        group[mask] = value
        if is_per_label:
            write_nifti(folder / f"s_label_{value}.nii.gz", mask.astype(np.uint8), geometry)
            label |= {"_file": f"./s_label_{value}.nii.gz", "_file_value": 1}
        labels.append(label)
    held = {"name": "Group 0", "labels": labels}
    if not is_per_label:
        write_nrrd(folder / "s_group_0.nrrd", group, geometry)
        held["_file"] = "./s_group_0.nrrd"
    document = {"version": 3, "type": "org.mitk.multilabel.segmentation.stack", "uid": "x", "groups": [held]}
    document["properties"] = {"TemporoSpatialStringProperty": {key: values for key, values in properties.items()}}
    return write_json(folder / "s.mitklabel.json", document)


def temporo(*values: str) -> dict:
    """A property with one value per slice, as MITK writes it at label level."""
    inner = {"values": [{"t": 0, "z": z, "value": value} for z, value in enumerate(values)]}
    return {"type": "TemporoSpatialStringProperty", "value": inner}


def write_json(path: Path, document: object) -> Path:
    """Write JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document), encoding="utf-8")
    return path
