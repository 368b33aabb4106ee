"""Ctrl-C, and kills of Python, of stride and of both at random moments."""

import os
import random
import signal
import sqlite3
import time
from pathlib import Path

import pytest

import stride

from conftest import Script, lines, program, status, wait_for

# Each call notes that it has begun and that it has ended, in a file that survives any kill.
SCRIPT = """
import os, sys, threading, time
import stride

log = os.open("calls", os.O_WRONLY | os.O_CREAT | os.O_APPEND)

def call(file):
    os.write(log, f"begin {file} {file.attempt} {file.key}\\n".encode())
    PAUSE
    os.write(log, f"end {file} {file.attempt}\\n".encode())
    return {"of": file}

if __name__ == "__main__":
    files = [str(number) for number in range(COUNT)]
    settings = {"threads": 4, "db": "run.db", "progress": False, "rate": "none", "name": "call"}
    try:
        results = stride.run(files, call, **settings)
    except KeyboardInterrupt as stop:
        print(stop.results.in_doubt)
        raise
    print(len(results), results.complete)
"""


def script(count: int, pause: str) -> Script:
    return Script(SCRIPT.replace("COUNT", str(count)).replace("PAUSE", pause))


def calls(word: str) -> list:
    return [line.split()[1:] for line in lines("calls") if line.startswith(word)]


def is_alive(pid: int) -> bool:
    try:
        # A zombie is dead. Its parent may be the init process of a container, which does not wait for it.
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def runner() -> int:
    """Returns the process that works on the run, and 0 if none does."""
    return status()["pid"] or 0 if Path("run.db").exists() else 0


def test_ctrl_c_lets_calls_in_flight_end():
    run = script(2000, "time.sleep(0.02)")
    wait_for(lambda: len(calls("end")) >= 8)
    os.killpg(run.process.pid, signal.SIGINT)
    code, _, err = run.end()
    assert code == -signal.SIGINT, err
    done = len(calls("end"))
    assert len(calls("begin")) == done < 2000
    assert err.splitlines()[-1].endswith(f"{done:,} of 2,000 files done; the same call continues"), err
    counts = status()
    assert (counts["done"], counts["running"], counts["in_doubt"]) == (done, 0, 0)
    code, out, _ = script(2000, "").end()
    assert (code, out) == (0, "2000 True\n")
    assert len(calls("begin")) == 2000


def test_a_second_ctrl_c_ends_the_run_at_once():
    run = script(40, "time.sleep(3600)")
    wait_for(lambda: len(calls("begin")) == 4)
    os.killpg(run.process.pid, signal.SIGINT)
    waiting = "stopping: waiting for the calls in flight; Ctrl-C again ends at once and leaves them in doubt\n"
    assert run.process.stderr.readline() == waiting
    start = time.monotonic()
    os.killpg(run.process.pid, signal.SIGINT)
    run.process.wait()
    assert time.monotonic() - start < 10
    code, out, err = run.end()
    assert code == -signal.SIGINT, err
    counts = status()
    assert (counts["running"], counts["in_doubt"], counts["done"]) == (0, 4, 0)
    told, _, names = err.splitlines()[0].partition(": ")
    assert told == "4 files in doubt, because their calls were cut off", err
    assert sorted(names.split(", ")) == ["0", "1", "2", "3"]
    assert script(40, "").end()[0] == 0
    assert out == "['0', '1', '2', '3']\n"
    # The same key says to the service that it may know the call.
    keys = {name: set() for name, *_ in calls("begin")}
    for name, _, key in calls("begin"):
        keys[name].add(key)
    assert len(calls("begin")) == 44 and all(len(key) == 1 for key in keys.values())


def test_the_exception_has_the_results():
    text = """
import os, signal, threading
import stride

def call(file):
    if file == "5":
        os.kill(os.getpid(), signal.SIGINT)
    return 1

try:
    stride.run(map(str, range(50_000)), call, threads=1, db="run.db", progress=False)
except KeyboardInterrupt as stop:
    print(type(stop).__name__, 5 < len(stop.results) < 50_000, stop.results.complete)
"""
    code, out, err = Script(text).end()
    assert (code, out) == (0, "KeyboardInterrupt True False\n"), err


@pytest.mark.parametrize("moment", ["subprocess.Popen.__init__", "threading.Thread.start"])
def test_ctrl_c_within_the_start_leaves_no_process(moment):
    text = f"""
import os, signal, subprocess, threading
import stride

def call(file):
    return 1

stride.run(["bystander"], call, db="run.db", progress=False)
real = {moment}

def interrupted(self, *words, **more):
    real(self, *words, **more)
    if threading.current_thread() is threading.main_thread():
        {moment} = real
        os.kill(os.getpid(), signal.SIGINT)

{moment} = interrupted
try:
    stride.run(map(str, range(50_000)), call, db="run.db", progress=False)
except KeyboardInterrupt as stop:
    print(type(stop).__name__, stop)
assert stride.run(["bystander"], call, db="run.db", progress=False).complete
"""
    code, out, err = Script(text).end()
    assert (code, out, err) == (0, "KeyboardInterrupt 1 of 1 files done; the same call continues\n", "")
    assert runner() == 0


def test_ctrl_c_within_the_start_of_a_task_leaves_no_process():
    text = """
import asyncio, os, signal, subprocess
import stride

def call(file):
    return 1

stride.run(["bystander"], call, db="run.db", progress=False)
real = subprocess.Popen.__init__

def interrupted(self, *words, **more):
    real(self, *words, **more)
    subprocess.Popen.__init__ = real
    os.kill(os.getpid(), signal.SIGINT)

subprocess.Popen.__init__ = interrupted
loop = asyncio.new_event_loop()
try:
    loop.run_until_complete(stride.arun(map(str, range(50_000)), call, db="run.db", progress=False))
except KeyboardInterrupt:
    print("stopped")
assert stride.run(["bystander"], call, db="run.db", progress=False).complete
"""
    code, out, err = Script(text).end()
    assert (code, out, err) == (0, "stopped\n", "")
    assert runner() == 0


def test_a_second_ctrl_c_at_any_moment_is_one():
    """A wait in Python would meet it between its own steps, and raise another exception."""
    text = """
import os, signal, sys
import stride

def call(file):
    global is_stopping
    if file == "5":
        is_stopping = True
        os.kill(os.getpid(), signal.SIGINT)
    return 1

def trace(frame, event, arg):
    if is_stopping and frame.f_code.co_name == "_acquire_restore":
        sys.settrace(None)
        raise KeyboardInterrupt

is_stopping = False
sys.settrace(trace)
try:
    stride.run(map(str, range(50_000)), call, threads=1, db="run.db", progress=False)
except BaseException as stop:
    print(type(stop).__name__, stop.results.complete)
"""
    code, out, err = Script(text).end()
    assert (code, out) == (0, "KeyboardInterrupt False\n"), err


def test_a_warning_with_a_date_is_shown():
    text = """
import stride
stride.run(["a"], len, db="run.db", progress=False, options=["--min-free", "100000GiB"])
"""
    run = Script(text)
    assert run.process.stderr.readline().startswith("warning: little disk space")
    os.killpg(run.process.pid, signal.SIGINT)
    assert run.end()[0] == -signal.SIGINT


def test_ctrl_c_under_pytest():
    text = """
import os, signal
import pytest, stride

def call(file):
    if file == "5":
        os.kill(os.getpid(), signal.SIGINT)
    return 1

def test_run():
    stride.run(map(str, range(50_000)), call, threads=1, db="run.db", progress=False)

# pytest imports this file.
if __name__ == "__main__":
    pytest.main(["-q", "-p", "no:cacheprovider", __file__])
"""
    _, out, _ = Script(text).end()
    assert "KeyboardInterrupt" in out and "the same call continues" in out
    assert 5 < status()["done"] < 50_000 and status()["in_doubt"] == 0


def test_ctrl_c_in_a_notebook():
    nbclient = pytest.importorskip("nbclient")
    import nbformat

    cells = [
        "import asyncio, os, signal, stride\n"
        "async def call(file):\n"
        "    await asyncio.sleep(0)\n"
        "    if file == '5' and not os.path.exists('again'):\n"
        "        os.kill(os.getpid(), signal.SIGINT)\n"
        "    return file.position\n"
        "files = [str(number) for number in range(300)]\n"
        "def run():\n"
        "    return stride.run(files, call, threads=2, db='run.db', progress=False)",
        "try:\n    run()\nexcept KeyboardInterrupt as stop:\n    print('stopped', stop.results.complete)",
        "open('again', 'w').close()\nprint(run() == {file: int(file) for file in files})",
        "print((await stride.arun(files, call, db='run.db', progress=False)).complete)",
    ]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    nbclient.NotebookClient(notebook, timeout=120).execute()
    texts = ["".join(out.get("text", "") for out in cell.outputs if out.name == "stdout") for cell in notebook.cells]
    assert texts[1:] == ["stopped False\n", "True\n", "True\n"]
    assert json_name() == "notebook:call"


def json_name() -> str:
    import json

    return json.loads(program("status", "--json", "--db", "run.db"))["call"]["name"]


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_run_in_processes_ends_with_its_program(number):
    """Its processes make no calls without an owner, and the same call continues."""
    text = SCRIPT.replace('"threads": 4', '"threads": 4, "processes": 2').replace("COUNT", "40")
    run = Script(text.replace("PAUSE", "time.sleep(3600)"))
    wait_for(lambda: len(calls("begin")) == 4)
    pid = runner()
    os.kill(run.process.pid, number)
    assert run.end()[0] == -number
    wait_for(lambda: not is_alive(pid))
    assert (len(calls("begin")), status()["in_doubt"]) == (4, 4)
    code, out, err = Script(text.replace("PAUSE", "")).end()
    assert (code, out) == (0, "40 True\n"), err
    assert len(calls("begin")) == 44


def test_the_next_start_names_the_calls_in_doubt():
    run = script(6, "time.sleep(3600)")
    wait_for(lambda: len(calls("begin")) == 4)
    pid = runner()
    os.kill(pid, signal.SIGKILL)
    assert run.end()[0] == 1
    code, _, err = script(6, "").end()
    assert code == 0
    told, _, names = err.splitlines()[0].partition("died: ")
    assert told == "recovered: 4 calls in flight when the last run ", err
    assert sorted(names.split(", ")) == ["0", "1", "2", "3"]


def test_the_next_start_names_the_calls_in_doubt_also_if_only_python_died():
    """stride then ends in order and says it, but nobody hears that."""
    run = script(6, "time.sleep(3600)")
    wait_for(lambda: len(calls("begin")) == 4)
    pid = runner()
    run.process.kill()
    run.end()
    wait_for(lambda: not is_alive(pid))
    code, _, err = script(6, "").end()
    assert code == 0
    told, _, names = err.splitlines()[0].partition("; called again: ")
    assert told == "4 files in doubt, because the last run got no answer", err
    assert sorted(names.split(", ")) == ["0", "1", "2", "3"]
    assert script(6, "").end() == (0, "6 True\n", "")


@pytest.mark.parametrize("victims", ["python", "stride", "both"])
def test_kills_at_random_moments(victims):
    """Ten kills: each call is recorded before it begins, and each file has one result."""
    draw = random.Random(victims)
    count, kills, threads = 4000, 10, 4
    for kill in range(kills):
        before = len(calls("begin"))
        run = script(count, "time.sleep(0.001)")
        pid = wait_for(runner)
        goal = before + draw.randrange(1, 120)
        wait_for(lambda goal=goal: len(calls("begin")) >= goal)
        if victims in ("stride", "both"):
            os.kill(pid, signal.SIGKILL)
        if victims in ("python", "both"):
            run.process.kill()
        code, _, err = run.end()
        if victims == "stride":
            assert code == 1 and "stride was killed by signal 9; the same call continues" in err
        # The runner ends by itself when the program has died.
        wait_for(lambda pid=pid: not is_alive(pid))
        assert len(calls("begin")) < count, f"nothing was left for kill {kill}"
    code, out, err = script(count, "").end()
    assert (code, out) == (0, f"{count} True\n"), err
    assert stride.open("run.db") == {str(number): {"of": str(number)} for number in range(count)}
    with sqlite3.connect("run.db") as run:
        recorded = run.execute("SELECT path, number, outcome, idempotency_key FROM attempts").fetchall()
    known = {(name, str(number)) for name, number, *_ in recorded}
    begun = [(name, number) for name, number, _ in calls("begin")]
    assert set(begun) <= known and len(set(begun)) == len(begun)
    # A call is repeated only if its last attempt is in doubt or was not sent, and doubt is bounded.
    last = {}
    for name, number, outcome, _ in sorted(recorded):
        assert name not in last or last[name] in ("in_doubt", "interrupted", "not_sent")
        last[name] = outcome
        assert number >= 1
    assert set(last.values()) == {"succeeded"}
    assert sum(outcome == "in_doubt" for _, _, outcome, _ in recorded) <= kills * threads
    program("verify", "--db", "run.db")
