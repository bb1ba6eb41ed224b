"""The model card: what a federated model was trained on, by which rules, and how it fared."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from racoon_data import schemas
from racoon_data.files.manifest import load_manifest
from racoon_train.checkpoints import card_of
from racoon_train.evaluation.account import Comparison
from racoon_train.evaluation.compare import Judgement
from racoon_train.evaluation.judging import LOCAL_PREFIX
from racoon_train.versions import versions

LIMITS = (
    "For research. Weights can carry traces of training images: treat the model as data of the sites that trained it.",
    "Judged on the test sets named here only; other scanners, protocols and patients are not covered.",
    "A class that no site annotated is not predicted.",
)


def study_card(judgement: Judgement, comparison: Comparison) -> dict[str, Any]:
    """Complete the card of the federated model by what the study knows (``schemas/model-card``).

    Args:
        judgement: The seed whose model it is.
        comparison: The account.

    Raises:
        SchemaError: The card does not validate.
    """
    model = judgement.models["federated"]
    local = [each for name, each in judgement.models.items() if name.startswith(LOCAL_PREFIX)]
    card = {
        **card_of(model),
        "examples": {alias: count for each in local for alias, count in each.examples},
        "weights_sha256": hashlib.sha256(model.weights.read_bytes()).hexdigest(),
        "label_schema": _label_schema(judgement),
        "privacy": _privacy(card_of(model)["job"]),
        "software": versions(),
        "results": _results(comparison),
        "limits": list(LIMITS),
    }
    schemas.validate("model-card", card)
    return card


def _label_schema(judgement: Judgement) -> dict[str, Any]:
    """Name the label language; the hash is over the manifest's record of it, keys sorted."""
    record = load_manifest(judgement.test_sets[0].root).label_schema.model_dump(mode="json")
    text = json.dumps(record, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    labels = [{"value": label["value"], "name": label["name"], "codes": label["codes"]} for label in record["labels"]]
    digest = hashlib.sha256(text.encode("utf-8")).hexdigest()
    return {"name": record["name"], "version": record["version"], "sha256": digest, "labels": labels}


def _privacy(job: dict[str, Any]) -> dict[str, Any]:
    settings = {name: value for name, value in (job.get("privacy") or {}).items() if value}
    loss = "" if settings else " the mean training loss;"
    left = f"Weights of every round; the number of training cases;{loss} error codes of lost rounds."
    return {"left_the_sites": left, "settings": settings}


def _results(comparison: Comparison) -> list[dict[str, Any]]:
    return [
        {
            "dataset": cell["dataset"],
            "mean_dice": cell["mean"],
            "dice": {n: c["dice"] for n, c in cell["classes"].items()},
        }
        for cell in comparison.document["cells"]
        if cell["model"] == "federated"
    ]
