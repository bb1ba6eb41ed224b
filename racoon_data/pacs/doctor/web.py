"""The doctor at a DICOMweb service: does it answer queries, hand out studies and take new ones?"""

from __future__ import annotations

import time
from itertools import islice

from racoon_data.errors import about
from racoon_data.pacs.doctor.chart import Chart
from racoon_data.pacs.doctor.trials import try_wado
from racoon_data.pacs.filters import RETURN_KEYS
from racoon_data.pacs.peer import WebNode
from racoon_data.pacs.web import qido, stow
from racoon_data.pacs.web.session import Session
from racoon_data.refs import Query

_SAMPLE = 200


def probe_qido(node: WebNode, chart: Chart) -> None:
    """Ask for some studies."""
    seconds = qido.echo(node)
    chart.good("QIDO-RS", f"the service answers queries ({seconds * 1000:.0f} ms)")
    _note(chart, "qido")
    if chart.studies:
        return
    started = time.monotonic()
    matches = list(islice(qido.find(node, Query("STUDY")), _SAMPLE))
    seconds = max(time.monotonic() - started, 1e-3)
    chart.studies = [{keyword: one.attributes.get(keyword, "") for keyword in RETURN_KEYS["STUDY"]} for one in matches]
    if matches:
        chart.good("query speed", f"{len(matches) / seconds:.0f} answers a second")
    else:
        chart.limited("answers", "the service shows us no study", "check the rights of our user there")


def probe_wado(node: WebNode, chart: Chart) -> None:
    """Fetch a small study."""
    try_wado(node, chart)
    if "wado" in chart.methods:
        _note(chart, "wado")


def probe_stow(node: WebNode, chart: Chart) -> None:
    """Send a request to store nothing: nothing is stored, and the status tells whether we could."""
    with about(node), Session(node) as session:
        is_offered = stow.is_offered(session)
    if is_offered:
        _note(chart, "stow")
        chart.good("STOW-RS", "the service takes requests to store (an empty one was sent; nothing was stored)")
    else:
        remedy = "set stow_url of the node where it lies elsewhere; else results are pushed over DICOM"
        chart.limited("STOW-RS", "the service does not take requests to store", remedy)


def _note(chart: Chart, service: str) -> None:
    chart.values["web_services"] = (*chart.values.get("web_services", ()), service)
