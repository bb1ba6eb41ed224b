"""The cases in which training together lost most, found and drawn."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from racoon_data.labels import IGNORE
from racoon_train import engine
from racoon_train.data.cache import CachedCase
from racoon_train.data.transforms import to_classes, windowed
from racoon_train.evaluation.compare import Judgement
from racoon_train.evaluation.judging import ENSEMBLES, LOCAL_PREFIX, TestSet, verdicts
from racoon_train.evaluation.metrics import mean_of

MOST = 6
CLASS_COLORS = ("#f59e0b", "#22d3ee", "#f472b6", "#a3e635", "#c084fc", "#fb7185", "#60a5fa", "#facc15")
_EDGE_PX = 192
Classes = npt.NDArray[np.uint8]


def losing_cases(judgements: Sequence[Judgement], *, most: int = MOST) -> list[dict[str, Any]]:
    """Name the cases in which an ensemble or the site's own model beats the federated one by most.

    Args:
        judgements: One per seed; a case's Dice is the mean over seeds and classes.
        most: How many.

    Returns:
        ``{"dataset", "case", "federated", "rival", "rival_dice"}``, the largest loss first.
    """
    found = []
    for test_set in judgements[0].test_sets:
        dice = {
            name: [mean_of(seed) for seed in zip(*(_dice(each, test_set, name) for each in judgements), strict=True)]
            for name in ("federated", LOCAL_PREFIX + test_set.name, *ENSEMBLES)
            if name in judgements[0].scores[test_set.name]
        }
        names = [judged.case_id for judged in judgements[0].scores[test_set.name]["federated"]]
        found.extend(_losses(test_set.name, names, dice))
    found.sort(key=lambda entry: (entry["federated"] - entry["rival_dice"], entry["dataset"], entry["case"]))
    return found[:most]


def _dice(judgement: Judgement, test_set: TestSet, name: str) -> list[float | None]:
    return [judged.dice for judged in judgement.scores[test_set.name][name]]


def _losses(dataset: str, names: Sequence[str], dice: Mapping[str, Sequence[float | None]]) -> list[dict[str, Any]]:
    losses = []
    for place, case in enumerate(names):
        own = dice["federated"][place]
        rivals = [(value, name) for name, values in dice.items() if (value := values[place]) is not None]
        best, rival = max(rivals, default=(0.0, ""))
        if own is not None and round(best, 3) > round(own, 3):
            entry = {"dataset": dataset, "case": case, "federated": own, "rival": rival, "rival_dice": best}
            losses.append(entry)
    return losses


def draw_cases(judgement: Judgement, entries: Sequence[Mapping[str, Any]]) -> list[str]:
    """Draw truth, federated and rival of each case as one PNG, on the slice where the loss is largest.

    Args:
        judgement: The seed whose models are drawn.
        entries: From ``losing_cases``.

    Returns:
        One ``data:`` address per case.
    """
    models = {n: m for n, m in judgement.models.items() if n == "federated" or n.startswith(LOCAL_PREFIX)}
    networks = {name: model.network().to(engine.device()) for name, model in models.items()}
    test_sets = {each.name: each for each in judgement.test_sets}
    values = [label.value for label in judgement.job.labels]
    drawn = []
    for entry in entries:
        case = next(c for c in test_sets[entry["dataset"]].cases() if c.case_id == entry["case"])
        given = dict(verdicts(case, models, networks, home=entry["dataset"]))
        maps = [given[name].argmax(axis=0).astype(np.uint8) for name in ("federated", entry["rival"])]
        drawn.append(_picture(case, to_classes(case.label[...], values), maps, judgement.job.training.window))
    return drawn


def _picture(case: CachedCase, truth: Classes, maps: Sequence[Classes], window: tuple[float, float]) -> str:
    from PIL import Image

    ours, theirs = ((each != truth) & (truth != IGNORE) for each in maps)
    k = int((ours.sum(axis=(1, 2)).astype(int) - theirs.sum(axis=(1, 2))).argmax())
    gray = (windowed(case.image[:1, k], window)[0] * 255).astype(np.uint8)
    panels = [_panel(gray, each[k]) for each in (truth, *maps)]
    gap = np.zeros((panels[0].shape[0], 6, 4), np.uint8)
    joined = np.concatenate([panels[0], gap, panels[1], gap, panels[2]], axis=1)
    stream = io.BytesIO()
    Image.fromarray(joined).save(stream, format="PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(stream.getvalue()).decode("ascii")


def _panel(gray: npt.NDArray[np.uint8], classes: Classes) -> npt.NDArray[np.uint8]:
    """Give RGBA with the edge of each class in its colour; small images are enlarged voxel by voxel."""
    times = max(1, _EDGE_PX // max(gray.shape))
    large, marks = (each.repeat(times, axis=0).repeat(times, axis=1) for each in (gray, classes))
    panel = np.dstack([large, large, large, np.full_like(large, 255)])
    for number in set(np.unique(marks).tolist()) - {0, IGNORE}:
        inside = np.pad(marks == number, 1)
        inner = inside[:-2, 1:-1] & inside[2:, 1:-1] & inside[1:-1, :-2] & inside[1:-1, 2:]
        panel[inside[1:-1, 1:-1] & ~inner, :3] = rgb_of(number)
    return panel


def rgb_of(number: int) -> tuple[int, int, int]:
    """Give the colour of a class number (from 1)."""
    text = CLASS_COLORS[(number - 1) % len(CLASS_COLORS)]
    return (int(text[1:3], 16), int(text[3:5], 16), int(text[5:7], 16))
