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
ARM_COLORS = {
    "local": "#7c83fd",
    "ensemble": "#d97706",
    "ensemble-vote": "#b45309",
    "ensemble-weighted": "#eab308",
    "federated": "#0d9488",
    "fine-tuned": "#0284c7",
    "pooled": "#64748b",
}
_SITE_COLORS = ("#0d9488", "#7c83fd", "#d97706", "#db2777", "#65a30d", "#0284c7", "#a16207", "#64748b")
_FINE = 7
_SIZE_IN = (7.2, 3.4)
_PLACE_WORDS = {"own": "own cases", "external": "left-out site", "rotation": "rotation"}
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


def convergence(runs: Sequence[Mapping[str, Any]], *, local_steps: int) -> str:
    """Draw mean Dice on the sites' own test cases over rounds.

    Thin lines are single seeds, or single sites where there is one seed; the dashed line is left-out data.
    """
    points = [{**point, "seed": run["seed"]} for run in runs for point in run["curves"] if point["dice"] is not None]
    homes = {point["dataset"] for point in points if point["arm"] in ("local", "pooled")}
    thin = "seed" if len(runs) > 1 else "dataset"
    with _drawn() as (figure, axes):
        for arm in ("local", "pooled", "federated"):
            own = [
                point for point in points if point["arm"] == arm and point["dataset"] in (homes or {point["dataset"]})
            ]
            for one in sorted({point[thin] for point in own}):
                _line(axes, [point for point in own if point[thin] == one], arm, alpha=0.35, linewidth=1)
            _line(axes, own, arm, linewidth=2.4, marker="o", markersize=4, label=arm)
        away = [point for point in points if point["arm"] == "federated" and homes and point["dataset"] not in homes]
        _line(axes, away, "federated", linewidth=1.8, linestyle="--", label="federated, left-out site")
        axes.set_xlabel(f"round ({local_steps} steps at every site)")
        axes.set_ylabel("Dice")
        axes.set_ylim(0, 1)
        axes.legend(loc="lower right")
        return _svg(figure)


def _line(axes: Any, points: Sequence[Mapping[str, Any]], arm: str, **style: Any) -> None:
    """Draw the mean of points over rounds; nothing where there are none."""
    rounds = sorted({point["round"] for point in points})
    means = [fmean(point["dice"] for point in points if point["round"] == number) for number in rounds]
    if rounds:
        axes.plot(rounds, means, color=ARM_COLORS[arm], **style)


def forest(contests: Sequence[Mapping[str, Any]]) -> str:
    """Draw the federated model's lead over every rival with its interval; right of the line it is ahead."""
    with _drawn(height_in=0.9 + 0.27 * len(contests)) as (figure, axes):
        names = [f"{row['rival']}, {_PLACE_WORDS[row['place']]}" for row in contests]
        for number, row in enumerate(contests):
            color = ARM_COLORS[row["rival"]]
            axes.plot([row["low"], row["high"]], [number, number], color=color, linewidth=2.2)
            axes.plot([row["difference"]], [number], color=color, marker="o", markersize=6)
            axes.plot(row["by_seed"], [number + 0.25] * len(row["by_seed"]), color=color, marker="|", linestyle="")
        axes.axvline(0, color=_INK, linewidth=1)
        axes.set_yticks(range(len(names)), names)
        axes.invert_yaxis()
        axes.grid(visible=True, axis="x")
        axes.grid(visible=False, axis="y")
        axes.set_xlabel("Dice, federated minus rival; ticks below a line: single seeds")
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
                axes.text(place, (value or 0.0) + 0.015, _short(value), ha="center", va="bottom", fontsize=_FINE)
        axes.set_xticks(range(len(classes)), [name.replace("_", " ") for name in classes])
        axes.set_ylabel("Dice")
        axes.set_ylim(0, 1.08)
        axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.12), ncols=min(4, len(arms)))
        return _svg(figure)


def _short(value: float | None) -> str:
    return "n/a" if value is None else f".{round(value * 100):02d}" if value < 0.995 else "1"


@contextmanager
def _drawn(height_in: float = _SIZE_IN[1]) -> Iterator[tuple[Any, Any]]:
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(_SIZE_IN[0], height_in), layout="constrained")
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
