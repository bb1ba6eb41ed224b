"""The pause point of an association: closed means that its thread takes nothing more."""

import threading
import time

from racoon_data.pacs.checkpoint import Checkpoint


class Taker(threading.Thread):
    """Passes the point again and again and then, slowly, takes what it finds, as pynetdicom's thread does."""

    def __init__(self):
        super().__init__(daemon=True)
        self.checkpoint = Checkpoint(self)
        self.is_taking = False
        self.is_over = False

    def run(self):
        """Pass and take until it is over."""
        while not self.is_over:
            self.checkpoint.wait()
            self.is_taking = True
            time.sleep(0.002)
            self.is_taking = False


def test_nothing_is_taken_behind_a_closed_point():
    """When ``clear`` returns, the thread stands still, however often it is tried."""
    taker = Taker()
    taker.start()
    taken = []
    for _ in range(100):
        taker.checkpoint.clear()
        before = taker.is_taking
        time.sleep(0.001)
        taken.append(before or taker.is_taking)
        taker.checkpoint.set()
    taker.is_over = True
    taker.join(timeout=5)

    assert not any(taken)
    assert not taker.is_alive()


def test_a_thread_that_has_ended_holds_nobody():
    """Closing the point of a dead association returns at once."""
    taker = Taker()

    taker.checkpoint.clear()

    assert not taker.checkpoint.is_set()
