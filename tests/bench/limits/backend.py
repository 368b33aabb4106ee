"""The service behind the limiters: answers every request 200 with JSON, after a time.

    backend.py PORT LATENCY [--slow MS] [--window CALLS] [--away refused|STATUS [--retry-after SECONDS]]

LATENCY is in milliseconds, `2` or `30-60` (drawn at random). --slow: one answer in ten takes MS instead. --window: at most
so many calls in any second, the others are answered 429. --away: from SIGUSR1 to SIGUSR2 all connections are refused, or all
calls are answered STATUS."""
import argparse, asyncio, random, signal
from collections import deque

parser = argparse.ArgumentParser()
parser.add_argument("port", type=int)
parser.add_argument("latency")
parser.add_argument("--slow", type=float)
parser.add_argument("--window", type=int)
parser.add_argument("--away", default="refused")
parser.add_argument("--retry-after", type=int)
options = parser.parse_args()
least, most = (float(ms) for ms in (options.latency.split("-") * 2)[:2])
accepted: deque[float] = deque()
connections: set["Connection"] = set()
away = False


def judge(now: float) -> int:
    """The status of the answer to a call that arrives now."""
    if away:
        return int(options.away)
    if options.window:
        while accepted and now - accepted[0] >= 1:
            accepted.popleft()
        if len(accepted) >= options.window:
            return 429
        accepted.append(now)
    return 200


def answer(status: int) -> bytes:
    body = b'{"ok":true}' if status == 200 else b'{"error":"no"}'
    wait = f"Retry-After: {options.retry_after}\r\n" if options.retry_after and status != 200 else ""
    head = f"HTTP/1.1 {status} Answer\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n{wait}\r\n"
    return head.encode() + body


class Connection(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport, self.unread = transport, b""
        connections.add(self)

    def connection_lost(self, _: Exception | None) -> None:
        connections.discard(self)

    def data_received(self, data: bytes) -> None:
        self.unread += data
        head, end, rest = self.unread.partition(b"\r\n\r\n")
        lengths = [line[15:] for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
        size = int(lengths[0]) if lengths else 0
        if not end or len(rest) < size:
            return
        self.unread = rest[size:]
        loop = asyncio.get_running_loop()
        status, ms = judge(loop.time()), random.uniform(least, most)
        if options.slow and random.random() < 0.1:
            ms = options.slow
        loop.call_later(ms / 1000 if status == 200 else 0, self.transport.write, answer(status))


async def main() -> None:
    loop = asyncio.get_running_loop()

    async def listen() -> asyncio.Server:
        return await loop.create_server(Connection, "127.0.0.1", options.port, backlog=1024)

    server, switches = await listen(), asyncio.Queue[bool]()
    loop.add_signal_handler(signal.SIGUSR1, switches.put_nowait, True)
    loop.add_signal_handler(signal.SIGUSR2, switches.put_nowait, False)
    global away
    while True:
        leave = await switches.get()
        if options.away != "refused":
            away = leave
        elif leave:
            server.close()
            for connection in list(connections):
                connection.transport.abort()
        else:
            server = await listen()


asyncio.run(main())
