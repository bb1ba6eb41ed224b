"""Peers made of bytes: an SCP that sends what a script says, and a free port."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from racoon_data.errors import PacsError
from racoon_data.pacs import accepting
from racoon_data.pacs.channel import Accepted, Channel
from racoon_data.pacs.link import Link, ReleasedError
from racoon_data.pacs.peer import PacsNode

Script = Callable[[Channel], None]


def free_port() -> int:
    """A TCP port nobody uses right now."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


class _AnyClass(accepting.Welcome):
    """Takes every class: a script decides."""

    __slots__ = ()

    def takes(self, abstract_syntax: str) -> bool:
        return True


@contextmanager
def scripted(*scripts: Script, silence_s: float = 5.0, timeout_s: float = 2.0) -> Iterator[PacsNode]:
    """Listen, accept one association after another, and run one script for each."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(silence_s)
        thread = threading.Thread(target=_serve, args=(listener, scripts, silence_s), daemon=True)
        thread.start()
        yield PacsNode("scripted", "127.0.0.1", listener.getsockname()[1], "SCRIPTED", timeout_s=timeout_s)
        listener.close()
        thread.join(silence_s + 1)


def _serve(listener: socket.socket, scripts: tuple[Script, ...], silence_s: float) -> None:
    for script in scripts:
        try:
            connection, _ = listener.accept()
        except (TimeoutError, OSError):
            return
        link = Link(connection, silence_s=silence_s)
        with suppress(PacsError, ReleasedError, OSError):
            channel = accepting.accept(link, "127.0.0.1", _AnyClass("SCRIPTED"), is_full=lambda: False)
            if channel is not None:
                script(channel)
                await_end(channel)
        link.close()


def await_end(channel: Channel) -> None:
    """Read until the other side releases or goes."""
    try:
        while True:
            context, command = channel.message()
            if command.has_data_set:
                channel.small_data(context)
    except ReleasedError:
        channel.consent_to_release()


def first_storage(channel: Channel, sop_class: str, syntax: str = "1.2.840.10008.1.2.1") -> Accepted:
    """The accepted context of a storage class."""
    context = channel.context_of(sop_class, syntax)
    assert context is not None
    return context
