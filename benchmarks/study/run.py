"""Run the study in small as its protocol says: ``make study``, ``make study ENGINES="flower nvflare"``.

Seeds are trained in processes of their own, as many at a time as there are cores; a last pass judges all of
them together. A study that was broken off goes on. On an engine, one seed is trained with separate processes over TLS.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from racoon_data.files.atomic import write_json
from racoon_train.demo.protocol import Protocol, load_protocol, run_protocol
from racoon_train.evaluation.report import print_tables
from racoon_train.evaluation.tables import figure_of

HERE = Path(__file__).parent
KEPT = ("job", "yardstick", "classes", "datasets", "summary", "statistics", "software")


def main() -> None:
    """Run what was asked for and print what came out, whatever it is."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--protocol", type=Path, default=HERE / "protocol.toml")
    parser.add_argument("--out", type=Path, default=Path("study"))
    parser.add_argument("--engine", action="append", default=[], help="flower or nvflare; repeat")
    parser.add_argument("--seed", type=int, help="one of the protocol's seeds, in this process")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="seeds at a time")
    parser.add_argument("--outcome", type=Path, help="also write a short account here")
    given = parser.parse_args()
    protocol, digest = load_protocol(given.protocol)
    print(f"{protocol.name}, protocol {digest}", flush=True)
    if given.seed is not None:
        run_protocol(protocol, given.out, seeds=[given.seed])
        return
    started = time.monotonic()
    _train_seeds(protocol, given)
    document = run_protocol(protocol, given.out)
    print_tables(document)
    wall_s = round(time.monotonic() - started)
    print(f"{wall_s} s on {os.cpu_count()} cores; {given.out / 'comparison.html'}")
    engines = {engine: _on_engine(protocol, engine, given.out) for engine in given.engine}
    if given.outcome:
        kept = {name: document.document[name] for name in KEPT}
        by_seed = [{"seed": run["seed"], "summary": run["summary"]} for run in document.document["runs"]]
        write_json(
            given.outcome, {"protocol_sha256": digest, "wall_s": wall_s, **kept, "by_seed": by_seed, "engines": engines}
        )


def _train_seeds(protocol: Protocol, given: argparse.Namespace) -> None:
    """Train the seeds side by side, after the hospitals are made."""
    from racoon_train.demo.protocol import prepare

    prepare(protocol, given.out)
    command = [sys.executable, __file__, "--protocol", str(given.protocol), "--out", str(given.out), "--seed"]
    with ThreadPoolExecutor(given.jobs) as pool:
        done = pool.map(lambda seed: subprocess.run([*command, str(seed)], check=True), protocol.seeds)
        list(done)


def _on_engine(protocol: Protocol, engine: str, out: Path) -> list[dict[str, object]]:
    """Train the first seed through a real engine and say how far its arms are from the in-process ones."""
    started = time.monotonic()
    account = run_protocol(protocol, out / engine, aggregator=engine, seeds=protocol.seeds[:1])
    ours = json.loads((out / "comparison.json").read_text())["runs"][0]["summary"]
    theirs = {entry["arm"]: entry for entry in account.document["summary"]}
    print(f"seed {protocol.seeds[0]} on {engine}: {time.monotonic() - started:.0f} s")
    for place in ("own", "external"):
        row = next(entry for entry in ours if entry["arm"] == "federated")
        print(f"  federated, {place}: {figure_of(theirs['federated'][place])} (in-process {figure_of(row[place])})")
    return list(account.document["summary"])


if __name__ == "__main__":
    main()
