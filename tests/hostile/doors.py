"""Every entry point that may meet a file of a stranger, called as a person or a peer calls it."""

from __future__ import annotations

import contextlib
import io
import shutil
import sys
import tempfile
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from racoon_data.cli.main import app
from racoon_data.errors import PacsError, RacoonError

if TYPE_CHECKING:
    from racoon_data.pacs.peer import PacsNode

KEY = sha256(b"a fixed key for tests").digest()


@dataclass(frozen=True)
class Door:
    """An entry point.

    Attributes:
        enter: Calls it with the hostile file, which lies in ``FOLDER/in``, and the folder.
        good: Makers of what lies beside the hostile file.
        keeps: The entry point stores or passes on whole bytes and need not read them: no code is then expected.
    """

    enter: Callable[[Path, Path], None]
    good: tuple[str, ...] = ()
    keeps: bool = False


def _kinds(root: type[RacoonError]) -> set[str]:
    return (
        {root.code}.union(*(_kinds(kind) for kind in root.__subclasses__())) if root.__subclasses__() else {root.code}
    )


def _known() -> set[str]:
    import racoon_data.annotation_errors
    import racoon_data.pacs_errors  # noqa: F401

    return _kinds(RacoonError)


KNOWN_CODES = _known()


def racoon(*words: object) -> None:
    """Run the command line."""
    with suppress(SystemExit):
        app([str(word) for word in words], prog_name="racoon")


def _deid_run(file: Path, folder: Path) -> None:
    racoon("deid", "run", folder / "in", folder / "out" / "clean", "--key-file", folder / "site" / "key",
           "--quarantine", folder / "out" / "quarantine", "--json")  # fmt: skip


def _deid_explain(file: Path, folder: Path) -> None:
    racoon("deid", "explain", file, "--json")


def _convert(file: Path, folder: Path) -> None:
    racoon("convert", folder / "in", folder / "out" / "nifti", "--json")


def _annotations_list(file: Path, folder: Path) -> None:
    racoon("annotations", "list", folder / "in", "--json")


def _annotations_read(file: Path, folder: Path) -> None:
    racoon("annotations", "read", folder / "in", folder / "out" / "masks", "--json")


def _annotations_mapped(file: Path, folder: Path) -> None:
    mapping = folder / "site" / "mapping.toml"
    racoon(
        "annotations", "read", file, folder / "out" / "masks", "--mapping", mapping, "--images", folder / "in", "--json"
    )


def _annotations_export(file: Path, folder: Path) -> None:
    racoon("annotations", "export", file, folder / "in" / "ct", folder / "out" / "seg", "--labels",
           folder / "site" / "labels.json", "--reader", "R1", "--json")  # fmt: skip


def _served(file: Path, folder: Path) -> None:
    """Start the embedded PACS over the folder: its index reads every file."""
    from racoon_data.pacs.serve import EmbeddedPacs

    with EmbeddedPacs(folder / "out" / "archive") as pacs:
        list(pacs.index.stored("STUDY", {}))


def _send(file: Path, node: PacsNode) -> None:
    """Send the file by C-STORE as it lies, under what its file meta information says."""
    from pynetdicom.presentation import build_context

    from racoon_data.pacs.negotiating import channel_to
    from racoon_data.pacs.part10 import read_file_head
    from racoon_data.pacs.sending import Sender

    try:
        head = read_file_head(file)
        with channel_to(node, [build_context(head.sop_class_uid, head.transfer_syntax)]) as channel:
            context = channel.context_of(head.sop_class_uid, head.transfer_syntax)
            status = Sender(channel).send(file, head, context) if context else 0
            _say(PacsError.code if status else "", hex(status))
    except RacoonError as error:
        _say(error.code)


def _stored(file: Path, folder: Path) -> None:
    """Send the file to the embedded PACS."""
    from racoon_data.pacs.serve import EmbeddedPacs

    with EmbeddedPacs(folder / "out" / "archive") as pacs:
        _send(file, pacs.node())


def _received(file: Path, folder: Path) -> None:
    """Send the file to a receiver that writes into a spool."""
    from racoon_data.pacs.accepting import Welcome
    from racoon_data.pacs.peer import PacsNode
    from racoon_data.pacs.receive import Desk, receive
    from racoon_data.site.ledger import Ledger

    over, ready, ports, ends = threading.Event(), threading.Event(), list[int](), list[Mapping[str, str]]()

    def run() -> None:
        with Ledger(folder / "out" / "ledger.sqlite") as ledger:
            receive(
                Desk(Welcome("RECEIVER"), port=0), spool=folder / "out" / "spool", ledger=ledger, is_over=over.is_set,
                on_end=ends.append, on_ready=lambda scp: (ports.append(scp.port), ready.set())[0],
            )  # fmt: skip

    thread = threading.Thread(target=run)
    thread.start()
    try:
        if ready.wait(10):
            _send(file, PacsNode("receiver", "127.0.0.1", ports[0], "RECEIVER", timeout_s=10.0))
    finally:
        over.set()
        thread.join()


def _say(*words: object) -> None:
    sys.stdout.write(" ".join(str(word) for word in words) + "\n")


def _stowed(file: Path, folder: Path) -> None:
    """Post the file to the embedded PACS by STOW-RS."""
    from racoon_data.pacs.serve import EmbeddedPacs
    from racoon_data.pacs.serve_web import WebService

    body = b"--B\r\nContent-Type: application/dicom\r\n\r\n" + file.read_bytes() + b"\r\n--B--\r\n"
    kind = 'multipart/related; type="application/dicom"; boundary=B'
    with EmbeddedPacs(folder / "out" / "archive") as pacs, WebService(pacs) as service:
        request = urllib.request.Request(f"{service.url}/studies", body, {"Content-Type": kind}, method="POST")
        try:
            with urllib.request.urlopen(request, timeout=20) as answer:
                _say(PacsError.code if b"00081198" in answer.read() else "")
        except urllib.error.HTTPError as error:
            _say(PacsError.code, error.code)


def _push(file: Path, folder: Path) -> None:
    racoon("pacs", "push", "x", folder / "in", "--host", "127.0.0.1", "--port", "1", "--dry-run", "--json")


def _dataset_check(file: Path, folder: Path) -> None:
    """Check a dataset in which one file is the hostile one."""
    root = folder / "out" / "lung"
    target = root / file.name
    if file.name.endswith((".nii", ".nii.gz")):
        target = sorted(root.rglob("*.nii.gz"))[0]
        manifest = (root / "racoon.json").read_text()
        old = sha256(target.read_bytes()).hexdigest()
        (root / "racoon.json").write_text(manifest.replace(old, sha256(file.read_bytes()).hexdigest()))
    shutil.copy(file, target)
    racoon("dataset", "check", root, "--json")


def _qc_report(file: Path, folder: Path) -> None:
    """Draw the report of a dataset in which one file is the hostile one."""
    _dataset_check(file, folder)
    racoon("qc", "report", folder / "out" / "lung", "--json")


def _schema_validate(file: Path, folder: Path) -> None:
    racoon("schema", "validate", file, "--json")


def _settings(file: Path, folder: Path) -> None:
    """Open a site whose settings are the hostile file."""
    shutil.copy(file, folder / "site" / "racoon.toml")
    racoon("pacs", "echo", "pacs", "--site", folder / "site")


def _study_file(file: Path, folder: Path) -> None:
    racoon("run", file, "--site", folder / "site", "--dry-run")


def _profile(file: Path, folder: Path) -> None:
    racoon("deid", "explain", folder / "in" / "ct" / "0000.dcm", "--profile", file)


def _weights(file: Path, folder: Path) -> None:
    """Open a checkpoint, and take the same arrays as an update of a site."""
    from racoon_train.checkpoints import load_weights
    from racoon_train.federated.guards import check_update
    from racoon_train.federated.update import Update

    try:
        weights = load_weights(file)
        check_update(Update(weights, 10), {"w": np.zeros(2, dtype=np.float32)}, max_norm_ratio=10)
    except RacoonError as error:
        _say(error.code)


DOORS: dict[str, Door] = {
    "deid run": Door(_deid_run, ("ct", "key")),
    "deid explain": Door(_deid_explain),
    "convert": Door(_convert, ("ct",)),
    "annotations list": Door(_annotations_list, ("ct",)),
    "annotations read": Door(_annotations_read, ("ct",)),
    "annotations read --mapping": Door(_annotations_mapped, ("ct", "mapping")),
    "annotations export": Door(_annotations_export, ("ct", "labels")),
    "pacs serve": Door(_served, ("archive",), keeps=True),
    "pacs serve, C-STORE": Door(_stored, keeps=True),
    "pacs serve, STOW-RS": Door(_stowed, keeps=True),
    "pacs receive": Door(_received, keeps=True),
    "pacs push": Door(_push, keeps=True),
    "dataset check": Door(_dataset_check, ("dataset",)),
    "qc report": Door(_qc_report, ("dataset",)),
    "schema validate": Door(_schema_validate),
    "racoon.toml": Door(_settings, ("site",)),
    "run, study file": Door(_study_file, ("site",)),
    "deid profile": Door(_profile, ("ct",)),
    "checkpoint and update": Door(_weights),
}

_GOOD = Path(tempfile.gettempdir())


def warm() -> None:
    """Load everything and make the good files once, before any prisoner is born."""
    global _GOOD
    _GOOD = Path(tempfile.mkdtemp(prefix="racoon-hostile-"))
    from racoon_data.testing.makers import a_series
    from tests.dataset.makers import a_dataset

    made = a_series(_GOOD / "ct", slices=3, rows=8, columns=8)
    for number, path in enumerate(made.paths):
        path.rename(_GOOD / "ct" / f"{number:04d}.dcm")
    a_dataset(_GOOD / "dataset")
    (_GOOD / "key").write_text(KEY.hex())
    (_GOOD / "key").chmod(0o600)
    _rehearse()


def _rehearse() -> None:
    """Go through every door once with an innocent file: what remains is the hostile file's own cost."""
    from tests.hostile.other_files import VOLUMES

    for number, (name, door) in enumerate(DOORS.items()):
        folder = _GOOD / "rehearsal" / str(number)
        (folder / "in").mkdir(parents=True)
        volume = name in ("dataset check", "qc report", "annotations export")
        file = folder / "in" / ("a.nii" if volume else "hostile.dcm")
        innocent = VOLUMES["NIfTI of negative size"].make() if volume else (_GOOD / "ct" / "0001.dcm").read_bytes()
        file.write_bytes(innocent)
        prepare(folder, name)
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            door.enter(file, folder)


def prepare(folder: Path, door: str) -> None:
    """Lay the good files of a door around the hostile one, which lies in ``in`` already."""
    for name in ("in", "out", "tmp", "site"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    for good in DOORS[door].good:
        _PREPARE[good](folder)


def _lay_ct(folder: Path) -> None:
    shutil.copytree(_GOOD / "ct", folder / "in" / "ct")


def _lay_archive(folder: Path) -> None:
    """Serve the folder itself: a copy would follow links and read pipes."""
    (folder / "out" / "archive").symlink_to(folder / "in")


def _lay_dataset(folder: Path) -> None:
    shutil.copytree(_GOOD / "dataset", folder / "out" / "lung")


def _lay_key(folder: Path) -> None:
    shutil.copy2(_GOOD / "key", folder / "site" / "key")


def _lay_mapping(folder: Path) -> None:
    shutil.copy(
        Path(__file__).parents[2] / "examples" / "vendor_reports" / "nested.toml", folder / "site" / "mapping.toml"
    )


def _lay_labels(folder: Path) -> None:
    import json

    from tests.journeys.steps import LABELS

    (folder / "site" / "labels.json").write_text(json.dumps(LABELS))


def _lay_site(folder: Path) -> None:
    (folder / "site").rmdir()
    racoon("init", folder / "site", "--name", "site-a", "--port", "1")


_PREPARE = {
    "ct": _lay_ct,
    "archive": _lay_archive,
    "dataset": _lay_dataset,
    "key": _lay_key,
    "mapping": _lay_mapping,
    "labels": _lay_labels,
    "site": _lay_site,
}
