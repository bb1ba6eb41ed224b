"""Submits jobs to a FLARE server with a coordinator's kit and prints how each ended, as JSON."""

import json
import sys
import time

from nvflare.fuel.flare_api.flare_api import new_secure_session

from racoon_train.federated.adapters.nvflare_kits import COORDINATOR


def main(kit, sites, *jobs):
    session = new_secure_session(COORDINATOR, kit, timeout=60)
    deadline = time.monotonic() + 60
    while len(session.get_connected_client_list()) < int(sites) and time.monotonic() < deadline:
        time.sleep(0.3)
    ends = []
    for job in jobs:
        job_id, status = session.submit_job(job), ""
        while not status.startswith("FINISHED") and time.monotonic() < deadline:
            time.sleep(0.3)
            status = str(session.get_job_meta(job_id).get("status", ""))
        ends.append(status)
    sys.stdout.write("\n" + json.dumps(ends) + "\n")
    session.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
