"""What a PACS says a study holds: the list a retrieval is measured against."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from pydicom.dataset import Dataset
from pynetdicom.association import Association
from pynetdicom.presentation import build_context
from pynetdicom.sop_class import StudyRootQueryRetrieveInformationModelFind

from racoon_data.errors import PacsError
from racoon_data.pacs.associations import associated
from racoon_data.pacs.attributes import text_of
from racoon_data.pacs.find import answers, query_dataset
from racoon_data.pacs.peer import PacsNode
from racoon_data.refs import InstanceRef, Query, StudyRef
from racoon_data.site.ledger import InstanceState, Ledger, StudyVerdict, Verdict

_FIND = StudyRootQueryRetrieveInformationModelFind


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


def expectation(node: PacsNode, study: StudyRef) -> Expectation:
    """Ask a PACS for the list of a study's instances, series by series.

    Raises:
        PacsError: The query failed, see :func:`racoon_data.pacs.find.find`; or the study's UID is empty, a
            wildcard or a list, which would ask for other studies too.
    """
    if not study.study_uid or any(letter in study.study_uid for letter in "*?\\"):
        hint = "report the answer to the PACS's vendor"
        raise PacsError("a study without a StudyInstanceUID of its own cannot be retrieved", ref=node, hint=hint)
    with associated(node, [build_context(_FIND)]) as association:
        series = [
            (text_of(answer, "SeriesInstanceUID"), text_of(answer, "Modality"))
            for answer in _ask(node, association, "SERIES", StudyInstanceUID=study.study_uid)
        ]
        refs: dict[InstanceRef, str] = {}
        for uid in sorted({uid for uid, _ in series if uid}):
            keys = {"StudyInstanceUID": study.study_uid, "SeriesInstanceUID": uid}
            for answer in _ask(node, association, "IMAGE", **keys):
                sop_uid = text_of(answer, "SOPInstanceUID")
                if sop_uid:
                    refs[InstanceRef(study.study_uid, uid, sop_uid)] = text_of(answer, "SOPClassUID")
    classes = tuple(sorted(set(refs.values())))
    modalities = tuple(sorted({word for _, word in series}))
    class_of = {ref.sop_uid: sop_class for ref, sop_class in refs.items()}
    return Expectation(node.name, study, tuple(sorted(refs)), classes, modalities, class_of)


def _ask(node: PacsNode, association: Association, level: str, **keys: str) -> Iterator[Dataset]:
    return answers(node, association, query_dataset(Query(level, keys)), _FIND)


def verdict_of(ledger: Ledger, expected: Expectation) -> StudyVerdict:
    """Measure a study against what this PACS lists and what another one listed and still owes."""
    rows = ledger.instances(expected.ref.study_uid)
    here = {row.ref for row in rows if row.state is InstanceState.ARRIVED}
    if not expected.instances:
        return StudyVerdict(expected.ref, Verdict.UNKNOWN_EXPECTED if here else Verdict.EMPTY, 0, len(here))
    due = {row.ref for row in rows if row.state not in (InstanceState.ARRIVED, InstanceState.WITHDRAWN)}
    owed_elsewhere = {row.ref for row in rows if row.node not in ("", expected.node)} & due
    count = len(owed_elsewhere.union(expected.instances))
    arrived = len(here.intersection(expected.instances))
    verdict = Verdict.COMPLETE if arrived == count else Verdict.PARTIAL if arrived else Verdict.EMPTY
    return StudyVerdict(expected.ref, verdict, count, arrived)
