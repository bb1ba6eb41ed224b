"""A DICOM file as it comes over the network: its file meta information first, then the data set, piece by piece."""

from __future__ import annotations

import struct
from collections.abc import Callable

from racoon_data.errors import NotDicomError
from racoon_data.pacs.part10 import FileHead

Sink = Callable[[memoryview], object]
_MAX_META = 64 * 1024
_SHORT = struct.Struct("<HH2sH")
_LONG = frozenset({b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"UC", b"UN", b"UR", b"UT"})
# MediaStorageSOPClassUID, MediaStorageSOPInstanceUID, TransferSyntaxUID.
_NEEDED = (0x0002, 0x0003, 0x0010)


class Part10Stream:
    """Splits a DICOM file into its head and its data set.

    Preamble and file meta information stay behind: files are written with our own, the same bytes whichever way an
    instance came, and nothing a sender hid in a preamble travels on.

    Attributes:
        problem: Why it is no DICOM file, as soon as that is known.
    """

    def __init__(self, on_head: Callable[[FileHead], Sink]) -> None:
        """Wait for the head.

        Args:
            on_head: Takes the head and gives back where the data set goes.
        """
        self._on_head = on_head
        self._window = b""
        self._sink: Sink | None = None
        self.problem = ""

    def write(self, piece: memoryview) -> None:
        """Take the next piece of the file."""
        if self._sink is not None:
            self._sink(piece)
        elif not self.problem:
            self._look(piece)

    def end(self) -> None:
        """Note that nothing more comes."""
        if self._sink is None and not self.problem:
            self.problem = "the part is no DICOM file"
        self._window = b""

    def _look(self, piece: memoryview) -> None:
        data = self._window + piece if self._window else piece
        if len(data) < 144:
            self._window = bytes(data)
            return
        if bytes(data[128:140]) != b"DICM\2\0\0\0UL\4\0":
            self.problem = "the part is no DICOM file"
            return
        start = 144 + int.from_bytes(data[140:144], "little")
        if start > _MAX_META:
            self.problem = "the file meta information claims too much"
        elif len(data) < start:
            self._window = bytes(data)
        else:
            self._begin(data, start)

    def _begin(self, data: memoryview | bytes, start: int) -> None:
        self._window = b""
        try:
            self._sink = self._on_head(head_in(bytes(data[:start])))
        except NotDicomError as error:
            self.problem = error.message
            return
        if len(data) > start:
            self._sink(memoryview(data)[start:])


def head_in(data: bytes) -> FileHead:
    """Read preamble and file meta information (explicit VR, little endian: PS3.10 7.1).

    Raises:
        NotDicomError: They cannot be parsed or lack what names an instance.
    """
    found: dict[int, str] = {}
    at = 144
    while at + 8 <= len(data):
        group, element, vr, length = _SHORT.unpack_from(data, at)
        at += 8
        if vr in _LONG and at + 4 <= len(data):
            length = int.from_bytes(data[at : at + 4], "little")
            at += 4
        if group != 2 or at + length > len(data):
            break
        if element in _NEEDED:
            found[element] = data[at : at + length].rstrip(b"\0 ").decode("ascii", "backslashreplace")
        at += length
    if at != len(data) or not all(found.get(element) for element in _NEEDED):
        raise NotDicomError("the file meta information is damaged or incomplete")
    return FileHead(*(found[element] for element in _NEEDED))
