"""Shows how far a run is."""

import sys
import time
from collections.abc import Callable
from typing import Any, NamedTuple, Optional, Union

# Between two lines where there is no bar.
EVERY = 10.0


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
    if choice is False:
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
        notes += [f"limited by {status.limited_by}"] if status.limited_by else []
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
            text += f", limited by {status.limited_by}"
        print(text, file=sys.stderr, flush=True)
