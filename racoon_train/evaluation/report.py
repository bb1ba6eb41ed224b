"""The account people read: tables in the terminal and one self-contained page with plots."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from racoon_data import console
from racoon_data.files.atomic import write_text
from racoon_train.evaluation.compare import Comparison

_PLACES = {"own": "own test cases", "elsewhere": "other sites", "external": "left-out site"}


def figure_of(value: float | None) -> str:
    """Write a Dice value for people: three decimals, ``n/a`` where there is none."""
    return "n/a" if value is None else f"{value:.3f}"


def matrix(document: Mapping[str, Any], label: str | None = None) -> list[tuple[str, list[float | None]]]:
    """Give the model x dataset matrix, of the mean or of one class, in document order."""
    names = [entry["name"] for entry in document["datasets"]]
    values = {
        (cell["model"], cell["dataset"]): cell["mean"] if label is None else cell["classes"][label]["dice"]
        for cell in document["cells"]
    }
    return [(entry["name"], [values[entry["name"], name] for name in names]) for entry in document["models"]]


def print_tables(comparison: Comparison) -> None:
    """Print the matrix and the summary, on stdout."""
    document = comparison.document
    names = [f"{d['name']}*" if d["role"] == "external" else d["name"] for d in document["datasets"]]
    rows = [[model, *map(figure_of, values)] for model, values in matrix(document)]
    console.table(["Dice (mean of classes)", *names], rows, title="Model x test set (* no model was trained there)")
    for label in document["classes"]:
        by_class = [[model, *map(figure_of, values)] for model, values in matrix(document, label)]
        console.table([label, *names], by_class)
    console.table(["False alarms", *document["classes"]], [[model, *counts] for model, counts in alarms(document)])
    summary = [[entry["arm"], *(figure_of(entry[place]) for place in _PLACES)] for entry in document["summary"]]
    console.table(["Summary", *_PLACES.values()], summary)
    for sentence in verdict(document):
        console.result(sentence)


def verdict(document: Mapping[str, Any]) -> list[str]:
    """Say in plain sentences who came out ahead where, and where federated training lost."""
    arms = {entry["arm"]: entry for entry in document["summary"]}
    sentences = []
    for place, words in (("own", "On the sites' own test cases"), ("external", "On the left-out site")):
        ranked = sorted(((arm[place], name) for name, arm in arms.items() if arm[place] is not None), reverse=True)
        if ranked:
            order = ", ".join(f"{name} {value:.3f}" for value, name in ranked)
            sentences.append(f"{words}: {order}.")
    losses = list(losing(document))
    if losses:
        sentences.append(f"Federated training lost in {len(losses)} place(s): {'; '.join(losses)}.")
    elif "federated" in arms:
        sentences.append("Federated training lost nowhere, class by class.")
    return sentences


def losing(document: Mapping[str, Any]) -> Iterator[str]:
    """Name every dataset and class where the ensemble or the site's own model beats the federated one.

    What differs only beyond the third decimal is a draw.
    """
    for number, dataset in enumerate(document["datasets"]):
        for label in document["classes"]:
            row = {model: values[number] for model, values in matrix(document, label)}
            rivals = ("ensemble", f"local@{dataset['name']}", "pooled")
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


def write_page(comparison: Comparison, path: Path) -> None:
    """Write the page: no script, no network, readable in light and dark."""
    import jinja2

    from racoon_train.evaluation import plots

    document = comparison.document
    folder = Path(__file__).parent
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(folder), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    drawings = {
        "convergence": plots.convergence(document["curves"], local_steps=document["job"]["local_steps"])
        if document["curves"]
        else "",
        "losses": plots.losses(document["rounds"]) if document["rounds"] else "",
        "classes": plots.class_bars(document["classes"], arm_classes(document)),
    }
    page = environment.get_template("report.html.j2").render(
        doc=document,
        plots=drawings,
        verdict=verdict(document),
        losing=list(losing(document)),
        matrices=[(label, matrix(document, label)) for label in (None, *document["classes"])],
        places=_PLACES,
        figure_of=figure_of,
        best=best_of,
        colors=plots.ARM_COLORS,
        alarms=alarms(document),
        lost=[(r["round"], alias, code) for r in document["rounds"] for alias, code in r["lost"].items()],
    )
    write_text(path, page)


def best_of(rows: Sequence[tuple[str, Sequence[float | None]]], column: int) -> float | None:
    """Give the largest value of a column; ``None`` where all are alike, so nothing stands out."""
    values = {round(value, 3) for _, row in rows if (value := row[column]) is not None}
    return max(values) if len(values) > 1 else None


def arm_classes(document: Mapping[str, Any]) -> dict[str, list[float | None]]:
    """Average each class per arm over the places it is judged at.

    Local models are judged at home and on left-out data, so that every arm is judged on the same cases.
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
