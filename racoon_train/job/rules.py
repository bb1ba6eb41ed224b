"""The rules of a round: strategy, quorum, deadlines, limits, and what a site keeps to itself."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from racoon_data.settings import Frozen

Share = Annotated[float, Field(ge=0, lt=1)]
Positive = Annotated[float, Field(gt=0)]


def _compiled(pattern: str) -> str:
    try:
        re.compile(pattern)
    except re.error as error:
        raise ValueError(f"{pattern!r} is no pattern: {error}") from error
    return pattern


Pattern = Annotated[str, Field(min_length=1), AfterValidator(_compiled)]


class FedAvg(Frozen):
    """The mean, weighted by examples (McMahan et al. 2017)."""

    name: Literal["fedavg"] = "fedavg"


class FedProx(Frozen):
    """FedAvg whose sites are held near the global model by ``mu / 2 * |w - global|²`` (Li et al. 2020)."""

    name: Literal["fedprox"]
    mu: Positive = 0.01


class FedAvgM(Frozen):
    """FedAvg with momentum at the server (Hsu et al. 2019)."""

    name: Literal["fedavgm"]
    server_learning_rate: Positive = 1.0
    momentum: Share = 0.9


class FedAdam(Frozen):
    """Adam at the server, over the mean of the updates (Reddi et al. 2021).

    Attributes:
        server_learning_rate: Step of the server.
        beta_1: Decay of the first moment.
        beta_2: Decay of the second moment.
        tau: Keeps the division from exploding.
    """

    name: Literal["fedadam"]
    server_learning_rate: Positive = 0.01
    beta_1: Share = 0.9
    beta_2: Share = 0.99
    tau: Positive = 1e-3


class FedTrimmedAvg(Frozen):
    """Mean of every value without its smallest and largest share ``beta`` (Yin et al. 2018); not weighted."""

    name: Literal["fedtrimmedavg"]
    beta: Annotated[float, Field(gt=0, lt=0.5)] = 0.2


class Krum(Frozen):
    """The one update that lies nearest to its neighbours, where ``malicious`` sites may lie (Blanchard et al. 2017)."""

    name: Literal["krum"]
    malicious: Annotated[int, Field(ge=1)] = 1


class Scaffold(Frozen):
    """FedAvg whose sites correct their drift by control variates (Karimireddy et al. 2020); NVIDIA FLARE only."""

    name: Literal["scaffold"]


Strategy = Annotated[
    FedAvg | FedProx | FedAvgM | FedAdam | FedTrimmedAvg | Krum | Scaffold, Field(discriminator="name")
]


class RuleSettings(Frozen):
    """What keeps a federation alive and honest.

    Attributes:
        strategy: How updates become the next model, by name, with its parameters.
        quorum: Fewest updates that make a round; 0 means every site.
        round_attempts: How often a round without a quorum is tried before the run stops.
        round_timeout_s: Longest wait for the sites of one round.
        join_timeout_s: Longest wait for the sites to appear.
        max_norm_ratio: An update whose L2 norm is this many times the global model's is refused.
        transport: How weights travel; ``fp16`` halves the bytes of floating arrays.
        keep_local: Arrays whose name holds one of these patterns stay at their site (FedBN: ``norm|bn``).
        average_heads_per_class: A class's row of the output layer is averaged over the sites that annotated it,
            weighted by their examples of it.
        fine_tune_steps: Steps each site trains on by itself after the last round; 0 for none.
    """

    strategy: Strategy = FedAvg()
    quorum: Annotated[int, Field(ge=0)] = 0
    round_attempts: Annotated[int, Field(ge=1, le=100)] = 2
    round_timeout_s: Positive = 300.0
    join_timeout_s: Positive = 60.0
    max_norm_ratio: Annotated[float, Field(gt=1)] = 10.0
    transport: Literal["fp32", "fp16"] = "fp32"
    keep_local: tuple[Pattern, ...] = ()
    average_heads_per_class: bool = False
    fine_tune_steps: Annotated[int, Field(ge=0)] = 0

    @model_validator(mode="after")
    def _heads_have_a_mean(self) -> Self:
        if self.average_heads_per_class and self.strategy.name not in ("fedavg", "fedprox"):
            raise ValueError("average_heads_per_class is for the means: fedavg and fedprox")
        return self

    def problem_with(self, sites: int) -> str | None:
        """Tell what is wrong with the strategy for this many updates, ``None`` where nothing is."""
        if isinstance(self.strategy, FedTrimmedAvg) and int(self.strategy.beta * sites) < 1:
            return f"beta {self.strategy.beta} trims nobody of {sites}"
        if isinstance(self.strategy, Krum) and sites < 2 * self.strategy.malicious + 3:
            return f"krum against {self.strategy.malicious} needs {2 * self.strategy.malicious + 3} sites, not {sites}"
        return None

    def travels(self, name: str) -> bool:
        """Tell whether an array of this name leaves its site."""
        return not any(re.search(pattern, name) for pattern in self.keep_local)

    def travelling(self, names: Sequence[str]) -> tuple[str, ...]:
        """Give the names that leave a site, sorted."""
        return tuple(sorted(name for name in names if self.travels(name)))
