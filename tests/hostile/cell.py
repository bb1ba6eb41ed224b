"""A warm process that forks one prisoner for each hostile file and entry point, and weighs what it did."""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import resource
import sys
import tempfile
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.hostile.doors import DOORS, KNOWN_CODES, prepare, warm

_MIB = 1 << 20
_CPU_S, _DATA_MIB, _FILE_MIB = 20, 1024, 256
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT
_CHANGES = {"os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.link", "os.symlink", "os.truncate", "os.chmod"}
_CODE = re.compile(r"[a-z]+\.[a-z_]+")


def main() -> None:
    """Answer lines ``{"door", "file", "folder"}`` with lines of what was seen, until the input ends."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    warm()
    answers.write(json.dumps({"ready": round(_peak_mib())}) + "\n")
    for line in sys.stdin:
        answers.write(json.dumps(_judged(json.loads(line))) + "\n")


def _judged(task: dict[str, str]) -> dict[str, Any]:
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(reading)
        try:
            seen = _imprisoned(task)
        except BaseException:  # noqa: BLE001  the prisoner's last words
            seen = {"crash": traceback.format_exc()[-2000:]}
        with os.fdopen(writing, "w") as stream:
            stream.write(json.dumps(seen))
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as stream:
        text = stream.read()
    _, status, usage = os.wait4(pid, 0)
    seen = json.loads(text) if text else {"crash": f"killed by signal {os.WTERMSIG(status)}"}
    return {"cpu_s": round(usage.ru_utime + usage.ru_stime, 2), **seen}


def _imprisoned(task: dict[str, str]) -> dict[str, Any]:
    folder, file, door = Path(task["folder"]), Path(task["file"]), task["door"]
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")
    ground = _rss_mib()
    resource.setrlimit(resource.RLIMIT_CPU, (_CPU_S, _CPU_S))
    resource.setrlimit(resource.RLIMIT_DATA, (_DATA_MIB * _MIB, _DATA_MIB * _MIB))
    resource.setrlimit(resource.RLIMIT_FSIZE, (_FILE_MIB * _MIB, _FILE_MIB * _MIB))
    os.chdir(folder)
    tempfile.tempdir = str(folder / "tmp")
    os.environ |= {"XDG_CACHE_HOME": str(folder / "home" / "cache"), "HOME": str(folder / "home")}
    prepare(folder, door)
    before = os.times()
    written, touched = set[str](), list[str]()
    out, err = io.StringIO(), io.StringIO()
    with _watching(folder, file, written, touched), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        DOORS[door].enter(file, folder)
    after = os.times()
    said = out.getvalue() + err.getvalue()
    return {
        "cpu_s": round(after.user + after.system - before.user - before.system, 2),
        "mib": round(_peak_mib() - ground),
        "codes": sorted(set(_CODE.findall(said)) & KNOWN_CODES),
        "outside": sorted(written),
        "touched": sorted(set(touched)),
        "said": said[-1500:],
    }


def _changed(event: str, arguments: tuple[Any, ...]) -> str:
    """Give the path that an audit event is about to change, empty where it changes none."""
    if event == "open":
        path, mode, flags = arguments
        is_writing = (flags or 0) & _WRITING or (mode and set(mode) & set("wax+"))
    else:
        is_writing = event in _CHANGES
        path = arguments[1 if event in ("os.rename", "os.link", "os.symlink") else 0] if is_writing else ""
    return os.path.normpath(Path.cwd() / os.fsdecode(path)) if is_writing and not isinstance(path, int) else ""


@contextlib.contextmanager
def _watching(folder: Path, file: Path, written: set[str], touched: list[str]) -> Iterator[None]:
    """Note every change of a file outside ``out`` and ``tmp``, and every parser that is handed the hostile bytes."""
    import pydicom.filereader
    import SimpleITK

    is_on = True

    def note(event: str, arguments: tuple[Any, ...]) -> None:
        if is_on and (full := _changed(event, arguments)) and not full.startswith(allowed):
            written.add(f"{event} {os.path.relpath(full, folder)}")

    allowed = (*(str(folder / name) for name in ("out", "tmp", "site", "home")), "/dev/null")
    sys.addaudithook(note)
    plain = pydicom.filereader.data_element_generator
    head = file.read_bytes()[:4096] if file.is_file() else b""

    def generator(fp: Any, *rest: Any, **named: Any) -> Any:
        inner = getattr(fp, "parent", fp)
        name = str(getattr(inner, "name", ""))
        data = inner.getvalue()[:64] if isinstance(inner, io.BytesIO) else b""
        if name == str(file) or (len(data) >= 16 and data in head):
            touched.append("pydicom")
        return plain(fp, *rest, **named)

    pydicom.filereader.data_element_generator = generator
    execute = SimpleITK.ImageFileReader.Execute

    def executed(reader: Any) -> Any:
        touched.append("SimpleITK")
        return execute(reader)

    SimpleITK.ImageFileReader.Execute = executed
    try:
        yield
    finally:
        is_on = False


def _status(name: str) -> float:
    text = Path("/proc/self/status").read_text()
    return int(text.split(f"{name}:")[1].split()[0]) / 1024


def _peak_mib() -> float:
    return _status("VmHWM")


def _rss_mib() -> float:
    return _status("VmRSS")


if __name__ == "__main__":
    main()
