"""The coordinator's process: waits for sites, submits the job, and submits it again when somebody comes or is lost."""

from __future__ import annotations

import argparse
import logging
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from nvflare.apis.fl_exception import FLCommunicationError
from nvflare.fuel.flare_api.api_spec import InternalError, NoConnection, NoReply, SessionClosed, SessionExpired
from nvflare.fuel.flare_api.flare_api import new_secure_session

from racoon_data.documents import read_json
from racoon_data.errors import FederationError, QuorumLostError, SiteLostError
from racoon_data.files.atomic import write_json, write_text
from racoon_train.federated.adapters.nvflare_job import write_job
from racoon_train.federated.adapters.nvflare_kits import COORDINATOR
from racoon_train.federated.adapters.nvflare_rounds import DEALT, REGROUP
from racoon_train.federated.contract import scrubbed
from racoon_train.federated.rounds import last_round
from racoon_train.job.job import Job, load_job

logger = logging.getLogger(__name__)

_POLL_S = 0.5
_CONNECT_S = 60.0
_FINISHED = "FINISHED"
_IN_VAIN = 3
_ABORT_S = 8.0
CUT_SHORT = "cut short"
_GOES_ON = (REGROUP, CUT_SHORT, QuorumLostError.code)
_CONNECTION_LOST = (FLCommunicationError, NoConnection, NoReply, SessionClosed, SessionExpired, InternalError)


def main() -> None:
    """Run the federation of one folder; leave ``coordinator.json``: how it ended, as a code."""
    logging.basicConfig(level=logging.WARNING)
    asked = argparse.ArgumentParser()
    asked.add_argument("--kit", type=Path, required=True)
    asked.add_argument("--out", type=Path, required=True)
    given = asked.parse_args()
    answer = scrubbed(lambda: Coordinator(given.kit, given.out).run())
    write_json(given.out / "coordinator.json", {"ended": answer})


class Coordinator:
    """Who submits the job and looks after it."""

    def __init__(self, kit: Path, out: Path) -> None:
        self._kit = kit
        self._out = out
        self._sites = int(read_json(out / "plan.json")["sites"])
        self._job: Job = load_job(out / "job.json")
        self._quorum = self._job.quorum_of(self._sites)
        self._submissions: list[dict[str, Any]] = []

    def run(self) -> str:
        """Submit until every round is done; give ``done``, or the code it ended with.

        FLARE itself ends a job when the process of one site dies. The models of all whole rounds are on
        disk, so the job is submitted again with whoever is there, as long as rounds come of it.
        """
        folder = write_job(self._out / "nvflare", self._job, quorum=self._quorum)
        wanted, in_vain = self._sites, 0
        while True:
            before = last_round(self._out)
            ended = self._once(folder, wanted)
            self._submissions.append({"after_round": before, "ended": ended})
            write_json(self._out / "submissions.json", {"submissions": self._submissions})
            in_vain = 0 if last_round(self._out) > before else in_vain + 1
            if ended not in _GOES_ON:
                return ended
            if in_vain >= (self._job.rules.round_attempts if ended == QuorumLostError.code else _IN_VAIN):
                return ended if ended == QuorumLostError.code else FederationError.code
            wanted = self._quorum

    def _once(self, folder: Path, wanted: int) -> str:
        for name in ("server.json", DEALT, REGROUP):
            (self._out / name).unlink(missing_ok=True)
        try:
            session = new_secure_session(COORDINATOR, str(self._kit), timeout=_CONNECT_S)
        except FLCommunicationError:
            return CUT_SHORT
        try:
            self._wait_for_sites(session, wanted)
            return self._watch(session, session.submit_job(str(folder)))
        except _CONNECTION_LOST:
            logger.warning("the server is gone; trying again")
            return CUT_SHORT
        finally:
            with suppress(*_CONNECTION_LOST):
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
        told_s: float | None = None
        while True:
            said = self._server_says()
            if said == "done":  # every round is on disk; FLARE takes seconds more to put the job away
                return said
            meta = session.get_job_meta(job_id)
            if str(meta.get("status", "")).startswith(_FINISHED):
                return said or CUT_SHORT
            if said:
                told_s = told_s or time.monotonic()
                if self._is_over(session, job_id, waited_s=time.monotonic() - told_s):
                    return said
            else:
                self._look_for_late_sites(session)
            time.sleep(_POLL_S)

    def _is_over(self, session: Any, job_id: str, *, waited_s: float) -> bool:
        """End a job that a hung site keeps open: its server part is over, the site's never answers."""
        if waited_s > _ABORT_S:
            session.abort_job(job_id)
        return waited_s > 2 * _ABORT_S

    def _look_for_late_sites(self, session: Any) -> None:
        if (self._out / DEALT).is_file():
            here = {client.name for client in session.get_connected_client_list()}
            if here - set(read_json(self._out / DEALT)["sites"]):
                write_text(self._out / REGROUP, "")

    def _server_says(self) -> str:
        path = self._out / "server.json"
        return str(read_json(path)["ended"]) if path.is_file() else ""


if __name__ == "__main__":
    main()
