"""All sites in this process, one after the other: for tests, small studies and as the reference."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from racoon_data.errors import FederationError, PayloadError
from racoon_data.events import Event, OnEvent
from racoon_train.checkpoints import save_weights
from racoon_train.federated.contract import SiteClient, join, scrubbed
from racoon_train.federated.guards import check_update
from racoon_train.federated.rounds import RoundLog, finish, round_file
from racoon_train.federated.update import Update, average
from racoon_train.job.job import Job, job_from
from racoon_train.networks import Weights, initial_weights


class InProcessAggregator:
    """FedAvg weighted by examples, without a network."""

    def run(self, job: Mapping[str, Any], *, datasets: Mapping[str, Path], out: Path, on_event: OnEvent) -> Path:
        """Train together; see ``racoon_data.ports.Aggregator``.

        Raises:
            FederationError: A round had fewer good updates than the quorum.
        """
        parsed = job_from(job)
        sites = [join(alias, root, parsed, out, on_event=on_event) for alias, root in sorted(datasets.items())]
        for site in sites:
            site.begin()
        weights = initial_weights(parsed)
        log = RoundLog(out)
        for round_ in range(1, parsed.training.rounds + 1):
            weights = one_round(sites, weights, round_, parsed, log)
            save_weights(round_file(out, round_), weights)
            on_event(Event("federate", "round", round_, parsed.training.rounds))
        return finish(out, weights, parsed, sites)


def one_round(sites: Sequence[SiteClient], weights: Weights, round_: int, job: Job, log: RoundLog) -> Weights:
    """Let every site train, refuse bad updates by alias, average the rest.

    Raises:
        FederationError: Fewer good updates than the quorum.
    """
    good: list[Update] = []
    losses: dict[str, float | None] = {}
    lost: dict[str, str] = {}
    for site in sites:
        answer = scrubbed(partial(site.train, weights, round_))
        if isinstance(answer, Update):
            answer = accepted(answer, weights, job)
        if isinstance(answer, str):
            lost[site.alias] = answer
        else:
            good.append(answer)
            losses[site.alias] = answer.loss
    log.write(round_, losses=losses, lost=lost)
    if len(good) < job.quorum_of(len(sites)):
        names = ", ".join(f"{alias} ({code})" for alias, code in sorted(lost.items()))
        raise FederationError(f"round {round_} lost its quorum: {names}", hint="look at the logs of these sites")
    return average(good, weights)


def accepted(update: Update, reference: Weights, job: Job) -> Update | str:
    """Give the update back, or the code it is refused with."""
    try:
        check_update(update, reference, max_norm_ratio=job.rules.max_norm_ratio)
    except PayloadError as error:
        return error.code
    return update
