"""QIDO-RS of the embedded PACS: search at every level with the index's matching, in pages (PS3.18 10.6)."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from typing import TYPE_CHECKING

from pydicom.datadict import keyword_for_tag

from racoon_data.pacs.catalog import COLUMNS, COMPUTED, LEVELS, UNIQUE_KEY, known_at
from racoon_data.pacs.matching import vr_of
from racoon_data.pacs.serve_faults import answers
from racoon_data.pacs.serve_reply import Reply, WebError, refusal
from racoon_data.pacs.web.model import Json, tag_of, to_json

if TYPE_CHECKING:
    from racoon_data.pacs.serve import EmbeddedPacs

_MOST = 100_000
_READABLE = ("", "*/*", "application/*", "application/json", "application/dicom+json")


def search(
    pacs: EmbeddedPacs, reply: Reply, level: str, keys: dict[str, str], parameters: Sequence[tuple[str, str]]
) -> None:
    """Answer a search.

    Args:
        pacs: The PACS.
        reply: Where to.
        level: STUDY, SERIES or IMAGE.
        keys: UIDs from the path.
        parameters: The query's names and values.

    Raises:
        WebError: A parameter makes no sense, the answer was cut off, or JSON is not accepted.
    """
    accepted = [part.partition(";")[0].strip().lower() for part in reply.header("Accept").split(",")]
    if not set(accepted).intersection(_READABLE):
        raise WebError(406, "answers are application/dicom+json")
    asked, fields = _asked(level, parameters)
    wanted = {**dict.fromkeys((*_usual(level, keys), *fields), ""), **asked, **keys}
    start, count = (_number(parameters, name, default) for name, default in (("offset", 0), ("limit", _MOST)))
    found: list[Json] = []
    for row in islice(answers(pacs, level, wanted), start, start + min(count, _MOST)):
        if row is None:
            raise WebError(413, "too many answers")
        found.append(to_json({**row, "RetrieveAETitle": pacs.ae_title}))
    if found:
        reply.send_json(200, found)
    else:
        reply.send(204, b"", "application/dicom+json")


def _usual(level: str, keys: dict[str, str]) -> tuple[str, ...]:
    """Attributes of the level itself; above it, what the path leaves open (PS3.18 tables 10.6.3-3 to 10.6.3-5)."""
    number = LEVELS.index(level)
    names = [*COLUMNS[level], *(name for name, (where, _) in COMPUTED.items() if where == level)]
    if level == "STUDY" or UNIQUE_KEY["STUDY"] not in keys:
        names += [*COLUMNS["PATIENT"], *COLUMNS["STUDY"]]
    return (*names, *(UNIQUE_KEY[above] for above in LEVELS[1:number]))


def _asked(level: str, parameters: Sequence[tuple[str, str]]) -> tuple[dict[str, str], list[str]]:
    """Read match keys and fields to include."""
    match: dict[str, str] = {}
    fields: list[str] = []
    for name, value in parameters:
        if name in ("limit", "offset", "fuzzymatching", "emptyvaluematching", "multiplevaluematching"):
            continue
        if name == "includefield":
            fields += known_at(level) if value == "all" else [_keyword(part) for part in value.split(",") if part]
        else:
            keyword = _keyword(name)
            match[keyword] = value.replace(",", "\\") if vr_of(keyword) == "UI" else value
    return match, [field for field in fields if field]


def _keyword(name: str) -> str:
    """Turn a keyword or eight hexadecimal digits into a keyword; attributes in sequences are passed over."""
    if tag_of(name):
        return name
    digits = name.partition(".")[0]
    try:
        keyword = keyword_for_tag(int(digits, 16)) if len(digits) == 8 else ""
    except ValueError:
        keyword = ""
    if not keyword:
        raise refusal(f"no attribute is called {name[:64]!r}")
    return str(keyword)


def _number(parameters: Sequence[tuple[str, str]], name: str, default: int) -> int:
    text = dict(parameters).get(name, "")
    if text and not text.isdecimal():
        raise refusal(f"{name} is no number")
    return int(text) if text else default
