"""Device rules: rectangles become black in every frame and sample, nothing else changes, and the object tells it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from pydicom.uid import (
    ComputedRadiographyImageStorage,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGLSLossless,
    RLELossless,
)

from racoon_data.deid.devices import DeviceRule
from racoon_data.deid.door import Door, deidentify_files
from racoon_data.deid.explain import explain
from racoon_data.deid.profile import Profile, load_profile
from racoon_data.deid.quarantine import Fate, decide
from racoon_data.errors import SettingsError
from tests.deid.pictures import a_picture, gradient
from tests.deid.samples import passed_one

RECTANGLE = (2, 1, 5, 3)  # left, top, width, height
BOX = (slice(1, 4), slice(2, 7))


def _masking(door: Door, pixels: Any, **match: Any) -> Door:
    match = match or {"modality": "us"}
    rule = DeviceRule(name="scanner", rows=pixels.shape[1], columns=pixels.shape[2], rectangles=(RECTANGLE,), **match)
    return replace(door, profile=Profile(devices=(rule,), text_recognition="off"))


def _masked(pixels: Any, black: Any) -> Any:
    wanted = pixels.copy()
    wanted[(slice(None), *BOX)] = black
    return wanted


@pytest.mark.parametrize(
    ("pixels", "photometric", "stored", "black"),
    [
        (gradient(1, 8, 10), "MONOCHROME2", 8, 0),
        (gradient(3, 8, 10, dtype=np.uint16), "MONOCHROME2", 12, 0),
        (gradient(1, 8, 10, dtype=np.int16), "MONOCHROME2", 12, -2048),
        (gradient(2, 8, 10, dtype=np.uint16), "MONOCHROME1", 12, 4095),
        (gradient(1, 8, 10), "MONOCHROME1", 8, 255),
        (gradient(3, 7, 9, 3), "RGB", 8, 0),
        (gradient(1, 8, 10, 3), "YBR_FULL", 8, [0, 128, 128]),
    ],
)
def test_rectangles_are_black_and_nothing_else(
    tmp_path: Path, door: Door, pixels: Any, photometric: str, stored: int, black: Any
):
    """Every frame and sample inside is black, every value outside is equal, and the marks say so."""
    path = a_picture(tmp_path / "in", pixels, photometric=photometric, stored=stored, BurnedInAnnotation="YES")

    after = passed_one(path, _masking(door, pixels))

    found = np.frombuffer(after.PixelData, dtype=pixels.dtype, count=pixels.size).reshape(pixels.shape)
    assert np.array_equal(found, _masked(pixels, black))
    assert after.BurnedInAnnotation == "NO"
    assert after.PhotometricInterpretation == photometric
    assert "113101" in [code.CodeValue for code in after.DeidentificationMethodCodeSequence]


def test_planes_are_masked_each(tmp_path: Path, door: Door):
    """Where all red values of a frame come first, each plane loses the rectangle."""
    pixels = gradient(2, 8, 10, 3)
    path = a_picture(tmp_path / "in", pixels, photometric="RGB", PlanarConfiguration=1)
    planes = np.moveaxis(pixels, -1, 1)
    dataset = pydicom.dcmread(path)
    dataset.PixelData = planes.tobytes()
    dataset.save_as(path)

    after = passed_one(path, _masking(door, pixels))

    found = np.frombuffer(after.PixelData, dtype=np.uint8).reshape(planes.shape)
    assert np.array_equal(np.moveaxis(found, 1, -1), _masked(pixels, 0))
    assert after.PlanarConfiguration == 1


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian])
def test_native_encodings_are_kept(tmp_path: Path, door: Door, syntax: str):
    """Implicit, big-endian and deflated pictures stay what they are and lose the rectangle."""
    pixels = gradient(2, 8, 10, dtype=np.uint16)
    path = a_picture(tmp_path / "in", pixels, stored=12)
    dataset, is_little = pydicom.dcmread(path), syntax != ExplicitVRBigEndian
    dataset.file_meta.TransferSyntaxUID = syntax
    dataset.PixelData = pixels.astype("<u2" if is_little else ">u2").tobytes()
    pydicom.dcmwrite(path, dataset, implicit_vr=syntax == ImplicitVRLittleEndian, little_endian=is_little)

    after = passed_one(path, _masking(door, pixels))

    assert after.file_meta.TransferSyntaxUID == syntax
    assert np.array_equal(after.pixel_array, _masked(pixels, 0))


@pytest.mark.parametrize("syntax", [RLELossless, JPEGLSLossless, JPEG2000Lossless])
@pytest.mark.parametrize("colour", [False, True])
def test_compressed_pictures_are_written_uncompressed(tmp_path: Path, door: Door, syntax: str, colour: bool):
    """Compressed frames are decoded, masked and written as they are, under the syntax that says so."""
    pixels = gradient(2, 40, 48, 3) if colour else gradient(2, 40, 48, dtype=np.uint16)
    path = a_picture(
        tmp_path / "in", pixels, photometric="RGB" if colour else "MONOCHROME2", stored=8 if colour else 12
    )
    dataset = pydicom.dcmread(path)
    dataset.compress(syntax, generate_instance_uid=False)
    dataset.save_as(path)

    after = passed_one(path, _masking(door, pixels))

    assert after.file_meta.TransferSyntaxUID.name == "Explicit VR Little Endian"
    assert np.array_equal(after.pixel_array, _masked(pixels, 0))
    assert "LossyImageCompression" not in after


def test_loss_is_told_after_decoding(tmp_path: Path, door: Door):
    """A JPEG that is written uncompressed keeps the history of its loss, and its colours are red, green and blue."""
    source = pydicom.dcmread(pydicom.data.get_testdata_file("SC_rgb_dcmtk_+eb+cy+n1.dcm"))
    path = a_picture(tmp_path / "in", gradient(1, 4, 4))
    dataset = pydicom.dcmread(path)
    for keyword in ("Rows", "Columns", "SamplesPerPixel", "PhotometricInterpretation", "PlanarConfiguration",
                    "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation", "PixelData"):  # fmt: skip
        dataset[keyword] = source[keyword]
    dataset["PixelData"].is_undefined_length = True
    dataset.file_meta.TransferSyntaxUID = JPEGBaseline8Bit
    dataset.LossyImageCompressionRatio = 7
    dataset.save_as(path)
    wanted = source.pixel_array[None]

    after = passed_one(path, _masking(door, wanted))

    assert (after.LossyImageCompression, after.LossyImageCompressionRatio) == ("01", 7)
    assert after.PhotometricInterpretation == "RGB"
    assert not after.pixel_array[BOX].any()
    assert after.pixel_array.shape == wanted.shape[1:]


def test_a_picture_of_another_device_waits(tmp_path: Path, door: Door):
    """Another manufacturer, model or size is another place for the text."""
    pixels = gradient(1, 8, 10)
    path = a_picture(tmp_path / "in", pixels, Manufacturer="ACME", ManufacturerModelName="Sono 3")
    rules = (
        DeviceRule(name="a", manufacturer="Other", rows=8, columns=10, rectangles=(RECTANGLE,)),
        DeviceRule(name="b", manufacturer="ACME", model="Sono 4", rows=8, columns=10, rectangles=(RECTANGLE,)),
        DeviceRule(name="c", manufacturer="ACME", rows=9, columns=10, rectangles=(RECTANGLE,)),
    )

    (result,) = deidentify_files([path], replace(door, profile=Profile(devices=rules)))

    assert result.outcome.code == "deid.identity_risk"


def test_a_device_that_writes_no_text_passes_unchanged(tmp_path: Path, door: Door):
    """A rule can say that a radiography device leaves its pictures clean; a mark of burned-in text still counts."""
    pixels = gradient(1, 8, 10, dtype=np.uint16)
    changes = {"SOPClassUID": ComputedRadiographyImageStorage, "Modality": "CR"}
    path = a_picture(tmp_path / "in", pixels, stored=12, **changes)
    marked = a_picture(tmp_path / "marked", pixels, stored=12, BurnedInAnnotation="YES", **changes)
    rule = DeviceRule(name="bucky", modality="CR", rows=8, columns=10, writes_no_text=True)
    knowing = replace(door, profile=Profile(devices=(rule,), text_recognition="off"))

    after = passed_one(path, knowing)
    (result,) = deidentify_files([marked], knowing)

    assert after.PixelData == pixels.tobytes()
    assert "113101" not in [code.CodeValue for code in after.DeidentificationMethodCodeSequence]
    assert result.outcome.code == "deid.identity_risk"


def test_a_released_picture_passes(tmp_path: Path, door: Door):
    """What a person looked at passes with its pixels as they were, its header cleaned."""
    pixels = gradient(1, 8, 10, 3)
    path = a_picture(tmp_path / "in", pixels, photometric="RGB")
    (held,) = deidentify_files([path], door)
    decide(door.quarantine, str(held.outcome.ref).split()[-1], Fate.RELEASED, reason="no text", audit=door.audit)

    after = passed_one(path, door)

    assert after.PixelData == pixels.tobytes()
    assert b"Muster" not in next(door.out.rglob("*.dcm")).read_bytes()


def test_pixels_that_cannot_be_decoded_publish_nothing(tmp_path: Path, door: Door):
    """A broken frame sets the picture aside, also where only its last frame is broken."""
    pixels = gradient(3, 16, 18)
    path = a_picture(tmp_path / "in", pixels)
    dataset = pydicom.dcmread(path)
    dataset.compress(RLELossless, generate_instance_uid=False)
    frames = list(pydicom.encaps.generate_frames(dataset.PixelData, number_of_frames=3))
    dataset.PixelData = pydicom.encaps.encapsulate([*frames[:2], b"\0" * 64 + b"x" * 10])
    dataset.save_as(path)

    (result,) = deidentify_files([path], _masking(door, pixels))

    assert result.value is None
    assert result.outcome.code
    assert not [one for one in door.out.rglob("*") if one.is_file() and one.suffix == ".dcm"]
    assert list(door.quarantine.glob("*.dcm"))


def test_an_overlay_in_unused_bits_waits(tmp_path: Path, door: Door):
    """Old overlays lie in bits of the pixels that are never shown; they may spell a name."""
    from tests.deid.test_door import a_file

    path = a_file(tmp_path / "in")
    dataset = pydicom.dcmread(path)
    dataset.add_new(0x60000100, "US", 16)
    dataset.add_new(0x60000102, "US", 12)
    dataset.save_as(path)

    (result,) = deidentify_files([path], door)

    assert result.outcome.code == "deid.identity_risk"
    assert "unused bits" in result.outcome.message


def test_explain_says_where_a_rule_masks(tmp_path: Path, door: Door):
    """Columns and rows of each rectangle are told with the name of the rule."""
    pixels = gradient(1, 8, 10)
    path = a_picture(tmp_path / "in", pixels)

    told = explain(path, _masking(door, pixels).profile)

    assert [(one.where, one.action) for one in told if one.action == "mask"] == [
        ("pixels: columns 2 to 6, rows 1 to 3", "mask")
    ]


@pytest.mark.parametrize(
    ("lines", "why"),
    [
        ("rectangles = [[0, 0, 5, 5]]", "names no manufacturer"),
        ('modality = "US"', "needs rectangles"),
        ('modality = "US"\nrectangles = [[0, 0, 11, 5]]', "beyond"),
        ('modality = "US"\nrectangles = [[0, 0, 1, 5]]\nwrites_no_text = true', "not both"),
        ('modality = "US"\nrectangles = [[-1, 0, 1, 5]]', "greater than or equal"),
    ],
)
def test_rules_that_make_no_sense_are_refused(tmp_path: Path, lines: str, why: str):
    """A rule that would match everything or mask nothing is an error of the file."""
    path = tmp_path / "profile.toml"
    path.write_text(f'[[devices]]\nname = "a"\nrows = 8\ncolumns = 10\n{lines}\n')

    with pytest.raises(SettingsError, match=why):
        load_profile(path)


def _with_text(columns: int = 320) -> Any:
    """A picture with a line of large letters at its top."""
    from PIL import Image, ImageDraw, ImageFont

    image = Image.new("L", (columns, 120), 10)
    ImageDraw.Draw(image).text((20, 10), "MUSTER ERIKA 4711", fill=240, font=ImageFont.load_default(size=26))
    return np.array(image)[None]


def _reading(top: int, height: int, **options: Any) -> Profile:
    rule = DeviceRule(name="sono", modality="US", rows=120, columns=320, rectangles=((0, top, 320, height),))
    return Profile(devices=(rule,), **options)


@pytest.mark.peers("tesseract")
def test_a_second_look_finds_what_a_rule_missed(tmp_path: Path, door: Door):
    """A rectangle beside the text leaves words that are read, so the picture waits; on the text, it passes."""
    path = a_picture(tmp_path / "in", _with_text())

    (missed,) = deidentify_files([path], replace(door, profile=_reading(80, 20)))
    (hit,) = deidentify_files([path], replace(door, profile=_reading(0, 50)))

    assert (missed.outcome.code, "unknown words" in missed.outcome.message) == ("deid.identity_risk", True)
    assert "MUSTER" not in missed.outcome.message
    assert hit.value is not None, hit.outcome
    assert hit.value.look == "clear"


def test_a_missing_second_look_is_told(tmp_path: Path, door: Door, monkeypatch: pytest.MonkeyPatch):
    """Where tesseract is not installed the result says so, or the picture waits if the profile requires it."""
    monkeypatch.setenv("PATH", str(tmp_path))
    path = a_picture(tmp_path / "in", _with_text())

    (told,) = deidentify_files([path], replace(door, profile=_reading(0, 50)))
    (waiting,) = deidentify_files([path], replace(door, profile=_reading(0, 50, text_recognition="required")))

    assert told.value is not None
    assert told.value.look == "not installed"
    assert (waiting.outcome.code, "not installed" in waiting.outcome.message) == ("deid.quarantined", True)
