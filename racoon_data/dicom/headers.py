"""Tolerant reading behind the guard: a file to a pydicom data set, and values without surprises."""

from __future__ import annotations

import struct
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pydicom
from pydicom import config
from pydicom.errors import BytesLengthException, InvalidDicomError
from pydicom.uid import UID

from racoon_data.dicom.guard import scan
from racoon_data.dicom.walk import LIMITS, Limits
from racoon_data.errors import HostileFileError, UnreadableError

# Hospitals store values that break the standard's form (a UID with a leading zero, a long LO); they
# are read as they stand. Writing keeps pydicom's checks.
config.settings.reading_validation_mode = config.IGNORE

_PARSER_ERRORS = (
    InvalidDicomError,
    BytesLengthException,
    struct.error,
    ValueError,
    TypeError,
    KeyError,
    AttributeError,
    IndexError,
    EOFError,
    RuntimeError,
    OverflowError,
)


def read_dataset(
    path: Path,
    *,
    pixels: bool = False,
    tags: Sequence[str] | None = None,
    limits: Limits = LIMITS,
    is_scanned: bool = False,
) -> pydicom.Dataset:
    """Read one file: with or without preamble, file meta, known extension or filled values.

    Args:
        path: The file.
        pixels: Read the pixel data too.
        tags: Keywords to read, all where absent.
        limits: What the guard lets through.
        is_scanned: The caller has just let the guard scan the file.

    Returns:
        The data set with its ``file_meta``; a missing transfer syntax is filled with what was seen.

    Raises:
        NotDicomError: It is no DICOM file.
        TruncatedError: It ends too early; pydicom alone would hand out short values silently.
        HostileFileError: The guard refuses its structure.
        UnreadableError: It cannot be parsed.
    """
    if not is_scanned:
        scan(path, limits=limits)
    wanted: list[int | str | tuple[int, int]] | None = list(tags) if tags is not None else None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # pydicom mends what it warns about here
            dataset = pydicom.dcmread(path, stop_before_pixels=not pixels, force=True, specific_tags=wanted)
    except RecursionError as error:
        raise HostileFileError("sequences nest too deep", hint="keep the file out") from error
    except MemoryError as error:
        raise HostileFileError("a length asks for more memory than there is", hint="keep the file out") from error
    except _PARSER_ERRORS as error:
        raise UnreadableError("the file cannot be parsed", hint="ask the sender for a new export") from error
    _name_syntax(dataset)
    return dataset


def _name_syntax(dataset: pydicom.FileDataset) -> None:
    if dataset.file_meta.get("TransferSyntaxUID"):
        return
    is_implicit, is_little = dataset.original_encoding
    implicit, little, big = "1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2"
    dataset.file_meta.TransferSyntaxUID = UID(implicit if is_implicit else little if is_little else big)


def value_of(dataset: pydicom.Dataset, keyword: str) -> Any:
    """Give an attribute's value, ``None`` where it is absent, empty or cannot be parsed."""
    try:
        value = dataset.get(keyword)
    except _PARSER_ERRORS:
        return None
    return None if value is None or (hasattr(value, "__len__") and len(value) == 0) else value


def text_of(dataset: pydicom.Dataset, keyword: str) -> str:
    """Give an attribute as text; several values are joined by a backslash, absent gives empty."""
    return "\\".join(texts_of(dataset, keyword))


def texts_of(dataset: pydicom.Dataset, keyword: str) -> tuple[str, ...]:
    """Give every value of an attribute as text."""
    value = value_of(dataset, keyword)
    if value is None:
        return ()
    values = value if isinstance(value, (list, tuple, pydicom.multival.MultiValue)) else [value]
    return tuple("" if one is None else str(one).strip("\0 ") for one in values)


def numbers_of(dataset: pydicom.Dataset, keyword: str, *, count: int = 1) -> tuple[float, ...] | None:
    """Give an attribute as ``count`` numbers, ``None`` where it has fewer or none that parse."""
    try:
        numbers = tuple(float(text) for text in texts_of(dataset, keyword)[:count])
    except ValueError:
        return None
    return numbers if len(numbers) == count else None


def number_of(dataset: pydicom.Dataset, keyword: str) -> float | None:
    """Give an attribute's first value as a number, ``None`` where there is none."""
    numbers = numbers_of(dataset, keyword)
    return numbers[0] if numbers else None


def whole_of(dataset: pydicom.Dataset, keyword: str) -> int:
    """Give an attribute's first value as a whole number, 0 where there is none."""
    number = number_of(dataset, keyword)
    return int(number) if number is not None and abs(number) < 2**53 else 0
