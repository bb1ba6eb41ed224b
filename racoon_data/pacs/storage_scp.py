"""The receiving side of C-STORE: a listener, a thread for each association, and an end for each of them."""

from __future__ import annotations

import logging
import select
import socket
import ssl
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Self

from racoon_data.errors import PacsError, StorageError
from racoon_data.pacs import commands
from racoon_data.pacs.accepting import Welcome, accept
from racoon_data.pacs.channel import Accepted, Channel
from racoon_data.pacs.commands import Command
from racoon_data.pacs.link import Link, ReleasedError
from racoon_data.pacs.peer import Tls
from racoon_data.pacs.receiving import Intake
from racoon_data.pacs.statuses import SUCCESS, UNRECOGNISED
from racoon_data.pacs.tls import server_context

logger = logging.getLogger(__name__)

_LOOK_S = 0.2
_GRACE_S = 10.0
OnReport = Callable[[int, bytes, str], int]


@dataclass(frozen=True, slots=True)
class Limits:
    """What the receiver bears.

    Attributes:
        max_associations: Associations at one time; more are rejected as transient.
        silence_s: Longest silence within an association (seconds).
        bytes_per_s: Bytes an association may send in a second on average; 0 for any.
    """

    max_associations: int = 16
    silence_s: float = 60.0
    bytes_per_s: float = 0.0


NO_LIMITS = Limits()


class StorageScp:
    """Answers C-STORE and C-ECHO on one address until the ``with`` block ends.

    Each association has a thread; what arrives goes through one intake, whose owner journals it.

    Attributes:
        host: Address it listens on.
        port: Port it listens on.
    """

    def __init__(
        self,
        welcome: Welcome,
        intake: Intake,
        *,
        address: tuple[str, int] = ("127.0.0.1", 0),
        limits: Limits = Limits(),
        tls: Tls | None = None,
        on_report: OnReport | None = None,
    ) -> None:
        """Prepare to listen.

        Args:
            welcome: Who may come in.
            intake: What takes the instances.
            address: Address and port, 0 for any free one.
            limits: What is borne.
            tls: Files for encrypted connections; ``None`` speaks plainly.
            on_report: Takes N-EVENT-REPORT: event type, encoded data set, its encoding; gives a status.
        """
        self.host, self.port = address
        self._welcome = welcome
        self._intake = intake
        self._limits = limits
        self._tls = server_context(tls) if tls is not None else None
        self._on_report = on_report
        self._stopping = threading.Event()
        self._until = 0.0
        self._threads: set[threading.Thread] = set()
        self._listener: socket.socket | None = None

    def start(self) -> None:
        """Listen.

        Raises:
            StorageError: The port is taken.
        """
        try:
            self._listener = socket.create_server((self.host, self.port), backlog=64)
        except OSError as error:
            hint = "choose another port, or 0 for a free one"
            raise StorageError(f"cannot listen on {self.host}:{self.port}: {error.strerror}", hint=hint) from error
        self.port = self._listener.getsockname()[1]
        self._listener.settimeout(_LOOK_S)
        self._door = threading.Thread(target=self._listen, args=(self._listener,), name="storage-scp", daemon=True)
        self._door.start()

    def close_door(self, *, grace_s: float = _GRACE_S) -> None:
        """Stop listening; instances that are under way may still arrive, then every association ends.

        Args:
            grace_s: Longest time they have (seconds).
        """
        if not self._stopping.is_set():
            self._stopping.set()
            self._until = time.monotonic() + grace_s
        if self._listener is not None:
            self._door.join()
            self._listener.close()

    def is_ending(self) -> bool:
        """Tell whether associations are still open and have time left."""
        return bool(self._threads) and time.monotonic() < self._until

    def stop(self) -> None:
        """Close the door and wait until everybody is gone."""
        self.close_door()
        for thread in tuple(self._threads):
            thread.join(max(0.0, self._until - time.monotonic()))

    @property
    def associations(self) -> int:
        """How many associations are open."""
        return len(self._threads)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _listen(self, listener: socket.socket) -> None:
        while not self._stopping.is_set():
            try:
                connection, address = listener.accept()
            except TimeoutError:
                continue
            except OSError as error:
                logger.error("cannot accept a connection: %s", error.strerror)
                self._stopping.wait(_LOOK_S)
                continue
            if len(self._threads) > 2 * self._limits.max_associations:
                connection.close()  # a flood is not worth an answer
                continue
            thread = threading.Thread(target=self._serve, args=(connection, address[0]), daemon=True)
            self._threads.add(thread)
            thread.start()

    def _serve(self, connection: socket.socket, host: str) -> None:
        link = None
        try:
            connection.settimeout(self._limits.silence_s)
            if self._tls is not None:
                connection = self._tls.wrap_socket(connection, server_side=True)
            link = Link(connection, silence_s=self._limits.silence_s)
            channel = accept(link, host, self._welcome, is_full=self._is_full)
            if channel is not None:
                self._answer(channel)
        except PacsError as error:
            logger.warning("association from %s ended: %s", host, error.message)
        except (OSError, ssl.SSLError) as error:
            logger.warning("no association with %s: %s", host, getattr(error, "reason", "") or type(error).__name__)
        except Exception as error:  # noqa: BLE001 - the border to the peer: whatever it sent, the others go on
            logger.error("unexpected %s while receiving from %s", type(error).__name__, host)
        finally:
            if link is not None:
                link.close()
            connection.close()
            self._threads.discard(threading.current_thread())

    def _is_full(self) -> bool:
        return len(self._threads) > self._limits.max_associations

    def _answer(self, channel: Channel) -> None:
        try:
            while self._awaits(channel):
                began = time.monotonic()
                before = channel.link.received
                context, command = channel.message()
                self._do(channel, context, command)
                self._rest(channel.link.received - before, began)
        except ReleasedError:
            channel.consent_to_release()
        finally:
            channel.abort()

    def _awaits(self, channel: Channel) -> bool:
        """Wait for the next message; give up where we stop or the peer stays silent."""
        until = time.monotonic() + self._limits.silence_s
        while not self._stopping.is_set() and time.monotonic() < until:
            if channel.link.has_unread() or select.select([channel.link], [], [], _LOOK_S)[0]:
                channel.link.note_progress()
                return True
        return False

    def _rest(self, count: int, began: float) -> None:
        if self._limits.bytes_per_s:
            due = count / self._limits.bytes_per_s - (time.monotonic() - began)
            self._stopping.wait(max(0.0, due))

    def _do(self, channel: Channel, context: Accepted, command: Command) -> None:
        if command.field == commands.C_STORE:
            self._intake.store(channel, context, command)
            return
        data = channel.small_data(context) if command.has_data_set else b""
        status = UNRECOGNISED
        if command.field == commands.C_ECHO:
            status = SUCCESS
        elif command.field == commands.N_EVENT_REPORT and self._on_report is not None:
            status = self._on_report(command.number(commands.EVENT_TYPE), data, context.transfer_syntax)
        if command.field & commands.RESPONSE or command.field == commands.C_CANCEL:
            return
        answer: dict[int, int | str] = {
            commands.AFFECTED_CLASS: command.text(commands.AFFECTED_CLASS),
            commands.FIELD: command.field | commands.RESPONSE,
            commands.ANSWERED_ID: command.number(commands.MESSAGE_ID),
            commands.DATA_SET: commands.NO_DATA_SET,
            commands.STATUS: status,
        }
        if command.field == commands.N_EVENT_REPORT:
            answer[commands.AFFECTED_UID] = command.text(commands.AFFECTED_UID)
            answer[commands.EVENT_TYPE] = command.number(commands.EVENT_TYPE)
        with suppress(PacsError):
            channel.send(context, answer)
