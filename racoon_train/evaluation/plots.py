"""Plots of a comparison as SVG text that takes its ink colour from the page, in light and dark."""

from __future__ import annotations

import hashlib
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from statistics import fmean
from typing import Any

_INK = "#010203"
ARM_COLORS = {"federated": "#0d9488", "ensemble": "#d97706", "local": "#7c83fd", "pooled": "#64748b"}
_SITE_COLORS = ("#0d9488", "#7c83fd", "#d97706", "#db2777", "#65a30d", "#0284c7", "#a16207", "#64748b")
_SIZE_IN = (7.2, 3.4)
_STYLE = {
    "svg.fonttype": "none",
    "svg.hashsalt": "racoon",
    "font.family": "sans-serif",
    "font.size": 10,
    "text.color": _INK,
    "axes.labelcolor": _INK,
    "axes.edgecolor": _INK,
    "xtick.color": _INK,
    "ytick.color": _INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.grid.axis": "y",
    "grid.color": _INK,
    "grid.alpha": 0.12,
    "axes.axisbelow": True,
    "legend.frameon": False,
}


def convergence(curves: Sequence[Mapping[str, Any]], *, local_steps: int) -> str:
    """Draw mean Dice on the sites' own test cases over rounds; thin lines are single sites."""
    with _drawn() as (figure, axes):
        for arm in ("local", "federated"):
            points = [point for point in curves if point["arm"] == arm and point["dice"] is not None]
            for dataset in sorted({point["dataset"] for point in points}):
                line = sorted((point["round"], point["dice"]) for point in points if point["dataset"] == dataset)
                axes.plot(*zip(*line, strict=True), color=ARM_COLORS[arm], alpha=0.35, linewidth=1)
            rounds = sorted({point["round"] for point in points})
            means = [fmean(point["dice"] for point in points if point["round"] == number) for number in rounds]
            axes.plot(rounds, means, color=ARM_COLORS[arm], linewidth=2.4, marker="o", markersize=4, label=arm)
        axes.set_xlabel(f"round ({local_steps} steps at every site)")
        axes.set_ylabel("Dice, own test cases")
        axes.set_ylim(0, 1)
        axes.legend(loc="lower right")
        return _svg(figure)


def losses(rounds: Sequence[Mapping[str, Any]]) -> str:
    """Draw each site's training loss over the rounds; a gap is a round the site was lost in."""
    with _drawn() as (figure, axes):
        aliases = sorted({alias for each in rounds for alias in each["losses"]})
        for number, alias in enumerate(aliases):
            told = [each["losses"].get(alias) for each in rounds]
            points = [
                (each["round"], float("nan") if loss is None else loss) for each, loss in zip(rounds, told, strict=True)
            ]
            color = _SITE_COLORS[number % len(_SITE_COLORS)]
            axes.plot(*zip(*points, strict=True), color=color, linewidth=1.8, marker="o", markersize=3, label=alias)
        axes.set_xlabel("round")
        axes.set_ylabel("training loss")
        axes.set_ylim(bottom=0)
        axes.legend(loc="upper right", ncols=2 if len(aliases) > 3 else 1)
        return _svg(figure)


def class_bars(classes: Sequence[str], arms: Mapping[str, Sequence[float | None]]) -> str:
    """Draw Dice per class and arm, averaged over the places it was judged on."""
    with _drawn() as (figure, axes):
        width = 0.8 / max(1, len(arms))
        for number, (arm, values) in enumerate(arms.items()):
            places = [position + (number - (len(arms) - 1) / 2) * width for position in range(len(classes))]
            axes.bar(places, [value or 0.0 for value in values], width * 0.9, color=ARM_COLORS[arm], label=arm)
            for place, value in zip(places, values, strict=True):
                axes.text(place, (value or 0.0) + 0.015, _short(value), ha="center", va="bottom", fontsize=8)
        axes.set_xticks(range(len(classes)), [name.replace("_", " ") for name in classes])
        axes.set_ylabel("Dice")
        axes.set_ylim(0, 1.08)
        axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.12), ncols=len(arms))
        return _svg(figure)


def _short(value: float | None) -> str:
    return "n/a" if value is None else f".{round(value * 100):02d}" if value < 0.995 else "1"


@contextmanager
def _drawn() -> Iterator[tuple[Any, Any]]:
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=_SIZE_IN, layout="constrained")
        yield figure, figure.add_subplot()


def _svg(figure: Any) -> str:
    stream = io.StringIO()
    figure.savefig(stream, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    text = stream.getvalue()
    return _one_id_space(text[text.index("<svg") :].replace(_INK, "currentColor"))


_ID = re.compile(r'(id="|#)([A-Za-z][\w-]*)')


def _one_id_space(svg: str) -> str:
    """Keep ids of several plots on one page apart: prefix each with a digest of its plot."""
    prefix = "p" + hashlib.sha256(svg.encode("utf-8")).hexdigest()[:6] + "-"
    known = {found.group(2) for found in re.finditer(r'(id=")([A-Za-z][\w-]*)', svg)}
    return _ID.sub(lambda m: m.group(1) + (prefix + m.group(2) if m.group(2) in known else m.group(2)), svg)
