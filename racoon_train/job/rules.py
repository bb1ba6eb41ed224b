"""The rules of a round: strategy, quorum, deadlines and limits."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from racoon_data.settings import Frozen


class RuleSettings(Frozen):
    """What keeps a federation alive and honest.

    Attributes:
        strategy: How updates become the next model.
        quorum: Fewest updates that make a round; 0 means every site.
        round_timeout_s: Longest wait for the sites of one round.
        join_timeout_s: Longest wait for the sites to appear.
        max_norm_ratio: An update whose L2 norm is this many times the global model's is refused.
    """

    strategy: Literal["fedavg"] = "fedavg"
    quorum: Annotated[int, Field(ge=0)] = 0
    round_timeout_s: Annotated[float, Field(gt=0)] = 300.0
    join_timeout_s: Annotated[float, Field(gt=0)] = 60.0
    max_norm_ratio: Annotated[float, Field(gt=1)] = 10.0
