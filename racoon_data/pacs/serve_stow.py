"""STOW-RS of the embedded PACS: instances taken part by part, one outcome each (PS3.18 10.5)."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from racoon_data.pacs.part10 import FileHead, file_head
from racoon_data.pacs.serve_reply import Reply, WebError
from racoon_data.pacs.serve_store import incoming, keep
from racoon_data.pacs.statuses import CANNOT_UNDERSTAND, NOT_AUTHORISED, OUT_OF_RESOURCES, SUCCESS
from racoon_data.pacs.web.model import Json
from racoon_data.pacs.web.multipart import Multipart, boundary_of
from racoon_data.pacs.web.part10_stream import Part10Stream

if TYPE_CHECKING:
    from racoon_data.pacs.serve import EmbeddedPacs

_MAX_PART = 4 << 30


@dataclass
class _Outcomes:
    stored: list[FileHead] = field(default_factory=list)
    failed: list[tuple[FileHead | None, int]] = field(default_factory=list)

    def document(self) -> Json:
        answer: Json = {}
        if self.failed:
            items = [_item(head) | {"00081197": {"vr": "US", "Value": [reason]}} for head, reason in self.failed]
            answer["00081198"] = {"vr": "SQ", "Value": items}
        if self.stored:
            answer["00081199"] = {"vr": "SQ", "Value": [_item(head) for head in self.stored]}
        return answer


def _item(head: FileHead | None) -> Json:
    if head is None:
        return {}
    return {
        "00081150": {"vr": "UI", "Value": [head.sop_class_uid]},
        "00081155": {"vr": "UI", "Value": [head.sop_uid]},
    }


def stow(pacs: EmbeddedPacs, reply: Reply, study_uid: str) -> None:
    """Store what a request brings and say what became of each instance.

    Args:
        pacs: The PACS.
        reply: The request and where to answer.
        study_uid: The study everything must belong to; empty for any.

    Raises:
        WebError: It is no multipart body of DICOM files.
    """
    content_type = reply.header("Content-Type")
    boundary = boundary_of(content_type)
    if boundary is None or "application/dicom+" in content_type:
        raise WebError(415, 'send multipart/related; type="application/dicom"')
    multipart = Multipart(reply.body().read_into, boundary, max_part_bytes=_MAX_PART)
    outcomes = _Outcomes()
    reply.close()
    while multipart.next_part() is not None:
        head, status = _take(pacs, multipart.pour, study_uid, len(outcomes.stored))
        if head is not None and status == SUCCESS:
            outcomes.stored.append(head)
        else:
            outcomes.failed.append((head, status))
    if not outcomes.stored and not outcomes.failed:
        raise WebError(400, "the request holds no instance")
    status = 200 if not outcomes.failed else 202 if outcomes.stored else 409
    reply.send_json(status, outcomes.document(), {"Connection": "close"})


class _Spill:
    """Writes a part to a file; a disk that is full is remembered, and the rest is let go."""

    def __init__(self, path: Path | None) -> None:
        self._stream = path.open("wb") if path else None
        self.error: OSError | None = None

    def write(self, piece: memoryview | bytes) -> None:
        if self._stream is not None and self.error is None:
            try:
                self._stream.write(piece)
            except OSError as error:
                self.error = error

    def close(self) -> None:
        if self._stream is not None:
            try:
                self._stream.close()
            except OSError as error:
                self.error = error


def _take(
    pacs: EmbeddedPacs, pour: Callable[[Callable[[memoryview], object]], int], study_uid: str, done: int
) -> tuple[FileHead | None, int]:
    """Take one part; a part that is refused is read to its end all the same."""
    heads: list[FileHead] = []
    with ExitStack() as stack:
        partial = None if pacs.is_read_only else stack.enter_context(incoming(pacs))
        spill = _Spill(partial)
        stack.callback(spill.close)

        def on_head(head: FileHead) -> Callable[[memoryview], object]:
            heads.append(head)
            spill.write(file_head(head.sop_class_uid, head.sop_uid, head.transfer_syntax))
            return spill.write

        part = Part10Stream(on_head)
        pour(part.write)
        part.end()
        spill.close()
        if part.problem:
            return None, CANNOT_UNDERSTAND
        if partial is None:
            return heads[0], NOT_AUTHORISED
        is_full = pacs.faults.full_after is not None and done >= pacs.faults.full_after
        if is_full or spill.error is not None:
            return heads[0], OUT_OF_RESOURCES
        return heads[0], keep(pacs, partial, heads[0], study_uid=study_uid)
