"""Shows how far a run is."""

import logging
import queue
import sys
import threading
import time
from collections.abc import Callable
from typing import Any, NamedTuple, Optional, Union

log = logging.getLogger("stride")

# Between two lines where there is no bar.
EVERY = 10.0
# Seconds for which the end of the run waits for the progress function.
PATIENCE = 5.0


class Status(NamedTuple):
    """Where the run is; counts are of all its files.

    Attributes:
        total: All files.
        pending: Files to call.
        running: Calls at this moment.
        done: Files with a result.
        failed: Files that failed.
        held: Files that wait for a decision of yours.
        limited_by: What keeps calls from starting, if anything.
        finish: Estimated seconds until the end.
    """

    total: int
    pending: int
    running: int
    done: int
    failed: int
    held: int
    limited_by: Optional[str] = None
    finish: Optional[float] = None


Progress = Union[None, bool, Callable[[Status], object]]


def progress(choice: Progress) -> Callable[[Optional[Status]], None]:
    """Returns the function that shows a status; at the end it gets None.

    ``False`` shows nothing, a function gets each status, and otherwise there is a bar if tqdm is installed, or else a
    line every ten seconds.
    """
    # A daemon may have no stderr.
    if choice is False or (sys.stderr is None and not callable(choice)):
        return lambda status: None
    if callable(choice):
        own = choice

        def tell(status: Optional[Status]) -> None:
            if status is not None:
                own(status)

        return tell
    try:
        from tqdm.auto import tqdm
    except ImportError:
        return _Lines()
    return _Bar(tqdm)


class Display:
    """Shows the newest status on a thread of its own, because a slow function would hold up the calls."""

    def __init__(self, show: Callable[[Optional[Status]], None]) -> None:
        self._show = show
        self._told: queue.SimpleQueue[Optional[Status]] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._live, name="stride-progress", daemon=True)
        self._thread.start()

    def tell(self, status: Status) -> None:
        """Shows a status, unless a newer one comes before it can."""
        self._told.put(status)

    def end(self) -> None:
        """Shows the last status, and waits for that."""
        self._told.put(None)
        self._thread.join(PATIENCE)
        if self._thread.is_alive():
            log.warning("the progress function does not return; the run ends without it")

    def _live(self) -> None:
        is_over = False
        try:
            while not is_over:
                told = [self._told.get()]
                while not self._told.empty():
                    told.append(self._told.get())
                is_over = told[-1] is None
                for status in told[-2:] if is_over else told[-1:]:
                    self._show(status)
        except BaseException:
            log.exception("the progress function failed; it is not called again")


class _Bar:
    def __init__(self, tqdm: Any) -> None:
        self._tqdm = tqdm
        self._bar: Any = None

    def __call__(self, status: Optional[Status]) -> None:
        if status is None:
            if self._bar is not None:
                self._bar.close()
            return
        ended = status.done + status.failed + status.held
        if self._bar is None:
            self._bar = self._tqdm(total=status.total, initial=ended, unit="file")
        self._bar.total = status.total
        notes = [f"{status.failed} failed"] if status.failed else []
        is_over = ended >= status.total
        notes += [f"limit: {status.limited_by}"] if status.limited_by and not is_over else []
        self._bar.set_postfix_str(", ".join(notes), refresh=False)
        self._bar.update(ended - self._bar.n)


class _Lines:
    def __init__(self) -> None:
        self._next = time.monotonic() + EVERY

    def __call__(self, status: Optional[Status]) -> None:
        now = time.monotonic()
        if status is None or now < self._next:
            return
        self._next = now + EVERY
        text = f"stride: {status.done:,} of {status.total:,} files done, {status.failed:,} failed"
        if status.finish is not None:
            text += f", {status.finish / 60:,.0f} min left"
        if status.limited_by:
            text += f", limit: {status.limited_by}"
        print(text, file=sys.stderr, flush=True)
