"""FLARE's daemons as we start them: quiet about nothing else than their own work, and ended with their parent."""

from __future__ import annotations

import os
import runpy
import sys

from racoon_train.federated.adapters.flower_daemon import PARENT_VARIABLE, end_with_parent

_PROGRAMS = {
    "server": "nvflare.private.fed.app.server.server_train",
    "site": "nvflare.private.fed.app.client.client_train",
    "coordinator": "racoon_train.federated.adapters.nvflare_coordinator",
}


def main() -> None:
    """Run ``server``, ``site`` or ``coordinator`` with the options that follow."""
    end_with_parent(int(os.environ[PARENT_VARIABLE]))
    program = _PROGRAMS[sys.argv.pop(1)]
    runpy.run_module(program, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
