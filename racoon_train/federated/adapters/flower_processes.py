"""Flower's daemons on this machine: start, watch and end them, with everything they started."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from racoon_data.errors import FederationError
from racoon_train.federated.adapters.flower_daemon import PARENT_VARIABLE

_DAEMON = ("-m", "racoon_train.federated.adapters.flower_daemon")
_QUIET = {
    "FLWR_TELEMETRY_ENABLED": "0",
    "FLWR_DISABLE_UPDATE_CHECK": "1",
    "FLWR_DISABLE_RUNTIME_DEPENDENCY_INSTALLATION": "1",
    "FLWR_SUPEREXEC_TASK_POLL_INTERVAL": "0.2",
    "OMP_NUM_THREADS": "1",
    "PYTHONWARNINGS": "ignore",
}
_GRACE_S = 4.0


@dataclass(slots=True)
class Daemons:
    """The processes of one federation.

    Attributes:
        home: ``FLWR_HOME``: Flower writes nothing outside it.
        logs: Folder of one log per process.
        program: What starts a daemon by its name: Python's options.
    """

    home: Path
    logs: Path
    program: tuple[str, ...] = _DAEMON
    running: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def start(self, name: str, command: Sequence[str], extra: Mapping[str, str]) -> None:
        """Start a daemon: ``superlink`` or ``supernode`` with Flower's options; it ends with this process."""
        self.logs.mkdir(parents=True, exist_ok=True)
        with (self.logs / f"{name}.log").open("ab") as log:
            self.running[name] = subprocess.Popen(
                [sys.executable, *self.program, *command],
                env=self._environment({**extra, PARENT_VARIABLE: str(os.getpid())}),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # an interrupt at the keyboard reaches us alone; we end them
            )

    def call(self, module: str, *arguments: str, timeout_s: float) -> None:
        """Run one of our modules to its end.

        Raises:
            FederationError: It failed or took too long.
        """
        log = self.logs / "submit.log"
        try:
            done = subprocess.run(
                [sys.executable, "-m", module, *arguments],
                env=self._environment({}),
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=timeout_s,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise FederationError("Flower did not take the job in time", hint=f"look at {self.logs}") from error
        log.write_bytes(done.stdout + done.stderr)
        if done.returncode != 0:
            raise FederationError("Flower did not take the job", hint=f"look at {log}")

    def dead(self) -> tuple[str, ...]:
        """Name the daemons that ended by themselves."""
        return tuple(name for name, process in self.running.items() if process.poll() is not None)

    def end(self) -> None:
        """End every daemon and what it started: politely first, then for certain.

        Flower starts helpers in sessions of their own, so descendants are listed before their
        parents go.
        """
        import psutil

        started = []
        for process in self.running.values():
            with suppress(psutil.NoSuchProcess):
                parent = psutil.Process(process.pid)
                started += [parent, *parent.children(recursive=True)]
        for each in started:
            with suppress(psutil.NoSuchProcess):
                each.terminate()
        for each in psutil.wait_procs(started, timeout=_GRACE_S)[1]:
            with suppress(psutil.NoSuchProcess):
                each.kill()
        for process in self.running.values():
            process.wait(timeout=_GRACE_S)
        self.running.clear()

    def _environment(self, extra: Mapping[str, str]) -> dict[str, str]:
        path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
        modules = os.pathsep.join(entry for entry in sys.path if entry)
        return {**os.environ, **_QUIET, "PATH": path, "PYTHONPATH": modules, "FLWR_HOME": str(self.home), **extra}


@contextmanager
def daemons(home: Path, logs: Path, program: tuple[str, ...] = _DAEMON) -> Iterator[Daemons]:
    """Give a set of daemons that is ended however the block ends."""
    found = Daemons(home, logs, program)
    try:
        yield found
    finally:
        found.end()


def free_ports(count: int) -> list[int]:
    """Find free TCP ports on 127.0.0.1."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [int(each.getsockname()[1]) for each in sockets]
    finally:
        for each in sockets:
            each.close()


def wait_for_port(port: int, *, timeout_s: float, running: Daemons, host: str = "127.0.0.1") -> None:
    """Wait until the SuperLink listens.

    Raises:
        FederationError: A daemon died or the time is over.
    """
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline and not running.dead():
        with suppress(OSError), socket.create_connection((host, port), timeout=0.5):
            return
        time.sleep(0.1)
    raise FederationError("Flower's SuperLink did not start", hint=f"look at {running.logs / 'superlink.log'}")
