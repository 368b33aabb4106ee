"""Compares what pandas, pyarrow and DuckDB read with the JSON export of the same run."""

import base64
import json
import math
import os
import sqlite3

import duckdb
import pandas
import pyarrow
import pyarrow.parquet

COLUMNS = [
    "file", "state", "attempts", "status", "class", "error", "started", "duration", "result", "path_bytes",
    "media_type", "result_type", "result_bytes",
]


def plain(value):
    """None for what is missing, however a library says that."""
    if value is None or value is pandas.NaT or isinstance(value, float) and math.isnan(value):
        return None
    return bytes(value) if isinstance(value, (bytearray, memoryview)) else value


def result(row):
    """The result that a row has."""
    match row["result_type"]:
        case "json" | "file":
            return json.loads(row["result"])
        case "text":
            return row["result"]
        case "bytes":
            assert row["result"] is None
            encoded = base64.b64encode(row["result_bytes"]).decode()
            return {"base64": encoded, "media_type": row["media_type"]}


def check(reader, rows, expected):
    """Compares rows with the object of the JSON export."""
    rows = [{name: plain(value) for name, value in row.items()} for row in rows]
    assert [list(row) for row in rows] == [COLUMNS] * len(expected), reader
    names = [os.fsdecode(row["path_bytes"]) if row["path_bytes"] else row["file"] for row in rows]
    assert names == list(expected), (reader, names)
    for name, row in zip(names, rows):
        if row["state"] == "done":
            assert result(row) == expected[name], (reader, row)
            assert row["class"] is None and row["error"] is None and row["status"] == 200, (reader, row)
        else:
            error = expected[name]["error"]
            assert row["result_type"] is None and row["result"] is None, (reader, row)
            told = {"state": row["state"], "class": row["class"], "status": row["status"],
                    "attempts": row["attempts"]}
            assert told == {key: error[key] for key in told}, (reader, row)
            assert row["error"] == error["message"] + ": " + json.loads(error["body"])["error"], (reader, row)
        assert row["started"] is not None and row["duration"] >= 0, (reader, row)
    print(reader, len(rows), "rows")
    return rows


expected = json.load(open("all.json"))
assert len(expected) > 8
lines = [json.loads(line) for line in open("all.jsonl")]

table = pyarrow.parquet.read_table("all.parquet")
assert table.schema.field("started").type == pyarrow.timestamp("ms", tz="UTC")
assert table.schema.field("duration").type == pyarrow.float64()
assert table.schema.field("status").type == pyarrow.int32()
assert table.schema.field("result_bytes").type == pyarrow.binary()
rows = check("pyarrow", table.to_pylist(), expected)
frame = pandas.read_parquet("all.parquet")
check("pandas", frame.to_dict("records"), expected)
found = duckdb.sql("SELECT * FROM 'all.parquet'")
check("duckdb", [dict(zip(found.columns, row)) for row in found.fetchall()], expected)
for row, line in zip(rows, lines, strict=True):
    moment = row["started"].strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"
    assert (moment, row["duration"]) == (line["started"], line["duration"])

# The view in the run itself.
run = sqlite3.connect("file:stride.db?mode=ro", uri=True)
run.row_factory = sqlite3.Row
view = run.execute("SELECT * FROM results ORDER BY position").fetchall()
assert [os.fsdecode(row["path"]) if isinstance(row["path"], bytes) else row["path"] for row in view] == list(expected)
assert [row["started"] for row in view] == [line["started"] for line in lines]
for row, other in zip(view, rows, strict=True):
    for name in ["state", "attempts", "status", "class", "duration", "media_type"]:
        assert row[name] == other[name], (name, dict(row))
    if other["result_type"] == "bytes":
        assert row["result"] == other["result_bytes"]
    elif other["result_type"] is not None and other["media_type"] is not None:
        assert row["result"].strip() == other["result"].strip(), dict(row)
frame = pandas.read_sql("SELECT * FROM results", run)
assert len(frame) == len(expected)

frame = pandas.read_parquet("none.parquet")
assert duckdb.sql("SELECT count(*) FROM 'none.parquet'").fetchall() == [(0,)]
assert len(frame) == 0 and list(frame.columns) == ["file", "result"]
