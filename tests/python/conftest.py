"""What the tests of the Python package share."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import stride

ROOT = Path(__file__).parents[2]
PACKAGE = Path(stride.__file__).parent

# A shell lets its background jobs ignore Ctrl-C, which programs inherit. A handler is not inherited.
signal.signal(signal.SIGINT, signal.default_int_handler)


def program(*words: str, code: int = 0) -> str:
    """Runs the program, checks its exit code and returns what it writes to stdout."""
    run = subprocess.run([stride.binary(), *words], capture_output=True, text=True, stdin=subprocess.DEVNULL)
    assert run.returncode == code, run.stderr
    return run.stdout


def status(db: str = "run.db") -> dict:
    return json.loads(program("status", "--json", "--db", db))


def wait_for(condition):
    """Waits until a condition of other processes holds, and returns its value. It fails after a minute."""
    end = time.monotonic() + 60
    while not (value := condition()):
        assert time.monotonic() < end, "the condition does not come"
        time.sleep(0.005)
    return value


def lines(path: str) -> list:
    """Returns the whole lines of a file that may not exist yet."""
    try:
        text = Path(path).read_text()
    except FileNotFoundError:
        return []
    return text[: text.rfind("\n") + 1].splitlines()


class Script:
    """A Python program in a process of its own."""

    def __init__(self, text: str, name: str = "script.py") -> None:
        Path(name).write_text(text)
        # The program gets Ctrl-C from the test and not from the terminal of the test.
        self.process = subprocess.Popen(
            [sys.executable, name],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def end(self) -> tuple:
        """Waits for its end. Returns exit code, stdout and stderr."""
        out, err = self.process.communicate(timeout=120)
        return self.process.returncode, out, err


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    """A folder for each test, which is the current one."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("STRIDE_DB", raising=False)
    return tmp_path


@pytest.fixture
def quiet():
    """Settings that show no progress."""
    return {"db": "run.db", "progress": False}


def children() -> set:
    """Returns the ids of the processes that this one has started and not yet awaited."""
    found = set()
    for task in os.listdir("/proc/self/task"):
        found |= set(Path(f"/proc/self/task/{task}/children").read_text().split())
    return found
