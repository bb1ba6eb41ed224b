"""What a PACS says a study holds: the list a retrieval is measured against."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from racoon_data.errors import PacsCappedError, PacsError
from racoon_data.pacs.filters import is_exact
from racoon_data.pacs.find import find
from racoon_data.pacs.peer import PacsNode, WebNode
from racoon_data.pacs.web import qido
from racoon_data.refs import InstanceRef, Match, Query, StudyRef
from racoon_data.site.ledger import CAME, InstanceState, Ledger, StudyVerdict, Verdict

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Expectation:
    """What a PACS says a study holds.

    Attributes:
        node: Name of the PACS.
        ref: The study.
        instances: Every instance it lists, in order.
        sop_classes: Their SOP classes, as far as it tells.
        modalities: The modalities of the series.
        class_of: SOP class by SOPInstanceUID, empty where it does not tell.
    """

    node: str
    ref: StudyRef
    instances: tuple[InstanceRef, ...]
    sop_classes: tuple[str, ...]
    modalities: tuple[str, ...]
    class_of: Mapping[str, str] = field(default_factory=dict)


def expectation(node: PacsNode | WebNode, study: StudyRef) -> Expectation:
    """Ask a PACS for the list of a study's instances, series by series.

    A list that may have been cut off is no list: the expectation is then unknown.

    Raises:
        PacsError: The query failed, see :func:`racoon_data.pacs.find.find`; or the study's UID is empty, a
            wildcard or a list, which would ask for other studies too.
    """
    if not study.study_uid or not is_exact(study.study_uid):
        hint = "report the answer to the PACS's vendor"
        raise PacsError("a study without a StudyInstanceUID of its own cannot be retrieved", ref=node, hint=hint)
    query = Query("IMAGE", {"StudyInstanceUID": study.study_uid, "Modality": ""})
    refs: dict[InstanceRef, tuple[str, str]] = {}
    try:
        for match in _ask(node, query):
            if isinstance(match.ref, InstanceRef) and match.ref.sop_uid:
                refs[match.ref] = (match.attributes["SOPClassUID"], match.attributes["Modality"])
    except PacsCappedError as error:
        logger.warning("the list of %s is not whole: %s", study, error.message)
        refs.clear()
    classes = tuple(sorted({sop_class for sop_class, _ in refs.values()}))
    modalities = tuple(sorted({word for _, word in refs.values()}))
    class_of = {ref.sop_uid: sop_class for ref, (sop_class, _) in refs.items()}
    return Expectation(node.name, study, tuple(sorted(refs)), classes, modalities, class_of)


def _ask(node: PacsNode | WebNode, query: Query) -> Iterator[Match]:
    return qido.find(node, query) if isinstance(node, WebNode) else find(node, query)


def verdict_of(ledger: Ledger, expected: Expectation) -> StudyVerdict:
    """Measure a study against what this PACS lists and what another one listed and still owes."""
    rows = ledger.standings(expected.ref.study_uid)
    here = {ref for ref, _, state in rows if state in CAME}
    if not expected.instances:
        return StudyVerdict(expected.ref, Verdict.UNKNOWN_EXPECTED if here else Verdict.EMPTY, 0, len(here))
    settled = (*CAME, InstanceState.WITHDRAWN)
    owed_elsewhere = {ref for ref, node, state in rows if node not in ("", expected.node) and state not in settled}
    count = len(owed_elsewhere.union(expected.instances))
    arrived = len(here.intersection(expected.instances))
    verdict = Verdict.COMPLETE if arrived == count else Verdict.PARTIAL if arrived else Verdict.EMPTY
    return StudyVerdict(expected.ref, verdict, count, arrived)
