"""A study's account on disk: comparison, page, every case's values, model card."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from racoon_data import schemas
from racoon_data.files.atomic import write_json, write_text
from racoon_train.evaluation.account import Comparison
from racoon_train.evaluation.card import study_card
from racoon_train.evaluation.compare import Judgement
from racoon_train.evaluation.losing import draw_cases, losing_cases
from racoon_train.evaluation.report import write_page

COLUMNS = (
    *("seed", "model", "dataset", "patient", "case", "class"),
    *("dice", "surface_dice", "hausdorff95_mm", "volume_error_ml"),
    *("lesions", "lesions_found", "false_lesions", "missed", "false_alarm"),
)


def publish(
    comparison: Comparison, judgements: Sequence[Judgement], out: Path, *, has_images: bool = True
) -> Comparison:
    """Write ``comparison.json``, ``comparison.html``, ``scores.csv`` and ``model-card.json``.

    Args:
        comparison: The account.
        judgements: One per seed; the first seed's federated model gets the card.
        out: Folder.
        has_images: Show slices of the losing cases on the page.

    Raises:
        SchemaError: A document does not validate.
    """
    losing = losing_cases(judgements)
    comparison.document["losing_cases"] = losing
    schemas.validate("comparison", comparison.document)
    card = study_card(judgements[0], comparison)
    pictures = draw_cases(judgements[0], losing) if has_images else []
    write_json(out / "comparison.json", comparison.document)
    write_json(out / "model-card.json", card)
    write_text(out / "scores.csv", scores_csv(judgements))
    write_page(comparison, out / "comparison.html", card=card, pictures=pictures)
    return comparison


def scores_csv(judgements: Sequence[Judgement]) -> str:
    """Give every value behind the account, a line per seed, model, case and class; pseudonyms only."""
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    for judgement in judgements:
        writer.writerows(_rows(judgement))
    return text.getvalue()


def _rows(judgement: Judgement) -> Iterator[dict[str, Any]]:
    for dataset, by_model in judgement.scores.items():
        for model, judged in by_model.items():
            for each in judged:
                known = {"seed": judgement.job.seed, "model": model, "dataset": dataset}
                known |= {"patient": each.patient, "case": each.case_id}
                for name, score in each.scores.items():
                    yield {**known, "class": name, **_values(asdict(score))}


def _values(score: dict[str, Any]) -> dict[str, Any]:
    lesions = score.pop("lesions") or {}
    counts = dict(zip(("lesions", "lesions_found", "false_lesions"), lesions.values(), strict=False))
    missed, alarm = score.pop("is_missed"), score.pop("is_false_alarm")
    rounded = {name: None if value is None else round(value, 6) for name, value in score.items()}
    return {**rounded, **counts, "missed": _digit(missed), "false_alarm": _digit(alarm)}


def _digit(answer: bool | None) -> int | None:
    return None if answer is None else int(answer)
