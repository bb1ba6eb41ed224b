"""The account people read: tables in the terminal and one self-contained page with plots."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from racoon_data import console
from racoon_data.files.atomic import write_text
from racoon_train.evaluation import tables
from racoon_train.evaluation.account import Comparison
from racoon_train.evaluation.tables import figure_of, matrix


def print_tables(comparison: Comparison) -> None:
    """Print the matrix, the summary and the tests, on stdout."""
    document = comparison.document
    names = [f"{d['name']}*" if d["role"] == "external" else d["name"] for d in document["datasets"]]
    rows = [[model, *map(figure_of, values)] for model, values in matrix(document)]
    console.table(["Dice (mean of classes)", *names], rows, title="Model x test set (* no model was trained there)")
    for label in document["classes"]:
        by_class = [[model, *map(figure_of, values)] for model, values in matrix(document, label)]
        console.table([label, *names], by_class)
    console.table(
        ["False alarms", *document["classes"]], [[model, *counts] for model, counts in tables.alarms(document)]
    )
    places = tables.places_of(document)
    summary = [[entry["arm"], *(figure_of(entry[place]) for place in places)] for entry in document["summary"]]
    console.table(["Summary", *places.values()], summary)
    for sentence in (*tables.verdict(document), *tables.tested(document)):
        console.result(sentence)


def write_page(
    comparison: Comparison, path: Path, *, card: Mapping[str, Any] | None = None, pictures: Sequence[str] = ()
) -> None:
    """Write the page: no script, no network, readable in light and dark and on paper.

    Args:
        comparison: The account.
        path: Where.
        card: The model card, if there is one.
        pictures: A ``data:`` address per losing case; none for no pictures.
    """
    import jinja2

    document = comparison.document
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    page = environment.get_template("report.html.j2").render(
        doc=document,
        card=card,
        plots=_plots(document),
        pictures=list(pictures),
        lost=[(r["round"], alias, code) for r in document["runs"][0]["rounds"] for alias, code in r["lost"].items()],
        **_words(document),
    )
    write_text(path, page)


def _words(document: Mapping[str, Any]) -> dict[str, Any]:
    """Give the rows and sentences of the page, and the functions that shape them."""
    from racoon_train.evaluation import plots
    from racoon_train.evaluation.losing import CLASS_COLORS

    measures = {
        label: [(key, words, matrix(document, label, key)) for key, (words, _) in tables.MEASURES.items()][1:]
        for label in document["classes"]
    }
    return {
        "verdict": tables.verdict(document),
        "tested": tables.tested(document),
        "losing": list(tables.losing(document)),
        "matrices": [(label, matrix(document, label)) for label in (None, *document["classes"])],
        "measures": measures,
        "shares": tables.SHARES,
        "places": tables.places_of(document),
        "place_words": tables.PLACES,
        "seeds": {place: tables.by_seed(document, place) for place in tables.places_of(document)},
        "figure_of": figure_of,
        "p_of": tables.p_of,
        "best": tables.best_of,
        "colors": plots.ARM_COLORS,
        "class_colors": CLASS_COLORS,
        "alarms": tables.alarms(document),
    }


def _plots(document: Mapping[str, Any]) -> dict[str, str]:
    from racoon_train.evaluation import plots

    runs, contests = document["runs"], document["statistics"]["contests"]
    main = [row for row in contests if row["label"] is None]
    return {
        "convergence": plots.convergence(runs, local_steps=document["job"]["local_steps"])
        if any(run["curves"] for run in runs)
        else "",
        "losses": plots.losses(runs[0]["rounds"]) if runs[0]["rounds"] else "",
        "classes": plots.class_bars(document["classes"], tables.arm_classes(document)),
        "forest": plots.forest(main) if main else "",
    }
