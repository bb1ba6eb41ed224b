"""One series UID to its volumes: by place, by meaning, and by time where positions repeat."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Hashable, Iterable, Sequence
from functools import partial
from itertools import pairwise

from racoon_data.dicom.images import Image
from racoon_data.dicom.series import Splits

# Directions closer than this are one stack: jitter of 4e-8 is common, rounding to four digits happens.
ORIENTATION_TOLERANCE = 1e-4
_SPACING_TOLERANCE = 1e-4
_SAME_PLACE_MM = 1e-2
_EVEN_MM = 0.1
ORDER = "Order"
"""Name of a split that no attribute explains: every place repeats equally often, and InstanceNumber gives the order."""

Group = tuple[Splits, tuple[Image, ...]]


def split(images: Sequence[Image]) -> tuple[Group, ...]:
    """Split the images of one series UID into volumes.

    Always apart: kind of object, frame of reference, matrix, orientation, pixel spacing, localizers, kernels,
    echoes, b-values and complex components. Only where positions repeat: the attributes of ``_WHERE_REPEATED``, and
    only where one explains the repetition; where none does and every place repeats equally often, the order of
    trigger times, else of instance numbers. Where stacks of one orientation interleave unevenly: stack, acquisition or
    time, where each piece alone is even.

    Returns:
        Pairs of what decided (attribute and value, nothing where nothing was split) and images.
    """
    groups: list[Group] = [((), tuple(images))]
    for name, key in _ALWAYS:
        groups = [piece for group in groups for piece in _by(name, key, group)]
    for name, place, tolerance in _NEARBY:
        groups = [piece for group in groups for piece in _by_nearness(name, place, tolerance, group)]
    groups = [piece for group in groups for piece in _by_time(group)]
    return tuple(piece for group in groups for piece in _by_stack(group))


def _matrix(image: Image) -> str:
    return f"{image.header.rows}x{image.header.columns}"


def _localizer(image: Image) -> str:
    return "LOCALIZER" if "LOCALIZER" in image.facts.texts("ImageType") else "IMAGE"


def _component(image: Image) -> str:
    """Magnitude, phase, real or imaginary: the attribute, else what MR vendors put in ImageType."""
    if stated := image.facts.text("ComplexImageComponent"):
        return stated
    for value in image.facts.texts("ImageType")[2:]:
        if value in _COMPONENTS:
            return _COMPONENTS[value]
    return ""


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
    ("ConvolutionKernel", _stated("ConvolutionKernel")),
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
    "TemporalPositionIdentifier", "DiffusionGradientOrientation", "EchoTime", "InversionTime", "FlipAngle",
    "AcquisitionNumber", "TriggerTime", "FrameReferenceTime", "AcquisitionTime", "ContentTime", "ImageType", "StackID",
    "DimensionIndex1", "DimensionIndex2", "DimensionIndex3", "DimensionIndex4", "DimensionIndex5", "InstanceNumber",
)  # fmt: skip
_STACKS = ("StackID", "AcquisitionNumber", "ImageType", "AcquisitionTime")


def _numeric(text: str) -> tuple[bool, tuple[float, ...], str]:
    """Order values as numbers where they are numbers."""
    try:
        return (False, tuple(map(float, text.split("\\"))), text)
    except ValueError:
        return (True, (), text)


def _grouped(images: Iterable[Image], key: Callable[[Image], Hashable]) -> dict[str, list[Image]]:
    found: dict[str, list[Image]] = defaultdict(list)
    for image in images:
        found[str(key(image))].append(image)
    return found if len(found) == 1 else {value: found[value] for value in sorted(found, key=_numeric)}


def _by(name: str, key: Callable[[Image], str], group: Group) -> list[Group]:
    splits, images = group
    found = _grouped(images, key)
    if len(found) == 1:
        return [group]
    return [((*splits, (name, value)), tuple(some)) for value, some in found.items()]


def _by_nearness(name: str, place: Callable[[Image], tuple[float, ...]], tolerance: float, group: Group) -> list[Group]:
    """Gather values closer than the tolerance; the first in order of instance stands for each."""
    splits, images = group
    if len({place(image) for image in images}) == 1:
        return [group]
    found: list[tuple[tuple[float, ...], list[Image]]] = []
    for image in sorted(images, key=_instance):
        value = place(image)
        for known, members in found:
            if max(abs(a - b) for a, b in zip(known, value, strict=True)) <= tolerance:
                members.append(image)
                break
        else:
            found.append((value, [image]))
    if len(found) == 1:
        return [group]
    return [((*splits, (name, _written(value))), tuple(members)) for value, members in found]


def _instance(image: Image) -> tuple[int, str]:
    return image.header.instance_number, image.header.sop_uid


def _written(values: tuple[float, ...]) -> str:
    return "\\".join(f"{round(value, 5) + 0.0:g}" for value in values)


def _by_time(group: Group) -> list[Group]:
    splits, images = group
    repeats = _repeats(images)
    if repeats <= 1:
        return [group]
    for keyword in _WHERE_REPEATED:
        found = _grouped(images, _stated(keyword))
        is_explained = 1 < len(found) <= repeats and all(_repeats(some) < repeats for some in found.values())
        if is_explained:
            pieces = [((*splits, (keyword, value)), tuple(some)) for value, some in found.items()]
            return [piece for one in pieces for piece in _by_time(one)]
    return _by_order(group)


def _place(image: Image) -> int:
    return round(image.along_normal / _SAME_PLACE_MM)


def _repeats(images: Iterable[Image]) -> int:
    """How many images at most lie in one place."""
    return max(Counter(map(_place, images)).values())


def _by_order(group: Group) -> list[Group]:
    """Take every place's images one after the other, where every place has equally many."""
    splits, images = group
    places: dict[int, list[Image]] = defaultdict(list)
    for image in images:
        places[_place(image)].append(image)
    counts = {len(members) for members in places.values()}
    if len(counts) > 1 or len(places) < 2:
        return [group]
    name, key = _order_of(places.values())
    ordered = [sorted(members, key=key) for members in places.values()]
    return [((*splits, (name, str(n + 1))), tuple(members[n] for members in ordered)) for n in range(counts.pop())]


def _order_of(places: Collection[Sequence[Image]]) -> tuple[str, Callable[[Image], tuple[float, int, str]]]:
    """Name what gives the order: trigger time where it differs in every place, else the instance number."""
    for keyword in ("TriggerTime", "TemporalPositionIdentifier"):
        if all(len({image.facts.number(keyword) for image in members} - {None}) == len(members) for members in places):
            return f"{keyword} {ORDER}", partial(_by_number, keyword)
    return f"InstanceNumber {ORDER}", lambda image: (0.0, *_instance(image))


def _by_number(keyword: str, image: Image) -> tuple[float, int, str]:
    return (image.facts.number(keyword) or 0.0, *_instance(image))


def _by_stack(group: Group) -> list[Group]:
    """Part stacks that interleave unevenly, where an attribute gives pieces that are even."""
    splits, images = group
    if len(images) < 4 or _is_even(images):
        return [group]
    for keyword in _STACKS:
        found = _grouped(images, _stated(keyword))
        if 1 < len(found) <= len(images) // 2 and all(len(some) > 1 and _is_even(some) for some in found.values()):
            return [((*splits, (keyword, value)), tuple(some)) for value, some in found.items()]
    return [group]


def _is_even(images: Iterable[Image]) -> bool:
    heights = sorted(image.along_normal for image in images)
    steps = [after - before for before, after in pairwise(heights)]
    return max(steps) - min(steps) <= max(_EVEN_MM, 0.1 * min(steps))
