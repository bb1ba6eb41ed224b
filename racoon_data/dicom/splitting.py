"""One series UID to its volumes: by place, by meaning, and by time where positions repeat."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Iterable, Sequence

from racoon_data.dicom.images import Image

# Directions closer than this are one stack: jitter of 4e-8 is common, rounding to four digits happens.
ORIENTATION_TOLERANCE = 1e-4
_SPACING_TOLERANCE = 1e-4
_SAME_PLACE_MM = 1e-2


Group = tuple[str, tuple[Image, ...]]


def split(images: Sequence[Image]) -> tuple[Group, ...]:
    """Split the images of one series UID into volumes.

    Always apart: frame of reference, matrix, orientation, pixel spacing, localizers, echoes,
    b-values and complex components. Only where positions repeat: temporal position, acquisition,
    trigger time, echo time, acquisition time, and only where that explains the repetition.

    Returns:
        Pairs of part name (``EchoNumbers=2``; empty where nothing was split) and images.
    """
    groups: list[Group] = [("", tuple(images))]
    for name, key in _ALWAYS:
        groups = [piece for group in groups for piece in _by(name, key, group)]
    for name, place, tolerance in _NEARBY:
        groups = [piece for group in groups for piece in _by_nearness(name, place, tolerance, group)]
    return tuple(piece for group in groups for piece in _by_time(group))


def _matrix(image: Image) -> str:
    return f"{image.header.rows}x{image.header.columns}"


def _localizer(image: Image) -> str:
    return "LOCALIZER" if "LOCALIZER" in image.facts.texts("ImageType") else "IMAGE"


def _component(image: Image) -> str:
    """Magnitude, phase, real or imaginary: the attribute, else what MR vendors put in ImageType."""
    if stated := image.facts.text("ComplexImageComponent"):
        return stated
    letters = [value for value in image.facts.texts("ImageType")[2:] if value in _COMPONENTS]
    return _COMPONENTS[letters[0]] if letters else ""


_COMPONENTS = {
    "M": "MAGNITUDE", "P": "PHASE", "R": "REAL", "I": "IMAGINARY", "M_FFE": "MAGNITUDE", "M_SE": "MAGNITUDE",
    "M_IR": "MAGNITUDE", "P_FFE": "PHASE", "P_SE": "PHASE", "P_IR": "PHASE", "PHASE MAP": "PHASE",
    "R_FFE": "REAL", "R_SE": "REAL", "I_FFE": "IMAGINARY", "I_SE": "IMAGINARY", "MAGNITUDE": "MAGNITUDE",
    "PHASE": "PHASE", "REAL": "REAL", "IMAGINARY": "IMAGINARY",
}  # fmt: skip


def _stated(keyword: str) -> Callable[[Image], str]:
    return lambda image: image.facts.text(keyword)


_ALWAYS: tuple[tuple[str, Callable[[Image], str]], ...] = (
    ("SOPClassUID", _stated("SOPClassUID")),
    ("FrameOfReferenceUID", _stated("FrameOfReferenceUID")),
    ("Matrix", _matrix),
    ("ImageType", _localizer),
    ("ComplexImageComponent", _component),
    ("EchoNumbers", _stated("EchoNumbers")),
    ("DiffusionBValue", _stated("DiffusionBValue")),
    ("StackID", _stated("StackID")),
)
_NEARBY: tuple[tuple[str, Callable[[Image], tuple[float, ...]], float], ...] = (
    (
        "ImageOrientationPatient",
        lambda image: (*image.header.row_direction, *image.header.column_direction),
        ORIENTATION_TOLERANCE,
    ),
    ("PixelSpacing", lambda image: image.header.pixel_spacing_mm, _SPACING_TOLERANCE),
)
_WHERE_REPEATED = (
    "TemporalPositionIdentifier", "EchoTime", "AcquisitionNumber", "TriggerTime", "AcquisitionTime",
    "DimensionIndex1", "DimensionIndex2", "DimensionIndex3", "DimensionIndex4", "DimensionIndex5", "InstanceNumber",
)  # fmt: skip


def _joined(part: str, name: str, value: str) -> str:
    return f"{part}; {name}={value}" if part else f"{name}={value}"


def _grouped(images: Iterable[Image], key: Callable[[Image], Hashable]) -> dict[str, list[Image]]:
    found: dict[str, list[Image]] = defaultdict(list)
    for image in images:
        found[str(key(image))].append(image)
    return {value: found[value] for value in sorted(found)}


def _by(name: str, key: Callable[[Image], str], group: Group) -> list[Group]:
    part, images = group
    found = _grouped(images, key)
    if len(found) == 1:
        return [group]
    return [(_joined(part, name, value), tuple(some)) for value, some in found.items()]


def _by_nearness(name: str, place: Callable[[Image], tuple[float, ...]], tolerance: float, group: Group) -> list[Group]:
    """Gather values closer than the tolerance; the first in order of instance stands for each."""
    part, images = group
    found: list[tuple[tuple[float, ...], list[Image]]] = []
    for image in sorted(images, key=lambda one: (one.header.instance_number, one.header.sop_uid)):
        value = place(image)
        for known, members in found:
            if max(abs(a - b) for a, b in zip(known, value, strict=True)) <= tolerance:
                members.append(image)
                break
        else:
            found.append((value, [image]))
    if len(found) == 1:
        return [group]
    return [(_joined(part, name, _written(value)), tuple(members)) for value, members in found]


def _written(values: tuple[float, ...]) -> str:
    return "\\".join(f"{round(value, 5) + 0.0:g}" for value in values)


def _by_time(group: Group) -> list[Group]:
    part, images = group
    repeats = _repeats(images)
    if repeats <= 1:
        return [group]
    for keyword in _WHERE_REPEATED:
        found = _grouped(images, _stated(keyword))
        is_explained = 1 < len(found) <= repeats and all(_repeats(some) < repeats for some in found.values())
        if is_explained:
            pieces = [(_joined(part, keyword, value), tuple(some)) for value, some in found.items()]
            return [piece for one in pieces for piece in _by_time(one)]
    return [group]


def _repeats(images: Iterable[Image]) -> int:
    """How many images at most lie in one place."""
    return max(Counter(round(image.along_normal / _SAME_PLACE_MM) for image in images).values())
