"""The one class a site lets a FLARE job name: it runs our installed client and nothing else."""

from __future__ import annotations

import os
import re
from pathlib import Path

from nvflare.app_common.executors.client_api_executor import ClientAPIExecutor, ExecutionMode
from nvflare.client.config import ExchangeFormat

from racoon_data.errors import JobMismatchError
from racoon_train.federated.adapters.flower_daemon import end_with_parent

_SCRIPT = Path(__file__).with_name("nvflare_client.py")


class SiteExecutor(ClientAPIExecutor):
    """FLARE's Client API executor with nothing left to choose: the script is the installed one.

    FLARE's own class runs any script or command that a job names, which is code by another road;
    so a site's list of allowed classes holds this one instead.
    """

    def __init__(self, job_sha256: str) -> None:
        """Prepare to serve one job.

        Args:
            job_sha256: Hash of the job, compared at the site with the approved one.

        Raises:
            JobMismatchError: It is no hash.
        """
        if not re.fullmatch(r"[0-9a-f]{64}", job_sha256):
            raise JobMismatchError("the job names no hash", hint="submit it with racoon")
        end_with_parent(os.getppid())
        super().__init__(
            execution_mode=ExecutionMode.IN_PROCESS,
            task_script_path=str(_SCRIPT),
            task_script_args=job_sha256,
            params_exchange_format=ExchangeFormat.NUMPY,
        )
