"""Flower's daemons as we start them: they end with their parent, and the SuperLink has a door.

Flower serves everything on one port, and its Control API asks nobody who he is: whoever reaches the port
could submit code, or register a node of his own. So the door lets requests from other machines through to
the Fleet API alone, which asks for a registered key; and the SuperLink takes only the bundle whose hash the
coordinator signed. Flower's own program has no option for either (1.41).
"""

from __future__ import annotations

import hashlib
import ipaddress
import os
import signal
import sys
import threading
import time
from collections.abc import Awaitable, Callable, MutableMapping
from pathlib import Path
from typing import Any

from racoon_data.documents import read_json

PARENT_VARIABLE = "RACOON_PARENT"
BUNDLE_VARIABLE = "RACOON_SIGNED_BUNDLE"
OPEN_PATH = "/v1/fleet/"
_WATCH_S = 0.5
_GRACE_S = 5.0

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Any]]
Send = Callable[[Any], Awaitable[None]]


class Door:
    """Lets strangers through to the Fleet API and nowhere else (an ASGI middleware)."""

    def __init__(self, app: Callable[[Scope, Receive, Send], Awaitable[None]]) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or answer 403."""
        if scope["type"] == "lifespan" or may_pass(scope):
            await self._app(scope, receive, send)
            return
        await send({"type": "http.response.start", "status": 403, "headers": []})
        await send({"type": "http.response.body", "body": b""})


def may_pass(scope: Scope) -> bool:
    """Tell whether a request comes from this machine, or goes to the Fleet API."""
    if scope["type"] == "http" and str(scope["path"]).startswith(OPEN_PATH):
        return True
    client, server = scope.get("client"), scope.get("server")
    if not client:
        return False
    return ipaddress.ip_address(client[0]).is_loopback or (server is not None and client[0] == server[0])


def end_with_parent(parent: int) -> None:
    """End this process soon after its parent, however that one ended."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(_WATCH_S)
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(_GRACE_S)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def main() -> None:
    """Run ``superlink`` or ``supernode`` with Flower's own options."""
    end_with_parent(int(os.environ[PARENT_VARIABLE]))
    which = sys.argv.pop(1)
    sys.argv[0] = f"flower-{which}"
    if which == "superlink":
        from flwr.superlink.cli.flower_superlink import flower_superlink

        _put_door()
        _take_signed_bundles_only()
        flower_superlink()
    else:
        from flwr.supernode.cli.flower_supernode import flower_supernode

        flower_supernode()


def _put_door() -> None:
    from flwr.superlink import extensions
    from starlette.middleware import Middleware

    extensions.get_middleware = lambda: (Middleware(Door),)


def _take_signed_bundles_only() -> None:
    from flwr.superlink.servicer.control import control_handlers

    plain = control_handlers.Fab

    def signed(hash_str: str, content: bytes, _: dict[str, str]) -> Any:
        known = read_json(Path(os.environ[BUNDLE_VARIABLE]))
        if hashlib.sha256(content).hexdigest() != known["sha256"]:
            raise ValueError("the bundle is not the one the coordinator signed")
        return plain(hash_str, content, dict(known["verifications"]))

    control_handlers.Fab = signed


if __name__ == "__main__":
    main()
