"""Items a second for a Python function: stride.run beside batchledger, joblib.Memory and the plain script.

    pip install . batchledger==0.1.0 joblib==1.6.0
    python tests/bench/functions.py --rounds 3

Each program runs in a process and a folder of its own, in turns, so that a slow phase of the machine affects all of
them. The slow ones get fewer items. Run nothing else meanwhile.
"""
# ruff: noqa: RUF001

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from threading import Thread

THREADS = 64


def trivial(file):
    return {"label": "positive", "score": 0.9}


def slow(file):
    time.sleep(0.05)
    return {"label": "positive", "score": 0.9}


async def slow_task(file):
    await asyncio.sleep(0.05)
    return {"label": "positive", "score": 0.9}


def stride_run(files, call, threads=THREADS):
    import stride

    results = stride.run(files, call, threads=threads, db="run.db", rate="none", progress=False)
    assert results.complete


def plain_script(files, call):
    store = {}

    def work(chunk):
        for file in chunk:
            store[file] = call(file)

    threads = [Thread(target=work, args=(files[i::THREADS],)) for i in range(THREADS)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    with open("results.json", "w") as out:
        json.dump(store, out)


def batchledger(files, call):
    from batchledger import Ledger

    with Ledger("ledger.sqlite", namespace="bench", version="1") as ledger:
        assert sum(1 for _ in ledger.map(call, files)) == len(files)


def joblib_memory(files, call):
    from joblib import Memory

    cached = Memory("cache", verbose=0).cache(call)
    assert len([cached(file) for file in files]) == len(files)


# name: program, function, items, what is stored
PROGRAMS = {
    "stride.run": (stride_run, trivial, 20_000, "every call and result synced"),
    "plain script, 64 threads": (plain_script, trivial, 20_000, "results in memory until the end"),
    "batchledger": (batchledger, trivial, 1_000, "a synced commit an item"),
    "joblib.Memory": (joblib_memory, trivial, 1_000, "a file an item, not synced"),
    "stride.run, 50 ms": (stride_run, slow, 6_400, "1,280 items/s at most"),
    "plain script, 50 ms": (plain_script, slow, 6_400, "1,280 items/s at most"),
    "stride.run, async, 1,000 of 50 ms": (
        lambda files, call: stride_run(files, call, 1000),
        slow_task,
        20_000,
        "20,000 items/s at most",
    ),
}


def turn(name):
    """Runs a program in this process. Prints items a second and microseconds of this process's processors an item."""
    program, call, count, _ = PROGRAMS[name]
    files = [f"texts/{number}.txt" for number in range(count)]
    start, used = time.perf_counter(), time.process_time()
    program(files, call)
    used = time.process_time() - used
    print(json.dumps([count / (time.perf_counter() - start), used / count * 1e6]))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--turn", choices=PROGRAMS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.turn:
        turn(options.turn)
        return
    found = {name: [] for name in PROGRAMS}
    for _ in range(options.rounds):
        for name in PROGRAMS:
            os.sync()
            # Below the current folder: /tmp may be memory, which syncs for nothing.
            with tempfile.TemporaryDirectory(dir=".") as folder:
                words = [sys.executable, os.path.abspath(__file__), "--turn", name]
                run = subprocess.run(words, cwd=folder, stdout=subprocess.PIPE, text=True)
            if run.returncode == 0:
                found[name].append(json.loads(run.stdout))
    print("| program | items | median items/s | min–max | Python µs each | note |")
    print("| --- | ---: | ---: | ---: | ---: | --- |")
    for name, turns in found.items():
        _, _, count, note = PROGRAMS[name]
        if not turns:
            print(f"| {name} | {count:,} | - | - | - | it failed or is not installed |")
            continue
        rates, used = zip(*turns)
        middle, spread = statistics.median(rates), f"{min(rates):,.0f}–{max(rates):,.0f}"
        print(f"| {name} | {count:,} | {middle:,.0f} | {spread} | {statistics.median(used):.1f} | {note} |")


if __name__ == "__main__":
    main()
