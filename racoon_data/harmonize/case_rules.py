"""Case rules: which series of a study becomes which channel, and why each other one does not."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from racoon_data.cases import CaseRule, ChannelRule
from racoon_data.dicom.series import Series, SeriesKey
from racoon_data.errors import (
    AmbiguousCaseError,
    NoAnnotationError,
    NoChannelError,
    RecognizableFaceError,
    SettingsError,
)

Annotated = frozenset[SeriesKey]

_NONE: Annotated = frozenset()


@dataclass(frozen=True, slots=True)
class Selection:
    """One case to be.

    Attributes:
        channels: Channel name and series, in channel order.
    """

    channels: tuple[tuple[str, Series], ...]


@dataclass(frozen=True, slots=True)
class Candidate:
    """One series considered for one channel.

    Attributes:
        channel: Channel name.
        series: The series.
        rejected: The attribute that decided against it, as words without patient values; empty
            where the series fits.
    """

    channel: str
    series: Series
    rejected: str = ""

    def __str__(self) -> str:
        return f"{_named(self.series)}: {self.rejected or 'fits'}"


def select(series: Sequence[Series], rule: CaseRule, *, annotated: Annotated = _NONE) -> tuple[Selection, ...]:
    """Choose the channels of a study's cases.

    Nothing is guessed: preferences narrow the series that fit, and where several are left the case
    is skipped. The messages of the errors say for each series what decided.

    Args:
        series: Every image series of one study.
        rule: The rule.
        annotated: Series (with part) that carry a mask.

    Returns:
        One selection per study, or one per annotated series, in order of series UID and part.

    Raises:
        NoChannelError: No series fits a channel.
        AmbiguousCaseError: Several fit equally well, or one fits two channels.
        NoAnnotationError: Masks are required and no chosen series carries one.
        RecognizableFaceError: The rule refuses faces and a chosen series shows one.
        SettingsError: A pattern is no regular expression, or the rule contradicts itself.
    """
    check_rule(rule)
    if rule.per == "annotated-series":
        return tuple(_faceless(one, rule) for one in _per_annotated_series(series, rule.channels[0], annotated))
    chosen = tuple((channel.name, _choose(series, channel, annotated)) for channel in rule.channels)
    _refuse_twice(chosen)
    if rule.labels_required and not any(one.key in annotated for _, one in chosen):
        listed = ", ".join(f"{name} is {_named(one)}" for name, one in chosen)
        elsewhere = [_named(one) for one in series if one.key in annotated]
        where = f"masks lie on {', '.join(elsewhere)}" if elsewhere else "no series of the study carries a mask"
        raise NoAnnotationError(
            f"no chosen series carries a mask: {listed}; {where}",
            hint="prefer annotated series, or allow cases without labels",
        )
    return (_faceless(Selection(chosen), rule),)


def _faceless(selection: Selection, rule: CaseRule) -> Selection:
    """Refuse a case one of whose series is marked as showing a face, where the rule says so."""
    shown = [_named(one) for _, one in selection.channels if one.acquisition.has_face]
    if rule.faces == "refuse" and shown:
        raise RecognizableFaceError(
            f"a face can be recognized in {', '.join(shown)}", hint="take the face out elsewhere, or allow faces"
        )
    return selection


def candidates(series: Sequence[Series], channel: ChannelRule) -> tuple[Candidate, ...]:
    """Say for each series whether it fits a channel, and what decided where it does not."""
    return tuple(
        Candidate(channel.name, one, _rejection(one, channel)) for one in sorted(series, key=lambda one: one.key)
    )


def _per_annotated_series(
    series: Sequence[Series], channel: ChannelRule, annotated: Annotated
) -> tuple[Selection, ...]:
    considered = candidates(series, channel)
    fitting = [one.series for one in considered if not one.rejected]
    if not fitting:
        raise _no_channel(channel, considered)
    chosen = [one for one in fitting if one.key in annotated]
    if not chosen:
        listed = "; ".join(map(str, considered))
        raise NoAnnotationError(
            f"no series that fits channel {channel.name} carries a mask: {listed}",
            hint="retrieve the annotations of this study too",
        )
    return tuple(Selection(((channel.name, one),)) for one in chosen)


def _choose(series: Sequence[Series], channel: ChannelRule, annotated: Annotated) -> Series:
    considered = candidates(series, channel)
    left = [one.series for one in considered if not one.rejected]
    if not left:
        raise _no_channel(channel, considered)
    for preference in channel.prefer:
        score = _PREFERENCES[preference]
        best = max(score(one, annotated) for one in left)
        left = [one for one in left if score(one, annotated) == best]
    if len(left) == 1:
        return left[0]
    names = ", ".join(_named(one) for one in left)
    preferred = f" after preferring {', '.join(channel.prefer)}" if channel.prefer else ""
    raise AmbiguousCaseError(
        f"{len(left)} series fit channel {channel.name} equally well{preferred}: {names}; "
        f"considered: {'; '.join(map(str, considered))}",
        hint="narrow the channel rule by description, kernel, thickness or contrast, or add a preference",
    )


def _no_channel(channel: ChannelRule, considered: Sequence[Candidate]) -> NoChannelError:
    listed = "; ".join(map(str, considered)) or "the study has no image series"
    return NoChannelError(f"no series fits channel {channel.name}: {listed}", hint="widen the channel rule")


def _refuse_twice(chosen: Sequence[tuple[str, Series]]) -> None:
    taken: dict[SeriesKey, str] = {}
    for name, one in chosen:
        if (first := taken.setdefault(one.key, name)) != name:
            raise AmbiguousCaseError(
                f"{_named(one)} fits both channels {first} and {name}", hint="tell the channel rules apart"
            )


def _rejection(series: Series, channel: ChannelRule) -> str:
    return next((reason for check in _CHECKS if (reason := check(series, channel))), "")


def _localizer(series: Series, channel: ChannelRule) -> str:
    is_localizer = any(value.strip().upper() == "LOCALIZER" for value in series.acquisition.image_type)
    return "ImageType says localizer" if is_localizer else ""


def _modality(series: Series, channel: ChannelRule) -> str:
    wrong = channel.modality and series.acquisition.modality != channel.modality
    return f"Modality {series.acquisition.modality or 'absent'} is not {channel.modality}" if wrong else ""


def _description(series: Series, channel: ChannelRule) -> str:
    fits = not channel.description or _contains(channel.description, series.acquisition.description)
    return "" if fits else "SeriesDescription does not match"


def _kernel(series: Series, channel: ChannelRule) -> str:
    fits = not channel.kernel or any(_contains(channel.kernel, value) for value in series.acquisition.kernel)
    return "" if fits else "ConvolutionKernel does not match"


def _slices(series: Series, channel: ChannelRule) -> str:
    count = len(series.slices)
    return f"{count} slices are fewer than {channel.min_slices}" if count < channel.min_slices else ""


def _thickness(series: Series, channel: ChannelRule) -> str:
    thickness, limit = series.acquisition.slice_thickness_mm, channel.max_thickness_mm
    if limit is None:
        return ""
    if thickness is None:
        return "SliceThickness is absent"
    return f"SliceThickness {thickness:g} mm is above {limit:g} mm" if thickness > limit + 1e-6 else ""


def _contrast(series: Series, channel: ChannelRule) -> str:
    has = bool(series.acquisition.contrast_agent.strip())
    if channel.contrast is None or has is channel.contrast:
        return ""
    return "ContrastBolusAgent is present" if has else "ContrastBolusAgent is absent"


_CHECKS: tuple[Callable[[Series, ChannelRule], str], ...] = (
    _localizer,
    _modality,
    _slices,
    _description,
    _kernel,
    _thickness,
    _contrast,
)


def _thinnest(series: Series, annotated: Annotated) -> float:
    thickness = series.acquisition.slice_thickness_mm
    return -round(thickness, 3) if thickness is not None else -1e9


_PREFERENCES: dict[str, Callable[[Series, Annotated], float]] = {
    "annotated": lambda series, annotated: series.key in annotated,
    "thinnest": _thinnest,
    "most_slices": lambda series, annotated: len(series.slices),
}


def _contains(pattern: str, text: str) -> bool:
    """Search without regard to case: descriptions and kernels are written both ways."""
    return re.search(pattern, text, re.IGNORECASE) is not None


def check_rule(rule: CaseRule) -> None:
    """Refuse a rule that no study could follow.

    Raises:
        SettingsError: A pattern is no regular expression, or the rule contradicts itself.
    """
    if rule.per == "annotated-series" and len(rule.channels) != 1:
        raise SettingsError("case.per: annotated-series goes with one channel", hint='use per = "study" for several')
    names = [channel.name for channel in rule.channels]
    if len(set(names)) < len(names):
        raise SettingsError("channels: two have one name", hint="give each channel a name of its own")
    for channel in rule.channels:
        for key, pattern in (("description", channel.description), ("kernel", channel.kernel)):
            _check_pattern(f"channels.{channel.name}.{key}", pattern)
        if unknown := sorted(set(channel.prefer) - set(_PREFERENCES)):
            raise SettingsError(
                f"channels.{channel.name}.prefer: {unknown[0]!r} is unknown", hint=f"one of: {', '.join(_PREFERENCES)}"
            )


def _check_pattern(key: str, pattern: str) -> None:
    try:
        re.compile(pattern)
    except re.error as error:
        raise SettingsError(f"{key}: no regular expression: {error}", hint="mend the pattern") from error


def _named(series: Series) -> str:
    return f"{series.ref} part {series.part}" if series.part else str(series.ref)
