"""How weights travel: which arrays leave a site, in which precision, under which hash."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np

from racoon_data.errors import PayloadError
from racoon_train.federated.update import cast_like
from racoon_train.job.rules import RuleSettings
from racoon_train.networks import Weights


@dataclass(frozen=True, slots=True)
class Parcel:
    """What an account says of weights that travelled: their hash and how many bytes they were."""

    sha256: str
    size: int

    @classmethod
    def of(cls, weights: Weights) -> Parcel:
        """Describe weights: names, dtypes, shapes and values, in order of name."""
        digest, size = hashlib.sha256(), 0
        for name in sorted(weights):
            array = np.ascontiguousarray(weights[name])
            digest.update(f"{name} {array.dtype.str} {weights[name].shape}\n".encode())
            digest.update(array.data.cast("B") if array.size else b"")
            size += array.nbytes
        return cls(digest.hexdigest(), size)


def as_sent(reference: Weights, rules: RuleSettings) -> Weights:
    """Give the arrays that travel, each as it travels; values are those of ``reference``.

    Raises:
        PayloadError: A value does not fit the precision of the transport.
    """
    sent = {name: _lower(reference[name], rules) for name in rules.travelling(list(reference))}
    if not sent:
        raise PayloadError("every array is kept local", hint="let keep_local name fewer")
    return sent


def _lower(array: np.ndarray, rules: RuleSettings) -> np.ndarray:
    if rules.transport != "fp16" or array.dtype.kind != "f":
        return array
    with np.errstate(over="ignore"):
        half = array.astype(np.float16)
    if np.isinf(half).any() and np.isfinite(array).all():
        raise PayloadError("a weight is too large for fp16", hint="let the job's transport be fp32")
    return half


def as_used(received: Weights, reference: Weights) -> Weights:
    """Give received arrays the dtypes of the network; arrays that did not travel are the reference's."""
    return cast_like({**reference, **received}, reference)
