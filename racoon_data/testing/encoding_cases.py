"""Hard cases of encoding: one series in every transfer syntax, and frames that cannot be decoded."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from pathlib import Path

from pydicom import uid
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate

from racoon_data.testing.hard_cases import HardCase
from racoon_data.testing.makers import a_series
from racoon_data.testing.value_cases import rewritten
from racoon_data.volumes import Volume

_DEFLATED_FRAME = "1.2.840.10008.1.2.8.1"
_JPEG_XL = "1.2.840.10008.1.2.4.110"
_CUT_BYTES = 60


def _native(folder: Path, syntax: str) -> tuple[Volume, ...]:
    made = a_series(folder, slices=4)

    def change(one: Dataset, k: int) -> None:
        one.file_meta.TransferSyntaxUID = uid.UID(syntax)

    def swapped(one: Dataset, k: int) -> None:
        data = bytearray(one.PixelData)
        data[0::2], data[1::2] = data[1::2], data[0::2]
        one.PixelData = bytes(data)
        one["PixelData"].VR = "OW"

    if syntax == uid.ExplicitVRBigEndian:
        rewritten(made, swapped)
    for path in made.paths:
        _saved_as(path, syntax)
    return (made.truth,)


def _saved_as(path: Path, syntax: str) -> None:
    import pydicom

    one = pydicom.dcmread(path)
    target = uid.UID(syntax)
    one.file_meta.TransferSyntaxUID = target
    plain = Dataset()
    plain.update({element.tag: element for element in one})
    plain.file_meta = one.file_meta
    plain.save_as(
        path,
        implicit_vr=target.is_implicit_VR,
        little_endian=target.is_little_endian,
        enforce_file_format=True,
    )


def _compressed(folder: Path, syntax: str) -> tuple[Volume, ...]:
    made = a_series(folder, slices=4)

    def change(one: Dataset, k: int) -> None:
        one.compress(uid.UID(syntax), generate_instance_uid=False)

    rewritten(made, change)
    return (made.truth,)


def _in_two_fragments(folder: Path) -> tuple[Volume, ...]:
    """One frame in two fragments, with an empty offset table."""
    made = a_series(folder, slices=4)

    def change(one: Dataset, k: int) -> None:
        one.compress(uid.JPEG2000Lossless, generate_instance_uid=False)
        whole = _only_fragment(one)
        middle = len(whole) // 4 * 2
        _encapsulate(one, [whole[:middle], whole[middle:]], fragments=2)

    rewritten(made, change)
    return (made.truth,)


def _only_fragment(one: Dataset) -> bytes:
    from pydicom.encaps import get_frame

    return bytes(get_frame(one.PixelData, 0, number_of_frames=1))


def _encapsulate(one: Dataset, parts: list[bytes], *, fragments: int = 1) -> None:
    joined = encapsulate([b"".join(parts)], fragments_per_frame=fragments, has_bot=False)
    one.PixelData = joined
    one["PixelData"].VR = "OB"
    one["PixelData"].is_undefined_length = True


def _deflated_frames(folder: Path) -> tuple[Volume, ...]:
    made = a_series(folder, slices=4)

    def change(one: Dataset, k: int) -> None:
        packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
        _encapsulate(one, [packer.compress(one.PixelData) + packer.flush()])
        one.file_meta.TransferSyntaxUID = uid.UID(_DEFLATED_FRAME)

    rewritten(made, change)
    return (made.truth,)


def _cut(folder: Path) -> tuple[Volume, ...]:
    """The last bytes of every codestream are gone, the file around it is whole."""
    made = a_series(folder, slices=4)

    def change(one: Dataset, k: int) -> None:
        one.compress(uid.JPEG2000Lossless, generate_instance_uid=False)
        _encapsulate(one, [_only_fragment(one)[:-_CUT_BYTES]])

    rewritten(made, change)
    return ()


def _unknown(folder: Path) -> tuple[Volume, ...]:
    made = a_series(folder, slices=4)

    def change(one: Dataset, k: int) -> None:
        _encapsulate(one, [b"\xff\x0a" + bytes(300)])
        one.file_meta.TransferSyntaxUID = uid.UID(_JPEG_XL)

    rewritten(made, change)
    return ()


def _made(maker: Callable[[Path, str], tuple[Volume, ...]], syntax: str) -> Callable[[Path], tuple[Volume, ...]]:
    return lambda folder: maker(folder, syntax)


CASES: tuple[HardCase, ...] = (
    HardCase("implicit VR", "encoding", _made(_native, uid.ImplicitVRLittleEndian)),
    HardCase("big endian", "encoding", _made(_native, uid.ExplicitVRBigEndian)),
    HardCase("deflated", "encoding", _made(_native, uid.DeflatedExplicitVRLittleEndian)),
    HardCase("RLE", "encoding", _made(_compressed, uid.RLELossless)),
    HardCase("JPEG 2000", "encoding", _made(_compressed, uid.JPEG2000Lossless)),
    HardCase("JPEG 2000 in two fragments", "encoding", _in_two_fragments),
    HardCase("JPEG-LS", "encoding", _made(_compressed, uid.JPEGLSLossless)),
    HardCase("Deflated Image Frame", "encoding", _deflated_frames),
    HardCase("codestream that ends early", "encoding", _cut, "dicom.truncated"),
    HardCase("JPEG XL", "encoding", _unknown, "dicom.unsupported_pixels"),
)
