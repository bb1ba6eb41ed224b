"""Decoding: every transfer syntax gives the stored values, a broken frame gives an error, and none gives nonsense."""

import subprocess
import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pydicom.data import get_testdata_file
from pydicom.encaps import encapsulate

from racoon_data.dicom.decoders import Decoder, chain_of
from racoon_data.dicom.decoding import decode_fragment, decode_frame, fault_of
from racoon_data.dicom.frames import open_frames
from racoon_data.dicom.headers import read_dataset
from racoon_data.dicom.layout import Layout, layout_of
from racoon_data.dicom.pixels import read_pixels
from racoon_data.dicom.series import SliceHeader
from racoon_data.errors import FrameCountError, TruncatedError, UnsupportedPixelsError
from racoon_data.testing.makers import a_series
from tests.dicom.edits import edit, one_series

JPEG = "1.2.840.10008.1.2.4."
PLAIN = Layout(4, 6, 1, 16, 12, 11, False, False, "MONOCHROME2", False, 1, "1.2.840.10008.1.2.1", True)


def _decoded(name: str):
    source = open_frames(Path(get_testdata_file(name)), is_kept=False)
    return source.decode(layout_of(source.facts), 0)


@pytest.mark.parametrize(
    ("name", "same_as"),
    [
        ("MR_small_RLE.dcm", "MR_small.dcm"),
        ("MR_small_jp2klossless.dcm", "MR_small.dcm"),
        ("MR_small_jpeg_ls_lossless.dcm", "MR_small.dcm"),
        ("MR_small_bigendian.dcm", "MR_small.dcm"),
        ("MR_small_implicit.dcm", "MR_small.dcm"),
        ("MR_small_padded.dcm", "MR_small.dcm"),
    ],
)
def test_every_lossless_syntax_gives_the_same_values(name: str, same_as: str):
    """The same image in another transfer syntax decodes to the same numbers and the same sign."""
    one, other = _decoded(name), _decoded(same_as)

    assert np.array_equal(one.array, other.array)
    assert one.array.dtype == other.array.dtype


@pytest.mark.parametrize("name", ["JPGExtended.dcm", "JPEG-lossy.dcm"])
def test_twelve_bit_jpeg_goes_through_itk(name: str):
    """JPEG Extended of 12 bits, which other decoders give up, is the image its JPEG 2000 copy shows."""
    decoded, copy = _decoded(name), _decoded("JPEG2000.dcm")

    assert decoded.decoder == "SimpleITK"
    assert decoded.array.dtype == np.uint16
    assert np.corrcoef(decoded.array.ravel(), copy.array.ravel())[0, 1] > 0.95


@pytest.mark.peers("dcmdjpeg")
def test_twelve_bit_jpeg_agrees_with_dcmtk(tmp_path: Path):
    """dcmtk's own JPEG decoder gives the same values, but for rounding."""
    source = get_testdata_file("JPGExtended.dcm")
    subprocess.run(["dcmdjpeg", source, str(tmp_path / "plain.dcm")], check=True, capture_output=True, timeout=60)
    judge = open_frames(tmp_path / "plain.dcm", is_kept=False)

    apart = judge.decode(layout_of(judge.facts), 0).array.astype(int) - _decoded("JPGExtended.dcm").array

    assert np.abs(apart).max() <= 1


@pytest.mark.peers("dcmcjpeg", "dcmdjpeg")
@pytest.mark.parametrize("option", ["+el", "+e1", "+eb", "+ee", "+es", "+ep"])
def test_every_jpeg_mode_agrees_with_dcmtk(tmp_path: Path, option: str):
    """Lossless modes bit for bit, lossy ones but for rounding: baseline, extended, spectral and progressive too."""
    made = a_series(tmp_path, slices=1, modality="MR", value_of=lambda k, j, i: 9 * j + 7 * i)
    eight = {"BitsAllocated": 8, "BitsStored": 8, "HighBit": 7, "PixelData": b""}
    twelve = {"BitsStored": 12, "HighBit": 11}
    edit(made.paths, lambda one: one.update(eight if option == "+eb" else twelve))
    if option == "+eb":
        small = (made.plan.stored()[0] % 256).astype(np.uint8)
        edit(made.paths, lambda one: setattr(one, "PixelData", small.tobytes()))
    packed, plain = str(tmp_path / "packed.dcm"), str(tmp_path / "plain.dcm")
    subprocess.run(["dcmcjpeg", option, str(made.paths[0]), packed], check=True, capture_output=True, timeout=60)
    subprocess.run(["dcmdjpeg", packed, plain], check=True, capture_output=True, timeout=60)

    one, judge = (open_frames(Path(name), is_kept=False) for name in (packed, plain))
    decoded = one.decode(layout_of(one.facts), 0)
    wanted = judge.decode(layout_of(judge.facts), 0).array

    assert decoded.decoder
    assert np.abs(decoded.array.astype(int) - wanted).max() <= (0 if option in ("+el", "+e1") else 1)


def test_sign_of_the_header_wins_over_the_codestream():
    """A JPEG 2000 codestream that calls itself unsigned under a signed header gives negative values."""
    decoded = _decoded("J2K_pixelrep_mismatch.dcm")

    assert decoded.array.dtype == np.int16
    assert decoded.array.min() == -2000


WRONG = {
    "shape": (np.zeros((6, 4), np.uint16), "6x4"),
    "type": (np.zeros((4, 6), np.float32), "float32"),
    "sign": (np.zeros((4, 6), np.int16), "sign"),
    "range": (np.full((4, 6), 4096, np.uint16), "beyond 12 bits"),
}


@pytest.mark.parametrize("name", WRONG)
def test_impossible_values_are_a_fault(name: str):
    """Shape, type, sign and range of what a decoder gives are compared with the header."""
    array, words = WRONG[name]

    assert words in fault_of(array, PLAIN)
    assert fault_of(np.full((4, 6), 4095, np.uint16), PLAIN) == ""


def test_a_decoder_that_gives_nonsense_is_passed_over(monkeypatch: pytest.MonkeyPatch):
    """The next decoder answers, and what the first one gave stands in the record."""
    layout = replace(PLAIN, syntax="1.2.840.10008.1.2.8.1")
    stored = np.arange(24, dtype=np.uint16).reshape(4, 6)
    packer = zlib.compressobj(wbits=-15)
    fragment = packer.compress(stored.tobytes()) + packer.flush()
    broken = Decoder("broken", "broken", lambda _, layout: np.zeros((layout.columns, layout.rows), np.uint16))
    monkeypatch.setattr("racoon_data.dicom.decoding.chain_of", lambda one: (broken, *chain_of(one)))

    decoded = decode_fragment(fragment, layout)

    assert np.array_equal(decoded.array, stored)
    assert decoded.decoder == "racoon"
    assert decoded.passed_over == ("broken: gives 6x4",)


@pytest.mark.parametrize(
    ("syntax", "words"),
    [(JPEG + "112", "JPEG XL"), (JPEG + "103", "video"), (JPEG + "93", "part 2"), ("1.2.3", "uncompressed")],
)
def test_what_nothing_here_decodes_names_what_would(syntax: str, words: str):
    """The hint of the refusal names a package, or says to ask for another export."""
    with pytest.raises(UnsupportedPixelsError) as caught:
        decode_fragment(b"\0" * 64 + b"\xff\xd9", replace(PLAIN, syntax=syntax))

    assert words in caught.value.hint


def test_a_codestream_without_its_end_is_truncated():
    """A decoder would fill the rest with grey; here it is an error."""
    path = Path(get_testdata_file("MR_small_jp2klossless.dcm"))
    layout = layout_of(open_frames(path, is_kept=False).facts)
    dataset = read_dataset(path, pixels=True)
    dataset.PixelData = encapsulate([dataset.PixelData[16:2000]])

    with pytest.raises(TruncatedError):
        decode_frame(dataset, layout)


@pytest.mark.parametrize("frames", [1, 3])
def test_a_frame_count_that_lies_is_an_error(frames: int):
    """Bytes for two frames under a header that says one, or three, are not cut or guessed at."""
    source = open_frames(Path(get_testdata_file("MR_small.dcm")), is_kept=False)
    layout = replace(layout_of(source.facts), frames=frames)
    source.dataset.PixelData = source.dataset.PixelData * 2

    with pytest.raises(FrameCountError):
        decode_frame(source.dataset, layout)


def test_fewer_fragments_than_frames_is_an_error():
    """An encapsulated image that claims more frames than it has fragments lost some."""
    path = Path(get_testdata_file("MR_small_RLE.dcm"))
    source = open_frames(path, is_kept=False)

    with pytest.raises(FrameCountError):
        decode_frame(read_dataset(path, pixels=True), replace(layout_of(source.facts), frames=2))


def _with_codestream(folder: Path, syntax: str, make) -> tuple[np.ndarray, SliceHeader]:
    """Put a codestream that another library wrote into a file; give its stored values and its header."""
    made = a_series(folder, slices=1, rows=64, columns=64)
    stored = open_frames(made.paths[0], is_kept=False).dataset.pixel_array

    def change(one) -> None:
        one.PixelData = encapsulate([make(stored)])
        one["PixelData"].VR = "OB"
        one["PixelData"].is_undefined_length = True
        one.file_meta.TransferSyntaxUID = syntax

    edit(made.paths, change)
    return stored, one_series(folder).slices[0]


@pytest.mark.parametrize("number", ["201", "202", "203"])
def test_high_throughput_jpeg_2000_gives_the_stored_values(tmp_path: Path, number: str):
    """What OpenJPH wrote without loss is read without loss."""
    codecs = pytest.importorskip("imagecodecs", reason="the extra peers is not installed")

    stored, header = _with_codestream(tmp_path, JPEG + number, lambda a: codecs.htj2k_encode(a, reversible=True))
    seen = read_pixels(header)

    assert np.array_equal(seen.stored, stored)
    assert seen.decisions[0] == "decoded by pylibjpeg-openjpeg"


def test_a_true_jpeg_xl_image_is_refused_with_what_would_decode_it(tmp_path: Path):
    """No decoder of ours reads it, and none pretends to."""
    codecs = pytest.importorskip("imagecodecs", reason="the extra peers is not installed")
    _, header = _with_codestream(tmp_path, JPEG + "110", lambda a: codecs.jpegxl_encode(a.view("u2"), lossless=True))

    with pytest.raises(UnsupportedPixelsError) as caught:
        read_pixels(header)

    assert "djxl" in str(caught.value.hint)


def test_bytes_of_a_delimiter_inside_a_codestream_end_nothing(tmp_path: Path):
    """Fragments end where their length says: a JPEG 2000 comment may hold the bytes that end a sequence."""

    def make(stored: np.ndarray) -> bytes:
        made = a_series(tmp_path / "other", slices=1, rows=64, columns=64)
        edit(made.paths, lambda one: one.compress(JPEG + "90", generate_instance_uid=False))
        source = open_frames(made.paths[0], is_kept=False)
        ((start, length),) = source.spans[0]
        whole = made.paths[0].read_bytes()[start : start + length]
        end_of_size = 2 + 2 + int.from_bytes(whole[4:6], "big")
        comment = b"\xff\x64\x00\x0c\x00\x00" + b"\xfe\xff\xdd\xe0\0\0\0\0"
        return whole[:end_of_size] + comment + whole[end_of_size:]

    stored, header = _with_codestream(tmp_path / "in", JPEG + "90", make)

    assert np.array_equal(read_pixels(header).stored, stored)
