"""What FLARE's runs survive, for real: ``python -m tests.train.flare_survival [CASE ...]`` prints a table.

Every case trains three sites over TLS, breaks something after round 1 and asks of the run what the
documentation promises. It takes several minutes, so ``make survival`` runs it and not every test run.
"""

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import suppress
from pathlib import Path

import numpy as np
import psutil

from racoon_data.errors import PayloadError
from racoon_train.checkpoints import load_weights, save_weights
from racoon_train.federated.adapters.flower_processes import free_ports
from racoon_train.federated.adapters.nvflare import NvflareAggregator
from racoon_train.federated.adapters.nvflare_member import check_kit, take_part, unpack_kit
from racoon_train.federated.adapters.nvflare_serving import invite, serve
from racoon_train.federated.contract import join
from racoon_train.federated.rounds import read_rounds
from tests.train.makers import a_dataset, a_job

ROUNDS = 4
LOST = "federation.site_lost"


def processes(out, *words):
    """Processes of a run whose command has all words."""
    lines = ((each, " ".join(each.info["cmdline"] or [])) for each in psutil.process_iter(["cmdline"]))
    return [each for each, line in lines if str(out) in line and all(word in line for word in words)]


def job_of(out, alias):
    """The process that trains at a site."""
    return processes(out, "worker_process", f"/{alias} ")


def a_killed_job(out):
    """SIGKILL the process that trains at site-c."""
    for each in job_of(out, "site-c"):
        each.kill()


def a_killed_site(out):
    """SIGKILL everything of site-c, for good."""
    for each in processes(out, "/site-c"):
        each.kill()


def a_hung_site(out):
    """SIGSTOP the process that trains at site-c."""
    for each in job_of(out, "site-c"):
        each.send_signal(signal.SIGSTOP)


def a_raising_site(out):
    """Change site-c's dataset, so that its client refuses from then on."""
    path = out.parent / "c" / "racoon.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "dataset_sha256": "0" * 64}))


def a_site_of_nan(out):
    """Keep site-c's optimizer remembering NaN, so that its next weights are NaN."""

    def poison():
        while not (out / "coordinator.json").is_file():
            for path in (out / "state" / "site-c").glob("optimizer-*.safetensors"):
                with suppress(OSError, PayloadError):
                    arrays = load_weights(path)
                    bad = {name: np.full_like(arrays[name], np.nan) for name in arrays if name.startswith("first.")}
                    if not all(np.isnan(arrays[name]).all() for name in bad):
                        save_weights(path, {**arrays, **bad})
            time.sleep(0.05)

    threading.Thread(target=poison, daemon=True).start()


def a_killed_server(out):
    """SIGKILL the server and the process of its job."""
    for each in (*processes(out, "nvflare_daemon", "server"), *processes(out, "runner_process")):
        each.kill()


CASES = {
    "killed job": (a_killed_job, lambda rounds: rounds[-1].losses.keys() == {"site-a", "site-b", "site-c"}),
    "killed site": (a_killed_site, lambda rounds: dict(rounds[-1].lost) == {"site-c": LOST}),
    "hung site": (
        a_hung_site,
        lambda rounds: any(dict(each.lost) == {"site-c": LOST} for each in rounds) and "site-c" in rounds[-1].losses,
    ),
    "raising site": (a_raising_site, lambda rounds: dict(rounds[-1].lost) == {"site-c": "federation.dataset_changed"}),
    "site of NaN": (a_site_of_nan, lambda rounds: dict(rounds[-1].lost) == {"site-c": "federation.diverged"}),
    "killed server": (a_killed_server, lambda rounds: rounds[-1].losses.keys() == {"site-a", "site-b", "site-c"}),
}


def run(name, root):
    """Run a case and tell whether it held, and how long it took."""
    break_it, held = CASES[name]
    out, began = root / "out", time.monotonic()
    sites = {f"site-{each}": a_dataset(root / each, site=each) for each in "abc"}
    job = a_job(rounds=ROUNDS, steps=60, quorum=2)
    job = job.model_copy(update={"rules": job.rules.model_copy(update={"round_timeout_s": 30.0})})

    def listen(event):
        if event.kind == "federate" and event.done == 1:
            break_it(out)

    NvflareAggregator().run(job.to_json(), datasets=sites, out=out, on_event=listen)
    rounds = read_rounds(out)
    if "-v" in sys.argv:
        sys.stderr.write("".join(f"{each}\n" for each in rounds))
    is_whole = [each.number for each in rounds] == list(range(1, ROUNDS + 1))
    submissions = len(json.loads((out / "submissions.json").read_text())["submissions"])
    return is_whole and held(rounds) and not processes(out), submissions, time.monotonic() - began


def killed_parent(root):
    """SIGKILL the run itself: within ten seconds nothing of it is left."""
    out = root / "out"
    for each in "ab":
        a_dataset(root / each, site=each)
    (root / "job.json").write_text(json.dumps(a_job(rounds=200, quorum=1).to_json()))
    datasets = [option for each in "ab" for option in ("--dataset", f"site-{each}={root / each}")]
    command = ["-m", "racoon_data", "train", "federated", str(root / "job.json"), *datasets]
    parent = subprocess.Popen(
        [sys.executable, *command, "--out", str(out), "--aggregator", "nvflare"], stderr=subprocess.DEVNULL
    )
    deadline = time.monotonic() + 120
    while not read_rounds(out) and time.monotonic() < deadline:
        time.sleep(0.5)
    began = time.monotonic()
    os.kill(parent.pid, signal.SIGKILL)
    parent.wait()
    while processes(out) and time.monotonic() < began + 30:
        time.sleep(0.2)
    took = time.monotonic() - began
    left = processes(out)
    for each in left:
        each.kill()
    return bool(read_rounds(out)) and not left and took < 10, 1, took


def own_machines(root):
    """Coordinator and sites apart, by kit files alone; site-c comes after round 1 and ends with the model too."""
    out, began = root / "out", time.monotonic()
    job = a_job(rounds=6, steps=400, quorum=2)
    aliases = ["site-a", "site-b", "site-c"]
    [port] = free_ports(1)
    invitations = invite(out, aliases, host="localhost", port=port)

    def be_a_site(alias):
        home = root / alias
        site = join(alias, a_dataset(home / "data", site=alias[-1]), job, home)
        kit = unpack_kit(invitations[alias][0], home)
        check_kit(kit)
        site.begin()
        accounts[alias] = take_part(kit, site, home)

    def listen(event):
        if event.kind == "federate" and event.done == 1:
            sites[2].start()

    accounts: dict[str, object] = {}
    coordinator = threading.Thread(target=serve, args=(job, out, aliases), kwargs={"anew": True, "on_event": listen})
    sites = [threading.Thread(target=be_a_site, args=(alias,)) for alias in aliases]
    coordinator.start()
    wait_for(port)
    for each in (*sites[:2], coordinator):
        each.start() if each is not coordinator else each.join()
    for each in sites:
        each.join(timeout=60)
    rounds = read_rounds(out)
    held = (
        dict(rounds[0].lost) == {"site-c": LOST}
        and "site-c" in rounds[-1].losses
        and accounts.keys() == set(aliases)
        and (out / "model.safetensors").is_file()
        and not processes(root)
    )
    return held, len(json.loads((out / "submissions.json").read_text())["submissions"]), time.monotonic() - began


def wait_for(port):
    """Wait until a server listens."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=0.5):
            return
        time.sleep(0.2)


ALONE = {"killed parent": killed_parent, "own machines": own_machines}


def main(*names):
    os.environ["OMP_NUM_THREADS"] = "1"
    failed = 0
    sys.stdout.write(f"{'case':16}{'held':6}{'submitted':>10}{'seconds':>9}\n")
    for name in [each for each in names if each != "-v"] or [*CASES, *ALONE]:
        with tempfile.TemporaryDirectory() as folder:
            root = Path(folder)
            held, submissions, took = ALONE[name](root) if name in ALONE else run(name, root)
        failed += not held
        sys.stdout.write(f"{name:16}{'yes' if held else 'NO':6}{submissions:10}{took:9.0f}\n")
        sys.stdout.flush()
    return failed


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
