"""The worker's side of the protocol: reads calls, calls the function, answers."""

import logging
import os
import queue
import threading
from collections.abc import Callable
from typing import Any, Optional

from . import _wire
from ._errors import MAX_BODY, MAX_MESSAGE, Classify, Verdict, judge, seconds
from ._wire import Channel, Message

log = logging.getLogger("stride")

Function = Callable[[Any], Any]

# Each character takes at most 12 bytes of a line.
MAX_ANSWER = _wire.MAX_LINE // 12 - MAX_BODY
# Exceptions that end the program instead of a call.
_ENDS = (SystemExit, KeyboardInterrupt)


def identity(call: Function) -> str:
    """Returns the name by which a run knows a function: ``module:qualname``.

    A script is named as if it were imported, and a notebook is ``notebook``, because ``__main__`` is the name of every
    program.
    """
    import functools
    import sys

    inner: Any = call
    while isinstance(inner, functools.partial):
        inner = inner.func
    if not hasattr(inner, "__qualname__"):
        inner = type(inner)
    # A method of a built-in type has none.
    module = getattr(inner, "__module__", None) or "builtins"
    if module in ("__main__", "__mp_main__"):
        script = getattr(sys.modules[module], "__file__", None)
        module = os.path.basename(script).removesuffix(".py") if script else "notebook"
    return f"{module}:{inner.__qualname__}"


def source(call: Function) -> Optional[str]:
    """Returns a checksum of a function's source, if it can be read. stride warns when it changes."""
    import hashlib
    import inspect

    try:
        text = inspect.getsource(inspect.unwrap(call))
    except (OSError, TypeError, ValueError):
        return None
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _shown(value: Any) -> str:
    """Returns the text of a value, whose own code may fail."""
    try:
        return repr(value)
    except Exception as error:
        return f"<{type(value).__name__} without a text: {type(error).__name__}>"


def _trouble(value: Any, error: Exception) -> str:
    """Returns why a value is no result, whose own code may fail."""
    try:
        return _wire.trouble(value) or str(error)
    except Exception:
        return f"a {type(value).__name__} with a {type(error).__name__}"


def failure(call: int, verdict: Verdict, answer: Optional[str] = None) -> bytes:
    """Returns the message that a call failed, perhaps with an answer that is no result."""
    fields: Message = {
        "t": "fail",
        "id": call,
        "class": verdict.cls,
        "sent": verdict.sent,
        "kind": verdict.kind,
        "message": verdict.message,
        "retry_after": seconds(verdict.retry_after),
        "status": verdict.status,
        "body": verdict.body and verdict.body[:MAX_BODY],
        "answer": answer,
    }
    always = ("sent",)
    return _wire.line({name: value for name, value in fields.items() if value is not None or name in always})


class Worker:
    """Answers calls by a function on threads, until stride says that no more come.

    Args:
        channel: The pipes to stride.
        call: The function. What it returns is the result; what it raises is classified.
        width: The number of calls at the same time, or 0 for as many as stride asks for.
        hello: What to say of this worker at the start: ``name``, ``version``, ``status``.
        classify: The user's own reading of exceptions.
        told: Receives each ``status`` message, on the thread that reads.
    """

    # A worker process of its own ends when the function ends it; a program that called `run` goes on.
    ends_process = False

    def __init__(
        self,
        channel: Channel,
        call: Function,
        *,
        width: int,
        hello: Message,
        classify: Optional[Classify] = None,
        told: Optional[Callable[[Message], None]] = None,
    ) -> None:
        self.channel = channel
        self.call = call
        self.width = width
        self.hello = hello
        self.classify = classify
        self.told = told
        # The names of the files whose calls have not returned, by the numbers of the calls.
        self.running: dict[int, str] = {}
        # One of `_ENDS`.
        self.fatal: Optional[BaseException] = None

    def serve(self) -> None:
        """Reads messages until stride closes its end.

        Raises:
            ValueError: stride offers no protocol that this package speaks.
        """
        try:
            for batch in self.channel.batches():
                calls = [message for message in batch if not self._handle(message)]
                if calls:
                    self.start(calls)
        finally:
            self.end()

    def _handle(self, message: Message) -> bool:
        """Handles a message that is no call, and returns True."""
        kind = message["t"]
        if kind == "call":
            return False
        if kind == "hello":
            if 1 not in message["protocol"]:
                raise ValueError(f"stride {message.get('stride')} speaks none of the protocols: 1")
            self.width = self.width or message["width"]
            hello = {"t": "hello", "protocol": 1, "width": self.width, **self.hello}
            self.channel.send(_wire.line(hello))
        elif kind == "cancel":
            self.cancel(message["id"])
        elif kind == "status" and self.told:
            self.told(message)
        return True

    def start(self, calls: list[Message]) -> None:
        """Starts calls."""
        raise NotImplementedError

    def cancel(self, call: int) -> None:
        """Notes that stride waits for a call no longer."""
        self.channel.cancelled.add(call)

    def end(self) -> None:
        """Ends the threads that wait for calls. Those in the function end when it returns."""
        raise NotImplementedError

    def hanging(self) -> dict[int, str]:
        """Returns the calls that have not returned although stride cancelled them, as `running` has them."""
        running = dict(self.running)
        return {call: name for call, name in running.items() if call in self.channel.cancelled}

    def done(self, call: int, value: Any) -> bytes:
        """Returns the message for what the function returned."""
        try:
            return _wire.done(call, value)
        except Exception as error:
            value = value.body if isinstance(value, _wire.Answer) else value
            message = f"the function returned {_trouble(value, error)}: return what JSON has, or bytes"
            verdict = Verdict("bad_response", kind="BadResult", message=message[:MAX_MESSAGE])
            return failure(call, verdict, _shown(value)[:MAX_ANSWER])

    def failed(self, message: Message, error: BaseException) -> bytes:
        """Returns the message for what the function raised at a call."""
        call = message["id"]
        kind = type(error).__name__
        try:
            if not isinstance(error, _ENDS):
                return failure(call, judge(error, self.classify))
        except _ENDS as end:
            error, kind = end, type(end).__name__
        except BaseException as broken:
            # Unanswered, the call would wait for its timeout, and its thread would be gone.
            text = f"the function raised {kind}, which cannot be read: {type(broken).__name__}"
            return failure(call, Verdict("rejected", kind=kind, message=text))
        log.warning(
            "the function raised %r for %s, which ends the program; the next run repeats this call",
            error,
            message["name"],
        )
        if self.ends_process:
            os._exit(1)
        # `run` raises it when the other calls have ended.
        self.fatal = self.fatal or error
        verdict = Verdict("transient", None, kind=kind, message=f"the function raised {kind}")
        return _wire.line({"t": "stop"}) + failure(call, verdict)


class ThreadWorker(Worker):
    """Calls the function on daemon threads, of which as many start as there are calls at once.

    Those are at most `width`, and as many again in place of threads that hang.
    """

    def __init__(self, channel: Channel, call: Function, **more: Any) -> None:
        super().__init__(channel, call, **more)
        self._calls: queue.SimpleQueue[Optional[Message]] = queue.SimpleQueue()
        self._threads = 0
        self._named: set[int] = set()

    def start(self, calls: list[Message]) -> None:
        for message in calls:
            self.running[message["id"]] = message["name"]
            self._calls.put(message)
            if self._threads < len(self.running):
                self._threads += 1
                if self._threads > self.width:
                    self._warn()
                name = f"stride-{self._threads}"
                threading.Thread(target=self._work, name=name, daemon=True).start()

    def _warn(self) -> None:
        hanging = self.hanging()
        names = [repr(name) for call, name in hanging.items() if call not in self._named]
        if not names:
            return
        self._named.update(hanging)
        log.warning(
            "another thread starts, number %d of at most %d, because calls hang after their timeout: %s",
            self._threads,
            2 * self.width,
            ", ".join(names),
        )

    def end(self) -> None:
        for _ in range(self._threads):
            self._calls.put(None)

    def _work(self) -> None:
        process = os.getpid()
        while (message := self._calls.get()) is not None:
            call = message["id"]
            try:
                value = self.call(_wire.job(message, self.channel))
                answer = self.done(call, value)
            except BaseException as error:
                answer = self.failed(message, error)
            if os.getpid() != process:
                # The function forked and returned in the child, which has no part in the run.
                return
            # Before stride deals the next one, which would else start a thread.
            del self.running[call]
            self.channel.send(answer)
            # Kept until the next call, they would keep the file's data alive.
            del message, answer
            value = None


def make(channel: Channel, call: Function, *, loop: Any = None, **more: Any) -> Worker:
    """Returns the worker for a function: tasks for a coroutine function, and threads for others."""
    import inspect

    # An object may be callable by a coroutine method.
    if any(map(inspect.iscoroutinefunction, (call, type(call).__call__))):
        from ._async import AsyncWorker

        return AsyncWorker(channel, call, loop=loop, **more)
    return ThreadWorker(channel, call, **more)
