"""Nobody's code runs: not what a job brings along, and no class the site does not know, whatever the server says."""

import json
import subprocess
import sys

import pytest

from racoon_data.files.atomic import write_json
from racoon_train.federated.adapters.flower_processes import daemons, free_ports
from racoon_train.federated.adapters.nvflare_kits import close_server, close_site, provision
from racoon_train.federated.adapters.nvflare_processes import PROGRAM, start_server, start_site

pytest.importorskip("nvflare")

SERVER = {
    "format_version": 2,
    "task_data_filters": [],
    "task_result_filters": [],
    "components": [],
    "workflows": [
        {
            "id": "rounds",
            "path": "nvflare.app_common.workflows.scatter_and_gather.ScatterAndGather",
            "args": {"min_clients": 1},
        }
    ],
}
CODE = """
from pathlib import Path

from nvflare.apis.executor import Executor

Path({marker!r}).touch()


class Own(Executor):
    pass
"""


def a_flare_job(root, *, executor, code=None):
    """A job as another FLARE user would write it."""
    config = {
        "format_version": 2,
        "executors": [{"tasks": ["train"], "executor": executor}],
        "task_data_filters": [],
        "task_result_filters": [],
        "components": [],
    }
    meta = {"name": root.name, "resource_spec": {}, "min_clients": 1, "deploy_map": {"app": ["@ALL"]}}
    write_json(root / "meta.json", meta)
    write_json(root / "app" / "config" / "config_fed_server.json", SERVER)
    write_json(root / "app" / "config" / "config_fed_client.json", config)
    if code:
        (root / "app" / "custom").mkdir()
        (root / "app" / "custom" / "own.py").write_text(code)
    return root


def submitted(kit, sites, *jobs):
    """How FLARE ended each job."""
    command = [sys.executable, "-m", "tests.train.flare_admin", str(kit), str(sites), *map(str, jobs)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=150, check=True)
    return json.loads(done.stdout.strip().splitlines()[-1])


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_a_site_refuses_code_that_its_server_would_run(tmp_path):
    """With a server as FLARE provisions it, code of the job and a class that runs any script end at the site's door."""
    marker = tmp_path / "ran"
    script = tmp_path / "script.py"
    script.write_text(f"from pathlib import Path\nPath({str(marker)!r}).touch()\n")
    runs_any = "nvflare.app_common.executors.client_api_executor.ClientAPIExecutor"
    named = {"path": runs_any, "args": {"execution_mode": "in_process", "task_script_path": str(script)}}
    brought = {"path": "own.Own", "args": {}}
    jobs = [
        a_flare_job(tmp_path / "brings", executor=brought, code=CODE.format(marker=str(marker))),
        a_flare_job(tmp_path / "names", executor=named),
    ]
    [port] = free_ports(1)
    kits = provision(tmp_path / "kits", ["site-a"], host="localhost", port=port)
    close_server(kits.server)
    (kits.server / "local" / "authorization.json").unlink()
    resources = json.loads((kits.server / "local" / "resources.json").read_text())
    write_json(kits.server / "local" / "resources.json", {**resources, "class_allow_list": ["*"]})
    close_site(kits.sites["site-a"])

    with daemons(tmp_path / "home", tmp_path / "logs", PROGRAM) as running:
        start_server(running, kits.server, tmp_path)
        start_site(running, kits.sites["site-a"], tmp_path / "paper.json")
        ends = submitted(kits.coordinator, 1, *jobs)

    server, site = ((tmp_path / "logs" / f"{name}.log").read_text() for name in ("server", "site-site-a"))
    assert len(ends) == 2
    assert not any(end == "FINISHED:COMPLETED" for end in ends)
    assert not marker.exists()
    assert "site-a: NVFLARE_ERROR: BYOC not permitted" in server
    assert f"Component '{runs_any}'" in site
    assert "is not in allow_list" in site


def test_only_the_coordinators_role_has_rights_and_none_to_run_code(tmp_path):
    """Neither policy knows another role; both forbid code and shells, and the site also a look at its logs."""
    for name, close in (("server", close_server), ("site", close_site)):
        close(tmp_path / name)
        rights = json.loads((tmp_path / name / "local" / "authorization.json").read_text())["permissions"]
        resources = json.loads((tmp_path / name / "local" / "resources.json").read_text())
        assert set(rights) == {"lead"}
        assert rights["lead"]["byoc"] == rights["lead"]["shell_commands"] == "none"
        assert resources["class_list_enforcement_mode"] == "enforce"
        assert all(path.startswith("racoon_train.") for path in resources["class_allow_list"])
        assert not any("log" in component["id"] for component in resources["components"])
    assert rights["lead"]["view"] == rights["lead"]["operate"] == "none"
    assert resources["allow_log_streaming"] is False
