"""Runs with the real program."""

import asyncio
import json
import linecache
import os
import sqlite3
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

import stride

from conftest import ROOT, Script, children, program, status

FILES = [f"texts/{number}.txt" for number in range(20)]


def label(file):
    return {"label": f"of {file}"}


def attempts(db="run.db"):
    """Returns the recorded calls: name, number, outcome."""
    with sqlite3.connect(db) as run:
        return run.execute("SELECT path, number, outcome FROM attempts ORDER BY started").fetchall()


def test_the_results_are_a_mapping_in_the_order_of_the_list(quiet):
    results = stride.run(FILES, label, threads=5, **quiet)
    assert results == {file: label(file) for file in FILES}
    assert list(results) == FILES and len(results) == 20 and results.complete
    assert results[FILES[3]] == {"label": "of texts/3.txt"} and FILES[3] in results
    assert "other" not in results and 7 not in results
    with pytest.raises(KeyError, match="other is no file of this call"):
        results["other"]
    assert results.counts == {"total": 20, "pending": 0, "waiting": 0, "running": 0, "done": 20, "failed": 0, "held": 0}
    assert results.failures == [] and "20 of 20" in repr(results)
    program("export", "--db", "run.db", "-o", "all.json")
    assert json.loads(Path("all.json").read_text()) == results.to_dict()


def test_the_same_call_again_calls_what_is_left(quiet):
    called = []

    def call(file):
        called.append(file)
        return len(called)

    first = stride.run(FILES[:5], call, threads=1, **quiet)
    again = stride.run(FILES[:5], call, threads=1, **quiet)
    assert called == FILES[:5] and again == first
    # The results are those of the files of the call, in its order; a file that is named twice has one.
    more = stride.run([FILES[9], FILES[2], FILES[9], FILES[0]], call, threads=1, **quiet)
    assert called[5:] == [FILES[9]]
    assert list(more.items()) == [(FILES[9], 6), (FILES[2], 3), (FILES[0], 1)]
    assert list(stride.open("run.db")) == [*FILES[:5], FILES[9]]
    assert len(attempts()) == 6


def test_names_of_all_kinds(quiet):
    names = ["-b", " a ", "new\nline", "quotes \" '", "$(touch no)", "é", "a\\b", "{name}", "./x//y"]
    given = [*names, b"odd \xff", Path("p/q")]
    results = stride.run(given, lambda file: file.name, **quiet)
    expected = [*names, "odd \udcff", "p/q"]
    assert list(results.items()) == [(name, name) for name in expected]
    assert results[b"odd \xff"] == results["odd \udcff"] and results[Path("p/q")] == "p/q"
    assert list(stride.open("run.db")) == expected


def test_a_job_opens_its_file(place, quiet):
    Path("texts").mkdir()
    Path(FILES[0]).write_text("fine")

    def call(file):
        return [open(file).read(), file.file, file.position, file.attempt, bool(file.key), file.repeat, file.fields]

    results = stride.run(FILES[:1], call, timeout=60, **quiet)
    assert results[FILES[0]] == ["fine", str(place / FILES[0]), 0, 1, True, False, {}]


def test_a_job_has_the_row_of_its_key(quiet):
    Path("keys.csv").write_text("name,key\nanna,k-1\nbob,k-2\n")

    def call(file):
        return file.pool

    results = stride.run(FILES, call, threads=2, options=["--pool", "keys.csv"], **quiet)
    rows = {"anna": "k-1", "bob": "k-2"}
    assert {row["name"] for row in results.values()} == set(rows)
    assert all(row["key"] == rows[row["name"]] for row in results.values())


def test_rows_are_dicts(quiet):
    rows = [{"id": 7, "text": "é\n", "more": [1.50, None]}, {"id": "x", "text": "", "more": {}}]
    seen = []

    def call(row):
        seen.append(dict(row))
        return [row["text"], row.job.position]

    results = stride.run(iter(rows), call, key="id", threads=1, **quiet)
    assert seen == rows
    assert list(results.items()) == [("7", ["é\n", 0]), ("x", ["", 1])]
    with pytest.raises(KeyError, match="a row has no column path or file: use key=COLUMN"):
        stride.run([{"id": 1}], call, **quiet)


def test_several_columns_or_the_place_name_a_row(quiet):
    rows = [{"path": 'a,"b', "lang": "de"}, {"path": "c", "lang": 1.5}, {"path": "c", "lang": "en"}]
    results = stride.run(rows, lambda row: row["lang"], key="path,lang", **quiet)
    assert list(results.items()) == [('"a,""b",de', "de"), ("c,1.5", 1.5), ("c,en", "en")]
    places = stride.run([*rows, rows[0]], lambda row: row["path"], key="@line", db="places.db", progress=False)
    assert list(places.items()) == [("1", 'a,"b'), ("2", "c"), ("3", "c"), ("4", 'a,"b')]
    with pytest.raises(stride.Error) as refused:
        stride.run(rows, len, db="refused.db", progress=False)
    text = str(refused.value)
    assert "files[1] and files[2] have the name c" in text and "--key-column is key=" in text
    with pytest.raises(KeyError, match="a row has no column odd: use key=COLUMN"):
        stride.run(rows, len, key="path,odd", db="refused.db", progress=False)
    assert not Path("refused.db").exists()


def test_a_result_with_too_many_levels_stays_text(quiet):
    deep = "[" * 5000 + "]" * 5000
    Path("deep").write_text(deep)
    Path("flat").write_text("[1]")
    program("run", "--db", "run.db", "--exec", "cat", "deep", "flat")
    assert stride.open("run.db").to_dict() == {"deep": deep, "flat": [1]}


def test_results_of_all_types(quiet):
    values = {"d": {"a": [1, 2.5, True, None]}, "s": "text", "n": None, "i": 10**25, "b": b"\0\n\xff", "e": b""}
    values["l"] = "x" * (2 << 20)
    results = stride.run(values, lambda file: values[file], **quiet)
    assert results == values
    image = stride.run(["png"], lambda file: stride.Answer(b"PNG", "image/png", status=201), **quiet)
    assert image["png"] == b"PNG"
    record = next(record for record in image.rows())
    assert (record["media_type"], record["status"]) == ("image/png", 201)


def test_objects_are_written_as_pydantic_does(quiet):
    import datetime
    import decimal
    import enum
    import uuid

    color = enum.Enum("Color", {"RED": "red"})
    values = {
        "date": (datetime.date(2026, 11, 30), "2026-11-30"),
        "moment": (datetime.datetime(2026, 11, 30, 8, 15), "2026-11-30T08:15:00"),
        "number": (decimal.Decimal("1.10"), "1.10"),
        "id": (uuid.UUID(int=7), str(uuid.UUID(int=7))),
        "path": (Path("a/b"), "a/b"),
        "word": (color.RED, "red"),
    }
    results = stride.run(values, lambda file: {"in": [values[file][0]]}, **quiet)
    assert results == {name: {"in": [shown]} for name, (_, shown) in values.items()}
    numpy = pytest.importorskip("numpy")
    arrays = {"a": numpy.array([[1, 2], [3, 4]]), "n": numpy.int64(7), "f": numpy.float32(0.5), "b": numpy.bool_(True)}
    found = stride.run(arrays, lambda file: arrays[file], db="arrays.db", progress=False)
    assert found == {"a": [[1, 2], [3, 4]], "n": 7, "f": 0.5, "b": True}


def test_a_value_that_is_no_result_is_kept_as_text(quiet):
    class Odd:
        def __repr__(self):
            raise RuntimeError

    loop: list = []
    loop.append(loop)
    values = {
        "nan": (
            {"rows": [{"score": 1.5}, {"score": float("nan")}], "words": "é" * 9000},
            "the float nan at ['rows'][1]['score']",
        ),
        "answer": (stride.Answer([float("inf")]), "the float inf at [0]"),
        "set": ({"tags": {1}}, "a set at ['tags']"),
        "bytes": ({"image": b"PNG"}, "a bytes at ['image']"),
        "key": ({"a": {(1, 2): 3}}, "a key of type tuple at ['a']"),
        "loop": (loop, "too many levels at [0]"),
        "odd": (Odd(), "a Odd"),
    }
    results = stride.run(values, lambda file: values[file][0], **quiet)
    assert len(results.failures) == len(values)
    for failure in results.failures:
        assert failure.error.startswith(f"BadResult: the function returned {values[failure.file][1]}"), failure
    with sqlite3.connect("run.db") as run:
        sql = "SELECT path, CAST(rejected_response.body AS TEXT) FROM rejected_response JOIN job ON job.id = job"
        kept = dict(run.execute(sql))
    assert kept["nan"] == repr(values["nan"][0]) and kept["answer"] == "[inf]" and kept["loop"] == "[[...]]"
    assert kept["odd"] == "<Odd without a text: RuntimeError>"
    program("recheck", "--db", "run.db")
    assert len(stride.open("run.db").failures) == len(values)


def test_a_file_that_waits_for_its_next_request_has_no_result(quiet):
    stride.run(["a", "b"], label, **quiet)
    with sqlite3.connect("run.db") as run:
        # As in the run of another program, between two requests of a call.
        run.execute("UPDATE work SET state = 6, not_before = 0 WHERE job = 0")
    results = stride.open("run.db")
    assert list(results) == ["b"] and [record["state"] for record in results.rows()] == ["waiting", "done"]
    with pytest.raises(KeyError, match="a is waiting"):
        results["a"]


def test_results_in_files(quiet):
    results = stride.run(["a", "b"], lambda file: file.encode(), output_dir="out", **quiet)
    assert [path.read_bytes() for path in results.values()] == [b"a", b"b"]


def test_failures_say_why_and_are_called_again(quiet):
    broken = True

    def call(file):
        number = int(file[6:-4])
        if broken and number == 3:
            raise ValueError("too short")
        if broken and number == 4:
            return {1}
        if broken and number == 5:
            raise stride.Rejected("no such language", status=422)
        return number

    results = stride.run(FILES[:8], call, **quiet)
    assert not results.complete and len(results) == 5
    failures = [(failure.file, failure.cls, failure.status) for failure in results.failures]
    expected = [(FILES[3], "rejected", None), (FILES[4], "bad_response", None), (FILES[5], "rejected", 422)]
    assert failures == expected
    texts = [failure.error for failure in results.failures]
    assert "ValueError" in texts[0] and "too short" in texts[0]
    assert "set" in texts[1] and "no such language" in texts[2]
    with pytest.raises(KeyError, match=r"texts/3\.txt is failed: .*too short"):
        results[FILES[3]]
    with pytest.raises(stride.Incomplete, match="3 of 8 files have no result") as incomplete:
        stride.run(FILES[:8], call, incomplete="raise", **quiet)
    assert len(incomplete.value.results) == 5
    broken = False
    # Failed files stay failed until somebody says what to do.
    assert len(stride.run(FILES[:8], call, **quiet)) == 5
    assert len(results.retry(call, status=422, progress=False)) == 6
    assert len(results.retry(call, cls="bad_response", progress=False)) == 7
    whole = results.retry(call, match="too short", progress=False)
    assert whole == dict(zip(FILES, range(8))) and whole.complete
    # This one stays as it was.
    assert len(results) == 5


def test_a_retry_keeps_what_the_run_knows(quiet, monkeypatch):
    def call(file):
        if broken and file != "fine":
            raise ValueError(f"no {file}")
        return 1

    broken = True
    files = ["fine", "a", "b"]
    results = stride.run(files, call, name="mine", version="3", classify=lambda error: "input", **quiet)
    # Nothing is changed before all that can refuse it has passed.
    for wrong, error in (
        ({"version": "4"}, "version='4' is not that of the run, which is '3'"),
        ({"name": "other"}, "name='other' is not that of the run, which is 'mine'"),
        ({"max_calls": -1}, "--max-calls"),
        ({"threads": "many"}, "--threads"),
        ({"cls": "odd"}, "unknown class `odd`"),
        ({"processes": 2}, "the run has threads"),
    ):
        with pytest.raises(stride.Error, match=error):
            results.retry(call, **wrong)
        assert (status()["failed"], status()["pending"]) == (2, 0)
    with pytest.raises(stride.Incomplete) as incomplete:
        stride.open("run.db").retry(call, match="no a", incomplete="raise", progress=False)
    assert len(incomplete.value.results.failures) == 2
    assert [failure.cls for failure in results.retry(call).failures] == ["input", "input"]
    broken = False
    # A relative path is that of the start.
    os.mkdir("elsewhere")
    monkeypatch.chdir("elsewhere")
    part = stride.run(["a"], call, name="mine", version="3", db="../run.db", progress=False)
    monkeypatch.chdir("..")
    part = part.retry(call)
    assert part == {"a": 1} and stride.open("run.db").complete
    assert stride.resume("run.db", call, progress=False).complete
    assert (status()["call"]["name"], status()["call"]["version"]) == ("mine", "3")


def test_an_error_that_the_function_handled_is_no_outage(quiet):
    """Each file is called once: its failure came after a call, so repeating it would pay again."""
    called = []

    def call(file):
        try:
            os.stat("cache/none")
        except OSError:
            called.append(file)
            if file != "bystander":
                raise ValueError("no label")  # noqa: B904

    results = stride.run(["a", "b", "bystander"], call, retries=0, **quiet)
    assert sorted(called) == ["a", "b", "bystander"] and "bystander" in results
    assert [failure.cls for failure in results.failures] == ["rejected", "rejected"]


def test_a_transient_failure_is_retried(quiet):
    tries = []

    def call(file):
        tries.append((file.attempt, file.key))
        if file.attempt == 1:
            raise TimeoutError("perhaps sent")
        if file.attempt == 2:
            raise stride.Transient("answered")
        return file.repeat

    results = stride.run(["a"], call, options=["--retry-delay", "1ms"], **quiet)
    # What the service answered settles no doubt about the call before.
    assert results["a"] is True
    keys = [key for _, key in tries]
    assert keys[0] == keys[1] == keys[2]
    assert [outcome for _, _, outcome in attempts()] == ["in_doubt", "failed", "succeeded"]


def test_a_throttled_call_holds_all_threads(quiet):
    first, starts, lock = threading.Event(), [], threading.Lock()

    def call(file):
        with lock:
            starts.append(time.monotonic())
            is_first = not first.is_set()
            first.set()
        if is_first:
            raise stride.Throttled("later", retry_after=1.5)
        # So that no call ends before the first one is throttled.
        time.sleep(0.2)
        return 1

    results = stride.run([str(number) for number in range(40)], call, threads=8, rate="none", **quiet)
    assert results.complete
    before = [start for start in starts if start < starts[0] + 1.4]
    assert len(before) <= 8
    assert attempts()[0][2] == "throttled"


def test_a_run_that_is_halted_says_why(quiet):
    def call(file):
        raise stride.Auth("the key is wrong", status=401)

    with pytest.raises(stride.Halted) as halted:
        stride.run(FILES, call, **quiet)
    assert halted.value.code == 4
    counts = halted.value.results.counts
    assert counts["done"] == 0 and counts["pending"] > 0
    assert "credential" in halted.value.reason or "401" in halted.value.reason
    # The same call continues.
    assert stride.run(FILES, call=lambda file: 1, name="test_run:" + call.__qualname__, **quiet).complete


def test_a_budget_halts(quiet):
    with pytest.raises(stride.Halted) as halted:
        stride.run(FILES, label, max_calls=5, **quiet)
    assert (
        "with a higher one: start the program again with --max-calls none\nnote: in Python, --max-calls is max_calls="
        in str(halted.value)
    )
    assert halted.value.results.counts["done"] == 5
    assert len(stride.run(FILES, label, max_calls="none", **quiet)) == 20


def test_costs_of_answers_are_summed_and_limited(quiet):
    def call(file):
        return stride.Answer(1) if file == FILES[0] else stride.Answer(1, cost=0.1)

    with pytest.raises(stride.Halted) as halted:
        stride.run(FILES, call, max_cost=0.75, threads=4, **quiet)
    assert "--max-cost" in str(halted.value)
    spent, unknown = float(status()["cost"]), status()["cost_unknown"]
    assert 0.65 < spent <= 0.75 and unknown == 1
    results = stride.run(FILES, call, max_cost="none", **quiet)
    assert results.complete
    # A call of unknown cost counts as the dearest before it.
    dearest = float(status()["cost"]) - 1.9
    assert abs(dearest) < 1e-9 or abs(dearest - 0.1) < 1e-9


def test_another_function_is_refused_by_name(quiet):
    stride.run(FILES[:2], label, version="1", **quiet)
    with pytest.raises(stride.Error, match="test_run:label") as refused:
        stride.run(FILES[:2], len, version="1", **quiet)
    assert refused.value.code == 2
    assert str(refused.value).splitlines()[-1].startswith('hint: use name="test_run:label" if it is the same function')
    with pytest.raises(stride.Error):
        stride.run(FILES[:2], label, version="2", **quiet)
    assert stride.open("run.db") == {file: label(file) for file in FILES[:2]}
    results = stride.run(FILES[:3], len, version="2", accept_change=True, **quiet)
    assert results[FILES[0]] == label(FILES[0]) and results[FILES[2]] == len(FILES[2])


def test_a_changed_source_is_only_told(quiet, caplog):
    def define(text):
        Path("mine.py").write_text(text)
        names = {"__name__": "mine"}
        linecache.checkcache()
        exec(compile(text, "mine.py", "exec"), names)
        return names["call"]

    texts = ["def call(file):\n    return 1\n", "def call(file):\n    return 2\n"]
    told = []
    for number, text in enumerate((texts[0], texts[0], texts[1], texts[1])):
        caplog.clear()
        results = stride.run(FILES[: number + 1], define(text), **quiet)
        told.append([record.getMessage() for record in caplog.records if record.levelname == "WARNING"])
    warning = "warning: the source of mine:call has changed; 2 results of the old one will stay"
    hint = "hint: if results now mean something else, give the worker another version"
    assert told == [[], [], [warning, hint], []]
    assert list(results.values()) == [1, 1, 2, 2]


@pytest.mark.parametrize("processes", [None, 1])
def test_a_changed_row_or_file_is_told_and_called_again_on_demand(quiet, caplog, processes, place, monkeypatch):
    Path("readers.py").write_text(
        "def row(row):\n    return row['text']\ndef read(file):\n    return open(file).read()\n"
    )
    monkeypatch.syspath_prepend(place)
    import readers

    def run(call, files, db, **more):
        caplog.clear()
        settings = {**quiet, "db": db, "processes": processes, **more}
        found = list(stride.run(files, call, **settings).values())
        return found, [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]

    def rows(text):
        return [{"path": "a", "text": text}, {"path": "b", "text": "same"}]

    assert run(readers.row, rows("old"), "rows.db") == (["old", "same"], [])
    found, told = run(readers.row, rows("new"), "rows.db")
    assert found == ["old", "same"]
    assert told == [
        "warning: 1 file kept the columns of the call, which differ from the list's: a",
        "hint: retry_changed=True calls them again with the list's columns",
    ]
    assert run(readers.row, rows("new"), "rows.db", retry_changed=True) == (["new", "same"], [])
    Path("one").write_text("old")
    Path("two").write_text("same")
    assert run(readers.read, ["one", "two"], "files.db") == (["old", "same"], [])
    Path("one").write_text("new")
    found, told = run(readers.read, ["one", "two"], "files.db")
    assert found == ["old", "same"]
    assert told == [
        "warning: 1 done file changed on disk since the call, by time or size: one",
        "hint: retry_changed=True calls them again",
    ]
    assert run(readers.read, ["one", "two"], "files.db", retry_changed=True) == (["new", "same"], [])
    sys.modules.pop("readers")


def test_wrong_use_changes_nothing(quiet):
    def fails():
        yield "a"
        raise RuntimeError("the list ends here")

    for error, files, call, more in [
        (TypeError, "a.txt", label, {}),
        (TypeError, ["a"], "label", {}),
        (TypeError, ["a", {"path": "b"}], label, {}),
        (TypeError, [{"path": "b"}, "a"], label, {}),
        (TypeError, [1], label, {}),
        (TypeError, ["a", None, "b"], label, {}),
        (ValueError, [""], label, {}),
        (ValueError, ["a\0b"], label, {}),
        (ValueError, ["a"], label, {"incomplete": "ignore"}),
        (RuntimeError, fails(), label, {}),
        (stride.Error, ["a"], label, {"options": ["--no-such-option"]}),
        (stride.Error, ["a"], label, {"rate": "quickly"}),
        (TypeError, ["a"], label, {"options": "--quiet"}),
        (stride.Error, ["a"], label, {"threads": 0}),
        (stride.Error, ["a"], label, {"retries": -1}),
        (stride.Error, ["a"], label, {"timeout": float("inf")}),
    ]:
        with pytest.raises(error):
            stride.run(files, call, **more, **quiet)
    assert not Path("run.db").exists()
    with pytest.raises(TypeError, match="no such setting: thread"):
        stride.resume("run.db", label, thread=1)
    with pytest.raises(stride.Error):
        stride.open("run.db")
    assert not children()


@pytest.mark.parametrize("error", [BrokenPipeError("ours"), OSError("ours"), ValueError("ours")], ids=repr)
def test_an_error_of_the_list_ends_the_run(quiet, error):
    """A list that is cut would look like a whole one."""
    stride.run(["bystander"], label, **quiet)

    def files(count):
        yield from map(str, range(count))
        raise error

    for count in (10, 50_000):
        with pytest.raises(type(error), match="ours"):
            stride.run(files(count), label, **quiet)
    assert status()["total"] == 1


def test_a_wrong_list_is_refused_with_the_place(quiet):
    for files, more, kind, words in [
        (["a", 7], {}, TypeError, r"files\[1\]: 7 is no name but a int: use str\(\), or a dict for a row"),
        (["a", ""], {}, ValueError, r"files\[1\]: '' is no name"),
        (["a"], {"key": "id"}, TypeError, "key names a column of rows, but files has names"),
        ([{"path": "a"}, {"id": 1}], {}, KeyError, r"files\[1\]: a row has no column path or file"),
        (
            [{"path": "a"}, {"path": "b", "x": [float("nan")]}],
            {},
            TypeError,
            r"files\[1\]: a row has what JSON has, and not the float nan at \['x'\]\[0\]",
        ),
    ]:
        with pytest.raises(kind, match=words):
            stride.run(files, label, **more, **quiet)
    assert not Path("run.db").exists()
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"id": [1], "day": [pandas.Timestamp(2026, 11, 30)]})
    with pytest.raises(TypeError, match=r"files is a DataFrame: use files.to_dict\('records'\)"):
        stride.run(frame, label, key="id", **quiet)
    results = stride.run(frame.to_dict("records"), lambda row: row["day"], key="id", **quiet)
    assert results["1"] == "2026-11-30T00:00:00" and results.get(1) is None
    with pytest.raises(KeyError, match="1 is no name but a int: use str"):
        results[1]


def test_a_script_and_its_module_are_the_same_function(place):
    text = 'import stride\ndef call(file):\n    return 1\nif __name__ == "__main__":\n    '
    run = 'print(len(stride.run(["a"], {}call, db="run.db", progress=False)))\n'
    assert Script(text + run.format(""), "mine.py").end()[:2] == (0, "1\n")
    code, out, err = Script("import stride, mine\n" + run.format("mine."), "other.py").end()
    assert (code, out) == (0, "1\n"), err


def test_all_runs_have_one_event_loop(quiet):
    loops = set()

    async def call(file):
        loops.add(asyncio.get_running_loop())
        return 1

    assert stride.run(["a"], call, **quiet).complete and stride.run(["a", "b"], call, **quiet).complete
    assert len(loops) == 1


def test_a_time_out_of_a_coroutine_says_so(quiet):
    async def call(file):
        await asyncio.Event().wait()

    results = stride.run(["a"], call, timeout=0.05, retries=0, **quiet)
    words = "TimeoutError: stride cancelled the call, because timeout=0.05 seconds have passed or the run was stopped"
    assert results.failures[0].error.startswith(words), results.failures


def test_an_empty_list_has_no_results(quiet):
    assert stride.run([], label, **quiet) == {}


def test_the_list_may_be_long_and_lazy(quiet):
    thread, seen = threading.current_thread(), set()

    def files():
        for number in range(50_000):
            seen.add(threading.current_thread())
            yield f"a/rather/long/folder/{number}"

    with pytest.raises(stride.Halted):
        stride.run(files(), label, max_calls=3, **quiet)
    assert seen == {thread} and status()["total"] == 50_000


def test_calls_run_in_threads(quiet):
    together = threading.Barrier(6)
    results = stride.run(FILES[:12], lambda file: together.wait(60) >= 0, threads=6, rate="none", **quiet)
    assert results.complete


def test_a_coroutine_function_has_as_many_calls(quiet):
    running, most = 0, 0

    async def call(file):
        nonlocal running, most
        running += 1
        most = max(most, running)
        if most < 1000:
            while most < 1000:
                await asyncio.sleep(0.001)
        running -= 1
        return file.name

    files = [str(number) for number in range(3000)]
    results = stride.run(files, call, threads=1000, rate="none", **quiet)
    assert results == {file: file for file in files} and most == 1000


def test_a_call_that_takes_too_long_is_given_up_and_repeated(quiet):
    def call(file):
        while file.attempt == 1 and not file.cancelled():
            time.sleep(0.005)
        if file.attempt == 1:
            raise TimeoutError("given up")
        return file.repeat

    async def task(file):
        if file.attempt == 1:
            await asyncio.Event().wait()
        return file.repeat

    for function in (call, task):
        db = f"{function.__name__}.db"
        results = stride.run(["a"], function, timeout=0.1, options=["--retry-delay", "1ms"], db=db, progress=False)
        assert results == {"a": True}
        assert [outcome for _, _, outcome in attempts(db)] == ["in_doubt", "succeeded"]


def test_a_thread_that_hangs_is_replaced(quiet, caplog):
    returns, called = threading.Event(), threading.Event()
    seen = []

    def call(file):
        if file == "hangs":
            assert returns.wait(60)
            called.set()
            return 1
        returns.set()
        # The late thread is back before the next calls are dealt.
        assert called.wait(60)
        seen.append((str(file), file.cancelled()))
        return 2

    good = [str(number) for number in range(5)]
    results = stride.run(["hangs", *good], call, threads=1, timeout=0.1, retries=0, **quiet)
    assert seen == [(name, False) for name in good] and results == dict.fromkeys(good, 2)
    assert [failure.error for failure in results.failures] == ["the worker did not answer within 100ms"]
    said = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert "another thread starts, number 2 of at most 2, because calls hang after their timeout: 'hangs'" in said


def test_a_run_whose_threads_all_hang_names_the_files(quiet):
    returns = threading.Event()

    def call(file):
        if file != "bystander":
            returns.wait(60)
        return 1

    stride.run(["bystander"], call, **quiet)
    try:
        with pytest.raises(stride.Halted) as halted:
            stride.run(["a", "b", "c", "d"], call, threads=1, timeout=0.1, retries=0, **quiet)
    finally:
        returns.set()
    assert halted.value.code == 4
    assert halted.value.reason.splitlines()[:3] == [
        "error: stopped: all threads of the function hang",
        "caused by: 2 threads have not returned 0.1 s after their calls began",
        "note: 2 files pending; no file failed for this cause",
    ]
    assert halted.value.reason.splitlines()[-1] == "note: they hang in 'a', 'b'"
    assert halted.value.results.in_doubt == ["a", "b"]
    # The others were not called, so none of them is in doubt.
    outcomes = {name: outcome for name, _, outcome in attempts()}
    assert outcomes["a"] == outcomes["b"] == "in_doubt"
    assert outcomes.get("c", "not_sent") == outcomes.get("d", "not_sent") == "not_sent"


def test_calls_in_doubt_are_named(quiet):
    def call(file):
        if "doubt" in file:
            raise stride.Transient("no answer", sent=None)
        if file == "failed":
            raise ValueError(file)
        return 1

    files = ["fine", "in doubt", "failed", 'more "doubt"', "d\\oubt"]
    results = stride.run(files, call, retries=0, **quiet)
    assert results.in_doubt == ["in doubt", 'more "doubt"'] == stride.open("run.db").in_doubt
    # The counts are those of the run, which is read only for names and results.
    whole = stride.open("run.db")
    assert whole.counts == {"total": 5, "pending": 0, "waiting": 0, "running": 0, "done": 2, "failed": 3, "held": 0}
    assert whole._read is None and results.counts == whole.counts
    part = stride.run(files[:2], call, **quiet)
    assert part.counts == {"total": 2, "pending": 0, "waiting": 0, "running": 0, "done": 1, "failed": 1, "held": 0}
    # A call that is not made leaves the doubt about the one before it.

    def refused(file):
        raise stride.Transient("refused", sent=False)

    with pytest.raises(stride.Halted):
        whole.retry(refused, max_failures="none", options=["--max-outage", "1ms", "--retry-delay", "1ms"])
    assert stride.open("run.db").in_doubt == results.in_doubt
    program("forget", "--db", "run.db", "--", "failed")
    again = stride.run(files[:4], call, **quiet)
    assert again.counts["total"] == len(list(again.rows())) == 3
    with pytest.raises(stride.Error, match="there is no run"):
        stride.open("other.db")


def test_a_loop_may_run_already(quiet):
    async def call(file):
        await asyncio.sleep(0)
        return threading.get_ident()

    async def main():
        blocking = stride.run(FILES[:3], call, **quiet)
        ticks = 0

        async def tick():
            nonlocal ticks
            while True:
                ticks += 1
                await asyncio.sleep(0)

        ticking = asyncio.create_task(tick())
        waiting = await stride.arun(FILES[3:6], call, **quiet)
        before = ticks
        plain = await stride.arun(FILES[6:9], lambda file: threading.get_ident(), name=call_name, **quiet)
        ticking.cancel()
        return blocking, waiting, plain, before

    call_name = "test_run:test_a_loop_may_run_already.<locals>.call"
    blocking, waiting, plain, before = asyncio.run(main())
    here = threading.get_ident()
    assert here not in blocking.values() and here not in plain.values()
    assert set(waiting.values()) == {here} and before > 0


def test_a_cancelled_task_drains(quiet):
    started, ended = [], []

    async def call(file):
        started.append(file)
        if len(started) == 4:
            task.cancel()
        await asyncio.sleep(0.05)
        ended.append(file)
        return 1

    async def main():
        nonlocal task
        task = asyncio.create_task(stride.arun(FILES, call, threads=4, **quiet))
        with pytest.raises(asyncio.CancelledError):
            await task

    task = None
    asyncio.run(main())
    assert sorted(started) == sorted(ended) and len(ended) < 20
    counts = status()
    assert counts["done"] == len(ended) and counts["in_doubt"] == 0


def test_two_runs_at_the_same_time(quiet):
    entered = threading.Event()
    release = threading.Event()

    def call(file):
        entered.set()
        release.wait(60)
        return file.name

    found = []
    thread = threading.Thread(target=lambda: found.append(stride.run(["a"], call, **quiet)))
    thread.start()
    entered.wait(60)
    with pytest.raises(stride.Error, match="in use") as refused:
        stride.run(["a"], call, **quiet)
    assert refused.value.code == 5
    # Another database is another run.
    assert stride.run(["b"], lambda file: 2, db="other.db", progress=False) == {"b": 2}
    # And reading goes on.
    assert stride.open("run.db").counts["running"] == 1
    release.set()
    thread.join()
    assert found == [{"a": "a"}]


def test_progress_is_told(quiet):
    del quiet["progress"]
    told = []
    results = stride.run(FILES, lambda file: time.sleep(0.05), progress=told.append, **quiet)
    assert results.complete and told
    assert all(status.total == 20 and status.done + status.pending + status.running == 20 for status in told)

    def fails(status):
        raise ValueError("no progress")

    assert stride.run(["more"], lambda file: None, name="test_run:x", accept_change=True, progress=fails, **quiet)


def test_a_slow_progress_function_holds_up_no_call(quiet):
    del quiet["progress"]
    told, waited, everything = [], [], threading.Event()

    def call(file):
        time.sleep(0.01)
        if file == "199":
            everything.set()

    def slow(status):
        told.append(status)
        waited.append(everything.wait(20))

    results = stride.run(map(str, range(200)), call, threads=2, progress=slow, **quiet)
    assert results.complete and all(waited)
    # The newest one is shown, and not each.
    assert 1 <= len(told) <= 5


@pytest.mark.parametrize("closed", ["0<&-", "1>&-", "2>&-", "0<&- 1>&- 2>&-"])
def test_standard_streams_may_be_closed(closed):
    text = """
import stride
results = stride.run(map(str, range(300)), len, db="run.db", threads=2)
open("ended", "w").write(f"{len(results)} {results.complete}")
"""
    Path("script.py").write_text(text)
    subprocess.run(["sh", "-c", f'"$1" script.py {closed}', "sh", sys.executable], check=True, timeout=60)
    assert Path("ended").read_text() == "300 True"


def test_a_bar_or_a_line_shows_the_progress(quiet, capsys, monkeypatch):
    from stride import _progress

    states = [_progress.Status(20, 20 - done, 0, done, 1, 0, "rate 10/s", 90.0) for done in (1, 5)]
    ended = _progress.Status(20, 0, 0, 19, 1, 0, "rate 10/s", None)
    show = _progress.progress(None)
    for state in (*states, ended, None):
        show(state)
    bar = capsys.readouterr().err.strip().rpartition("\r")[2]
    assert "20/20" in bar
    assert "limit" not in bar
    monkeypatch.setitem(sys.modules, "tqdm.auto", None)
    monkeypatch.setattr(_progress, "EVERY", 0)
    show = _progress.progress(None)
    for state in (*states, None):
        show(state)
    last = capsys.readouterr().err.splitlines()[-1]
    assert last == "stride: 5 of 20 files done, 1 failed, 2 min left, limit: rate 10/s"


def test_what_the_function_writes_does_not_harm(place):
    script = """
        import ctypes, logging, os, sys, subprocess
        import stride

        def call(file):
            print("printed", file)
            os.write(1, b"written\\n")
            ctypes.CDLL(None).write(1, b"by C\\n", 5)
            ctypes.CDLL(None).printf(b"")
            logging.warning("logged")
            subprocess.run(["echo", "by a child"])
            sys.stdout.flush()
            return 1

        results = stride.run(["a", "b", "c"], call, db="run.db", progress=False)
        assert results == {"a": 1, "b": 1, "c": 1}
    """
    code, out, err = Script("\n".join(line[8:] for line in script.splitlines())).end()
    assert code == 0, err
    for text in ("printed a", "written", "by C", "by a child"):
        assert out.count(text) >= 1
    assert err.count("logged") == 3


def test_the_function_may_fork(quiet):
    def call(file):
        child = os.fork()
        if child == 0:
            if file == "exits":
                os._exit(0)
            if file == "raises":
                raise ValueError("in the child")
            # Returns from the function in the child, which must not answer.
            return "child"
        os.waitpid(child, 0)
        return "parent"

    results = stride.run(["exits", "raises", "returns"], call, **quiet)
    assert set(results.values()) == {"parent"} and len(results) == 3


def test_multiprocessing_in_the_function(place):
    Path("work.py").write_text("def double(x):\n    return 2 * x\n")
    script = """
import multiprocessing, sys
import stride, work

def call(file):
    with multiprocessing.get_context(file.name).Pool(2) as pool:
        return pool.map(work.double, [1, 2])

if __name__ == "__main__":
    results = stride.run(["fork", "spawn"], call, threads=1, db="run.db", progress=False)
    print(results.to_dict())
"""
    code, out, err = Script(script).end()
    assert (code, out) == (0, "{'fork': [2, 4], 'spawn': [2, 4]}\n"), err


def test_a_function_that_exits_ends_the_program(quiet, caplog):
    def call(file):
        if file == "e":
            sys.exit(7)
        return 1

    with pytest.raises(SystemExit) as left:
        stride.run(list("abcdefghij"), call, threads=1, **quiet)
    assert left.value.code == 7
    assert (
        "the function raised SystemExit(7) for e, which ends the program; the next run repeats this call" in caplog.text
    )
    assert status()["failed"] == 0


def test_the_end_of_the_program_waits_for_calls_in_flight(place):
    script = """
import threading, time
import stride

entered = threading.Event()

def call(file):
    entered.set()
    time.sleep(0.3)
    return 1

settings = {"threads": 2, "db": "run.db", "progress": False}
threading.Thread(target=lambda: stride.run(map(str, range(100)), call, **settings), daemon=True).start()
entered.wait()
"""
    code, _, err = Script(script).end()
    assert code == 0, err
    counts = status()
    assert 0 < counts["done"] < 100 and counts["in_doubt"] == 0 and counts["running"] == 0


def test_processes(place, quiet):
    Path("crunch.py").write_text(
        "import os, sys\n"
        "def call(file):\n"
        "    print('to stdout')\n"
        "    return [os.getpid(), file.name]\n"
        "async def task(file):\n"
        "    return file.name\n"
        "def crash(file):\n"
        "    if file == 'poison':\n"
        "        os._exit(9)\n"
        "    return 1\n"
        "def mended(file):\n"
        "    if not os.path.exists('mended'):\n"
        "        raise ValueError(file.name)\n"
        "    return file.name\n"
        "def say(error):\n"
        "    return 'input'\n"
        "def fails(file):\n"
        "    raise KeyError(file.name)\n"
    )
    sys.path.insert(0, str(place))
    try:
        import crunch

        results = stride.run(FILES, crunch.call, processes=2, **quiet)
        assert [name for _, name in results.values()] == FILES
        assert os.getpid() not in {process for process, _ in results.values()}
        tasks = stride.run(FILES, crunch.task, processes=2, threads=10, db="tasks.db", progress=False)
        assert list(tasks.values()) == FILES
        fails = stride.run(FILES[:2], crunch.fails, processes=1, classify=crunch.say, db="f.db", progress=False)
        assert [failure.cls for failure in fails.failures] == ["input", "input"]
        again = stride.run(FILES[:2], crunch.mended, processes=1, db="m.db", progress=False)
        assert len(again.failures) == 2
        Path("mended").touch()
        assert list(again.retry(crunch.mended, processes=1, progress=False).values()) == FILES[:2]
        assert list(stride.resume("m.db", crunch.mended, processes=1, progress=False).values()) == FILES[:2]
        poison = [*FILES[:10], "poison", *FILES[10:]]
        crashed = stride.run(poison, crunch.crash, processes=2, retries=1, db="c.db", progress=False)
        assert [failure.file for failure in crashed.failures] == ["poison"] and len(crashed) == 20
    finally:
        sys.path.remove(str(place))
        sys.modules.pop("crunch", None)
    with pytest.raises(ValueError, match="cannot import"):
        stride.run(FILES, lambda file: 1, processes=2, db="no.db")


def test_another_number_of_processes_is_the_same_function(place, quiet, monkeypatch):
    Path("several.py").write_text(
        "import os, time\n"
        "def call(file):\n"
        "    if file != 'first':\n"
        "        open(f'began-{file}', 'w').close()\n"
        "        while sum(name.startswith('began-') for name in os.listdir()) < 4:\n"
        "            time.sleep(0.005)\n"
        "    return os.getpid()\n"
    )
    monkeypatch.syspath_prepend(place)
    import several

    assert stride.run(["first"], several.call, processes=1, **quiet).complete
    with pytest.raises(stride.Error, match="the run has processes\nhint: use processes="):
        stride.resume("run.db", several.call)
    # All four calls are made at the same time, two in each process.
    results = stride.run(list("abcd"), several.call, processes=2, threads=4, timeout=60, **quiet)
    assert sorted(map(list(results.values()).count, set(results.values()))) == [2, 2]


def test_processes_of_a_script(place):
    script = """
import stride

def call(file):
    return file.name

if __name__ == "__main__":
    print(stride.run(["a", "b"], call, processes=2, db="run.db", progress=False).to_dict())
"""
    code, out, err = Script(script).end()
    assert (code, out) == (0, "{'a': 'a', 'b': 'b'}\n"), err
    # Without the question each worker would start the run.
    bad = script.replace('if __name__ == "__main__":', "if True:").replace("run.db", "bad.db")
    code, _, err = Script(bad, "bad.py").end()
    assert code == 1 and "stride._errors.Halted" in err and 'put stride.run under `if __name__ == "__main__":`' in err


def test_exports_and_tables(quiet):
    results = stride.run(
        [f"{number}" for number in range(6)],
        lambda file: {"label": "é", "score": int(file) / 2, "n": int(file), "ok": True} if file != "3" else 1 / 0,
        **quiet,
    )
    results.export("some.csv", state="done")
    assert len(Path("some.csv").read_text().splitlines()) == 6
    results.export("flat.csv", flatten=True, state="done")
    assert "label" in Path("flat.csv").read_text().splitlines()[0].split(",")
    results.export("other", "jsonl", cls="rejected", state=["failed", "held"])
    assert json.loads(Path("other").read_text())["file"] == "3"
    with pytest.raises(stride.Error, match="colour"):
        results.export("some.csv", colour="red")
    frame = results.to_pandas()
    assert list(frame.index) == list("012345")
    assert (frame.label["2"], frame.score["5"], frame.n["4"], frame.ok["1"]) == ("é", 2.5, 4, True)
    assert frame.state["3"] == "failed" and "ZeroDivisionError" in frame.error["3"]
    part = stride.run(["4", "2"], lambda file: 1, name="test_run:x", accept_change=True, **quiet)
    assert part.to_pandas().n.to_dict() == {"4": 4, "2": 2}
    assert [json.loads(text)["n"] for text in part.to_pandas(flatten=False).result] == [4, 2]


def test_the_snapshot_has_no_name_and_goes_with_the_results(quiet, place):
    results = stride.run(FILES, label, **quiet)
    assert len(results) == 20
    assert {path.name for path in place.iterdir()} <= {"run.db", "run.db-wal", "run.db-shm", "run.db.lock"}


def test_resume_needs_no_list(quiet):
    stride.run(FILES[:3], label, **quiet)
    with pytest.raises(stride.Halted):
        stride.run(FILES, label, max_calls=5, **quiet)
    results = stride.resume("run.db", label, max_calls="none", progress=False)
    assert list(results) == FILES and results.complete
    with pytest.raises(TypeError, match="no such setting: retry_changed"):
        stride.resume("run.db", label, retry_changed=True)


def test_the_program_is_found(monkeypatch, place):
    assert program("--version").startswith("stride ")
    run = subprocess.run([sys.executable, "-m", "stride", "--version"], capture_output=True, text=True)
    assert run.stdout == program("--version") and stride.__version__ in run.stdout
    monkeypatch.setenv("STRIDE_BIN", str(place / "none"))
    with pytest.raises(FileNotFoundError, match="is no program"):
        stride.binary()


def test_many_results_take_little_memory(place):
    """20,000 results of 10 KiB are 200 MB."""
    script = """
import stride

results = stride.run(map(str, range(20_000)), lambda file: "x" * 10_000, threads=4, db="run.db", progress=False)
assert sum(len(value) for value in results.values()) == 200_000_000
# The peak since the start of the program. `getrusage` would count its parent's too.
print(next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")))
"""
    code, out, err = Script(script).end()
    assert code == 0, err
    assert int(out) < 60 * 1024


def test_the_package_is_typed():
    pytest.importorskip("mypy")
    Path("use.py").write_text(
        "import stride\n"
        "def call(file: str) -> dict[str, int]:\n"
        "    return {file: 1}\n"
        'results: stride.Results = stride.run(["a"], call, threads=2)\n'
        'later = stride.resume("run.db", call, thread=2)\n'
    )
    mypy = [sys.executable, "-m", "mypy", "--strict", "--cache-dir", os.devnull]
    run = subprocess.run([*mypy, "use.py"], capture_output=True, text=True)
    assert "use.py:5: error" in run.stdout and "Found 1 error in 1 file" in run.stdout, run.stdout
    config = ["--config-file", str(ROOT / "pyproject.toml")]
    run = subprocess.run([*mypy, *config, "-p", "stride"], capture_output=True, text=True)
    assert run.returncode == 0, run.stdout
