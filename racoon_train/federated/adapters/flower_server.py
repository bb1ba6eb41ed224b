"""Flower ServerApp: pre-flight, rounds from wherever the last one ended, an account of every round."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from flwr.app import ConfigRecord, Context, RecordDict
from flwr.serverapp import Grid, ServerApp

from racoon_data.documents import parse_json, read_json
from racoon_data.errors import JobMismatchError, PayloadError, QuorumLostError
from racoon_data.files.atomic import write_json
from racoon_train.checkpoints import load_weights, save_weights
from racoon_train.federated.adapters.flower_grid import Answer, Members, from_record, to_record
from racoon_train.federated.adapters.flower_strategies import StrategyCombiner
from racoon_train.federated.combine import Combiner, with_heads
from racoon_train.federated.contract import scrubbed
from racoon_train.federated.guards import check_update
from racoon_train.federated.preflight import Difference, Preflight, judged_together
from racoon_train.federated.rounds import RoundLog, last_round, round_file, state_file
from racoon_train.federated.transport import as_sent, as_used
from racoon_train.federated.update import Update
from racoon_train.job.job import Job, load_job
from racoon_train.networks import Weights

SERVER_VARIABLE = "RACOON_FEDERATION_OUT"

app = ServerApp()


@app.main()
def main(grid: Grid, context: Context) -> None:
    """Run every round and leave ``server.json``: how it ended, as a code."""
    logging.basicConfig(level=logging.WARNING)
    out = Path(os.environ[SERVER_VARIABLE])
    answer = scrubbed(lambda: _serve(grid, out))
    write_json(out / "server.json", {"ended": answer or "done"})


def _serve(grid: Grid, out: Path) -> str:
    job, plan = load_job(out / "job.json"), read_json(out / "plan.json")
    members = Members(grid, {alias: int(node) for alias, node in read_json(out / "nodes.json").items()})
    quorum = job.quorum_of(len(members.nodes))
    here = members.wait(len(members.nodes), quorum=quorum, timeout_s=job.rules.join_timeout_s)
    gate = Gate(members, job, out)
    gate.admit(here)
    gate.refuse_all()
    if plan["only_preflight"]:
        return ""
    server = Server(members, job, out, gate, plan["heads"])
    for round_ in range(server.done + 1, job.training.rounds + 1):
        server.round(round_, quorum)
    server.finish()
    return ""


class Gate:
    """Lets a site take part once its pre-flight fits the job; a site that comes late is looked at when it comes."""

    def __init__(self, members: Members, job: Job, out: Path) -> None:
        self._members, self._job, self._out = members, job, out
        self.admitted: dict[str, Preflight] = {}
        self.refused: dict[str, str] = {}
        self._differences: list[dict[str, Any]] = []

    def admit(self, sites: Sequence[str]) -> list[str]:
        """Ask the sites that are new and give those that may take part."""
        new = [alias for alias in sites if alias not in self.admitted and alias not in self.refused]
        wait_s = self._job.rules.join_timeout_s
        for answer in self._members.ask(new, "query", RecordDict(), timeout_s=wait_s) if new else ():
            if not answer.code:
                found = Preflight.model_validate(parse_json(str(answer.content["preflight"]["document"])))
                self.admitted[answer.alias] = found.model_copy(update={"alias": answer.alias})
            elif answer.code != "federation.site_lost":
                self.refused[answer.alias] = answer.code
        differences = judged_together(list(self.admitted.values()), self._job) if new else []
        for alias in {each.alias for each in differences} & set(new):
            self.admitted.pop(alias, None)
            self.refused[alias] = JobMismatchError.code
        differences += [
            Difference(alias=alias, what="pre-flight", job="answered", site=code)
            for alias, code in self.refused.items()
            if alias in new and code != JobMismatchError.code
        ]
        self._differences += [each.model_dump(mode="json") for each in differences]
        if new:
            sites_ = [each.to_json() for _, each in sorted(self.admitted.items())]
            write_json(self._out / "preflight.json", {"sites": sites_, "differences": self._differences})
        return [alias for alias in sites if alias in self.admitted]

    def refuse_all(self) -> None:
        """Stop before round 0 where anything does not fit.

        Raises:
            JobMismatchError: ``preflight.json`` has the difference.
        """
        if self._differences or self.refused:
            raise JobMismatchError("a site does not fit the job", hint="preflight.json has the difference")


class Server:
    """The rounds of one federation."""

    def __init__(self, members: Members, job: Job, out: Path, gate: Gate, heads: Mapping[str, int]) -> None:
        self._members, self._job, self._out, self._gate = members, job, out, gate
        self._log = RoundLog(out)
        self.done = last_round(out)
        start = round_file(out, self.done) if self.done else out / "initial.safetensors"
        self._weights = load_weights(start)  # made by the coordinator: no torch is needed here
        self._combiner: Combiner = with_heads(StrategyCombiner(job, out / "waiting"), job, heads)
        if state_file(out, self.done).is_file():
            self._combiner.restore(load_weights(state_file(out, self.done)))

    def round(self, number: int, quorum: int) -> None:
        """Run one round; where the quorum fails, try it again as often as the job says.

        Raises:
            QuorumLostError: It failed every time.
        """
        for _ in range(self._job.rules.round_attempts):
            if self._attempt(number, quorum):
                return
        raise QuorumLostError(f"round {number} lost its quorum", hint="rounds.json names the sites")

    def _attempt(self, number: int, quorum: int) -> bool:
        here = self._members.wait(quorum, quorum=quorum, timeout_s=self._job.rules.join_timeout_s)
        sites = self._gate.admit(here)
        sent = as_sent(self._weights, self._job.rules)
        self._combiner.start(number, {name: self._weights[name] for name in sent})
        content = RecordDict({"arrays": to_record(sent), "config": ConfigRecord({"server-round": number})})
        absent = dict.fromkeys(set(self._members.nodes) - set(here), "federation.site_lost")
        lost = {**absent, **self._gate.refused}
        losses: dict[str, float | None] = {}
        for answer in self._members.ask(sites, "train", content, timeout_s=self._job.rules.round_timeout_s):
            try:
                losses[answer.alias] = self._take(answer, sent)
            except PayloadError as error:
                lost[answer.alias] = answer.code or error.code
        is_good = len(losses) >= quorum
        if is_good:
            self._weights = as_used(self._combiner.result(), self._weights)
            if state := self._combiner.state():
                save_weights(state_file(self._out, number), state)
            save_weights(round_file(self._out, number), self._weights)
        self._log.write(number, losses=losses, lost=lost, failed=not is_good)
        return is_good

    def _take(self, answer: Answer, sent: Weights) -> float | None:
        if answer.code:
            raise PayloadError("the site answered with an error")
        update = _update_of(answer.content)
        check_update(update, sent, max_norm_ratio=self._job.rules.max_norm_ratio)
        self._combiner.add(answer.alias, update)
        return update.loss

    def finish(self) -> None:
        """Hand the final model to every site that is here, and keep how it does there."""
        save_weights(self._out / "global.safetensors", self._weights)
        content = RecordDict({"arrays": to_record(as_sent(self._weights, self._job.rules))})
        sites, found = self._gate.admit(self._members.here()), {}
        for answer in self._members.ask(sites, "train.finish", content, timeout_s=self._job.rules.round_timeout_s):
            found[answer.alias] = {"lost": answer.code} if answer.code else dict(answer.content["metrics"])
        write_json(self._out / "evaluation.json", dict(sorted(found.items())))


def _update_of(content: Any) -> Update:
    try:
        metrics: Mapping[str, Any] = content["metrics"]
        numbers = {name: float(value) for name, value in metrics.items() if name != "num-examples"}
        classes = {name: int(value) for name, value in content["classes"].items()}
        return Update(from_record(content["arrays"]), int(metrics["num-examples"]), numbers, classes)
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise PayloadError("the reply is no update", hint="install the same racoon version") from error
