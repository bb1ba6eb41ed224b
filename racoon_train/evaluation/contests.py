"""The federated model against every other arm: differences by patient, intervals and tests."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from racoon_train.evaluation.compare import Judgement
from racoon_train.evaluation.places import ARMS, PLACES, over_seeds, patient_values, strata
from racoon_train.evaluation.statistics import StatisticSettings, bootstrap_interval, holm, wilcoxon_p


def contests(judgements: Sequence[Judgement], settings: StatisticSettings) -> list[dict[str, Any]]:
    """Test the federated model against every other arm at every place.

    One family is what Holm's correction runs over: the tests on the mean of the classes, and the
    tests on single classes.
    """
    rows = []
    for labels in ((None,), judgements[0].job.class_names):
        family = [
            row
            for label in labels
            for place in PLACES
            for rival in ARMS
            if rival != "federated" and (row := _test(judgements, rival, place, label, settings))
        ]
        for row, adjusted in zip(family, holm([row["p"] for row in family]), strict=True):
            row["p_holm"] = adjusted
        rows.extend(family)
    return rows


def _test(
    judgements: Sequence[Judgement], rival: str, place: str, label: str | None, settings: StatisticSettings
) -> dict[str, Any] | None:
    ours, theirs = (
        [patient_values(each, arm, place=place, label=label) for each in judgements] for arm in ("federated", rival)
    )
    mine, other = over_seeds(ours), over_seeds(theirs)
    gaps = {key: mine[key] - other[key] for key in mine if key in other}
    if not gaps:
        return None
    by_site = strata(gaps)
    differences = np.concatenate(by_site)
    low, high = bootstrap_interval(by_site, settings)
    return {
        "place": place,
        "rival": rival,
        "label": label,
        "patients": len(gaps),
        "federated": float(np.mean([mine[key] for key in gaps])),
        "rival_dice": float(np.mean([other[key] for key in gaps])),
        "difference": float(differences.mean()),
        "low": low,
        "high": high,
        "p": wilcoxon_p(differences),
        "better": int((differences > 0).sum()),
        "worse": int((differences < 0).sum()),
        "by_seed": [float(np.mean([a[key] - b[key] for key in gaps])) for a, b in zip(ours, theirs, strict=True)],
    }


def duels(judgements: Sequence[Judgement]) -> list[dict[str, Any]]:
    """Count, per test set and rival, the patients who fare better and worse under the federated model."""
    found = []
    for rival in (arm for arm in ARMS if arm != "federated"):
        for place in ("own", "external"):
            ours, theirs = (
                over_seeds([patient_values(each, arm, place=place) for each in judgements])
                for arm in ("federated", rival)
            )
            for name in dict.fromkeys(own for own, _ in ours):
                gaps = [ours[key] - theirs[key] for key in ours if key[0] == name and key in theirs]
                counts = {"better": sum(gap > 0 for gap in gaps), "worse": sum(gap < 0 for gap in gaps)}
                equal = len(gaps) - sum(counts.values())
                found.extend([{"dataset": name, "rival": rival, **counts, "equal": equal}] if gaps else [])
    return found
