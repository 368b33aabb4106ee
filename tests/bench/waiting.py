#!/usr/bin/env python3
"""Many files that are submitted and wait: memory, `stride status`, and how late polls are.

    tests/bench/waiting.py STRIDE [FILES] [MINUTES]

A service on 127.0.0.1 takes each file at once and is never ready; it asks for a poll every 60 s. Run nothing else
meanwhile, because the service shares the machine with stride.
"""

import asyncio
import os
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import time

EVERY = 60.0


class Service(asyncio.Protocol):
    """Answers HTTP requests of keep-alive connections."""

    asked: dict[bytes, float] = {}
    late: list[float] = []
    submitted = 0

    def connection_made(self, transport):
        self.transport = transport
        self.rest = b""

    def data_received(self, data):
        self.rest += data
        while b"\r\n\r\n" in self.rest:
            head, _, after = self.rest.partition(b"\r\n\r\n")
            length = re.search(rb"(?i)content-length: (\d+)", head)
            length = int(length[1]) if length else 0
            if len(after) < length:
                return
            self.rest = after[length:]
            self.answer(head.split(b" ", 2)[1])

    def answer(self, path):
        kind, name = path.split(b"/")[1:3]
        now = time.monotonic()
        more = b""
        if kind == b"submit":
            Service.submitted += 1
            body = b'{"id":"' + name + b'"}'
        else:
            before = Service.asked.get(name)
            if before is not None:
                Service.late.append(now - before - EVERY)
            Service.asked[name] = now
            body = b'{"status":"running"}'
            more = b"Retry-After: %d\r\n" % EVERY
        self.transport.write(
            b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n%sContent-Length: %d\r\n\r\n%s" % (more, len(body), body)
        )


def resident(pid):
    """Returns the resident memory of a process, in MiB."""
    with open(f"/proc/{pid}/status") as status:
        found = dict(line.split(":", 1) for line in status)
    return int(found["VmRSS"].split()[0]) / 1024


async def main(stride, files, minutes):
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Service, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    with tempfile.TemporaryDirectory() as folder:
        names = os.path.join(folder, "list.csv")
        with open(names, "w") as out:
            out.write("id\n")
            out.writelines(f"{number}\n" for number in range(files))
        db = os.path.join(folder, "w.db")
        url = f"http://127.0.0.1:{port}"
        command = [stride, "run", "--db", db, "-q", "-j", "32", "--files-from", names, "--key-column", "id"]
        command += ["--url", f"{url}/submit/{{name}}", "-d", "x", "--then", f"{url}/poll/{{answer.id}}"]
        command += ["--poll-until", '.status == "done"', "--poll-every", "60s"]
        began = time.monotonic()
        run = await asyncio.create_subprocess_exec(*command)
        while Service.submitted < files or len(Service.asked) < files:
            await asyncio.sleep(0.5)
            if run.returncode is not None:
                sys.exit("stride has ended")
        print(f"submitted: {files:,} files in {time.monotonic() - began:.0f} s")
        # One round of polls spreads them; the next ones are measured.
        await asyncio.sleep(EVERY)
        Service.late.clear()
        memory, statuses = [], []
        end = time.monotonic() + 60 * minutes
        while time.monotonic() < end:
            await asyncio.sleep(5)
            memory.append(resident(run.pid))
            at = time.monotonic()
            status = await asyncio.create_subprocess_exec(stride, "status", "--db", db, stdout=subprocess.DEVNULL)
            await status.wait()
            statuses.append(1000 * (time.monotonic() - at))
        late = sorted(Service.late)
        at = lambda share: late[int(share * (len(late) - 1))]
        print(f"polls: {len(late) / (60 * minutes):,.0f} a second; late by {at(0.5):.2f} s (median), {at(0.95):.2f} s (p95), {late[-1]:.2f} s (most)")
        print(f"resident: {max(memory):.1f} MiB at most; status: {statistics.median(statuses):.0f} ms (median), {max(statuses):.0f} ms (most)")
        began = time.monotonic()
        run.send_signal(signal.SIGINT)
        await run.wait()
        print(f"ends {1000 * (time.monotonic() - began):.0f} ms after Ctrl-C")


if __name__ == "__main__":
    stride, files, minutes = (sys.argv[1:] + ["", ""])[:3]
    asyncio.run(main(stride, int(files or 100_000), float(minutes or 2)))
