"""The pause point of pynetdicom's association thread, made exact, so that no answer is lost."""

from __future__ import annotations

import threading

from pynetdicom.association import Association

_LOOK_S = 0.05


class Checkpoint:
    """Takes the place of the ``threading.Event`` that pauses an association's own thread.

    Before each request pynetdicom (3.0.4) clears the event and then asks a flag whether its thread
    stands still. The flag can be a moment out of date: the thread has just been let through, and
    takes an answer that was meant for us off the queue ("Received unexpected C-FIND service
    message"). On a busy machine an answer of a query was lost that way without an error. Here
    ``clear`` returns when the thread really stands at the point.
    """

    def __init__(self, association: Association) -> None:
        self._association = association
        self._changed = threading.Condition()
        self._is_open = True
        self._is_waiting = False

    def is_set(self) -> bool:
        """Tell whether the thread may pass."""
        return self._is_open

    def set(self) -> None:
        """Let the thread pass."""
        with self._changed:
            self._is_open = True
            self._changed.notify_all()

    def wait(self, timeout: float | None = None) -> bool:
        """Stand here until the way is open; called by the association's thread."""
        with self._changed:
            self._is_waiting = True
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._is_open, timeout)
            self._is_waiting = False
            return self._is_open

    def clear(self) -> None:
        """Close the way and return when the thread stands at it, or has ended."""
        with self._changed:
            self._is_open = False
            while not self._is_waiting and self._association.is_alive() and not self._is_own_thread():
                self._changed.wait(_LOOK_S)

    def _is_own_thread(self) -> bool:
        return threading.current_thread() is self._association
