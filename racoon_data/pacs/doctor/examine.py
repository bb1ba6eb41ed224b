"""An examination: every probe in order, each failure a finding, and a profile at the end."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

from pydicom.uid import UID

from racoon_data.errors import PacsError, SettingsError, StorageError
from racoon_data.events import Event, OnEvent, ignore
from racoon_data.pacs.doctor import asking, trials, web
from racoon_data.pacs.doctor.chart import Chart
from racoon_data.pacs.peer import PacsNode, WebNode
from racoon_data.pacs.profile import PacsProfile

Step = tuple[str, Callable[[Chart], None]]

# By name; where the first of a row fails, the others of that row are left out.
_DICOM = (
    ("connection", asking.probe_connection),
    ("contexts", asking.probe_contexts),
    ("answers", asking.probe_answers),
    ("counts", asking.probe_counts),
    ("C-GET", trials.try_get),
    ("C-MOVE", trials.try_move),
)
_WEB = (("QIDO-RS", web.probe_qido), ("WADO-RS", web.probe_wado), ("STOW-RS", web.probe_stow))


def rows_of(node: PacsNode | WebNode) -> tuple[tuple[Step, ...], ...]:
    """Say what is looked at: a row over DICOM, a row over the DICOMweb service of the same PACS."""
    if isinstance(node, WebNode):
        return (tuple((name, partial(probe, node)) for name, probe in _WEB),)
    dicom = tuple((name, partial(probe, node)) for name, probe in _DICOM)
    return (dicom, *rows_of(node.web)) if node.web else (dicom,)


def examine(node: PacsNode | WebNode, *, on_event: OnEvent = ignore) -> PacsProfile:
    """Find out what a PACS or DICOMweb service really does.

    It is asked, and one small study is fetched each way it offers and thrown away; nothing is changed there.

    Args:
        node: The PACS or service.
        on_event: Listener, one ``examine`` event per probe.

    Returns:
        Its profile. A probe that fails is a finding, and the others go on; where not even the connection opens, that
        finding stands alone.
    """
    chart = Chart()
    rows = rows_of(node)
    done, total = 0, sum(len(row) for row in rows)
    for row in rows:
        for name, probe in row:
            is_well = _tried(name, probe, chart)
            done += 1
            on_event(Event("examine", name, done, total))
            if not is_well and name == row[0][0]:
                break
    return PacsProfile(node=node.name, address=node.address, findings=tuple(chart.findings), **chart.values)


def _tried(name: str, probe: Callable[[Chart], None], chart: Chart) -> bool:
    try:
        probe(chart)
    except (PacsError, StorageError, SettingsError) as error:
        chart.bad(name, error.message, error.hint or "see the peer's log")
        return False
    return True


def names_of(profile: PacsProfile) -> Iterator[tuple[str, str]]:
    """Give classes and the encodings accepted for them in words; classes with the same encodings share a row."""
    for syntaxes in sorted(set(profile.transfer_syntaxes.values())):
        classes = [uid for uid, names in sorted(profile.transfer_syntaxes.items()) if names == syntaxes]
        yield ", ".join(UID(uid).name for uid in classes), ", ".join(UID(uid).name for uid in syntaxes)
