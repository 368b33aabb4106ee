"""The worker's side of the protocol; the test is stride."""

import asyncio
import copy
import dataclasses
import json
import os
import pickle
import threading
import unittest.mock
from decimal import Decimal

import pytest

import stride
from stride import _wire
from stride._async import AsyncWorker
from stride._wire import Channel
from stride._worker import ThreadWorker, identity


class Stride:
    """The other end of the pipes."""

    def __init__(self, worker, call, **more):
        reads, self._calls = os.pipe()
        answers, writes = os.pipe()
        self.answers = os.fdopen(answers, "rb")
        more = {"width": 4, "hello": {"name": "test"}, **more}
        self.worker = worker(Channel(reads, writes), call, **more)
        self._thread = threading.Thread(target=self.worker.serve)
        self._thread.start()

    def send(self, *messages):
        os.write(self._calls, b"".join(json.dumps(message).encode() + b"\n" for message in messages))

    def call(self, call, name="a", **more):
        self.send({"t": "call", "id": call, "name": name, **more})

    def answer(self):
        return json.loads(self.answers.readline())

    def end(self):
        os.close(self._calls)
        self._thread.join()
        self.worker.channel.close()
        self.answers.close()


@pytest.fixture(params=["threads", "tasks"])
def connect(request):
    """Connects a function as threads, and as a coroutine function."""
    made = []

    def connect(call, **more):
        async def task(job):
            return call(job)

        is_thread = request.param == "threads"
        made.append(Stride(ThreadWorker, call, **more) if is_thread else Stride(AsyncWorker, task, **more))
        return made[-1]

    yield connect
    for one in made:
        one.end()


def test_the_worker_chooses_the_protocol_and_says_who_it_is(connect):
    peer = connect(len, hello={"name": "n", "version": "3", "status": True}, width=7)
    peer.send({"t": "hello", "protocol": [1, 2], "later": True})
    expected = {"t": "hello", "protocol": 1, "width": 7, "name": "n", "version": "3", "status": True}
    assert peer.answer() == expected


def test_a_job_is_the_name_and_knows_its_call(connect):
    seen = []

    def call(job):
        seen.append(job)
        return [job.file, job.position, job.attempt, job.key, job.repeat, job.fields, job.timeout, job.cancelled()]

    peer = connect(call)
    more = {"file": "/x/a b", "position": 16, "attempt": 2, "key": "k", "repeat": True, "timeout": 600}
    peer.call(5, "a b", **more, fields={})
    assert peer.answer() == {"t": "done", "id": 5, "json": ["/x/a b", 16, 2, "k", True, {}, 600, False]}
    assert seen[0] == "a b" and type(seen[0].name) is str
    # Each field has a default.
    peer.call(6, "b")
    assert peer.answer()["json"] == ["b", 0, 1, "", False, {}, None, False]


def test_a_row_is_a_dict_with_its_job(connect):
    peer = connect(lambda row: [row["id"], dict(row), row.job.position, row.job])
    peer.call(1, "7", position=3, fields={"id": 7, "é": None})
    assert peer.answer()["json"] == [7, {"id": 7, "é": None}, 3, "7"]


@dataclasses.dataclass
class Point:
    x: int
    other: "list[Point]"


class Model:
    def model_dump(self, mode):
        return {"mode": mode}


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"a": [1, 2.5, None, True]}, b'{"a":[1,2.5,null,true]}'),
        ("é\u2028\n", '"é\u2028\\n"'.encode()),
        ("\udc80", b'"\\udc80"'),
        ((1, "x"), b'[1,"x"]'),
        (None, b"null"),
        (10**30, b"1" + b"0" * 30),
        (Point(1, [Point(2, [])]), b'{"x":1,"other":[{"x":2,"other":[]}]}'),
        (Model(), b'{"mode":"json"}'),
    ],
)
def test_results_are_json_on_one_line(connect, value, expected):
    peer = connect(lambda job: value)
    peer.call(1)
    line = peer.answers.readline()
    assert line == b'{"t":"done","id":1,"json":' + expected + b"}\n"


@pytest.mark.parametrize("value", [b"\x00\n\xff", bytearray(b"\x00\n\xff"), memoryview(b"\x00\n\xff")])
def test_bytes_follow_their_line(connect, value):
    peer = connect(lambda job: value)
    peer.call(1)
    assert peer.answer() == {"t": "done", "id": 1, "bytes": 3, "type": "application/octet-stream"}
    assert peer.answers.read(4) == b"\x00\n\xff\n"


def test_an_answer_has_a_type_a_status_and_a_limit(connect):
    limit = {"remaining": 3, "reset": 20.5}
    peer = connect(lambda job: stride.Answer(b"png" if job == "b" else {"x": 1}, "image/png", status=201, limit=limit))
    peer.call(1, "b")
    more = {"status": 201, "limit": limit}
    assert peer.answer() == {"t": "done", "id": 1, "bytes": 3, "type": "image/png", **more}
    assert peer.answers.read(4) == b"png\n"
    peer.call(2, "j")
    assert peer.answer() == {"t": "done", "id": 2, "json": {"x": 1}, **more}


def test_an_answer_states_its_cost_and_its_weight(connect):
    peer = connect(lambda job: stride.Answer(1, cost=Decimal("0.0021"), weight=1050))
    peer.call(1)
    assert peer.answers.readline() == b'{"t":"done","id":1,"json":1,"cost":0.0021,"weight":1050}\n'
    for wrong in (-1, float("nan"), float("inf")):
        with pytest.raises(ValueError, match="no number of at least zero"):
            stride.Answer(1, cost=wrong)


def test_json_that_is_longer_than_a_line_goes_as_bytes(connect):
    peer = connect(lambda job: "x" * int(job))
    for call, length in enumerate((_wire.MAX_LINE - 2, _wire.MAX_LINE - 1, 3 << 20), 1):
        peer.call(call, str(length))
        line = peer.answers.readline()
        assert len(line) <= 1 << 20
        head = json.loads(line)
        assert ("json" in head) == (length == _wire.MAX_LINE - 2)
        if "bytes" in head:
            assert head["type"] == "application/json"
            assert json.loads(peer.answers.read(head["bytes"] + 1)) == "x" * length


@pytest.mark.parametrize(
    "value, named",
    [
        ({1, 2}, "a set"),
        (float("nan"), "the float nan"),
        (object(), "a object"),
        ({"a": 1j}, "a complex at ['a']"),
        (stride.Answer({1}), "a set"),
    ],
)
def test_a_result_that_is_none_fails_and_names_its_type(connect, value, named):
    peer = connect(lambda job: value)
    peer.call(1)
    answer = peer.answer()
    assert (answer["t"], answer["class"], answer["sent"]) == ("fail", "bad_response", True)
    assert answer["message"] == f"the function returned {named}: return what JSON has, or bytes"


class BadModel:
    def model_dump(self, mode):
        raise RuntimeError("no dump")

    def __repr__(self):
        raise RuntimeError("no text")


class BadKey(float):
    def __repr__(self):
        raise RuntimeError("no text")


@pytest.mark.parametrize("value", [BadModel(), {BadKey(1): object()}, {"a": [BadModel()]}])
def test_a_result_that_cannot_be_made_fails_at_once(connect, value):
    peer = connect(lambda job: value if job == "bad" else 1, width=1)
    for number in (1, 3, 5):
        peer.call(number, "bad")
        answer = peer.answer()
        assert (answer["id"], answer["t"], answer["class"]) == (number, "fail", "bad_response")
    # The threads live.
    peer.call(7, "good")
    assert peer.answer() == {"t": "done", "id": 7, "json": 1}


def unreadable(**attributes):
    """Returns an exception with odd attributes."""
    return type("Odd", (Exception,), attributes)("odd")


@pytest.mark.parametrize(
    ("error", "cls"),
    [
        (unreadable(args=None), "rejected"),
        (unreadable(exceptions=7), "rejected"),
        (unreadable(response={"ResponseMetadata": None, "Error": None}), "rejected"),
        (unreadable(response={"ResponseMetadata": {"HTTPStatusCode": 500}, "Error": "x"}), "transient"),
        (unreadable(__mro__=None, __cause__=property(lambda self: 1 / 0)), "rejected"),
        (stride.Verdict("rejected", body=b"bytes"), "rejected"),
        (stride.Throttled("wait", retry_after=float("inf")), "throttled"),
        (stride.Throttled("wait", retry_after=float("nan")), "throttled"),
        (unreadable(status=503, headers={"Retry-After": "inf"}), "transient"),
        (unreadable(status=429, headers={"Retry-After": "nan"}), "throttled"),
    ],
    ids=repr,
)
def test_an_exception_that_cannot_be_read_fails_at_once(connect, error, cls):
    def call(job):
        if job == "good":
            return 1
        raise error if isinstance(error, Exception) else KeyError("x")

    classifier = None if isinstance(error, Exception) else lambda raised: error
    peer = connect(call, width=1, classify=classifier)
    peer.call(1)
    answer = peer.answer()
    assert (answer["t"], answer["class"], "retry_after" in answer) == ("fail", cls, False)
    peer.call(3, "good")
    assert peer.answer() == {"t": "done", "id": 3, "json": 1}


def test_a_classifier_that_exits_ends_the_program(connect):
    def call(job):
        raise KeyError("x")

    def leave(error):
        raise SystemExit(3)

    peer = connect(call, classify=leave)
    peer.call(1)
    assert peer.answer() == {"t": "stop"}
    assert peer.answer()["t"] == "fail" and isinstance(peer.worker.fatal, SystemExit)


def test_a_failure_says_what_the_exception_says(connect):
    def call(job):
        raise stride.Throttled("slow down", retry_after=2.5, status=429)

    peer = connect(call)
    peer.call(1)
    answer = peer.answer()
    body = answer.pop("body")
    assert "test_wire.py" in body and " in call: raise stride.Throttled(" in body
    expected = {"class": "throttled", "sent": True, "kind": "Throttled", "message": "slow down"}
    assert answer == {"t": "fail", "id": 1, "retry_after": 2.5, "status": 429, **expected}


def test_a_classifier_takes_precedence(connect):
    def call(job):
        raise KeyError(job.name)

    words = {
        "word": "transient",
        "none": None,
        "verdict": stride.Verdict("quota", None, message="m"),
        "error": stride.Auth("no"),
        "wrong": "unknown",
    }
    peer = connect(call, classify=lambda error: words[error.args[0]])
    for number, name in enumerate(words, 1):
        peer.call(number, name)
    answers = {answer["id"]: answer for answer in (peer.answer() for _ in words)}
    found = [(answers[number]["class"], answers[number]["sent"]) for number in range(1, 6)]
    assert found == [("transient", True), ("rejected", True), ("quota", None), ("auth", True), ("rejected", True)]
    assert "use one of transient, throttled" in answers[5]["message"]


def test_a_job_may_be_copied_and_go_to_another_process(connect):
    taken = []
    peer = connect(taken.append)
    peer.call(1, "a", key="k")
    peer.call(3, "b", fields={"x": [1]})
    for _ in range(2):
        peer.answer()
    job, row = sorted(taken, key=lambda one: isinstance(one, dict))
    for copied in (copy.copy(job), copy.deepcopy(job), copy.deepcopy(row).job):
        copied.beat()
        assert peer.answer() == {"t": "beat", "id": copied._id}
    there = pickle.loads(pickle.dumps([job, row]))
    assert there == [job, row] and there[0].key == "k" and there[1].job.fields == {"x": [1]}
    there[0].beat()
    assert not there[1].job.cancelled()


def test_cancel_reaches_the_call():
    entered, noticed = threading.Event(), []

    def call(job):
        entered.set()
        while not job.cancelled():
            threading.Event().wait(0.001)
        noticed.append(job.name)

    peer = Stride(ThreadWorker, call)
    peer.call(1)
    entered.wait()
    peer.send({"t": "cancel", "id": 1})
    assert peer.answer()["json"] is None and noticed == ["a"]
    peer.end()


def test_cancel_cancels_a_task_which_is_then_in_doubt():
    async def call(job):
        job.beat()
        await asyncio.Event().wait()

    peer = Stride(AsyncWorker, call)
    peer.call(1)
    assert peer.answer() == {"t": "beat", "id": 1}
    peer.send({"t": "cancel", "id": 1})
    answer = peer.answer()
    assert (answer["t"], answer["class"], answer["sent"]) == ("fail", "transient", None)
    peer.end()


def test_calls_run_at_the_same_time_up_to_the_width(connect):
    width = 3
    together = threading.Barrier(width)
    peer = Stride(ThreadWorker, lambda job: together.wait(30), width=width)
    for call in range(1, 2 * width + 1):
        peer.call(call)
    assert sorted(peer.answer()["id"] for _ in range(2 * width)) == list(range(1, 2 * width + 1))
    peer.end()


def test_answers_of_many_threads_stay_whole():
    peer = Stride(ThreadWorker, lambda job: job.name * 20_000, width=16)
    calls = range(1, 401)
    feeder = threading.Thread(target=lambda: [peer.call(call, chr(97 + call % 26)) for call in calls])
    feeder.start()
    answers = [peer.answer() for _ in calls]
    feeder.join()
    assert sorted(answer["id"] for answer in answers) == list(calls)
    assert all(answer["json"] == chr(97 + answer["id"] % 26) * 20_000 for answer in answers)
    peer.end()


def test_messages_may_come_in_pieces(connect):
    peer = connect(lambda job: job.name)
    text = json.dumps({"t": "call", "id": 1, "name": "é\udc80"}, ensure_ascii=True).encode()
    for byte in text + b"\n":
        os.write(peer._calls, bytes([byte]))
    assert peer.answer()["json"] == "é\udc80"


def test_a_program_that_ends_itself_stops_the_run(connect):
    def call(job):
        raise SystemExit(3)

    peer = connect(call)
    peer.call(1)
    assert peer.answer() == {"t": "stop"}
    answer = peer.answer()
    assert (answer["class"], answer["sent"]) == ("transient", None)
    assert isinstance(peer.worker.fatal, SystemExit)


def test_functions_have_names():
    import functools

    class Callable:
        def __call__(self, file):
            pass

    def inner(file):
        pass

    here = "test_wire:test_functions_have_names.<locals>"
    calls = (inner, functools.partial(functools.partial(inner)), Callable(), len, unittest.mock.MagicMock())
    own = [f"{here}.inner", f"{here}.inner", f"{here}.Callable"]
    assert [identity(call) for call in calls] == [*own, "builtins:len", "unittest.mock:MagicMock"]
