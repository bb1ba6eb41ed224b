"""What is fuzzed: every reader of strangers' bytes, with the one property that each must keep."""

from __future__ import annotations

import io
import shutil
import socket
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import numpy as np

from racoon_data.errors import RacoonError
from racoon_data.outcomes import Outcome
from tests.fuzz import seeds

PLANTED = (b"PLANTED^IDENTITY", b"PLANTED-4711-ID")
KEY = sha256(b"a fixed key for tests").digest()


class BrokenPropertyError(AssertionError):
    """An input made a reader do what it never may."""


@dataclass(frozen=True)
class Target:
    """One reader.

    Attributes:
        seeds: Makes good inputs in a folder.
        read: Reads one input in a folder; whatever it raises besides our own errors is a fault. Gives what it saw,
            by which unusual inputs are told from usual ones.
    """

    seeds: Callable[[Path], list[bytes]]
    read: Callable[[bytes, Path], object]


def _file(data: bytes, folder: Path, name: str) -> Path:
    path = folder / name
    path.write_bytes(data)
    return path


def _guard(data: bytes, folder: Path) -> object:
    """Guard, plain scanner, byte tree and tolerant reader: what the tree passes, the guard passes too."""
    from racoon_data.dicom.guard import scan
    from racoon_data.dicom.headers import read_dataset, text_of
    from racoon_data.dicom.opened import open_bytes
    from racoon_data.dicom.scanner import Unusual, scan_plain

    path = _file(data, folder, "a.dcm")
    with suppress(Unusual):
        scan_plain(path)
    with suppress(RacoonError):
        opened = open_bytes(data)
        list(opened.tree.uids())
        opened.text("PatientName")
    scan(path)
    return text_of(read_dataset(path, pixels=True, is_scanned=True), "SOPClassUID")


def _engine(data: bytes, folder: Path) -> object:
    """The door of de-identification: nothing crashes, nothing escapes, no identifier that is known passes."""
    from racoon_data.deid.door import Door, pass_one
    from racoon_data.deid.profile import Profile
    from racoon_data.deid.pseudonyms import Pseudonymizer
    from racoon_data.dicom.headers import read_dataset, text_of

    path = _file(data, folder, "a.dcm")
    out = folder / "out"
    try:
        pass_one(Door(out, None, Profile(), Pseudonymizer(KEY), None), path)
        head = read_dataset(path, tags=["PatientName", "PatientID"])
        known = (text_of(head, "PatientName").encode(), text_of(head, "PatientID").encode())
        for written in out.rglob("*.dcm"):
            result = written.read_bytes()
            if left := [one for one in PLANTED if one in known and one in result]:
                raise BrokenPropertyError(f"{len(left)} identifiers passed")
    finally:
        shutil.rmtree(out, ignore_errors=True)
        strays = [one.name for one in folder.parent.iterdir() if one != folder]
        strays += [one.name for one in folder.iterdir() if one.name not in ("a.dcm", "out")]
        if strays:
            raise BrokenPropertyError(f"written outside: {strays}")
    return "passed"


def _annotations(data: bytes, folder: Path) -> object:
    """SEG, RTSTRUCT and SR readers, by way of the folder reading that the command uses."""
    from racoon_data.annotations.folder import find_annotations, read_found

    if not (folder / "ct").exists():
        seeds.series(folder)
    _file(data, folder, "a.dcm")
    read = read_found(find_annotations(folder), folder.parent / "masks")
    shutil.rmtree(folder.parent / "masks", ignore_errors=True)
    return _coded(read.outcomes)


def _coded(outcomes: Iterable[Outcome]) -> str:
    """Give the codes of outcomes; the runner's catch-all is a fault."""
    codes = sorted({one.code or "done" for one in outcomes})
    if "racoon.error" in codes:
        raise BrokenPropertyError("; ".join(one.message for one in outcomes if one.code == "racoon.error"))
    return " ".join(codes)


def _tool(name: str) -> Callable[[bytes, Path], object]:
    """Readers of other tools' files: what claims the file reads everything of it."""

    def read(data: bytes, folder: Path) -> object:
        from racoon_data.annotations.tools.exports import look_into, tool_readers

        path = _file(data, folder, name)
        reader = next((one for one in tool_readers() if one.claims(path)), None)
        if reader is None:
            return "not claimed"
        looked = look_into([path], root=folder)
        for one in looked.files:
            if one.modality == "SEG":
                list(one.reader.masks(path, one.export))
        return _coded(looked.outcomes)

    return read


def _multipart(data: bytes, folder: Path) -> object:
    """The splitter of DICOMweb bodies, read in pieces of odd sizes."""
    from racoon_data.pacs.web.multipart import Multipart

    stream, sizes, taken = io.BytesIO(data), [1, 7, 4096, 65536], [0, 0]

    def read_into(view: memoryview) -> int:
        taken[0] += 1
        return stream.readinto(view[: sizes[taken[0] % 4]])

    def sink(piece: memoryview) -> None:
        taken[1] += len(piece)

    body, parts = Multipart(read_into, b"B"), 0
    while body.next_part() is not None:
        body.pour(sink)
        parts += 1
    if taken[1] > len(data):
        raise BrokenPropertyError("more came out than went in")
    return parts


def _pdu(data: bytes, folder: Path) -> object:
    """The receive loop: an association request and what follows it."""
    from racoon_data.pacs.accepting import Welcome, accept
    from racoon_data.pacs.link import Link, ReleasedError

    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.sendall(data[: 64 << 10])
        theirs.shutdown(socket.SHUT_WR)
        link = Link(ours, silence_s=2.0)
        try:
            channel = accept(link, "127.0.0.1", Welcome("RACOON"), is_full=lambda: False)
            while channel is not None:
                context, command = channel.message()
                if command.has_data_set:
                    channel.small_data(context)
        except ReleasedError:
            return "released"
    return "rejected"


def _nifti(data: bytes, folder: Path) -> object:
    from racoon_data.files.nifti import parse_nifti, read_nifti_grid

    read_nifti_grid(_file(data, folder, "a.nii"))
    array, geometry = parse_nifti(data, name="a.nii")
    if array.shape != geometry.array_shape:
        raise BrokenPropertyError("array and grid differ")
    return str(array.dtype)


def _weights(data: bytes, folder: Path) -> object:
    from racoon_train.checkpoints import load_weights
    from racoon_train.federated.guards import check_update
    from racoon_train.federated.update import Update

    weights = load_weights(_file(data, folder, "a.safetensors"))
    check_update(Update(weights, 10), {"w": np.zeros((2, 3), dtype=np.float32)}, max_norm_ratio=10)
    if not np.isfinite(weights["w"]).all():
        raise BrokenPropertyError("values that are not finite passed")
    return "passed"


def _toml(data: bytes, folder: Path) -> object:
    from racoon_data.settings import SiteSettings, load_toml

    return type(load_toml(_file(data, folder, "racoon.toml"), SiteSettings)).__name__


def _json(data: bytes, folder: Path) -> object:
    from racoon_data.files.manifest import load_manifest

    _file(data, folder, "racoon.json")
    return load_manifest(folder).counts.used


TARGETS: dict[str, Target] = {
    "guard": Target(seeds.objects, _guard),
    "engine": Target(seeds.planted, _engine),
    "annotations": Target(seeds.annotations, _annotations),
    "nrrd": Target(seeds.nrrd, _tool("a.seg.nrrd")),
    "xml": Target(seeds.xml, _tool("a.xml")),
    "fhir": Target(seeds.fhir, _tool("a.json")),
    "multipart": Target(seeds.multipart, _multipart),
    "pdu": Target(seeds.pdu, _pdu),
    "nifti": Target(seeds.nifti, _nifti),
    "weights": Target(seeds.weights, _weights),
    "toml": Target(seeds.toml, _toml),
    "json": Target(seeds.json_manifest, _json),
}
