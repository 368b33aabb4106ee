"""What the program around a run does: threads, signals, wrappers of the function."""

import _thread
import asyncio
import concurrent.futures
import functools
import pickle
import signal
import subprocess
import threading
from pathlib import Path

import pytest

import stride
from stride import _process, _progress, _results

from conftest import Script, lines, status


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


def test_the_starter_of_the_command_may_ignore_its_children(quiet):
    """The commands of --exec have exit codes nevertheless."""
    stride.run(["bystander"], len, **quiet)
    command = [stride.binary(), "run", "--exec-shell", 'echo "$1" >> called; echo 1', "--in-doubt", "hold"]
    command += ["--db", "exec.db", "a", "b", "c"]
    for name in "abc":
        Path(name).touch()
    ignore = lambda: signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # noqa: E731
    run = subprocess.run(command, preexec_fn=ignore, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    assert sorted(lines("called")) == ["a", "b", "c"]
    assert stride.open("exec.db") == {"a": 1, "b": 1, "c": 1}


def test_a_task_needs_no_thread_of_the_loop(quiet):
    """All of them may be busy, also with what waits for the run."""
    release = threading.Event()

    async def main():
        loop = asyncio.get_running_loop()
        loop.set_default_executor(concurrent.futures.ThreadPoolExecutor(1))
        busy = loop.run_in_executor(None, release.wait, 60)
        results = await stride.arun(["a", "b"], str.upper, **quiet)
        assert not busy.done()
        release.set()
        return results.to_dict()

    assert asyncio.run(main()) == {"a": "A", "b": "B"}


def test_a_cancelled_task_waits_for_no_list(quiet):
    called, more = [], threading.Event()

    async def main():
        def files():
            yield "a"
            loop.call_soon_threadsafe(task.cancel)
            more.wait(60)
            yield "b"

        loop = asyncio.get_running_loop()
        task = asyncio.create_task(stride.arun(files(), called.append, **quiet))
        with pytest.raises(asyncio.CancelledError):
            await task
        assert not more.is_set()

    asyncio.run(main())
    more.set()
    assert called == []
    assert stride.run(["bystander"], len, **quiet).complete


def test_a_list_is_read_no_further_than_its_reader(quiet):
    stride.run(["bystander"], len, **quiet)

    def files():
        yield "a"
        (one,) = _process._active
        one._child.kill()
        one.ended.wait()
        yield "b"
        raise AssertionError("nobody reads this")

    with pytest.raises(stride.Error, match="killed by signal 9"):
        stride.run(files(), len, **quiet)


def test_a_function_that_closes_the_pipes_ends_the_run(place):
    text = """
import os
import stride

def call(file):
    os.closerange(3, 100)

stride.run(["a"], call, db="run.db", progress=False)
"""
    code, _, err = Script(text).end()
    assert code == 1 and "Bad file descriptor" in err


def test_a_progress_function_that_blocks_does_not_keep_the_run(quiet, monkeypatch, caplog):
    del quiet["progress"]
    monkeypatch.setattr(_progress, "PATIENCE", 0.01)
    never = threading.Event()
    assert stride.run(["a"], str.upper, progress=lambda status: never.wait(60), **quiet) == {"a": "A"}
    assert "the progress function does not return" in caplog.text
    never.set()


def test_patched_threads_are_refused(quiet, monkeypatch):
    """Those of gevent would wait for the main program, which waits for stride."""
    monkeypatch.setattr(_thread, "start_new_thread", lambda *words: None)
    with pytest.raises(RuntimeError, match="gevent or eventlet has replaced the threads"):
        stride.run(["a"], len, **quiet)


@pytest.mark.parametrize("setting", ["name", "version"])
def test_a_name_and_a_version_are_texts(quiet, setting):
    with pytest.raises(TypeError, match=f"{setting}=3 is a int: use a text"):
        stride.run(["a"], len, **{setting: 3}, **quiet)


def test_an_unknown_class_of_a_verdict_is_named(quiet):
    def call(file):
        raise ValueError("no")

    (failure,) = stride.run(["a"], call, classify=lambda error: stride.Verdict("bogus"), **quiet).failures
    assert "classify returned 'bogus': use one of transient, " in failure.error


def test_a_wait_without_an_end_stops_the_run(quiet):
    def call(file):
        raise stride.Throttled("later", retry_after=1e25)

    with pytest.raises(stride.Halted):
        stride.run(["a"], call, options=["--max-wait", "1h"], **quiet)
    assert status()["attempts"] == 1


def test_processes_in_place_of_threads_are_named_so(place, quiet, monkeypatch):
    Path("several_ways.py").write_text("def call(file):\n    return file.name\n")
    monkeypatch.syspath_prepend(place)
    import several_ways

    stride.run(["a"], several_ways.call, **quiet)
    with pytest.raises(stride.Error, match=r"hint: the way of the calls differs: use processes= as the") as way:
        stride.run(["a", "b"], several_ways.call, processes=1, **quiet)
    assert "--" not in str(way.value).partition("nothing was changed")[2]
    assert stride.run(["a", "b"], several_ways.call, processes=1, accept_change=True, **quiet).complete
