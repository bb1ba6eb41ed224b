"""Differential privacy: what the weights that leave a site may tell of one patient."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from racoon_data.settings import Frozen

Positive = Annotated[float, Field(gt=0)]


class DpSgd(Frozen):
    """Private training at each site: every patient's gradient is clipped and noise is added (Abadi et al. 2016).

    Attributes:
        sample_rate: Chance of each patient to take part in a step, with one patch.
        max_grad_norm: Longest gradient of one patient (L2 norm).
        noise_multiplier: Standard deviation of the noise, in units of ``max_grad_norm``.
        delta: Chance that the promise fails; well below one in the number of patients.
        max_epsilon: The job is refused where all its rounds would spend more.
    """

    sample_rate: Annotated[float, Field(gt=0, le=1)] = 0.1
    max_grad_norm: Positive = 1.0
    noise_multiplier: Positive = 1.0
    delta: Annotated[float, Field(gt=0, lt=0.1)] = 1e-5
    max_epsilon: Positive | None = None


class PrivacySettings(Frozen):
    """What is done so that weights do not tell of patients; nothing by default.

    Attributes:
        dp_sgd: Differential privacy of each patient, at the site.
    """

    dp_sgd: DpSgd | None = None
