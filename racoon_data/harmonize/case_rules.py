"""Case rules: which series of a study becomes which channel, and why each other one does not."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
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
from racoon_data.harmonize.phase import phase_of

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
        also: What else would have decided against it.
    """

    channel: str
    series: Series
    rejected: str = ""
    also: tuple[str, ...] = ()

    @property
    def reasons(self) -> tuple[str, ...]:
        """Everything that speaks against the series."""
        return (self.rejected, *self.also) if self.rejected else ()

    def __str__(self) -> str:
        return f"{named(self.series)}: {self.rejected or 'fits'}"


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
        listed = ", ".join(f"{name} is {named(one)}" for name, one in chosen)
        elsewhere = [named(one) for one in series if one.key in annotated]
        where = f"masks lie on {', '.join(elsewhere)}" if elsewhere else "no series of the study carries a mask"
        raise NoAnnotationError(
            f"no chosen series carries a mask: {listed}; {where}",
            hint="prefer annotated series, or allow cases without labels",
        )
    return (_faceless(Selection(chosen), rule),)


def _faceless(selection: Selection, rule: CaseRule) -> Selection:
    """Refuse a case one of whose series is marked as showing a face, where the rule says so."""
    shown = [named(one) for _, one in selection.channels if one.acquisition.has_face]
    if rule.faces == "refuse" and shown:
        raise RecognizableFaceError(
            f"a face can be recognized in {', '.join(shown)}", hint="take the face out elsewhere, or allow faces"
        )
    return selection


def candidates(series: Sequence[Series], channel: ChannelRule) -> tuple[Candidate, ...]:
    """Say for each series whether it fits a channel, and what decided where it does not."""
    return tuple(_candidate(one, channel) for one in sorted(series, key=lambda one: one.key))


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
    fitting = [one.series for one in considered if not one.rejected]
    if not fitting:
        raise _no_channel(channel, considered)
    *_, (_, left) = (("", fitting), *narrowed(fitting, channel, annotated))
    if len(left) == 1:
        return left[0]
    names = ", ".join(named(one) for one in left)
    preferred = f" after preferring {', '.join(channel.prefer)}" if channel.prefer else ""
    raise AmbiguousCaseError(
        f"{len(left)} series fit channel {channel.name} equally well{preferred}: {names}; "
        f"considered: {'; '.join(map(str, considered))}",
        hint="narrow the channel rule by description, kernel, thickness or contrast, or add a preference",
    )


def narrowed(
    fitting: Sequence[Series], channel: ChannelRule, annotated: Annotated
) -> Iterator[tuple[str, list[Series]]]:
    """Apply the preferences of a channel one after the other; give each with the series it leaves."""
    left = list(fitting)
    for preference in channel.prefer:
        score = _score_of(preference)
        scores = [score(one, annotated) for one in left]
        left = [one for one, own in zip(left, scores, strict=True) if own == max(scores)]
        yield preference, left


def _no_channel(channel: ChannelRule, considered: Sequence[Candidate]) -> NoChannelError:
    listed = "; ".join(map(str, considered)) or "the study has no image series"
    return NoChannelError(f"no series fits channel {channel.name}: {listed}", hint="widen the channel rule")


def _refuse_twice(chosen: Sequence[tuple[str, Series]]) -> None:
    taken: dict[SeriesKey, str] = {}
    for name, one in chosen:
        if (first := taken.setdefault(one.key, name)) != name:
            raise AmbiguousCaseError(
                f"{named(one)} fits both channels {first} and {name}", hint="tell the channel rules apart"
            )


def _candidate(series: Series, channel: ChannelRule) -> Candidate:
    reasons = [reason for check in _CHECKS if (reason := check(series, channel))]
    return Candidate(channel.name, series, reasons[0] if reasons else "", tuple(reasons[1:]))


def _localizer(series: Series, channel: ChannelRule) -> str:
    words = {value.strip().upper() for value in series.acquisition.image_type}
    if "LOCALIZER" in words:
        return "ImageType says localizer"
    return "ImageType says projection" if words & _PROJECTIONS else ""


def _modality(series: Series, channel: ChannelRule) -> str:
    wrong = channel.modality and series.acquisition.modality != channel.modality
    return f"Modality {series.acquisition.modality or 'absent'} is not {channel.modality}" if wrong else ""


def _description(series: Series, channel: ChannelRule) -> str:
    fits = not channel.description or _contains(channel.description, series.acquisition.description)
    return "" if fits else "SeriesDescription does not match"


def _exclude(series: Series, channel: ChannelRule) -> str:
    is_out = channel.exclude and _contains(channel.exclude, series.acquisition.description)
    return "SeriesDescription is excluded" if is_out else ""


def _body_part(series: Series, channel: ChannelRule) -> str:
    part = series.acquisition.body_part
    fits = not channel.body_part or _contains(channel.body_part, part)
    return "" if fits else f"BodyPartExamined {part or 'absent'} does not match"


def _phase(series: Series, channel: ChannelRule) -> str:
    if not channel.contrast_phase:
        return ""
    phase, told_by = phase_of(series.acquisition)
    if phase == channel.contrast_phase:
        return ""
    return (
        f"contrast phase {phase} ({told_by}) is not {channel.contrast_phase}" if phase else "no contrast phase is told"
    )


def _kernel(series: Series, channel: ChannelRule) -> str:
    fits = not channel.kernel or any(_contains(channel.kernel, value) for value in series.acquisition.kernel)
    return "" if fits else "ConvolutionKernel does not match"


def _slices(series: Series, channel: ChannelRule) -> str:
    count = len(series.slices)
    return f"{count} slices are fewer than {channel.min_slices}" if count < channel.min_slices else ""


def _thickness(series: Series, channel: ChannelRule) -> str:
    thickness, low, high = series.acquisition.slice_thickness_mm, channel.min_thickness_mm, channel.max_thickness_mm
    if low is None and high is None:
        return ""
    if thickness is None:
        return "SliceThickness is absent"
    if low is not None and thickness < low - 1e-6:
        return f"SliceThickness {thickness:g} mm is below {low:g} mm"
    return (
        f"SliceThickness {thickness:g} mm is above {high:g} mm" if high is not None and thickness > high + 1e-6 else ""
    )


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
    _exclude,
    _body_part,
    _kernel,
    _thickness,
    _contrast,
    _phase,
)
# Projections through the volume: what lies behind each other is one value (PS3.3 C.7.6.1.1.2, and vendors).
_PROJECTIONS = frozenset(("MIP", "MINIP", "MAX_IP", "MIN_IP", "PROJECTION IMAGE"))


def _thinnest(series: Series, annotated: Annotated) -> float:
    thickness = series.acquisition.slice_thickness_mm
    return -round(thickness, 3) if thickness is not None else -1e9


def _thickest(series: Series, annotated: Annotated) -> float:
    thickness = series.acquisition.slice_thickness_mm
    return round(thickness, 3) if thickness is not None else -1e9


_Score = Callable[[Series, Annotated], float]
_PREFERENCES: dict[str, _Score] = {
    "annotated": lambda series, annotated: series.key in annotated,
    "thinnest": _thinnest,
    "thickest": _thickest,
    "most_slices": lambda series, annotated: len(series.slices),
}
_TEXTS: dict[str, Callable[[Series], Sequence[str]]] = {
    "kernel": lambda series: series.acquisition.kernel,
    "description": lambda series: (series.acquisition.description,),
    "body_part": lambda series: (series.acquisition.body_part,),
    "contrast_phase": lambda series: (phase_of(series.acquisition)[0],),
}


def _score_of(preference: str) -> _Score:
    """Give what a preference counts: higher is preferred.

    Raises:
        KeyError: There is no such preference.
        ValueError: A thickness is no number.
    """
    name, separator, wanted = preference.partition(":")
    if not separator:
        return _PREFERENCES[name]
    if name == "thickness":
        target = float(wanted)
        return lambda series, annotated: -abs(round((series.acquisition.slice_thickness_mm or 1e9) - target, 3))
    texts = _TEXTS[name]
    return lambda series, annotated: any(_contains(wanted, text) for text in texts(series))


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
        for key in ("description", "exclude", "body_part", "kernel"):
            _check_pattern(f"channels.{channel.name}.{key}", getattr(channel, key))
        for preference in channel.prefer:
            _check_preference(f"channels.{channel.name}.prefer", preference)


def _check_preference(key: str, preference: str) -> None:
    name, _, wanted = preference.partition(":")
    try:
        _score_of(preference)
    except (KeyError, ValueError) as error:
        known = ", ".join((*_PREFERENCES, "thickness:MM", *(f"{text}:WORDS" for text in _TEXTS)))
        raise SettingsError(f"{key}: {preference!r} is unknown", hint=f"one of: {known}") from error
    if name in _TEXTS:
        _check_pattern(key, wanted)


def _check_pattern(key: str, pattern: str) -> None:
    try:
        re.compile(pattern)
    except re.error as error:
        raise SettingsError(f"{key}: no regular expression: {error}", hint="mend the pattern") from error


def named(series: Series) -> str:
    """Name a series, with its part where one series UID holds several volumes."""
    return f"{series.ref} part {series.part}" if series.part else str(series.ref)
