"""A worker whose function is a coroutine function: each call is a task of one event loop."""

import asyncio
import contextlib
import os
import threading
from collections.abc import Callable
from typing import Any, Optional

from . import _wire
from ._wire import Channel, Message
from ._worker import Function, Worker

_starting = threading.Lock()
_loop: Optional[asyncio.AbstractEventLoop] = None


def _own_loop() -> asyncio.AbstractEventLoop:
    """Returns the loop of all runs of this process, on a thread of its own. A client of an API belongs to one loop."""
    global _loop
    with _starting:
        if _loop is None:
            _loop = asyncio.new_event_loop()
            threading.Thread(target=_loop.run_forever, name="stride-loop", daemon=True).start()
        return _loop


def _forked() -> None:
    # The thread is not in the child.
    global _loop, _starting
    _loop, _starting = None, threading.Lock()


os.register_at_fork(after_in_child=_forked)


async def in_thread(act: Callable[[], object]) -> None:
    """Waits for `act` on a thread of its own. Those of the loop's executor may all be busy with the program's work."""
    loop = asyncio.get_running_loop()
    end: asyncio.Future[None] = loop.create_future()

    def settle(error: Optional[BaseException]) -> None:
        if end.done():
            return
        if error is None:
            end.set_result(None)
        else:
            end.set_exception(error)

    def work() -> None:
        raised: Optional[BaseException] = None
        try:
            act()
        except BaseException as error:
            raised = error
        # The loop may have been closed meanwhile, also just now.
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(settle, raised)

    threading.Thread(target=work, name="stride-list", daemon=True).start()
    await end


class AsyncWorker(Worker):
    """Calls a coroutine function as tasks of an event loop: of `loop`, or by default of the process's own.

    `serve` runs on another thread than the loop.
    """

    def __init__(
        self,
        channel: Channel,
        call: Function,
        *,
        loop: Optional[asyncio.AbstractEventLoop] = None,
        **more: Any,
    ) -> None:
        super().__init__(channel, call, **more)
        # The loop itself holds only weak references to tasks.
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._loop = loop or _own_loop()

    def start(self, calls: list[Message]) -> None:
        self._loop.call_soon_threadsafe(self._start, calls)

    def _start(self, calls: list[Message]) -> None:
        for message in calls:
            self.running[message["id"]] = message["name"]
            self._tasks[message["id"]] = self._loop.create_task(self._one(message))

    async def _one(self, message: Message) -> None:
        call = message["id"]
        try:
            answer = self.done(call, await self.call(_wire.job(message, self.channel)))
        except BaseException as error:
            if isinstance(error, asyncio.CancelledError) and call in self.channel.cancelled:
                limit = message.get("timeout")
                why = (
                    f"timeout={limit:g} seconds have passed or the run was stopped" if limit else "the run was stopped"
                )
                error = TimeoutError(f"stride cancelled the call, because {why}")
            answer = self.failed(message, error)
        del self._tasks[call], self.running[call]
        self.channel.send(answer)

    def cancel(self, call: int) -> None:
        super().cancel(call)
        self._loop.call_soon_threadsafe(self._cancel, call)

    def _cancel(self, call: int) -> None:
        if task := self._tasks.get(call):
            task.cancel()

    def end(self) -> None:
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._end)

    def _end(self) -> None:
        for task in self._tasks.values():
            task.cancel()
