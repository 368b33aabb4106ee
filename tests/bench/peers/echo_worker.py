"""A worker that answers each call at once with its name. With `feed CALLS`, feeds itself as stride does, with 64 calls out
at a time: the limit of the pipes."""

import json
import os
import subprocess
import sys

WIDTH = 64


def lines_of(descriptor):
    rest = b""
    while piece := os.read(descriptor, 65536):
        *lines, rest = (rest + piece).split(b"\n")
        yield lines


def work():
    for lines in lines_of(0):
        out = []
        for line in lines:
            message = json.loads(line)
            if message["t"] == "call":
                out.append(json.dumps({"t": "done", "id": message["id"], "json": message["name"]}))
            elif message["t"] == "hello":
                out.append(json.dumps({"t": "hello", "protocol": 1, "name": "echo", "width": WIDTH}))
            else:
                return
        if out:
            os.write(1, "".join(line + "\n" for line in out).encode())


def feed(calls):
    worker = subprocess.Popen([sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def call(number):
        return b'{"t":"call","id":%d,"name":"files/%09d","file":"/tmp/files/%09d","attempt":1,"fields":{}}\n' % (
            number,
            number,
            number,
        )

    to = worker.stdin.fileno()
    os.write(to, b'{"t":"hello","protocol":[1]}\n' + b"".join(call(n) for n in range(WIDTH)))
    sent, answered = WIDTH, -1
    for lines in lines_of(worker.stdout.fileno()):
        answered += len(lines)
        more = min(answered + WIDTH, calls)
        if more > sent:
            os.write(to, b"".join(call(n) for n in range(sent, more)))
            sent = more
        if answered >= calls:
            break
    worker.stdin.close()
    worker.wait()


if sys.argv[1:2] == ["feed"]:
    feed(int(sys.argv[2]))
else:
    work()
