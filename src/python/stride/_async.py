"""A worker whose function is a coroutine function: each call is a task of one event loop."""

import asyncio
import threading
from typing import Any, Optional

from . import _wire
from ._wire import Channel, Message
from ._worker import Function, Worker


class AsyncWorker(Worker):
    """Calls a coroutine function as tasks of an event loop: of `loop`, or by default of one on a thread of its own.

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
        self._over: Optional[asyncio.Event] = None
        if loop is not None:
            self._loop = loop
            return
        ready = threading.Event()
        thread = threading.Thread(target=lambda: asyncio.run(self._live(ready)), name="stride-loop", daemon=True)
        thread.start()
        ready.wait()

    async def _live(self, ready: threading.Event) -> None:
        self._loop = asyncio.get_running_loop()
        self._over = asyncio.Event()
        ready.set()
        # Afterwards `asyncio.run` cancels the tasks that are left.
        await self._over.wait()

    def start(self, calls: list[Message]) -> None:
        self._loop.call_soon_threadsafe(self._start, calls)

    def _start(self, calls: list[Message]) -> None:
        for message in calls:
            self._tasks[message["id"]] = self._loop.create_task(self._one(message))

    async def _one(self, message: Message) -> None:
        call = message["id"]
        try:
            answer = self.done(call, await self.call(_wire.job(message, self.channel)))
        except BaseException as error:
            answer = self.failed(call, error)
        del self._tasks[call]
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
        if self._over is not None:
            self._over.set()
        for task in self._tasks.values():
            task.cancel()
