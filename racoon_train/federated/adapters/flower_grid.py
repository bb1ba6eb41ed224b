"""Asking sites through Flower's grid: who is here, and their answers as they arrive."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from flwr.app import Array, ArrayRecord, Message, RecordDict
from flwr.serverapp import Grid

from racoon_data.errors import SiteLostError
from racoon_train.networks import Weights

POLL_S = 0.25
_LONGEST_CODE = 80


@dataclass(frozen=True, slots=True)
class Answer:
    """What a site answered: content, or the code of what went wrong there."""

    alias: str
    content: Any = None
    code: str = ""


@dataclass(frozen=True, slots=True)
class Members:
    """The sites of a federation: Flower's node by alias, as their registered keys tell; nobody names himself."""

    grid: Grid
    nodes: Mapping[str, int]

    def here(self) -> list[str]:
        """Name the sites that are connected, sorted."""
        connected = set(self.grid.get_node_ids())
        return sorted(alias for alias, node in self.nodes.items() if node in connected)

    def wait(self, wanted: int, *, quorum: int, timeout_s: float) -> list[str]:
        """Wait for sites and name them.

        Raises:
            SiteLostError: Fewer than the quorum came in time.
        """
        deadline = time.monotonic() + timeout_s
        while len(here := self.here()) < wanted:
            if time.monotonic() > deadline:
                if len(here) >= quorum:
                    return here
                raise SiteLostError(
                    f"{len(here)} of {wanted} sites joined in time", hint="look at the logs of the sites"
                )
            time.sleep(POLL_S)
        return here

    def ask(self, sites: Sequence[str], kind: str, content: RecordDict, *, timeout_s: float) -> Iterator[Answer]:
        """Send one message to each site and give answers as they arrive; who stays silent is lost.

        Args:
            sites: Aliases.
            kind: Flower's message type.
            content: What is sent.
            timeout_s: Longest wait.
        """
        messages = [Message(content, dst_node_id=self.nodes[alias], message_type=kind) for alias in sites]
        owners = {node: alias for alias, node in self.nodes.items()}
        deadline = time.monotonic() + timeout_s
        waiting = dict(zip(map(str, self.grid.push_messages(messages)), sites, strict=True))
        while waiting and time.monotonic() < deadline:
            for reply in self.grid.pull_messages(list(waiting)):
                asked = waiting.pop(str(reply.metadata.reply_to_message_id))
                yield _answer(owners.get(reply.metadata.src_node_id, asked), reply)
            time.sleep(POLL_S if waiting else 0)
        for alias in waiting.values():
            yield Answer(alias, code=SiteLostError.code)


def _answer(alias: str, reply: Message) -> Answer:
    if not reply.has_error():
        return Answer(alias, reply.content)
    _, _, code = str(reply.error.reason).partition(":")
    is_code = code.isascii() and code.replace(".", "").replace("_", "").isalnum() and len(code) < _LONGEST_CODE
    return Answer(alias, code=code if is_code else SiteLostError.code)


def to_record(weights: Weights) -> ArrayRecord:
    """Turn named arrays into Flower's record (raw npy bytes)."""
    return ArrayRecord({name: Array(value) for name, value in weights.items()})


def from_record(record: Any) -> Weights:
    """Turn Flower's record back into named arrays."""
    return {name: array.numpy() for name, array in record.items()}
