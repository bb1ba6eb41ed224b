"""A short-lived helper at the coordinator: register the members' keys, sign the bundle, start the run."""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path

from flwr.cli.build import build_fab_from_disk
from flwr.cli.flower_config import read_superlink_connection
from flwr.cli.utils import init_http_client_from_connection
from flwr.common.serde import fab_to_proto
from flwr.proto.control_pb2 import RegisterNodeRequest, StartRunRequest
from flwr.supercore.fab import Fab

from racoon_data.documents import read_json
from racoon_data.files.atomic import write_json
from racoon_train.federated.adapters.flower_bundle import sign_bundle


def main() -> None:
    """Do as a plan says: ``python -m ... PLAN``; ``nodes.json`` tells which node is whose."""
    plan = read_json(Path(sys.argv[1]))
    out = Path(plan["out"])
    client = init_http_client_from_connection(read_superlink_connection("federation"))
    try:
        nodes = {}
        for alias, public_key in sorted(plan["members"].items()):
            request = RegisterNodeRequest(public_key=public_key.encode("ascii"), name=alias)
            nodes[alias] = str(client.RegisterNode(request=request).node_id)
        write_json(out / "nodes.json", nodes)
        content = build_fab_from_disk(Path(plan["bundle"]))
        sign_bundle(content, Path(plan["publisher"]), Path(plan["signed"]))
        fab = Fab(hashlib.sha256(content).hexdigest(), content, {})
        answer = client.StartRun(StartRunRequest(fab=fab_to_proto(fab)))
        write_json(out / "run.json", {"run": str(answer.run_id)})
    finally:
        client.close()


if __name__ == "__main__":
    main()
