"""Ctrl-C at any moment."""

import contextlib
import signal
import threading
import time
from collections.abc import Iterator
from typing import Any, Optional


class End:
    """An event for which Ctrl-C may end the wait, also twice.

    The wait of :class:`threading.Event` has steps in Python, and a second KeyboardInterrupt in them makes it a
    RuntimeError.
    """

    def __init__(self) -> None:
        self.has_come = False
        self._lock = threading.Lock()
        self._lock.acquire()

    def set(self) -> None:
        """Ends all waits. It is called once."""
        self.has_come = True
        self._lock.release()

    def wait(self, timeout: Optional[float] = None) -> bool:
        """Waits, at most so many seconds, and returns whether the event has come."""
        end = None if timeout is None else time.monotonic() + timeout
        while not self.has_come:
            # A wait that was interrupted may have the lock, so none relies on it alone.
            left = 1.0 if end is None else min(1.0, end - time.monotonic())
            if left <= 0:
                break
            if self._lock.acquire(timeout=left):
                self._lock.release()
        return self.has_come


@contextlib.contextmanager
def ctrl_c_later() -> Iterator[None]:
    """Keeps Ctrl-C until the end of the block: within a start, it would leave a process that nobody serves."""
    before = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or not callable(before):
        yield
        return
    came: list[Any] = []
    signal.signal(signal.SIGINT, lambda *how: came.append(how))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
    if came:
        before(*came[0])
