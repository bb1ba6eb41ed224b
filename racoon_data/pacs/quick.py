"""What the index needs of a plain file, from its first bytes; whatever is unusual is left to the tolerant reader."""

from __future__ import annotations

from pathlib import Path

from pydicom.datadict import tag_for_keyword
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.tag import BaseTag

from racoon_data.errors import NotDicomError
from racoon_data.pacs import catalog
from racoon_data.pacs.attributes import text_of
from racoon_data.pacs.heads import raw_values
from racoon_data.pacs.matching import vr_of
from racoon_data.pacs.web.part10_stream import head_in

_WINDOW = 16 * 1024
_CHARACTER_SET = 0x00080005
_TAGS = {keyword: int(tag_for_keyword(keyword) or 0) for keyword in catalog.KEYWORDS}
_WANTED = frozenset((*_TAGS.values(), _CHARACTER_SET))
_NUMBERS = frozenset(keyword for keyword in catalog.KEYWORDS if vr_of(keyword) == "US")


def quick_values(path: Path, size: int) -> dict[str, str] | None:
    """Read what is indexed: keyword to text, and the transfer syntax.

    Args:
        path: The file.
        size: Its bytes.

    Returns:
        The same values the tolerant reader gives, or ``None`` where that has to look.
    """
    with path.open("rb", buffering=0) as stream:
        data = stream.read(_WINDOW)
    start = 144 + int.from_bytes(data[140:144], "little")
    if data[128:140] != b"DICM\2\0\0\0UL\4\0" or start > len(data):
        return None
    try:
        head = head_in(data[:start])
    except NotDicomError:
        return None
    raw = raw_values(memoryview(data)[start:], head.transfer_syntax, _WANTED, size=size - start)
    if raw is None:
        return None
    values = {keyword: _text(keyword, tag, raw) for keyword, tag in _TAGS.items()}
    return {**values, "TransferSyntaxUID": head.transfer_syntax}


def _text(keyword: str, tag: int, raw: dict[int, bytes]) -> str:
    value = raw.get(tag, b"")
    if not value:
        return ""
    if keyword in _NUMBERS or not value.isascii() or b"\x1b" in value:
        return _decoded(keyword, tag, raw)
    text = value.decode("ascii").rstrip("\0 ")
    return "\\".join(part.strip() for part in text.split("\\"))


def _decoded(keyword: str, tag: int, raw: dict[int, bytes]) -> str:
    """Decode numbers, and letters as the character set says."""
    dataset = Dataset()
    for each in (_CHARACTER_SET, tag):
        if each in raw:
            vr = "CS" if each == _CHARACTER_SET else vr_of(keyword)
            dataset[each] = RawDataElement(BaseTag(each), vr, len(raw[each]), raw[each], 0, False, True)
    return text_of(dataset, keyword)
