"""Reads a run's results, by ``stride export`` in a process of its own.

No second SQLite touches the database, and stride checks the checksum of everything that it writes.
"""

import json
import os
import re
import subprocess
import threading
from array import array
from collections.abc import ItemsView, Iterator, Mapping, ValuesView
from typing import IO, TYPE_CHECKING, Any, NamedTuple, Optional, Union

from ._errors import Error
from ._find import Program

if TYPE_CHECKING:
    import pandas
    import pyarrow

_COLUMNS = (
    "file,path_bytes,state,attempts,outcome,status,class,kind,error,started,duration,"
    "result_type,result,result_bytes,media_type"
)
# The beginning of most lines. A million of them are parsed in 0.4 s, and as JSON in 2 s.
_HEAD = re.compile(rb'\{"file":"([^"\\]*)","path_bytes":null,"state":"([a-z]+)",')
# The settings of a run that `retry` keeps, and that the run itself does not.
_KEPT = ("threads", "processes", "classify", "progress")
_STATES = ("pending", "waiting", "running", "done", "failed", "held")
_NUMBERS = {state: number for number, state in enumerate(_STATES)}
_DONE = _NUMBERS["done"]

Name = Union[str, bytes, "os.PathLike[str]", "os.PathLike[bytes]"]


class Failure(NamedTuple):
    """A file without a result.

    Attributes:
        file: Its name.
        state: ``failed``, or ``held`` if it waits for your decision.
        cls: The class of the failure, such as ``rejected``.
        status: The status of the service's answer.
        error: What happened, in the service's words where it gave some.
        attempts: The number of calls.
    """

    file: str
    state: str
    cls: Optional[str]
    status: Optional[int]
    error: Optional[str]
    attempts: int


class _Snapshot(NamedTuple):
    """The run at one moment: a record on each line."""

    lines: IO[bytes]
    # Where each line begins, and at last the end.
    starts: "array[int]"
    states: bytearray
    # The line of each file, in the order of the list.
    rows: dict[str, int]


class Results(Mapping[str, Any]):
    """The results of a run: a mapping from each file that is done to its result, in the order of the list.

    It has the files of the call that returned it, and all files of the run after :func:`open`. The results stay in the
    database. The first use of a name or a result reads all of one moment into a temporary file, which takes some
    seconds for a million; after that, a result is decoded when it is asked for. A result is what ``json`` decodes,
    ``bytes``, or the :class:`~pathlib.Path` of its file with ``output_dir``. JSON with more levels than Python reads
    stays a ``str``.

    Attributes:
        db: The path of the run's database.
    """

    def __init__(
        self,
        db: str,
        names: Optional[dict[str, int]] = None,
        settings: Optional[Mapping[str, Any]] = None,
    ) -> None:
        self.db = db
        self._settings = {name: value for name, value in (settings or {}).items() if name in _KEPT}
        # The files of the call, and None for all.
        self._names = names
        self._read: Optional[_Snapshot] = None
        self._reading = threading.RLock()

    def __reduce__(self) -> "tuple[type[Results], tuple[str, Optional[dict[str, int]], Mapping[str, Any]]]":
        # A copy reads the run again.
        return Results, (self.db, self._names, self._settings)

    def __getitem__(self, file: Name) -> Any:
        """Returns the result of a file.

        Raises:
            KeyError: It has none; the text says why.
        """
        if not isinstance(file, (str, bytes, os.PathLike)):
            raise KeyError(f"{file!r} is no name but a {type(file).__name__}: use str()")
        name = os.fsdecode(file)
        snapshot = self._snapshot()
        row = snapshot.rows.get(name)
        if row is None:
            raise KeyError(f"{name} is no file of this call")
        record = _record(snapshot, row)
        if record["state"] != "done":
            raise KeyError(f"{name} is {record['state']}: {record['error'] or 'not called yet'}")
        return _value(record)

    def __contains__(self, file: object) -> bool:
        try:
            name = os.fsdecode(file)  # type: ignore[arg-type]
        except TypeError:
            return False
        snapshot = self._snapshot()
        row = snapshot.rows.get(name)
        return row is not None and snapshot.states[row] == _DONE

    def __iter__(self) -> Iterator[str]:
        snapshot = self._snapshot()
        return (name for name, row in snapshot.rows.items() if snapshot.states[row] == _DONE)

    def __len__(self) -> int:
        return self.counts["done"]

    def __repr__(self) -> str:
        counts = self.counts
        return f"<stride.Results of {self.db}: {counts['done']:,} of {counts['total']:,} files done>"

    def items(self) -> "_Items":
        """Returns the pairs of a file and its result, which are decoded one at a time."""
        return _Items(self)

    def values(self) -> "_Values":
        """Returns the results, which are decoded one at a time."""
        return _Values(self)

    def rows(self) -> Iterator[dict[str, Any]]:
        """Yields a record of each file in any state, as ``stride export --all --format jsonl`` writes it."""
        snapshot = self._snapshot()
        for row in snapshot.rows.values():
            yield _record(snapshot, row)

    @property
    def counts(self) -> dict[str, int]:
        """The number of files in each state, and ``total``: of this moment, until the results have been read."""
        if self._read is None:
            status = self._status()
            if self._names is None or (status["total"] == len(self._names) and not status["forgotten"]):
                return {name: status[name] for name in ("total", *_STATES)}
        snapshot = self._snapshot()
        found = bytes(map(snapshot.states.__getitem__, snapshot.rows.values()))
        counts = {state: found.count(number) for number, state in enumerate(_STATES)}
        return {"total": len(found), **counts}

    @property
    def complete(self) -> bool:
        """True if every file has a result."""
        counts = self.counts
        return counts["done"] == counts["total"]

    @property
    def failures(self) -> list[Failure]:
        """The files that failed or are held, in the order of the list."""
        return [
            Failure(
                record["file"],
                record["state"],
                record["class"],
                record["status"],
                record["error"],
                record["attempts"],
            )
            for record in self._unfinished()
            if record["state"] in ("failed", "held")
        ]

    @property
    def in_doubt(self) -> list[str]:
        """The files whose last call is in doubt, in the order of the list: perhaps made, and without a result."""
        return [record["file"] for record in self._unfinished() if record["outcome"] == "in_doubt"]

    def _unfinished(self) -> Iterator[dict[str, Any]]:
        """Yields the records of the files that are not done."""
        snapshot = self._snapshot()
        return (_record(snapshot, row) for row in snapshot.rows.values() if snapshot.states[row] != _DONE)

    def to_dict(self) -> dict[str, Any]:
        """Returns all results in memory. It equals what ``stride export -o`` writes, if there are no bytes."""
        return dict(self.items())

    def to_arrow(self, *, flatten: bool = True) -> "pyarrow.Table":
        """Returns a table with a row for each file, in any state. Needs ``stride-batch[tables]``.

        Args:
            flatten: The fields of results that are objects are columns of their own, with types.
        """
        import tempfile

        import pyarrow.parquet

        rows = self._snapshot().rows
        with tempfile.TemporaryDirectory(prefix="stride-") as folder:
            path = os.path.join(folder, "results.parquet")
            more = ["--flatten"] if flatten else []
            self._program("export", "--all", "--replace-surrogates", *more, "-o", path)
            table = pyarrow.parquet.read_table(path)
        wanted = list(rows.values())
        if wanted == list(range(table.num_rows)):
            return table
        return table.take(wanted)

    def to_pandas(self, *, flatten: bool = True) -> "pandas.DataFrame":
        """Returns :meth:`to_arrow` as a DataFrame whose index is the file."""
        return self.to_arrow(flatten=flatten).to_pandas().set_index("file")

    def export(self, path: Name, format: Optional[str] = None, *, flatten: bool = False, **where: Any) -> None:
        """Writes all files of the whole run to a file, which is replaced only by a complete one.

        A table has a row for each. In ``.json``, a file without a result has ``{"error": …}``.

        Args:
            path: The file. Its ending chooses the format: ``.json``, ``.jsonl``, ``.csv`` or ``.parquet``.
            format: The format, for any other ending.
            flatten: The fields of results that are objects are columns of the table, as in :meth:`to_arrow`.
            where: Only files that match: ``state="failed"``, ``cls="rejected"``, ``status=[429, 503]``.

        Raises:
            Error: It could not be written.
        """
        words = ["--format", format] if format else []
        words += ["--flatten"] if flatten else []
        for field, value in where.items():
            field = "class" if field == "cls" else field
            values = value if isinstance(value, (list, tuple)) else [value]
            words += ["--where", f"{field}={','.join(map(str, values))}"]
        self._program("export", "--all", *words, "-o", os.fsdecode(path))

    def retry(
        self,
        call: Any,
        *,
        cls: Optional[str] = None,
        status: Optional[int] = None,
        match: Optional[str] = None,
        held: bool = False,
        **settings: Any,
    ) -> "Results":
        """Calls failed files of the whole run again, and returns the results of the same files as this.

        Nothing is changed if the calls cannot be made. The run knows the name and the version of its function.

        Args:
            call: The function.
            cls: Only failures of this class.
            status: Only failures with this status.
            match: Only failures with this text in the name, the message or the answer.
            held: Held files instead of failed ones.
            settings: As of :func:`stride.resume`.
        """
        from ._run import retry

        flags = ["--held"] if held else []
        for flag, value in (("--class", cls), ("--status", status), ("--match", match)):
            flags += [f"{flag}={value}"] if value is not None else []
        return retry(self.db, call, {**self._settings, **settings}, flags, self._names)

    def _program(self, *words: str, stdout: Union[IO[bytes], int] = subprocess.DEVNULL) -> bytes:
        command, *options = words
        words = (command, "--db", self.db, "--quiet", *options)
        with Program(words, stdin=subprocess.DEVNULL, stdout=stdout, stderr=subprocess.PIPE) as run:
            said, complaints = run.communicate()
        if run.returncode:
            text = complaints.decode(errors="replace").strip()
            raise Error(text or f"stride {command} ended with exit code {run.returncode}", run.returncode)
        return said or b""

    def _status(self) -> dict[str, Any]:
        status: dict[str, Any] = json.loads(self._program("status", "--json", stdout=subprocess.PIPE))
        return status

    def _snapshot(self) -> _Snapshot:
        """Returns the run as it was at the first use of a name or a result."""
        with self._reading:
            if self._read is None:
                lines = _temporary(self.db)
                self._program("export", "--all", "--format", "jsonl", "--columns", _COLUMNS, stdout=lines)
                # Only when it is whole: Ctrl-C may come in between.
                self._read = _index(lines, self._names)
                if self._names is not None:
                    self._names = self._read.rows
            return self._read


class _Items(ItemsView[str, Any]):
    _mapping: Results

    def __iter__(self) -> Iterator[tuple[str, Any]]:
        snapshot = self._mapping._snapshot()
        for name in self._mapping:
            yield name, _value(_record(snapshot, snapshot.rows[name]))


class _Values(ValuesView[Any]):
    _mapping: Results

    def __iter__(self) -> Iterator[Any]:
        return (value for _, value in self._mapping.items())


def _index(lines: IO[bytes], names: Optional[dict[str, int]]) -> _Snapshot:
    """Finds the lines of these names, or of all files."""
    starts, states, end = array("Q", [0]), bytearray(), 0
    rows = dict.fromkeys(names or (), -1)
    lines.seek(0)
    for row, line in enumerate(lines):
        end += len(line)
        starts.append(end)
        if head := _HEAD.match(line):
            name, state = head[1].decode(), head[2].decode()
        else:
            # No string can contain this, because its quotes have backslashes.
            record = json.loads(line[: line.index(b',"attempts":')] + b"}")
            name, state = _name(record), record["state"]
        states.append(_NUMBERS[state])
        if names is None or name in rows:
            rows[name] = row
    # Files of the call that were taken off the run.
    for name in [name for name, row in rows.items() if row < 0]:
        del rows[name]
    return _Snapshot(lines, starts, states, rows)


def _record(snapshot: _Snapshot, row: int) -> dict[str, Any]:
    """Reads the record of a file."""
    start, end = snapshot.starts[row], snapshot.starts[row + 1]
    line = os.pread(snapshot.lines.fileno(), end - start, start)
    record: dict[str, Any]
    try:
        record = json.loads(line)
    except RecursionError:
        # Another program's worker may have made it. In a string, the quotes would have backslashes.
        start, end = line.index(b',"result":') + 10, line.rindex(b',"result_bytes":')
        record = {**json.loads(line[:start] + b"null" + line[end:]), "result": line[start:end].decode()}
    record["file"] = _name(record)
    return record


def _temporary(db: str) -> IO[bytes]:
    """Returns a temporary file beside the database, where the results have room once more."""
    import tempfile

    try:
        return tempfile.TemporaryFile(dir=os.path.dirname(os.path.abspath(db)))
    except OSError:
        return tempfile.TemporaryFile()


def _name(record: dict[str, Any]) -> str:
    """Takes the name out of a record, as `os.fsdecode` returns it."""
    odd = record.pop("path_bytes")
    if odd is not None:
        import base64

        return os.fsdecode(base64.b64decode(odd))
    name: str = record["file"]
    return name


def _value(record: dict[str, Any]) -> Any:
    kind = record["result_type"]
    if kind == "bytes":
        import base64

        return base64.b64decode(record["result_bytes"])
    if kind == "file":
        from pathlib import Path

        return Path(record["result"]["file"])
    return record["result"]


def open(db: Name) -> Results:
    """Returns all results of a run, also while it goes on: those of the moment of the first use. Writes nothing.

    Args:
        db: The path of its database.

    Raises:
        Error: There is no run, or it cannot be read.
    """
    results = Results(os.path.abspath(os.fsdecode(db)))
    results._status()
    return results
