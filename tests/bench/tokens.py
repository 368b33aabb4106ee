#!/usr/bin/env python3
"""Runs stride against a service that allows 90,000 tokens a minute, and kills it in between.

    tests/bench/tokens.py [--stride PATH] [--seconds 300] [--kills 2] [bucket|moving …]

The service counts the tokens of a request at once, and those of its answer when that is complete: in a bucket of a
minute's tokens, or over the last minute. A request that does not fit gets 429 and Retry-After. The sizes of files are log-normal
(sigma 1), and an answer takes half to one and a half times the tokens of its request, at a hundred tokens a second.
"""

import argparse
import asyncio
import json
import math
import random
import subprocess
import tempfile
import time
from collections import deque
from pathlib import Path

LIMIT = 90_000
EXPRESSION = ".usage.total_tokens"


class Service:
    def __init__(self, kind):
        self.kind, self.level, self.at = kind, float(LIMIT), time.monotonic()
        self.counted, self.sum = deque(), 0
        self.calls = self.refused = self.used = 0

    def now(self):
        now = time.monotonic()
        self.level = min(LIMIT, self.level + (now - self.at) * LIMIT / 60)
        self.at = now
        while self.counted and self.counted[0][0] <= now - 60:
            self.sum -= self.counted.popleft()[1]
        return now

    def count(self, tokens):
        self.counted.append((self.now(), tokens))
        self.level -= tokens
        self.sum += tokens

    def wait(self, tokens):
        """Returns the seconds until a request fits."""
        now = self.now()
        if self.kind == "bucket":
            return max(0, math.ceil((tokens - self.level) * 60 / LIMIT))
        over, wait = self.sum + tokens - LIMIT, 0
        for at, counted in self.counted:
            if over <= 0:
                break
            over, wait = over - counted, at + 60 - now
        return math.ceil(wait)

    async def connection(self, reader, writer):
        try:
            while await reader.readline():
                length = 0
                while (line := await reader.readline()).strip():
                    name, value = line.decode().split(":", 1)
                    length = int(value) if name.lower() == "content-length" else length
                await self.answer(await reader.readexactly(length), writer)
                await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            writer.close()

    async def answer(self, body, writer):
        request = math.ceil(len(body) / 4)
        self.calls += 1
        if wait := self.wait(request):
            self.refused += 1
            head = f"HTTP/1.1 429 Too Many Requests\r\nRetry-After: {wait}\r\nContent-Length: 0\r\n\r\n"
            writer.write(head.encode())
            return
        self.count(request)
        # A repeat of the same file gets the same answer.
        answer = math.ceil(request * (0.5 + random.Random(body).random()))
        self.used += request + answer
        await asyncio.sleep(0.3 + answer / 100)
        self.count(answer)
        text = json.dumps({"usage": {"total_tokens": request + answer}})
        head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(text)}\r\n\r\n"
        writer.write((head + text).encode())


async def measure(kind, options, folder):
    service = Service(kind)
    server = await asyncio.start_server(service.connection, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    sizes = random.Random(5)
    (folder / "in").mkdir()
    for number in range(5 * options.seconds):
        size = max(40, int(800 * sizes.lognormvariate(0, 1)))
        (folder / "in" / f"{number:05}").write_text((f"{number:05} " * (size // 6 + 1))[:size])
    words = ["run", "--quiet", "-j", "32", "--rate", f"{LIMIT}w/m", "--weight", "size/2", "--settle", EXPRESSION]
    words += ["--url", f"http://127.0.0.1:{port}/", "in"]
    end, turns = time.monotonic() + options.seconds, options.kills + 1
    for turn in range(turns):
        stride = await asyncio.create_subprocess_exec(options.stride, *words, cwd=folder, stderr=subprocess.DEVNULL)
        await asyncio.sleep((end - time.monotonic()) / (turns - turn))
        stride.kill()
        await stride.wait()
    used = 100 * service.used / (LIMIT / 60 * options.seconds)
    refused = 100 * service.refused / max(1, service.calls)
    print(f"| {kind} | {used:.1f} | {refused:.2f} | {service.calls} | {options.kills} |", flush=True)
    server.close()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stride", default="stride", help="the program")
    parser.add_argument("--seconds", type=int, default=300, help="the length of a run")
    parser.add_argument("--kills", type=int, default=2, help="how often the program is killed")
    parser.add_argument("kinds", nargs="*", default=["bucket", "moving"], help="the limits")
    options = parser.parse_args()
    options.stride = str(Path(options.stride).absolute()) if "/" in options.stride else options.stride
    print("| limit | used % | refused % | calls | kills |")
    for kind in options.kinds:
        with tempfile.TemporaryDirectory() as folder:
            asyncio.run(measure(kind, options, Path(folder)))


if __name__ == "__main__":
    main()
