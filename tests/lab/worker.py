"""A worker of the laboratory: it calls the service, and sometimes crashes, hangs or answers late.

Arguments: the URL of a list of the service, and a file that gets a line before each crash and each hang.
"""

import http.client
import json
import os
import random
import sys
import threading
from urllib.parse import urlsplit

URL = urlsplit(sys.argv[1])
DEEDS = {"": 120, "dies before": 1, "dies after": 1, "dies within": 1, "late": 2, "hangs": 0.3}
lock = threading.Lock()
cancelled = {}


def write(data):
    while data:
        data = data[os.write(1, data) :]


def say(**message):
    with lock:
        write(json.dumps(message).encode() + b"\n")


def note(deed):
    with open(sys.argv[2], "a") as notes:
        notes.write(deed + "\n")


def answer(call):
    name = os.path.basename(call["name"])
    connection = http.client.HTTPConnection(URL.netloc)
    connection.request("GET", f"{URL.path}{name}", headers={"Idempotency-Key": call["key"]})
    return json.load(connection.getresponse())


def serve(call):
    number = call["id"]
    deed = random.choices(list(DEEDS), DEEDS.values())[0]
    if deed.startswith(("dies", "hangs")):
        note(deed)
    if deed == "dies before":
        os.kill(os.getpid(), 9)
    result = answer(call)
    if deed == "dies after":
        os.kill(os.getpid(), 9)
    if deed == "dies within":
        with lock:
            write(b'{"t":"done","id":%d,"bytes":100}\n{' % number)
            os.kill(os.getpid(), 9)
    if deed == "hangs":
        threading.Event().wait()
    if deed == "late":
        cancelled[number].wait()
    say(t="done", id=number, json=result)


for line in sys.stdin:
    message = json.loads(line)
    if message["t"] == "hello":
        say(t="hello", protocol=1, name="lab", width=2)
    elif message["t"] == "call":
        cancelled[message["id"]] = threading.Event()
        threading.Thread(target=serve, args=[message], daemon=True).start()
    elif message["t"] == "cancel":
        cancelled[message["id"]].set()
    elif message["t"] == "bye":
        break
