"""Our layer on NVIDIA FLARE beside bare FLARE: seconds, CPU and bytes of a round, same net, data and steps, paired."""

from __future__ import annotations

import argparse
import json
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import psutil

from racoon_data.events import ignore
from racoon_data.files.atomic import write_json
from racoon_train.checkpoints import load_weights
from racoon_train.federated.adapters.flower_processes import daemons, free_ports
from racoon_train.federated.adapters.nvflare import NvflareAggregator
from racoon_train.federated.adapters.nvflare_kits import COORDINATOR, close_server, close_site, provision
from racoon_train.federated.adapters.nvflare_processes import PROGRAM, start_server, start_site
from racoon_train.federated.adapters.nvflare_serving import lay_out
from racoon_train.federated.contract import join
from racoon_train.job.network import NetworkSettings
from racoon_train.networks import initial_weights
from tests.train.makers import a_dataset, a_job

# What a user of FLARE writes: receive, train, send. Data, network and steps are ours, so that they are the same.
SCRIPT = """
import os, sys
from pathlib import Path
import nvflare.client as flare
from nvflare.app_common.abstract.fl_model import ParamsType
from racoon_train import engine
from racoon_train.federated.contract import open_site_client
from racoon_train.networks import network_of, set_weights, weights_of
from racoon_train.optimizer import AdamW

site = open_site_client(Path(os.environ["RACOON_SITE_FILE"]))
engine.be_a_good_neighbour()
cases = site.cases("train")
network = network_of(site.job)
optimizer = AdamW(network, weight_decay=site.job.training.weight_decay)
flare.init()
while flare.is_running():
    model = flare.receive()
    if model is None:
        break
    set_weights(network, dict(model.params))
    round_ = int(model.current_round) + 1
    first = (round_ - 1) * site.job.training.local_steps
    engine.train_steps(network, optimizer, site.stream(cases, round_), site.job, first_step=first)
    flare.send(flare.FLModel(params=weights_of(network), params_type=ParamsType.FULL,
                             meta={"NUM_STEPS_CURRENT_ROUND": len(cases)}))
"""
SUBMIT = """
import sys, time
from nvflare.fuel.flare_api.flare_api import new_secure_session
session = new_secure_session(sys.argv[1], sys.argv[2], timeout=60)
while len(session.get_connected_client_list()) < 2:
    time.sleep(0.2)
session.submit_job(sys.argv[3])
session.close()
"""
STOCK = "nvflare.app_common"


def bare_job(root, rounds, script):
    """A stock ScatterAndGather job with the Client API."""
    server = {
        "format_version": 2,
        "task_data_filters": [],
        "task_result_filters": [],
        "components": [
            {
                "id": "aggregator",
                "path": f"{STOCK}.aggregators.intime_accumulate_model_aggregator.InTimeAccumulateWeightedAggregator",
                "args": {"expected_data_kind": "WEIGHTS"},
            },
            {
                "id": "shareable_generator",
                "path": f"{STOCK}.shareablegenerators.full_model_shareable_generator.FullModelShareableGenerator",
                "args": {},
            },
            {"id": "persistor", "path": "racoon_train.federated.adapters.nvflare_average.RoundStore", "args": {}},
        ],
        "workflows": [
            {
                "id": "rounds",
                "path": f"{STOCK}.workflows.scatter_and_gather.ScatterAndGather",
                "args": {
                    "min_clients": 2,
                    "num_rounds": rounds,
                    "wait_time_after_min_received": 0,
                    "persistor_id": "persistor",
                    "task_check_period": 0.2,
                    "snapshot_every_n_rounds": 0,
                },
            }
        ],
    }
    executor = {
        "path": f"{STOCK}.executors.client_api_executor.ClientAPIExecutor",
        "args": {
            "execution_mode": "in_process",
            "task_script_path": str(script),
            "params_exchange_format": "numpy",
        },
    }
    site = {
        "format_version": 2,
        "executors": [{"tasks": ["train"], "executor": executor}],
        "task_data_filters": [],
        "task_result_filters": [],
        "components": [],
    }
    write_json(
        root / "meta.json", {"name": "bare", "resource_spec": {}, "min_clients": 2, "deploy_map": {"app": ["@ALL"]}}
    )
    write_json(root / "app" / "config" / "config_fed_server.json", server)
    write_json(root / "app" / "config" / "config_fed_client.json", site)
    return root


def bare(job, datasets, out):
    """Run bare FLARE."""
    lay_out(job, out, list(datasets), anew=True)
    script = out / "client.py"
    script.write_text(SCRIPT)
    [port] = free_ports(1)
    kits = provision(out / "nvflare", list(datasets), host="localhost", port=port)
    close_server(kits.server)
    sites = [join(alias, root, job, out) for alias, root in datasets.items()]
    for each in (kits.server, *kits.sites.values()):
        if each is not kits.server:
            close_site(each)
        path = each / "local" / "resources.json"
        write_json(path, {**json.loads(path.read_text()), "class_allow_list": ["*"]})
    with daemons(out / "nvflare", out / "logs", PROGRAM) as running:
        start_server(running, kits.server, out)
        for site in sites:
            site.begin()
            site.save(out / "sites" / f"{site.alias}.json")
            start_site(running, kits.sites[site.alias], out / "sites" / f"{site.alias}.json")
        folder = bare_job(out / "bare", job.training.rounds, script)
        command = [sys.executable, "-c", SUBMIT, COORDINATOR, str(kits.coordinator), str(folder)]
        subprocess.run(command, check=True, capture_output=True, timeout=120)
        while not model_of(out, job.training.rounds).is_file():
            time.sleep(0.1)


def ours(job, datasets, out):
    """Run our adapter."""
    NvflareAggregator().run(job.to_json(), datasets=datasets, out=out, on_event=ignore)


def model_of(out, number):
    """The model after a round."""
    return out / "rounds" / f"{number:04d}.safetensors"


class Watch(threading.Thread):
    """CPU seconds of every process of a run, noted when a round's model appears."""

    def __init__(self, out, rounds):
        super().__init__(daemon=True)
        self.out, self.rounds, self.cpu, self.at = out, rounds, {}, {}

    def run(self):
        for number in range(1, self.rounds + 1):
            while not model_of(self.out, number).is_file():
                time.sleep(0.05)
            self.at[number] = model_of(self.out, number).stat().st_mtime
            self.cpu[number] = sum(used(each) for each in psutil.process_iter(["cmdline"]) if is_of(each, self.out))


def is_of(process, out):
    """Tell whether a process belongs to a run."""
    return str(out) in " ".join(process.info["cmdline"] or [])


def used(process):
    """CPU seconds of a process, 0 if it is gone."""
    try:
        times = process.cpu_times()
    except psutil.NoSuchProcess:
        return 0.0
    return times.user + times.system


def sent(out, rounds):
    """Bytes of weights that FLARE says it moved in the rounds, both ways."""
    per_round = re.compile(r"download tx .* done: status=finished .*\(([\d,]+) bytes\)")
    sizes = [
        int(found.replace(",", ""))
        for log in (out / "logs").glob("*.log")
        for found in per_round.findall(log.read_text())
    ]
    return sum(sorted(sizes, reverse=True)[: rounds * 4])


def measure(run, job, datasets, home):
    """Seconds and CPU seconds of a round after the first, bytes of all, and the last model."""
    shutil.rmtree(home, ignore_errors=True)
    watch = Watch(home, job.training.rounds)
    watch.start()
    run(job, datasets, home)
    watch.join(timeout=10)
    pairs = [(number - 1, number) for number in range(2, job.training.rounds + 1)]
    wall = [watch.at[later] - watch.at[earlier] for earlier, later in pairs]
    cpu = [watch.cpu[later] - watch.cpu[earlier] for earlier, later in pairs]
    return wall, cpu, sent(home, job.training.rounds), load_weights(model_of(home, job.training.rounds))


def main():
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument(
        "--channels",
        type=int,
        nargs="+",
        default=[16, 32, 64],
        help="maps by level; 64 128 256 512 1024 is 31 M parameters",
    )
    asked.add_argument("--steps", type=int, default=20, help="local steps a round")
    asked.add_argument("--rounds", type=int, default=3)
    asked.add_argument("--repeats", type=int, default=1, help="pairs of runs, alternating")
    given = asked.parse_args()
    job = a_job(rounds=given.rounds, steps=given.steps)
    network = NetworkSettings(channels=tuple(given.channels), residual_units=0)
    rules = job.rules.model_copy(update={"round_timeout_s": 3600.0})
    training = job.training.model_copy(update={"batch_size": 8})
    job = job.model_copy(update={"network": network, "rules": rules, "training": training})
    start = initial_weights(job)
    raw = sum(array.nbytes for array in start.values()) * 2 * 2 * given.rounds
    found = {"bare FLARE": [], "racoon": []}
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        datasets = {f"site-{each}": a_dataset(home / each, site=each) for each in "ab"}
        for _ in range(given.repeats):
            for name, run in (("bare FLARE", bare), ("racoon", ours)):
                found[name].append(measure(run, job, datasets, home / name.replace(" ", "-")))
    report(found, raw, sum(array.size for array in start.values()))


def report(found, raw, parameters):
    """Print the table and check that both trained the same model."""
    table = {}
    for name, runs in found.items():
        wall = statistics.median([second for run in runs for second in run[0]])
        cpu = statistics.median([second for run in runs for second in run[1]])
        table[name] = (wall, cpu, runs[-1][2])
    apart = max(
        float(abs(array - found["racoon"][-1][3][name]).max()) for name, array in found["bare FLARE"][-1][3].items()
    )
    print(f"{parameters / 1e6:.2f} M parameters, two sites, raw both ways {raw / 1e6:.1f} MB, models {apart:.0e} apart")
    print(f"{'':12}{'s/round':>9}{'CPU s/round':>13}{'MB':>9}")
    for name, (wall, cpu, size) in table.items():
        print(f"{name:12}{wall:9.2f}{cpu:13.2f}{size / 1e6:9.1f}")
    bare_, ours_ = table["bare FLARE"], table["racoon"]
    print(
        f"{'ratio':12}{ours_[0] / bare_[0]:9.3f}{ours_[1] / bare_[1]:13.3f}{ours_[2] / raw:9.3f}  (bytes against raw)"
    )


if __name__ == "__main__":
    main()
