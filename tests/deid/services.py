"""Pseudonym services on 127.0.0.1 that behave, or misbehave as they are told."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit


@dataclass
class Fake:
    """What a fake service knows and how it behaves.

    Attributes:
        kind: ``gpas`` or ``mainzelliste``.
        names: Pseudonym by original; others get one made up.
        faults: Answers to give first, in order: a status with headers and body, or seconds of silence.
        asked: Every original it was asked about.
        requests: Method and path of every request, and its headers.
        url: Where it listens.
    """

    kind: str = "gpas"
    names: dict[str, str] = field(default_factory=dict)
    faults: list[tuple[int, dict[str, str], bytes] | float] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    requests: list[tuple[str, str, dict[str, str]]] = field(default_factory=list)
    tokens: dict[str, dict[str, Any]] = field(default_factory=dict)
    creates: bool = True
    url: str = ""

    def name(self, original: str) -> str:
        """Give the pseudonym of an original, the same every time."""
        self.asked.append(original)
        if original not in self.names and self.creates:
            self.names[original] = f"psn_{len(self.names) + 1:04d}X"
        return self.names.get(original, "")

    def gpas(self, body: dict[str, Any]) -> dict[str, Any]:
        """Answer $pseudonymizeAllowCreate."""
        parts = body["parameter"]
        (target,) = [one["valueString"] for one in parts if one["name"] == "target"]
        originals = [one["valueString"] for one in parts if one["name"] == "original"]

        def named(original: str) -> dict[str, Any]:
            values = {"original": original, "target": target, "pseudonym": self.name(original)}
            return {
                "name": "pseudonym",
                "part": [{"name": k, "valueIdentifier": {"system": "urn:x", "value": v}} for k, v in values.items()],
            }

        return {"resourceType": "Parameters", "parameter": [named(one) for one in originals]}

    def mainzelliste(self, method: str, path: str, query: dict[str, list[str]], body: Any) -> tuple[int, Any]:
        """Answer sessions, tokens and patients."""
        if method == "DELETE":
            return 204, None
        if path == "/sessions":
            return 201, {"sessionId": "s-1", "uri": f"{self.url}/sessions/s-1/"}
        if path == "/sessions/s-1/tokens":
            token = f"t-{len(self.tokens)}"
            self.tokens[token] = body
            return 201, {"id": token, "type": body["type"]}
        asked = self.tokens[query["tokenId"][0]]["data"]
        if method == "POST":
            (original,) = asked["ids"].values()
            return 201, [{"idType": asked["idTypes"][0], "idString": self.name(original), "tentative": False}]
        found = self.name(asked["searchIds"][0]["idString"])
        ids = [{"idType": asked["resultIds"][0], "idString": found}]
        return 200, [{"ids": ids}] if found else []


class _Handler(BaseHTTPRequestHandler):
    fake: Fake
    protocol_version = "HTTP/1.1"

    def _serve(self) -> None:
        data = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.fake.requests.append((self.command, self.path, dict(self.headers)))
        if self.fake.faults:
            fault = self.fake.faults.pop(0)
            if isinstance(fault, float):
                time.sleep(fault)
                self.close_connection = True
                return
            self._send(*fault)
            return
        parts, body = urlsplit(self.path), json.loads(data) if data else None
        if self.fake.kind == "gpas":
            self._send(200, {}, json.dumps(self.fake.gpas(body)).encode())
            return
        status, answer = self.fake.mainzelliste(self.command, parts.path, parse_qs(parts.query), body)
        self._send(status, {}, b"" if answer is None else json.dumps(answer).encode())

    def __getattr__(self, name: str) -> Any:
        """Serve every method alike."""
        if name.startswith("do_"):
            return self._serve
        raise AttributeError(name)

    def _send(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        if status != 204:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@contextmanager
def served(fake: Fake) -> Iterator[Fake]:
    """Run a fake service on a free port while the block runs."""
    handler = type("Handler", (_Handler,), {"fake": fake})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    fake.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield fake
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
