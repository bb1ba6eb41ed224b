"""The doctor of a site: Python, codecs, disk, vault, ledger, audit log, lock, nodes, clock, and what extensions add."""

from __future__ import annotations

import ctypes
import shutil
import stat
import sys
import time
from collections.abc import Callable, Iterator
from importlib.metadata import entry_points
from importlib.util import find_spec
from pathlib import Path

from racoon_data.deid.logs import seal_of
from racoon_data.errors import RacoonError
from racoon_data.health import GROUP, Check, Verdict
from racoon_data.pacs.node import echo_any
from racoon_data.pacs.peer import any_node
from racoon_data.settings import SiteSettings
from racoon_data.site import audit
from racoon_data.site.ledger import Ledger
from racoon_data.site.lock import holder_of
from racoon_data.site.paths import Site

_LITTLE_FREE, _TOO_LITTLE_FREE = 20e9, 1e9
_CODECS: dict[str, tuple[str, str, Verdict]] = {
    "pylibjpeg": ("pylibjpeg", "JPEG", "bad"),
    "openjpeg": ("pylibjpeg-openjpeg", "JPEG 2000", "bad"),
    "rle": ("pylibjpeg-rle", "RLE", "bad"),
    "jpeg_ls": ("pyjpegls", "JPEG-LS", "bad"),
    "gdcm": ("python-gdcm", "a second decoder for damaged streams", "limited"),
}
_NOT_SYNCHRONISED = 5  # TIME_ERROR of adjtimex(2)


def examine_machine() -> Iterator[Check]:
    """Look at what needs no site: interpreter, codecs, clock."""
    yield _python()
    yield from _codecs()
    yield _clock()


def examine_site(site: Site, *, contact: bool = True) -> Iterator[Check]:
    """Look at a site: disk, vault, ledger, audit log, lock and, where ``contact`` allows it, nodes."""
    yield _disk(site.root)
    yield from _closed_folders(site)
    yield _ledger(site)
    yield _audit(site)
    yield _lock(site)
    if contact:
        yield from _nodes(site)


def examine_extensions(settings: SiteSettings | None) -> Iterator[Check]:
    """Let installed packages look at what is theirs: GPU, aggregator."""
    for entry in sorted(entry_points(group=GROUP), key=lambda entry: entry.name):
        try:
            look: Callable[[SiteSettings | None], Iterator[Check]] = entry.load()
            yield from look(settings)
        except ImportError as error:
            yield Check(entry.name, "unknown", f"cannot be loaded: {error.name or error}", "install its extra again")


def _python() -> Check:
    version = ".".join(map(str, sys.version_info[:3]))
    if (3, 11) <= sys.version_info[:2] < (3, 14):
        return Check("python", "good", f"Python {version}")
    return Check("python", "bad", f"Python {version}", "racoon is tested on 3.11 to 3.13; install one of these")


def _codecs() -> Iterator[Check]:
    for module, (package, what, without) in _CODECS.items():
        if find_spec(module) is not None:
            yield Check(f"codec {module}", "good", f"reads {what}")
        else:
            yield Check(f"codec {module}", without, f"{what} is missing", f"pip install {package}")


def _clock() -> Check:
    """Ask the kernel whether something keeps the clock right (adjtimex(2), which reads where nothing is set)."""
    shown = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    if time.time() < Path(__file__).stat().st_mtime - 86_400:
        return Check("clock", "bad", f"{shown} is before racoon was installed", "set the clock; certificates will fail")
    try:
        state = ctypes.CDLL(None).adjtimex(ctypes.create_string_buffer(512))
    except (AttributeError, OSError):
        return Check("clock", "unknown", f"{shown}; the system does not tell whether it is kept right")
    if state == _NOT_SYNCHRONISED:
        return Check("clock", "limited", f"{shown}, kept right by nothing", "let chrony or systemd-timesyncd keep it")
    return Check("clock", "good", f"{shown}, kept right")


def _disk(root: Path) -> Check:
    free = shutil.disk_usage(root).free
    message = f"{free / 1e9:.1f} GB free"
    if free < _TOO_LITTLE_FREE:
        return Check("disk", "bad", message, "free space: runs stop when the disk is full, and continue afterwards")
    if free < _LITTLE_FREE:
        return Check("disk", "limited", message, "a CT study takes about 0.3 GB in spool, work and dataset each")
    return Check("disk", "good", message)


def _closed_folders(site: Site) -> Iterator[Check]:
    """Folders with identities are closed to everybody but their owner, and so are the files of the vault."""
    for folder in (site.vault, site.spool, site.quarantine):
        if not folder.is_dir():
            yield Check(f"folder {folder.name}", "bad", "it is missing", f"mkdir -m 700 {folder}")
            continue
        inside = list(folder.iterdir()) if folder == site.vault else []
        loose = [path.name for path in (folder, *inside) if stat.S_IMODE(path.lstat().st_mode) & 0o077]
        if loose:
            remedy = f"chmod -R go-rwx {folder}"
            yield Check(f"folder {folder.name}", "bad", f"others may enter: {', '.join(loose[:3])}", remedy)
        else:
            yield Check(f"folder {folder.name}", "good", "closed to others")


def _ledger(site: Site) -> Check:
    if not site.ledger.is_file():
        return Check("ledger", "good", "none yet; the first run makes it")
    try:
        with Ledger(site.ledger) as ledger:
            count = sum(one.count for one in ledger.standing().values())
    except RacoonError as error:
        return Check("ledger", "bad", f"{error.message} ({error.code})", error.hint)
    return Check("ledger", "good", f"{count} instances")


def _audit(site: Site) -> Check:
    if not site.audit.is_file():
        return Check("audit log", "good", "none yet")
    try:
        lines = audit.verify(site.audit, seal=seal_of(site))
    except RacoonError as error:
        return Check("audit log", "bad", f"{error.message} ({error.code})", error.hint)
    return Check("audit log", "good", f"{lines} lines, each follows the one before")


def _lock(site: Site) -> Check:
    holder = holder_of(site.root)
    return Check("lock", "good", str(holder) if holder else "nobody works on this site")


def _nodes(site: Site) -> Iterator[Check]:
    settings = site.settings
    names = [*settings.nodes, *settings.web, *settings.folders]
    if not names:
        yield Check("nodes", "limited", "none is set", "add a [nodes.NAME] table to racoon.toml")
    for name in sorted(names):
        try:
            peer = any_node(name, settings, base=site.root)
            seconds = echo_any(peer)
        except RacoonError as error:
            yield Check(f"node {name}", "bad", f"{error.message} ({error.code})", error.hint or "racoon pacs doctor")
        else:
            yield Check(f"node {name}", "good", f"answers in {seconds * 1000:.0f} ms")
