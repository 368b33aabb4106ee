"""A worker that does what the files say: each is a piece of Python.

Arguments: the width, and a file to which each call's name is appended.
"""

import json
import os
import sys
import time

WIDTH = int(sys.argv[1]) if len(sys.argv) > 1 else 1
LOG = sys.argv[2] if len(sys.argv) > 2 else "/dev/null"
NAME = os.environ.get("WORKER_NAME")
VERSION = os.environ.get("WORKER_VERSION")


def raw(data):
    if isinstance(data, str):
        data = data.encode()
    while data:
        data = data[os.write(1, data):]


def send(**message):
    raw(json.dumps(message) + "\n")


def note(word):
    with open(LOG, "a") as log:
        log.write(f"{word}\n")


def obey(call):
    number = call["id"]

    def done(**answer):
        send(t="done", id=number, **answer)

    def fail(**failure):
        send(t="fail", id=number, **failure)

    note(call["name"])
    with open(call["file"]) as script:
        exec(script.read(), {**globals(), **locals()})


for line in sys.stdin:
    message = json.loads(line)
    if message["t"] == "hello":
        send(t="hello", protocol=1, name=NAME, version=VERSION, width=WIDTH)
    elif message["t"] == "call":
        obey(message)
    elif message["t"] == "cancel":
        note(f"cancel {message['id']}")
    elif message["t"] == "bye":
        note("bye")
        print("so long", file=sys.stderr)
        sys.exit(0)
