"""The doctor: what a PACS really does, each finding a sentence with a remedy, kept in its profile."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from pydicom.dataset import Dataset
from pydicom.uid import UID
from pynetdicom.presentation import build_context

from racoon_data.errors import PacsCappedError, PacsError
from racoon_data.events import Event, OnEvent, ignore
from racoon_data.pacs.asking import answers
from racoon_data.pacs.associations import associated
from racoon_data.pacs.attributes import text_of
from racoon_data.pacs.contexts import COMMON_CLASSES, GET_MODELS, MOVE_MODELS, SYNTAXES, storage_roles
from racoon_data.pacs.filters import RETURN_KEYS
from racoon_data.pacs.find import PATIENT_ROOT, STUDY_ROOT, find, query_dataset
from racoon_data.pacs.node import echo
from racoon_data.pacs.peer import PacsNode
from racoon_data.pacs.profile import Finding, PacsProfile, Speed
from racoon_data.pacs.retrieve import retrieve
from racoon_data.pacs.web import qido
from racoon_data.refs import Query, StudyRef
from racoon_data.site.ledger import Ledger, Verdict

STUDY_GET, STUDY_MOVE = GET_MODELS[1], MOVE_MODELS[1]
_MOST_ASKED = 5_000
_MOST_FETCHED = 60
_SLOW_S = 2.0


@dataclass
class Chart:
    """What the doctor has found so far.

    Attributes:
        node: The patient.
        values: Fields of the profile.
        findings: Sentences, in order.
    """

    node: PacsNode
    values: dict[str, Any] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)
    studies: list[dict[str, str]] = field(default_factory=list)

    def good(self, check: str, message: str) -> None:
        """Note what works."""
        self.findings.append(Finding(check=check, result="good", message=message))

    def limited(self, check: str, message: str, remedy: str) -> None:
        """Note what works with a limit."""
        self.findings.append(Finding(check=check, result="limited", message=message, remedy=remedy))

    def bad(self, check: str, message: str, remedy: str) -> None:
        """Note what does not work."""
        self.findings.append(Finding(check=check, result="bad", message=message, remedy=remedy))


Probe = Callable[[Chart], None]


def examine(node: PacsNode, probes: tuple[Probe, ...] | None = None, *, on_event: OnEvent = ignore) -> PacsProfile:
    """Find out what a PACS really does. It is only asked, and at most one small study is fetched and
    thrown away; nothing is changed there.

    Args:
        node: The PACS.
        probes: What to look at; everything by default.
        on_event: Listener, one ``examine`` event per probe.

    Returns:
        Its profile. A probe that fails is a finding, and the others go on; where not even the connection opens, the
        profile holds that finding alone.
    """
    chart = Chart(node)
    chosen = PROBES if probes is None else probes
    for done, probe in enumerate(chosen, start=1):
        name = probe.__name__.removeprefix("probe_").replace("_", " ")
        try:
            probe(chart)
        except PacsError as error:
            chart.bad(name, error.message, error.hint or "see the peer's log")
            if probe is probe_connection:
                break
        on_event(Event("examine", name, done, len(chosen)))
    return PacsProfile(node=node.name, address=node.address, findings=tuple(chart.findings), **chart.values)


def probe_connection(chart: Chart) -> None:
    """Open an association and echo."""
    seconds = echo(chart.node)
    how = "encrypted, " if chart.node.tls else ""
    message = f"the PACS answers ({how}{seconds * 1000:.0f} ms)"
    if seconds > _SLOW_S:
        chart.limited("connection", message, "raise timeout_s of the node; ask for the network's delay")
    else:
        chart.good("connection", message)


def probe_contexts(chart: Chart) -> None:
    """See which services and which encodings of the common classes are accepted."""
    models = (PATIENT_ROOT, STUDY_ROOT, STUDY_GET, STUDY_MOVE)
    accepted: dict[str, tuple[str, ...]] = {}
    offered = [build_context(model) for model in models]
    with associated(chart.node, offered) as association:
        services = {str(context.abstract_syntax) for context in association.accepted_contexts}
    if STUDY_ROOT not in services:
        hint = "our AE title has no right to query there, or the port is one for storage only"
        raise PacsError("the PACS accepts no queries", ref=chart.node, hint=hint)
    chart.values["methods"] = tuple(
        name for name, model in (("get", STUDY_GET), ("move", STUDY_MOVE)) if model in services
    )
    if STUDY_GET in services:
        for sop_class in COMMON_CLASSES[:6]:
            accepted[sop_class] = _syntaxes(chart.node, sop_class)
        chart.values["transfer_syntaxes"] = {uid: names for uid, names in accepted.items() if names}
    _judge_services(chart, services)


def _judge_services(chart: Chart, services: set[str]) -> None:
    methods = chart.values["methods"]
    syntaxes = chart.values.get("transfer_syntaxes", {})
    if "get" in methods and syntaxes:
        count = len({name for names in syntaxes.values() for name in names})
        chart.good("retrieval", f"C-GET is accepted, {len(syntaxes)} classes in up to {count} encodings")
    elif "move" in methods:
        remedy = f"have {chart.node.calling_ae_title!r} registered there with our address, and set receive_port"
        chart.limited("retrieval", "the PACS offers C-MOVE only", remedy)
        chart.values["methods"] = ("move",)
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


def probe_answers(chart: Chart) -> None:
    """Ask for all studies, up to a limit, to see caps, counts, character set and speed of queries."""
    started = time.monotonic()
    raw: list[Dataset] = []
    cut = ""
    with associated(chart.node, [build_context(STUDY_ROOT)]) as association:
        asking = answers(chart.node, association, query_dataset(Query("STUDY")), STUDY_ROOT)
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
    from racoon_data.pacs.complete import is_round

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


def probe_counts(chart: Chart) -> None:
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
        listed = _listed(chart.node, smallest["StudyInstanceUID"])
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


def probe_web_services(chart: Chart) -> None:
    """Ask the DICOMweb service of the same PACS, where the settings name one."""
    if chart.node.web is None:
        return
    seconds = qido.echo(chart.node.web)
    chart.values["web_services"] = ("qido",)
    chart.good("web services", f"QIDO-RS answers in {seconds * 1000:.0f} ms; pull --method wado fetches over it")


def probe_speed(chart: Chart) -> None:
    """Fetch the smallest study into a temporary folder and throw it away."""
    name = "NumberOfStudyRelatedInstances"
    small = [study for study in chart.studies if 0 < int(study[name] or 0) <= _MOST_FETCHED]
    if not small or "get" not in chart.values.get("methods", ()):
        return
    chosen = min(small, key=lambda study: int(study[name]))
    with TemporaryDirectory(prefix="racoon-doctor-") as folder, Ledger(Path(folder) / "ledger.sqlite") as ledger:
        started = time.monotonic()
        ref = StudyRef(chosen["StudyInstanceUID"])
        (verdict,) = retrieve(replace(chart.node, retrieve="get"), [ref], spool=Path(folder), ledger=ledger, attempts=1)
        seconds = max(time.monotonic() - started, 1e-3)
        size = sum(row.size for row in ledger.instances(ref.study_uid))
    if verdict.verdict is not Verdict.COMPLETE:
        message = f"of a study of {verdict.expected} instances {verdict.arrived} arrived by C-GET"
        chart.limited("speed", message, "see the reasons that racoon pacs pull gives for this node")
        return
    chart.values["speed"] = Speed(
        instances_per_s=round(verdict.arrived / seconds, 1),
        mb_per_s=round(size / seconds / 1e6, 2),
        bytes_per_instance=size // verdict.arrived,
    )
    chart.good("speed", f"{verdict.arrived / seconds:.0f} instances a second, {size / seconds / 1e6:.1f} MB/s")


PROBES: tuple[Probe, ...] = (
    probe_connection,
    probe_contexts,
    probe_answers,
    probe_counts,
    probe_web_services,
    probe_speed,
)


def names_of(profile: PacsProfile) -> Iterator[tuple[str, str]]:
    """Give the encodings by class of a profile in words."""
    for sop_class, syntaxes in sorted(profile.transfer_syntaxes.items()):
        yield UID(sop_class).name, ", ".join(UID(syntax).name for syntax in syntaxes)
