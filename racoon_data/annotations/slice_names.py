"""Which slices of a volume an image, or a frame of an image, is."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SourceImage:
    """An image an annotation points at.

    Attributes:
        sop_uid: SOPInstanceUID.
        frames: ReferencedFrameNumber, from 1; empty where the whole image is meant.
    """

    sop_uid: str
    frames: tuple[int, ...] = ()


class SliceNames:
    """Finds slices by SOPInstanceUID and frame number."""

    def __init__(self, sop_uids: Sequence[str], frame_numbers: Sequence[int] = ()) -> None:
        numbers = frame_numbers or (0,) * len(sop_uids)
        self._found: dict[str, list[tuple[int, int]]] = defaultdict(list)
        for k, (sop_uid, number) in enumerate(zip(sop_uids, numbers, strict=True)):
            self._found[sop_uid].append((k, number))

    def __contains__(self, sop_uid: str) -> bool:
        return sop_uid in self._found

    def of(self, image: SourceImage) -> frozenset[int]:
        """Give the slices an image holds, those of the frames named where some are; none where it is not here.

        An image of one frame is its slice, whatever frame number is given for it.
        """
        held = self._found.get(image.sop_uid, [])
        if not image.frames or all(number == 0 for _, number in held):
            return frozenset(k for k, _ in held)
        return frozenset(k for k, number in held if number in image.frames)

    def of_all(self, images: Iterable[SourceImage]) -> frozenset[int]:
        """Give the slices of several images."""
        return frozenset[int]().union(*map(self.of, images))
