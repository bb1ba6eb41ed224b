"""What an account says, as rows and sentences: for the terminal and the page alike."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from statistics import fmean
from typing import Any

from racoon_train.evaluation.judging import ENSEMBLES

PLACES = {"own": "own test cases", "elsewhere": "other sites", "external": "left-out site", "rotation": "rotation"}
Rows = list[tuple[str, list[float | None]]]

MEASURES: dict[str, tuple[str, Callable[[Mapping[str, Any]], float | None]]] = {
    "dice": ("Dice", lambda cell: cell["dice"]),
    "surface_dice": ("surface Dice", lambda cell: cell["surface_dice"]),
    "hausdorff95_mm": ("Hausdorff 95, mm (median)", lambda cell: cell["hausdorff95_mm"]),
    "volume_error_ml": ("volume error, ml", lambda cell: cell["volume_error_ml"]),
    "volume_abs_error_ml": ("absolute volume error, ml", lambda cell: cell["volume_abs_error_ml"]),
    "sensitivity": ("lesions found, share", lambda cell: _share(cell["lesions_found"], cell["lesions"])),
    "false_lesions": (
        "false lesions a case",
        lambda cell: _share(cell["false_lesions"], cell["cases"] + cell["absent"]),
    ),
}
SHARES = ("dice", "surface_dice", "sensitivity")


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def figure_of(value: float | None) -> str:
    """Write a value for people: three decimals, ``n/a`` where there is none."""
    return "n/a" if value is None else f"{value:.3f}"


def places_of(document: Mapping[str, Any]) -> dict[str, str]:
    """Give the places of the summary; the rotation only where there was one."""
    return {key: words for key, words in PLACES.items() if key != "rotation" or document["rotation"]}


def matrix(document: Mapping[str, Any], label: str | None = None, measure: str = "dice") -> Rows:
    """Give the model x dataset matrix, of the mean Dice or of a measure of one class, in document order."""
    names = [entry["name"] for entry in document["datasets"]]
    of_class = MEASURES[measure][1]
    values = {
        (cell["model"], cell["dataset"]): cell["mean"] if label is None else of_class(cell["classes"][label])
        for cell in document["cells"]
    }
    return [(entry["name"], [values[entry["name"], name] for name in names]) for entry in document["models"]]


def verdict(document: Mapping[str, Any]) -> list[str]:
    """Say in plain sentences who came out ahead where, and where federated training lost."""
    arms = {entry["arm"]: entry for entry in document["summary"]}
    words = {"own": "On the sites' own test cases", "external": "On the left-out site"}
    words["rotation"] = "At each site in turn, by models that never saw its data"
    sentences = []
    for place, start in words.items():
        ranked = sorted(((arm[place], name) for name, arm in arms.items() if arm[place] is not None), reverse=True)
        if ranked:
            order = ", ".join(f"{name} {value:.3f}" for value, name in ranked)
            sentences.append(f"{start}: {order}.")
    losses = list(losing(document))
    if losses:
        sentences.append(f"Federated training lost in {len(losses)} place(s): {'; '.join(losses)}.")
    elif "federated" in arms:
        sentences.append("Federated training lost nowhere, class by class.")
    return sentences


def tested(document: Mapping[str, Any]) -> list[str]:
    """Say how sure the differences to local training and to the mean softmax ensemble are."""
    confidence = round(100 * document["statistics"]["confidence"])
    return [
        f"Federated against {row['rival']}, {PLACES[row['place']]}: {row['difference']:+.3f} Dice "
        f"({confidence} % interval {row['low']:+.3f} to {row['high']:+.3f}; {p_of(row['p_holm'])} after Holm; "
        f"{row['patients']} patients; {seeds_ahead(row)})."
        for row in document["statistics"]["contests"]
        if row["label"] is None and row["rival"] in ("local", "ensemble")
    ]


def p_of(value: float) -> str:
    """Write a p-value for people."""
    return "p < 0.001" if value < 0.001 else f"p = {value:.3f}"


def seeds_ahead(row: Mapping[str, Any]) -> str:
    """Say in how many seeds the federated model was ahead."""
    return f"ahead in {sum(gap > 0 for gap in row['by_seed'])} of {len(row['by_seed'])} seed(s)"


def losing(document: Mapping[str, Any]) -> Iterator[str]:
    """Name every dataset and class where an ensemble, the site's own or the pooled model beats the federated one.

    What differs only beyond the third decimal is a draw.
    """
    for number, dataset in enumerate(document["datasets"]):
        for label in document["classes"]:
            row = {model: values[number] for model, values in matrix(document, label)}
            rivals = (*ENSEMBLES, f"local@{dataset['name']}", "pooled")
            best = max(((value, name) for name in rivals if (value := row.get(name)) is not None), default=None)
            own = row.get("federated")
            if own is not None and best is not None and round(best[0], 3) > round(own, 3):
                yield f"{label} at {dataset['name']} ({own:.3f}; {best[1]} {best[0]:.3f})"


def alarms(document: Mapping[str, Any]) -> list[tuple[str, list[str]]]:
    """Count false alarms per model and class over all test sets: cases alarmed of cases without the class."""
    rows = []
    for model in document["models"]:
        cells = [cell["classes"] for cell in document["cells"] if cell["model"] == model["name"]]
        counts = [
            (sum(cell[label]["false_alarms"] for cell in cells), sum(cell[label]["absent"] for cell in cells))
            for label in document["classes"]
        ]
        rows.append((model["name"], [f"{alarmed} of {absent}" if absent else "n/a" for alarmed, absent in counts]))
    return rows


def best_of(rows: Sequence[tuple[str, Sequence[float | None]]], column: int) -> float | None:
    """Give the largest value of a column; ``None`` where all are alike, so nothing stands out."""
    values = {round(value, 3) for _, row in rows if (value := row[column]) is not None}
    return max(values) if len(values) > 1 else None


def arm_classes(document: Mapping[str, Any]) -> dict[str, list[float | None]]:
    """Average each class per arm over the places it is judged at.

    Local and fine-tuned models are judged at home and on left-out data, so that every arm is judged on
    the same cases.
    """
    external = {entry["name"] for entry in document["datasets"] if entry["role"] == "external"}
    found: dict[str, dict[str, list[float]]] = {}
    for cell in document["cells"]:
        arm, _, home = cell["model"].partition("@")
        if home and cell["dataset"] != home and cell["dataset"] not in external:
            continue
        for label, entry in cell["classes"].items():
            values = found.setdefault(arm, {}).setdefault(label, [])
            values.extend([entry["dice"]] if entry["dice"] is not None else [])
    return {
        arm: [fmean(values[label]) if values[label] else None for label in document["classes"]]
        for arm, values in found.items()
    }


def by_seed(document: Mapping[str, Any], place: str) -> list[tuple[str, list[float | None]]]:
    """Give each arm's mean at a place, a column per seed."""
    arms = [entry["arm"] for entry in document["summary"]]
    runs = [{entry["arm"]: entry[place] for entry in run["summary"]} for run in document["runs"]]
    return [(arm, [run[arm] for run in runs]) for arm in arms]
