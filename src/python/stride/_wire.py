"""Worker protocol 1: one JSON object a line, and raw bytes after a line that announces them."""

import json
import math
import os
import threading
from collections import deque
from collections.abc import Iterator, Mapping
from typing import Any, Optional, Union

# stride refuses longer lines. What a line says beside its result fits into the difference.
MAX_LINE = (1 << 20) - 4096
READ_SIZE = 1 << 16
# Deeper levels are not searched for what JSON lacks.
MAX_DEPTH = 200

Message = dict[str, Any]


class Answer:
    """A result that is more than its value: return one from the function.

    Attributes:
        body: The result. ``bytes`` are stored unchanged, anything else as JSON.
        media_type: The type of a ``body`` of bytes, by default ``application/octet-stream``.
        status: The status that the service answered with, for reports.
        limit: What the service said about its limit: any of the numbers ``remaining`` (calls), ``reset`` (seconds),
            ``calls`` and ``window`` (seconds). stride paces the next calls by it.
        cost: What the call cost, in your unit of money. ``max_cost`` and the sums of ``stride status`` count it.
        weight: What the call took of a rate in weights, such as its tokens. It replaces the estimate of ``--weight``.
    """

    __slots__ = ("body", "cost", "limit", "media_type", "status", "weight")

    def __init__(
        self,
        body: Any,
        media_type: str = "application/octet-stream",
        *,
        status: Optional[int] = None,
        limit: Optional[Mapping[str, float]] = None,
        cost: Optional[float] = None,
        weight: Optional[float] = None,
    ) -> None:
        self.body = body
        self.media_type = media_type
        self.status = status
        self.limit = limit
        self.cost = _amount("cost", cost)
        self.weight = _amount("weight", weight)


def _amount(name: str, value: Optional[float]) -> Optional[float]:
    """Returns a number that a line can have: a decimal one, for example, becomes a float."""
    number = value if value is None or isinstance(value, int) else float(value)
    if number is not None and not 0 <= number < math.inf:
        raise ValueError(f"{name}={value!r} is no number of at least zero")
    return number


class Job(str):
    """A file of the list, as the function receives it: its name, exactly as given, so that ``open(job)`` works.

    Attributes:
        file: The file's absolute path. Names are relative to the folder in which the run was made.
        position: The place in the list, from 0.
        attempt: 1 for the first call of this file, 2 for the second.
        key: A key for the service's idempotency header. It stays the same while stride does not know what became of
            the last call.
        repeat: True if the last call had the same key, so the service may know this one.
        fields: The row of a table, and ``{}`` for a name.
        pool: With ``options=["--pool", …]``, the row of the key to use: ``job.pool["key"]``.
        timeout: Seconds after which stride gives the call up.
    """

    file: str
    position: int
    attempt: int
    key: str
    repeat: bool
    fields: Message
    pool: Message
    timeout: Optional[float]
    _id: int
    _channel: "Channel"

    @property
    def name(self) -> str:
        """The name, as a plain ``str``."""
        return str(self)

    def cancelled(self) -> bool:
        """Returns True once stride no longer waits for this call: it timed out, or a second Ctrl-C came."""
        return self._id in self._channel.cancelled

    def beat(self) -> None:
        """Says that this call is alive. After the first time, a call that is silent for ``--idle-timeout`` is ended."""
        self._channel.send(b'{"t":"beat","id":%d}\n' % self._id)


class Row(dict[str, Any]):
    """A row of the list, as the function receives it. ``job`` has the rest: attempt, key and so on."""

    job: Job


def job(message: Message, channel: "Channel") -> Union[Job, Row]:
    """Returns the function's argument for a ``call``."""
    made = Job(message["name"])
    made.file = message.get("file") or made
    made.position = message.get("position", 0)
    made.attempt = message.get("attempt", 1)
    made.key = message.get("key", "")
    made.repeat = message.get("repeat", False)
    made.fields = message.get("fields") or {}
    made.pool = message.get("pool") or {}
    made.timeout = message.get("timeout")
    made._id = message["id"]
    made._channel = channel
    if not made.fields:
        return made
    row = Row(made.fields)
    row.job = made
    return row


def _other(value: Any) -> Any:
    """Turns an object that JSON lacks into one that it has, as pydantic does."""
    # Most programs need none of these.
    from datetime import date, time
    from decimal import Decimal
    from enum import Enum
    from pathlib import PurePath
    from uuid import UUID

    if isinstance(value, (date, time)):
        return value.isoformat()
    if isinstance(value, (Decimal, UUID, PurePath)):
        return str(value)
    if isinstance(value, Enum):
        return value.value
    if type(value).__module__ == "numpy":
        return value.tolist()
    if hasattr(value, "model_dump"):
        return value.model_dump(mode="json")
    if hasattr(value, "__dataclass_fields__") and not isinstance(value, type):
        return {name: getattr(value, name) for name in value.__dataclass_fields__}
    raise TypeError(f"a {type(value).__name__} is no JSON")


_READABLE = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"), default=_other).encode
_ASCII = json.JSONEncoder(allow_nan=False, separators=(",", ":"), default=_other).encode


def to_json(value: Any) -> bytes:
    """Returns a value as JSON.

    Raises:
        TypeError, ValueError, RecursionError: JSON has no such value.
    """
    try:
        return _READABLE(value).encode()
    except UnicodeEncodeError:
        # Half of a surrogate pair exists in JSON only as an escape.
        return _ASCII(value).encode()


def trouble(value: Any, place: str = "", depth: int = 0) -> Optional[str]:
    """Returns what of a value JSON lacks, and where that is."""
    where = f" at {place}" if place else ""
    if depth > MAX_DEPTH:
        return f"too many levels{where[:80]}"
    if isinstance(value, dict):
        for name, part in value.items():
            if not isinstance(name, (str, int, float, bool, type(None))):
                return f"a key of type {type(name).__name__}{where}"
            if found := trouble(part, f"{place}[{name!r}]", depth + 1):
                return found
        return None
    if isinstance(value, (list, tuple)):
        parts = (trouble(part, f"{place}[{position}]", depth + 1) for position, part in enumerate(value))
        return next(filter(None, parts), None)
    if isinstance(value, float) and not math.isfinite(value):
        return f"the float {value}{where}"
    if value is None or isinstance(value, (str, int, float)):
        return None
    try:
        return trouble(_other(value), place, depth + 1)
    except Exception:
        return f"a {type(value).__name__}{where}"


def line(message: Message) -> bytes:
    """Returns a message as a line."""
    return _ASCII(message).encode() + b"\n"


def done(call: int, value: Any) -> bytes:
    """Returns the message that `value` is the result of a call.

    Raises:
        TypeError, ValueError, RecursionError: It can be no result.
    """
    more: Message = {}
    media_type = "application/octet-stream"
    if isinstance(value, Answer):
        said: Message = {"status": value.status, "limit": value.limit, "cost": value.cost, "weight": value.weight}
        more = {name: what for name, what in said.items() if what is not None}
        media_type, value = value.media_type, value.body
    if isinstance(value, (bytes, bytearray, memoryview)):
        data = bytes(value)
    else:
        data = to_json(value)
        if len(data) <= MAX_LINE:
            extra = b"," + _ASCII(more)[1:-1].encode() if more else b""
            return b'{"t":"done","id":%d,"json":%b%b}\n' % (call, data, extra)
        media_type = "application/json"
    head = {"t": "done", "id": call, "bytes": len(data), "type": media_type, **more}
    return line(head) + data + b"\n"


class Channel:
    """The two pipes to stride. Any thread may send; one thread reads."""

    def __init__(self, reads: int, writes: int) -> None:
        self.reads = reads
        self.writes = writes
        self.process = os.getpid()
        self.cancelled: set[int] = set()
        self._waiting: deque[bytes] = deque()
        self._writing = threading.Lock()

    def __deepcopy__(self, memo: object) -> "Channel":
        return self

    def __reduce__(self) -> "tuple[type[Channel], tuple[int, int]]":
        # A job may go to another process, which has no part in the run: what it sends there goes nowhere.
        return Channel, (-1, -1)

    def send(self, data: bytes) -> None:
        """Sends whole messages. Returns before that if another thread is sending: that thread sends these too."""
        self._waiting.append(data)
        # The second look is for what came after the holder's last look and before it let go.
        while self._waiting and self._writing.acquire(blocking=False):
            try:
                self._send_waiting()
            finally:
                self._writing.release()

    def _send_waiting(self) -> None:
        while self._waiting:
            parts = []
            while self._waiting:
                parts.append(self._waiting.popleft())
            rest = memoryview(b"".join(parts))
            try:
                while rest:
                    rest = rest[os.write(self.writes, rest) :]
            except OSError:
                # stride has ended. The reader sees that too, and it knows the reason.
                return

    def batches(self) -> Iterator[list[Message]]:
        """Yields the messages that each read brought, until stride closes its end."""
        rest = b""
        while data := os.read(self.reads, READ_SIZE):
            lines = (rest + data).split(b"\n")
            rest = lines.pop()
            yield [json.loads(text.decode()) for text in lines]

    def close(self) -> None:
        """Closes both ends, once."""
        # Not while a thread writes: it would write to whatever file gets the number next.
        with self._writing:
            self.close_forked()

    def close_forked(self) -> None:
        """Closes both ends in a forked child, where the lock may belong to a thread that is not there."""
        reads, writes, self.reads, self.writes = self.reads, self.writes, -1, -1
        for end in (reads, writes):
            if end >= 0:
                os.close(end)
