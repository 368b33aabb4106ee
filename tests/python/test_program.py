"""What the program around a run does: threads, signals, wrappers of the function."""

import concurrent.futures
import functools
import pickle
import sys
import threading
from pathlib import Path

import pytest

import stride
from stride import _results

from conftest import Script, program


def test_the_first_use_may_be_in_several_threads(quiet, monkeypatch):
    """Each thread that found no snapshot would read the lines into the same arrays."""
    files = [str(number) for number in range(50)]
    results = stride.run(files, lambda file: int(file), **quiet)
    reads, second = [], threading.Event()
    real = _results._temporary

    def slow(db):
        reads.append(db)
        # With a second reader, this one goes on when that has begun.
        second.wait(0.2) if len(reads) == 1 else second.set()
        return real(db)

    monkeypatch.setattr(_results, "_temporary", slow)
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        found = list(pool.map(results.__getitem__, files))
    assert found == list(range(50)) and len(reads) == 1


def test_ctrl_c_in_the_first_use_leaves_no_half_of_it(quiet, monkeypatch):
    files = [str(number) for number in range(50)]
    stride.run(["bystander"], lambda file: -1, name="n", **quiet)
    results = stride.run(files, lambda file: int(file), name="n", **quiet)
    real = _results._HEAD

    class Interrupted:
        def match(self, line):
            if b'"file":"30"' in line:
                raise KeyboardInterrupt
            return real.match(line)

    monkeypatch.setattr(_results, "_HEAD", Interrupted())
    with pytest.raises(KeyboardInterrupt):
        results["3"]
    monkeypatch.undo()
    assert results == {file: int(file) for file in files}
    assert results.complete and list(results) == files


def test_results_go_to_another_process_also_after_their_first_use(quiet):
    results = stride.run(["a", "b"], str.upper, **quiet)
    assert results["a"] == "A"
    stride.run(["c"], str.upper, **quiet)
    assert pickle.loads(pickle.dumps(results)) == {"a": "A", "b": "B"}


WRAPPED = """
import functools

def plain(file):
    return "plain"

def signed(call):
    @functools.wraps(call)
    def inner(file):
        return "signed " + call(file)
    return inner

api = signed(plain)

@signed
def known(file):
    return file.name

class Client:
    def call(self, file):
        return "method"

    @classmethod
    def make(cls, file):
        return cls.__name__

method = Client().call

def judge(error):
    return "input"

judged = signed(judge)
"""


def test_processes_call_the_function_that_was_given(place, quiet, monkeypatch):
    """A name may belong to another function than the one that has it: of what a decorator returned, or of a class."""
    Path("wrapped.py").write_text(WRAPPED)
    monkeypatch.syspath_prepend(place)
    import wrapped

    assert stride.run(["a"], wrapped.known, processes=1, **quiet) == {"a": "signed a"}
    assert stride.run(["a"], wrapped.Client.make, processes=1, db="class.db", progress=False) == {"a": "Client"}
    for call, more in (
        (wrapped.api, {}),
        (wrapped.method, {}),
        (functools.partial(wrapped.plain), {}),
        (wrapped.plain, {"classify": wrapped.judged}),
    ):
        with pytest.raises(ValueError, match=r"cannot import: define it at the top of a module by this name"):
            stride.run(["a"], call, processes=1, db="no.db", progress=False, **more)
    assert not Path("no.db").exists()


def test_processes_of_a_script_without_an_ending(place):
    text = """
import stride

def call(file):
    return file.name

if __name__ == "__main__":
    print(stride.run(["a", "b"], call, processes=1, db="run.db", progress=False).to_dict())
"""
    code, out, err = Script(text, "tool").end()
    assert (code, out) == (0, "{'a': 'a', 'b': 'b'}\n"), err


def test_a_program_that_ignores_its_children_is_told(quiet):
    """The exit code of stride would be lost, and 0 is what Popen says then."""
    stride.run(["bystander"], len, name="n", **quiet)
    text = """
import signal
import stride

results = stride.open("run.db")
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
for act in (
    lambda: stride.run(["a"], len, db="run.db", progress=False, max_calls=0),
    lambda: results["bystander"],
):
    try:
        act()
    except (RuntimeError, stride.Error) as error:
        print(type(error).__name__, "signal.signal(signal.SIGCHLD, signal.SIG_DFL)" in str(error))
"""
    assert Script(text).end() == (0, "RuntimeError True\nError True\n", "")


def test_another_part_of_the_program_may_wait_for_stride(quiet):
    text = """
import os, threading, time
import stride

def reap():
    while True:
        try:
            os.waitpid(-1, 0)
        except ChildProcessError:
            time.sleep(0.001)

threading.Thread(target=reap, daemon=True).start()
for _ in range(50):
    try:
        stride.open("none.db")
        raise SystemExit("a missing run is none")
    except stride.Error:
        pass
"""
    assert Script(text).end() == (0, "", "")


def test_the_first_runs_may_be_in_several_threads(place):
    text = """
import concurrent.futures, threading
import stride

begin = threading.Barrier(6)

def one(number):
    begin.wait()
    return stride.run(["a"], len, db=f"{number}.db", progress=False).complete

with concurrent.futures.ThreadPoolExecutor(6) as pool:
    print(all(pool.map(one, range(6))))
"""
    assert Script(text).end() == (0, "True\n", "")
