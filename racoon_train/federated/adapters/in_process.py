"""All sites in this process, one after the other: for tests, small studies and as the reference."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from racoon_data.errors import PayloadError, QuorumLostError
from racoon_data.events import Event, OnEvent
from racoon_train.checkpoints import save_weights
from racoon_train.federated.combine import Combiner, combiner_of
from racoon_train.federated.contract import SiteClient, join, scrubbed
from racoon_train.federated.exchange import receive_model, take_part
from racoon_train.federated.guards import check_update
from racoon_train.federated.preflight import refuse_doubles
from racoon_train.federated.rounds import RoundLog, finish, round_file
from racoon_train.federated.transport import as_sent, as_used
from racoon_train.federated.update import Update
from racoon_train.job.job import Job, job_from
from racoon_train.networks import Weights, initial_weights


class InProcessAggregator:
    """The mean weighted by examples, without a network; other strategies are Flower's, where it is installed."""

    def run(self, job: Mapping[str, Any], *, datasets: Mapping[str, Path], out: Path, on_event: OnEvent) -> Path:
        """Train together; see ``racoon_data.ports.Aggregator``.

        Raises:
            QuorumLostError: A round had fewer good updates than the quorum.
            JobMismatchError: A dataset does not fit the job, or is the same under two aliases.
            MissingExtraError: The job's strategy is Flower's, and Flower is not installed.
        """
        parsed = job_from(job)
        sites = [join(alias, root, parsed, out, on_event=on_event) for alias, root in sorted(datasets.items())]
        refuse_doubles({site.alias: site.dataset_sha256 for site in sites})
        for site in sites:
            site.begin()
        weights = initial_weights(parsed)
        combine = combiner_of(parsed)
        log = RoundLog(out, anew=True)
        for round_ in range(1, parsed.training.rounds + 1):
            weights = one_round(sites, weights, round_, log, combine)
            save_weights(round_file(out, round_), weights)
            on_event(Event("federate", "round", round_, parsed.training.rounds))
        model = finish(out, weights, parsed, sites)
        for site in sites:
            receive_model(site, as_sent(weights, parsed.rules))
        return model


def one_round(sites: Sequence[SiteClient], weights: Weights, round_: int, log: RoundLog, combine: Combiner) -> Weights:
    """Let every site train, refuse bad updates by alias, combine the rest.

    Raises:
        QuorumLostError: Fewer good updates than the quorum.
    """
    job = sites[0].job
    sent = as_sent(weights, job.rules)
    combine.start(round_, sent)
    losses: dict[str, float | None] = {}
    lost: dict[str, str] = {}
    for site in sites:
        answer = scrubbed(partial(take_part, site, sent, round_))
        if isinstance(answer, Update):
            answer = accepted(answer, sent, job)
        if isinstance(answer, str):
            lost[site.alias] = answer
        else:
            combine.add(site.alias, answer)
            losses[site.alias] = answer.loss
    log.write(round_, losses=losses, lost=lost)
    if len(losses) < job.quorum_of(len(sites)):
        names = ", ".join(f"{alias} ({code})" for alias, code in sorted(lost.items()))
        raise QuorumLostError(f"round {round_} lost its quorum: {names}", hint="look at the logs of these sites")
    return as_used(combine.result(), weights)


def accepted(update: Update, reference: Weights, job: Job) -> Update | str:
    """Give the update back, or the code it is refused with."""
    try:
        check_update(update, reference, max_norm_ratio=job.rules.max_norm_ratio)
    except PayloadError as error:
        return error.code
    return update
