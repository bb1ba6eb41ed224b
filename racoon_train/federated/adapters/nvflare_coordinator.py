"""The coordinator's process: waits for sites, submits the job, and submits it again when somebody comes or is lost."""

from __future__ import annotations

import argparse
import logging
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from nvflare.fuel.flare_api.flare_api import new_secure_session

from racoon_data.documents import read_json
from racoon_data.errors import FederationError, SiteLostError
from racoon_data.files.atomic import write_json, write_text
from racoon_train.federated.adapters.nvflare_job import write_job
from racoon_train.federated.adapters.nvflare_kits import COORDINATOR
from racoon_train.federated.adapters.nvflare_rounds import REGROUP
from racoon_train.federated.contract import scrubbed
from racoon_train.job.job import Job, load_job

_POLL_S = 0.5
_CONNECT_S = 60.0
_FINISHED = "FINISHED"


def main() -> None:
    """Run the federation of one folder; leave ``coordinator.json``: how it ended, as a code."""
    logging.basicConfig(level=logging.WARNING)
    asked = argparse.ArgumentParser()
    asked.add_argument("--kit", type=Path, required=True)
    asked.add_argument("--out", type=Path, required=True)
    asked.add_argument("--sites", type=int, required=True)
    given = asked.parse_args()
    answer = scrubbed(lambda: Coordinator(given.kit, given.out, sites=given.sites).run())
    write_json(given.out / "coordinator.json", {"ended": answer})


class Coordinator:
    """Who submits the job and looks after it."""

    def __init__(self, kit: Path, out: Path, *, sites: int) -> None:
        self._kit = kit
        self._out = out
        self._sites = sites
        self._job: Job = load_job(out / "job.json")
        self._quorum = self._job.quorum_of(sites)

    def run(self) -> str:
        """Submit until every round is done; give ``done``, or the code it ended with."""
        folder = write_job(self._out / "nvflare", self._job, quorum=self._quorum)
        wait_for = self._sites
        while True:
            ended = self._once(folder, wait_for=wait_for)
            if ended != REGROUP:
                return ended
            wait_for = self._quorum

    def _once(self, folder: Path, *, wait_for: int) -> str:
        for name in ("server.json", REGROUP):
            (self._out / name).unlink(missing_ok=True)
        session = new_secure_session(COORDINATOR, str(self._kit), timeout=_CONNECT_S)
        try:
            self._wait_for_sites(session, wait_for)
            job_id = session.submit_job(str(folder))
            return self._watch(session, job_id)
        finally:
            with suppress(Exception):
                session.close()

    def _wait_for_sites(self, session: Any, wanted: int) -> None:
        deadline = time.monotonic() + self._job.rules.join_timeout_s
        while (here := len(session.get_connected_client_list())) < wanted:
            if time.monotonic() > deadline:
                if here >= self._quorum:
                    return
                raise SiteLostError(
                    f"{here} of {self._sites} sites joined in time", hint="look at the logs of the sites"
                )
            time.sleep(_POLL_S)

    def _watch(self, session: Any, job_id: str) -> str:
        while True:
            if self._server_says() == "done":  # every round is on disk; FLARE takes seconds more to put the job away
                return "done"
            meta = session.get_job_meta(job_id)
            if str(meta.get("status", "")).startswith(_FINISHED):
                return self._ended(str(meta["status"]))
            here = {client.name for client in session.get_connected_client_list()}
            dealt = {str(client["name"]) for client in meta.get("job_clients") or []}
            if dealt and here - dealt:
                write_text(self._out / REGROUP, "")
            time.sleep(_POLL_S)

    def _ended(self, status: str) -> str:
        ended = self._server_says()
        if not ended:
            raise FederationError(f"FLARE ended the job ({status})", hint="look at the log of the server")
        return ended

    def _server_says(self) -> str:
        path = self._out / "server.json"
        return str(read_json(path)["ended"]) if path.is_file() else ""


if __name__ == "__main__":
    main()
