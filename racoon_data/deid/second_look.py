"""A second look at pictures that pass by a rule: text recognition, which only ever adds to the quarantine."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from enum import StrEnum

import numpy as np
import numpy.typing as npt

from racoon_data.deid.admission import Admitted
from racoon_data.deid.masking import Picture, picture_of
from racoon_data.deid.profile import Profile, TextRecognition
from racoon_data.deid.table import vocabulary
from racoon_data.dicom.layout import Array
from racoon_data.dicom.opened import OpenedFile
from racoon_data.errors import IdentityRiskError, QuarantineError

_SURE = 50  # percent; below, noise and anatomy are read as letters
_SHORTEST = 3
_SMALL = 1500  # columns below which letters are read better at twice the size
_FRAMES = 3
_TIMEOUT_S = 60
_WORD = re.compile(r"[^\W_]+")
_HINT = "extend the rectangles of the device's rule, or look at it and release it"


class Look(StrEnum):
    """What came of the second look."""

    NOT_ASKED = ""
    CLEAR = "clear"
    NOT_INSTALLED = "not installed"


def second_look(opened: OpenedFile, admission: Admitted, profile: Profile) -> Look:
    """Read the text in a picture that passes by a rule for its device, as it is after masking.

    First, middle and last frame are read. Words of radiology and single letters are let be.

    Args:
        opened: The object.
        admission: How it may pass; pictures that need no rule, or that a person released, are not read.
        profile: Options.

    Returns:
        ``clear`` where nothing was read, ``not installed`` where nobody could read.

    Raises:
        IdentityRiskError: Words were read; the message says how many, never which.
        QuarantineError: The profile requires the look and tesseract is not installed, or it failed.
    """
    if admission.rule is None or admission.is_released or profile.text_recognition is TextRecognition.OFF:
        return Look.NOT_ASKED
    if (program := shutil.which("tesseract")) is None:
        if profile.text_recognition is TextRecognition.REQUIRED:
            raise QuarantineError(
                "the profile requires text recognition, and tesseract is not installed", hint="install tesseract-ocr"
            )
        return Look.NOT_INSTALLED
    picture = picture_of(opened, admission.rule.rectangles)
    words = [word for number in _chosen(picture.layout.frames) for word in _read(program, picture, number)]
    unknown = [word for word in words if word.casefold() not in vocabulary() | profile.own_words]
    if unknown:
        raise IdentityRiskError(f"text recognition read {len(unknown)} unknown words in the picture", hint=_HINT)
    return Look.CLEAR


def _chosen(frames: int) -> list[int]:
    return sorted({round(place * (frames - 1) / (_FRAMES - 1)) for place in range(_FRAMES)})


def _read(program: str, picture: Picture, number: int) -> Iterator[str]:
    grey = grey_of(picture.frame(number), is_inverted=picture.layout.photometric == "MONOCHROME1")
    head = f"P5 {grey.shape[1]} {grey.shape[0]} 255\n".encode("ascii")
    environment = {**os.environ, "OMP_THREAD_LIMIT": "1"}
    try:
        told = subprocess.run(
            [program, "stdin", "stdout", "--psm", "11", "tsv"],
            input=head + grey.tobytes(), capture_output=True, timeout=_TIMEOUT_S, check=True, env=environment,
        )  # fmt: skip
    except (subprocess.SubprocessError, OSError) as error:
        kind = type(error).__name__
        raise QuarantineError(f"text recognition failed ({kind})", hint="look at the picture and release it") from None
    for line in told.stdout.decode("utf-8", "replace").splitlines()[1:]:
        fields = line.split("\t")
        if len(fields) == 12 and float(fields[10]) >= _SURE:
            yield from (word for word in _WORD.findall(fields[11]) if len(word) >= _SHORTEST)


def grey_of(frame: Array, *, is_inverted: bool) -> npt.NDArray[np.uint8]:
    """Give a frame as grey bytes for reading: stretched to its range, small ones doubled.

    Args:
        frame: ``[j, i]`` or ``[j, i, sample]``.
        is_inverted: Low values are white.
    """
    grey = frame.astype(np.float32) if frame.ndim == 2 else frame[..., :3].astype(np.float32).max(axis=-1)
    low, high = float(grey.min()), float(grey.max())
    stretched = (grey - low) * (255 / (high - low) if high > low else 0)
    image = (255 - stretched if is_inverted else stretched).astype(np.uint8)
    if image.shape[1] < _SMALL:
        image = image.repeat(2, axis=0).repeat(2, axis=1)
    return image
