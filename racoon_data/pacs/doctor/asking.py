"""The doctor asks over DICOM: connection, services, encodings, caps, counts, character set."""

from __future__ import annotations

import time

from pydicom.dataset import Dataset
from pynetdicom.presentation import build_context

from racoon_data.errors import PacsCappedError, PacsError
from racoon_data.pacs.asking import answers
from racoon_data.pacs.associations import associated
from racoon_data.pacs.attributes import text_of
from racoon_data.pacs.complete import is_round
from racoon_data.pacs.contexts import COMMON_CLASSES, GET_MODELS, MOVE_MODELS, SYNTAXES, storage_roles
from racoon_data.pacs.doctor.chart import Chart
from racoon_data.pacs.filters import RETURN_KEYS
from racoon_data.pacs.find import PATIENT_ROOT, STUDY_ROOT, find, query_dataset
from racoon_data.pacs.node import echo
from racoon_data.pacs.peer import PacsNode
from racoon_data.refs import Query

STUDY_GET, STUDY_MOVE = GET_MODELS[1], MOVE_MODELS[1]
_MOST_ASKED = 5_000
_SLOW_S = 2.0


def probe_connection(node: PacsNode, chart: Chart) -> None:
    """Open an association and echo."""
    seconds = echo(node)
    how = "encrypted, " if node.tls else ""
    message = f"the PACS answers ({how}{seconds * 1000:.0f} ms)"
    if seconds > _SLOW_S:
        chart.limited("connection", message, "raise timeout_s of the node; ask for the network's delay")
    else:
        chart.good("connection", message)


def probe_contexts(node: PacsNode, chart: Chart) -> None:
    """See which services and which encodings of the common classes are accepted."""
    models = (PATIENT_ROOT, STUDY_ROOT, STUDY_GET, STUDY_MOVE)
    accepted: dict[str, tuple[str, ...]] = {}
    offered = [build_context(model) for model in models]
    with associated(node, offered) as association:
        services = {str(context.abstract_syntax) for context in association.accepted_contexts}
    if STUDY_ROOT not in services:
        hint = "our AE title has no right to query there, or the port is one for storage only"
        raise PacsError("the PACS accepts no queries", ref=node, hint=hint)
    chart.offer(*(name for name, model in (("get", STUDY_GET), ("move", STUDY_MOVE)) if model in services))
    if STUDY_GET in services:
        for sop_class in COMMON_CLASSES[:6]:
            accepted[sop_class] = _syntaxes(node, sop_class)
        chart.values["transfer_syntaxes"] = {uid: names for uid, names in accepted.items() if names}
    _judge_services(node, chart, services)


def _judge_services(node: PacsNode, chart: Chart, services: set[str]) -> None:
    methods = chart.methods
    syntaxes = chart.values.get("transfer_syntaxes", {})
    if "get" in methods and syntaxes:
        count = len({name for names in syntaxes.values() for name in names})
        chart.good("retrieval", f"C-GET is accepted, {len(syntaxes)} classes in up to {count} encodings")
    elif "move" in methods:
        remedy = f"have {node.calling_ae_title!r} registered there with our address, and set receive_port"
        chart.limited("retrieval", "the PACS offers C-MOVE only", remedy)
        chart.withdraw("get")
    else:
        chart.bad("retrieval", "the PACS offers neither C-GET nor C-MOVE", "ask for retrieve rights, or use DICOMweb")
    if PATIENT_ROOT not in services:
        chart.limited("patient root", "no queries at patient level", "none needed: racoon asks for studies")


def _syntaxes(node: PacsNode, sop_class: str) -> tuple[str, ...]:
    """Offer each encoding of a class in a context of its own, as receiver."""
    contexts = [build_context(STUDY_GET), *(build_context(sop_class, syntax) for syntax in SYNTAXES)]
    with associated(node, contexts, roles=storage_roles([sop_class])) as association:
        return tuple(
            str(context.transfer_syntax[0])
            for context in association.accepted_contexts
            if str(context.abstract_syntax) == sop_class
        )


def probe_answers(node: PacsNode, chart: Chart) -> None:
    """Ask for all studies, up to a limit, to see caps, counts, character set and speed of queries."""
    started = time.monotonic()
    raw: list[Dataset] = []
    cut = ""
    with associated(node, [build_context(STUDY_ROOT)]) as association:
        asking = answers(node, association, query_dataset(Query("STUDY")), STUDY_ROOT)
        try:
            for answer in asking:
                raw.append(answer)
                if len(raw) >= _MOST_ASKED:
                    association.abort()
                    break
        except PacsError as error:
            cut = error.message
            if not raw:
                raise
    seconds = time.monotonic() - started
    chart.values["levels"] = ("PATIENT", "STUDY", "SERIES", "IMAGE")
    chart.values["largest_answer"] = {"STUDY": len(raw)}
    keys = RETURN_KEYS["STUDY"]
    chart.studies = [{keyword: text_of(answer, keyword) for keyword in keys} for answer in raw[:200]]
    _judge_cap(chart, len(raw), cut)
    _judge_characters(chart, raw)
    chart.good("query speed", f"{len(raw) / max(seconds, 1e-3):.0f} answers a second")


def _judge_cap(chart: Chart, count: int, cut: str) -> None:
    if cut:
        chart.values["answer_cap"] = count
        chart.limited("answer cap", f"answers end at {count}: {cut}", "none needed: racoon splits such queries")
    elif is_round(count) and count < _MOST_ASKED:
        remedy = "none needed: racoon splits such queries; set answer_cap of the node if its administrator knows it"
        chart.limited("answer cap", f"an answer of exactly {count} may have been cut off in silence", remedy)
    elif not count:
        chart.limited("answer cap", "the PACS shows us no study", "check that our AE title may see studies")
    else:
        chart.good("answer cap", f"no cap up to {count} answers")


def _judge_characters(chart: Chart, raw: list[Dataset]) -> None:
    declared = sorted({text_of(answer, "SpecificCharacterSet") for answer in raw} - {""})
    chart.values["character_set"] = declared[0] if declared else ""
    lies = sum(1 for answer in raw if _lies(answer))
    chart.values["is_character_set_true"] = lies == 0
    if lies:
        message = f"{lies} of {len(raw)} answers are not in the character set they declare"
        remedy = "none needed: racoon reads such text as UTF-8; have the PACS's character set corrected"
        chart.limited("character set", message, remedy)
    else:
        chart.good("character set", f"answers declare {', '.join(declared) or 'none'}, and their bytes agree")


def _lies(answer: Dataset) -> bool:
    """Tell whether a name's bytes are letters of several bytes in UTF-8 under another declaration."""
    element = answer.get_item("PatientName")
    value = getattr(element, "value", None)
    raw = value if isinstance(value, bytes) else b""
    if raw.isascii() or "192" in text_of(answer, "SpecificCharacterSet"):
        return False
    try:
        raw.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def probe_counts(node: PacsNode, chart: Chart) -> None:
    """Compare the counts a small study announces with the series it lists."""
    names = ("NumberOfStudyRelatedSeries", "NumberOfStudyRelatedInstances")
    returned = tuple(name for name in names if any(study[name] for study in chart.studies))
    chart.values["counts"] = returned
    if not chart.studies:
        return
    if len(returned) < len(names):
        lacking = " and ".join(sorted(set(names) - set(returned)))
        chart.limited("counts", f"the PACS returns no {lacking}", "none needed: racoon lists instances itself")
        return
    smallest = min(chart.studies, key=lambda study: int(study[names[1]] or 1 << 30))
    try:
        listed = _listed(node, smallest["StudyInstanceUID"])
    except PacsCappedError as error:
        remedy = "have the cap raised: series beyond it cannot be listed, and such studies stay unknown-expected"
        chart.limited("counts", error.message, remedy)
        return
    if str(listed) != smallest[names[0]]:
        message = f"a study announces {smallest[names[0]]} series and lists {listed}"
        chart.values["counts"] = ()
        chart.limited("counts", message, "none needed: racoon trusts lists, not counts")
    else:
        chart.good("counts", "announced counts agree with what is listed")


def _listed(node: PacsNode, study_uid: str) -> int:
    return len(list(find(node, Query("SERIES", {"StudyInstanceUID": study_uid}))))
