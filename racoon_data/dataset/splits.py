"""Who trains and who tests: splits and folds by patient, with a keyed hash, stable when cases are added."""

from __future__ import annotations

import hashlib
import hmac
from collections import defaultdict
from collections.abc import Iterable, Mapping

from racoon_data.errors import SplitLeakError
from racoon_data.files.manifest import CaseRecord, Split

FOLDS = 5


def _fraction(patient: str, *, key: bytes, purpose: str) -> float:
    """Give a number in [0, 1) that depends on the patient, the key and the purpose alone."""
    digest = hmac.new(key, f"{purpose}:{patient}".encode(), hashlib.sha256).digest()
    return int.from_bytes(digest[:8], "big") / 2**64


def split_of(patient: str, *, key: bytes, test_fraction: float) -> Split:
    """Say on which side of the split a patient stands.

    The answer depends on this patient alone, so adding cases never moves another patient. The
    price: small datasets may miss the wanted fraction; ``split_patients`` sees to both sides.

    Args:
        patient: Pseudonym.
        key: Secret of the site, so that nobody can choose who is tested.
        test_fraction: Expected share of test patients, 0 to 1.
    """
    return "test" if _fraction(patient, key=key, purpose="split") < test_fraction else "train"


def fold_of(patient: str, *, key: bytes) -> int:
    """Give the cross-validation fold of a patient, 0 to 4, by the same rule as the split."""
    return int(_fraction(patient, key=key, purpose="fold") * FOLDS)


def split_patients(patients: Iterable[str], *, key: bytes, test_fraction: float) -> dict[str, Split]:
    """Split a group of patients so that neither side is empty.

    Each patient stands where ``split_of`` puts them. Only where that leaves a side empty among two
    or more patients, the patient nearest to the border changes sides.

    Args:
        patients: Pseudonyms; repeats are fine.
        key: Secret of the site.
        test_fraction: Expected share of test patients; 0 means no test side.

    Returns:
        The side of every patient, by pseudonym in sorted order.
    """
    unique = sorted(set(patients))
    sides: dict[str, Split] = {name: split_of(name, key=key, test_fraction=test_fraction) for name in unique}
    if test_fraction <= 0 or len(unique) < 2 or len(set(sides.values())) == 2:
        return sides
    by_draw = sorted(unique, key=lambda name: _fraction(name, key=key, purpose="split"))
    if "test" in sides.values():
        sides[by_draw[-1]] = "train"
    else:
        sides[by_draw[0]] = "test"
    return sides


def check_splits(records: Iterable[CaseRecord]) -> None:
    """Make sure that no patient stands on both sides of a split or in two folds.

    Raises:
        SplitLeakError: One does; the message names the pseudonym.
    """
    for patient, places in _places(records).items():
        if len(places) > 1:
            raise SplitLeakError(
                f"patient {patient} stands on both sides of a split",
                hint="split by patient: racoon assigns sides with a keyed hash of the pseudonym",
            )


def _places(records: Iterable[CaseRecord]) -> Mapping[str, set[tuple[str, int | None]]]:
    places: dict[str, set[tuple[str, int | None]]] = defaultdict(set)
    for record in records:
        places[record.patient].add((record.split, record.fold))
    return places
