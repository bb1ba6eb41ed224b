"""Who trains and who tests: sides and folds by patient, keyed, balanced over sites and labels, never moved again."""

from __future__ import annotations

import hashlib
import hmac
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction

from racoon_data.errors import SplitLeakError
from racoon_data.files.manifest import CaseRecord, Place, SplitMemory

FOLDS = 5

Tags = Mapping[str, Collection[str]]


def assign(tags: Tags, *, key: bytes, test_fraction: float, earlier: SplitMemory | None = None) -> SplitMemory:
    """Say where every patient stands; who stood somewhere before stays there.

    Patients are dealt out by iterative stratification: the rarest tag first, and each patient to the part that is
    most short of it. Who comes first, and who wins a tie, is drawn with the key. Without ``earlier`` the answer
    depends on patients, tags and key alone.

    Source: Sechidis, Tsoumakas, Vlahavas, On the Stratification of Multi-Label Data, ECML PKDD 2011.

    Args:
        tags: What is to be spread evenly, by patient; see ``tags_of``.
        key: Secret of the site, so that nobody can choose who is tested.
        test_fraction: Share of patients kept for testing, 0 to 1.
        earlier: What an earlier version of the dataset remembers; it counts where it had the same share.

    Returns:
        The place of every patient, and of those an earlier version knew, by ticket.
    """
    kept = dict(earlier.places) if earlier is not None and earlier.test_fraction == test_fraction else {}
    sides = {patient: _side(kept[ticket]) for patient in tags if (ticket := ticket_of(patient, key=key)) in kept}
    share = Fraction(test_fraction).limit_denominator(1_000_000)
    draw = _Draw(key, "split")
    sides |= _dealt(tags, {"test": share, "train": 1 - share}, sides, draw)
    if 0 < test_fraction < 1:
        _fill_both_sides(sides, [patient for patient in tags if ticket_of(patient, key=key) not in kept], draw)
    training = {patient: tags[patient] for patient, side in sides.items() if side == "train"}
    folds: dict[str, str] = {p: str(kept[t]) for p in training if (t := ticket_of(p, key=key)) in kept}
    shares = {str(fold): Fraction(1, FOLDS) for fold in range(FOLDS)}
    folds |= _dealt(training, shares, folds, _Draw(key, "fold"))
    places: dict[str, Place] = {**kept}
    for patient, side in sides.items():
        places[ticket_of(patient, key=key)] = "test" if side == "test" else int(folds[patient])
    return SplitMemory(test_fraction=test_fraction, places=dict(sorted(places.items())))


def place_of(memory: SplitMemory, patient: str, *, key: bytes) -> Place:
    """Give ``test``, or the fold of a training patient, 0 to 4."""
    return memory.places[ticket_of(patient, key=key)]


def ticket_of(patient: str, *, key: bytes) -> str:
    """Name a patient in the memory of a split: keyed, so that it outlives a patient without naming one."""
    return hmac.new(key, f"ticket:{patient}".encode(), hashlib.sha256).hexdigest()[:16]


def tags_of(records: Iterable[CaseRecord], site: str) -> dict[str, frozenset[str]]:
    """Give what is to be spread evenly: the site of a patient, and every label one of their cases shows."""
    tags: dict[str, set[str]] = defaultdict(lambda: {f"site:{site}"})
    for record in records:
        tags[record.patient] |= {f"label:{name}" for name, volume_ml in record.label_ml.items() if volume_ml > 0}
    return {patient: frozenset(tags[patient]) for patient in sorted(tags)}


def _side(place: Place) -> str:
    return "test" if place == "test" else "train"


@dataclass(frozen=True, slots=True)
class _Draw:
    """Lots drawn with the key: the same patient draws the same lot in every build."""

    key: bytes
    purpose: str
    lots: dict[tuple[str, str], bytes] = field(default_factory=dict)

    def lot(self, patient: str, part: str = "") -> bytes:
        if (patient, part) not in self.lots:
            text = f"{self.purpose}:{part}:{patient}"
            self.lots[patient, part] = hmac.new(self.key, text.encode(), hashlib.sha256).digest()
        return self.lots[patient, part]


@dataclass(slots=True)
class _Parts:
    """How many patients, in all (tag ``""``) and with each tag, every part still lacks of its share."""

    shares: Mapping[str, Fraction]
    lacks: dict[str, dict[str, Fraction]]

    def take(self, part: str, tags: Collection[str]) -> None:
        for tag in ("", *tags):
            self.lacks[tag][part] -= 1

    def neediest(self, tag: str, patient: str, draw: _Draw) -> str:
        """Give the part most short of a tag, then of patients, then the smallest; then the lot decides."""
        open_parts = [part for part, share in self.shares.items() if share > 0]
        return max(
            open_parts,
            key=lambda part: (
                self.lacks[tag][part],
                self.lacks[""][part],
                -self.shares[part],
                draw.lot(patient, part),
            ),
        )


def _dealt(tags: Tags, shares: Mapping[str, Fraction], known: Mapping[str, str], draw: _Draw) -> dict[str, str]:
    """Deal out the patients who have no part yet."""
    counts = Counter(tag for own in tags.values() for tag in ("", *own))
    parts = _Parts(shares, {tag: {part: n * share for part, share in shares.items()} for tag, n in counts.items()})
    for patient, part in known.items():
        parts.take(part, tags[patient])
    waiting = sorted((patient for patient in tags if patient not in known), key=draw.lot)
    dealt: dict[str, str] = {}
    while waiting:
        left = Counter(tag for patient in waiting for tag in tags[patient])
        rarest = min(left, key=lambda tag: (left[tag], tag), default="")
        for patient in waiting:
            if not rarest or rarest in tags[patient]:
                dealt[patient] = parts.neediest(rarest, patient, draw)
                parts.take(dealt[patient], tags[patient])
        waiting = [patient for patient in waiting if patient not in dealt]
    return dealt


def _fill_both_sides(sides: dict[str, str], new: Iterable[str], draw: _Draw) -> None:
    """Where one side is empty among two or more patients, the first new one by lot changes to it."""
    candidates = sorted(new, key=draw.lot)
    if len(sides) > 1 and candidates and len(set(sides.values())) == 1:
        sides[candidates[0]] = "train" if sides[candidates[0]] == "test" else "test"


def check_splits(records: Iterable[CaseRecord]) -> None:
    """Make sure that no patient stands on both sides of a split or in two folds.

    Raises:
        SplitLeakError: One does; the message names the pseudonym.
    """
    for patient, places in _places(records).items():
        if len(places) > 1:
            raise SplitLeakError(
                f"patient {patient} stands on both sides of a split",
                hint="split by patient: racoon deals out patients, never cases",
            )


def _places(records: Iterable[CaseRecord]) -> Mapping[str, set[tuple[str, int | None]]]:
    places: dict[str, set[tuple[str, int | None]]] = defaultdict(set)
    for record in records:
        places[record.patient].add((record.split, record.fold))
    return places
