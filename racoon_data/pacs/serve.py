"""The embedded PACS: C-ECHO, C-FIND, C-GET, C-MOVE and C-STORE over a folder, for demo, tests and small sites."""

from __future__ import annotations

import os
import tempfile
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

from pynetdicom import AE, evt
from pynetdicom.sop_class import Verification
from pynetdicom.transport import ThreadedAssociationServer

from racoon_data.errors import StorageError
from racoon_data.faults import NO_FAULTS, FaultPlan
from racoon_data.pacs import serve_handlers
from racoon_data.pacs.associations import MAX_PDU, acknowledge_at_once, prompt_socket
from racoon_data.pacs.contexts import FIND_MODELS, GET_MODELS, MOVE_MODELS, STORAGE_CLASSES, SYNTAXES
from racoon_data.pacs.index import Index
from racoon_data.pacs.peer import PacsNode
from racoon_data.pacs.serve_transfer import request_handler

_END_S = 2.0
_PAUSE_S = 1.0
INDEX_NAME = ".racoon-index.sqlite"
Address = tuple[str, int]


class EmbeddedPacs:
    """A small PACS over a folder of DICOM files.

    It answers on one address until the ``with`` block ends. The index lies beside the files and is
    brought up to date at the start; unchanged files are not read again. Received instances are
    written below ``received/``. A folder without write permission is served and never written to.

    Attributes:
        folder: The DICOM files.
        ae_title: Its application entity title; associations that call another are rejected.
        host: Address it listens on.
        port: Port it listens on.
        faults: What it does wrong on purpose; may be changed while it runs.
    """

    def __init__(
        self,
        folder: Path,
        *,
        ae_title: str = "PACS",
        port: int = 0,
        host: str = "127.0.0.1",
        destinations: Mapping[str, Address] | None = None,
        faults: FaultPlan = NO_FAULTS,
    ) -> None:
        """Prepare a PACS; ``with`` starts it.

        Args:
            folder: DICOM files, in any layout.
            ae_title: Its application entity title.
            port: TCP port, 0 for any free one.
            host: Address to listen on; only this machine can reach the default.
            destinations: Where C-MOVE may send to: AE title to host and port.
            faults: What to do wrong on purpose.
        """
        self.folder = folder
        self.ae_title = ae_title
        self.host = host
        self.port = port
        self.faults = faults
        self.destinations: dict[str, Address] = dict(destinations or {})
        self.stopping = threading.Event()
        self.store_lock = threading.Lock()
        self.transfers: set[Any] = set()
        self._scratch = tempfile.TemporaryDirectory(prefix="racoon-pacs-", ignore_cleanup_errors=True)
        self.index = Index(folder, self._database())
        self._server: Any = None
        self._entity = _entity(ae_title, faults)

    @property
    def scratch(self) -> Path:
        """A temporary folder that goes when the PACS stops."""
        return Path(self._scratch.name)

    @property
    def is_read_only(self) -> bool:
        """Whether the folder is marked read-only: its index then lives elsewhere and stores are refused."""
        return not self.folder.stat().st_mode & 0o222 or not os.access(self.folder, os.W_OK)

    def _database(self) -> Path:
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            if self.is_read_only:
                return self.scratch / INDEX_NAME
            (self.folder / INDEX_NAME).touch()
        except OSError as error:
            raise StorageError(f"{self.folder} cannot be served: {error.strerror}", hint="name a folder") from error
        return self.folder / INDEX_NAME

    def node(self, calling: str = "RACOON", *, timeout_s: float = 30.0) -> PacsNode:
        """Give this PACS as a client sees it.

        Args:
            calling: The client's AE title.
            timeout_s: The client's patience (seconds).
        """
        return PacsNode("embedded", self.host, self.port, self.ae_title, calling, timeout_s)

    def start(self) -> None:
        """Index the folder and listen.

        Raises:
            StorageError: The port is taken.
        """
        self.index.refresh()
        handlers = [
            (evt.EVT_CONN_OPEN, prompt_socket),
            (evt.EVT_DATA_RECV, acknowledge_at_once),
            *serve_handlers.bound_to(self),
        ]
        try:
            self._server = self._entity.make_server(
                (self.host, self.port), evt_handlers=handlers, server_class=ThreadedAssociationServer,
                request_handler=request_handler(self),
            )  # fmt: skip
        except OSError as error:
            self.stop()
            hint = "choose another port, or 0 for a free one"
            raise StorageError(f"cannot listen on {self.host}:{self.port}: {error.strerror}", hint=hint) from error
        self.port = self._server.server_address[1]
        self._entity._servers.append(self._server)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.1,), daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stop listening, then end every association and wait for its thread (at most 2 s each)."""
        self.stopping.set()
        if self._server is not None:
            self._server.shutdown()
            self._thread.join(_END_S)
            self._let_transfers_end()
            for association in self._entity.active_associations:
                association.abort()
                association.dimse.msg_queue.put((None, None))  # wakes a transfer that waits for an answer
                association.join(_END_S)
            self._server = None
        with suppress(OSError):
            self._scratch.cleanup()

    def _let_transfers_end(self) -> None:
        """Let transfers stop between two instances: pynetdicom does not bear an abort beside a send."""
        until = time.monotonic() + _PAUSE_S
        while self.transfers and time.monotonic() < until:
            time.sleep(0.01)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def _entity(ae_title: str, faults: FaultPlan) -> AE:
    entity = AE(ae_title=ae_title)
    entity.require_called_aet = True
    entity.maximum_pdu_size = MAX_PDU
    entity.maximum_associations = 32
    entity.network_timeout = 120
    entity.add_supported_context(Verification)
    for model in (*FIND_MODELS, *(() if faults.no_get else GET_MODELS), *MOVE_MODELS):
        entity.add_supported_context(model)
    for sop_class in STORAGE_CLASSES:
        entity.add_supported_context(sop_class, list(SYNTAXES), scu_role=True, scp_role=True)
    return entity
