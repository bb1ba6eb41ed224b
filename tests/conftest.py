"""What every test may rely on: markers that skip with a reason, and skips that fail where they hide a hole."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")
# Peers that pip installs (dcm2niix, dcmqi) lie beside the interpreter, which need not be activated.
os.environ["PATH"] = os.pathsep.join((str(Path(sys.executable).parent), os.environ.get("PATH", "")))


def _lacking(item: pytest.Item) -> str:
    """Say what a marked test lacks here, or nothing."""
    if item.get_closest_marker("real") and not os.environ.get("RACOON_REAL_DATA"):
        return "RACOON_REAL_DATA is not set"
    tools = [tool for marker in item.iter_markers("peers") for tool in marker.args]
    missing = [tool for tool in tools if shutil.which(tool) is None]
    return f"not installed: {', '.join(missing)}" if missing else ""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip tests whose public data (``real``) or tools (``peers("Orthanc")``) are not here."""
    for item in items:
        if reason := _lacking(item):
            item.add_marker(pytest.mark.skip(reason=reason))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[Any]) -> Generator[None, Any, Any]:
    """Under ``RACOON_STRICT_SKIPS`` a skipped test fails where its data and tools are here."""
    report = yield
    is_marked = item.get_closest_marker("real") or item.get_closest_marker("peers")
    if report.skipped and is_marked and os.environ.get("RACOON_STRICT_SKIPS") and not _lacking(item):
        report.outcome = "failed"
        report.longrepr = f"{item.nodeid} was skipped although its data and tools are here"
    return report


@pytest.fixture
def real_data() -> Path:
    """The folder of public patients (use with ``@pytest.mark.real``)."""
    return Path(os.environ["RACOON_REAL_DATA"])
