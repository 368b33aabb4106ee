"""Calls a function once for each file of a list."""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Optional, TypedDict

from ._errors import Classify
from ._list import File
from ._process import Number, Process
from ._progress import Progress
from ._results import Name, Results
from ._worker import Function

if TYPE_CHECKING:
    from typing_extensions import Unpack


class Settings(TypedDict, total=False):
    """The settings of :func:`resume`."""

    threads: Optional[int]
    processes: Optional[int]
    rate: Optional[Number]
    timeout: Optional[Number]
    retries: Optional[int]
    in_doubt: Optional[str]
    max_failures: Optional[Number]
    max_calls: Optional[Number]
    max_cost: Optional[Number]
    until: Optional[str]
    output_dir: Optional[Name]
    success: Optional[str]
    extract: Optional[str]
    name: Optional[str]
    version: Optional[str]
    classify: Optional[Classify]
    progress: Progress
    incomplete: str
    options: Iterable[str]


class RunSettings(Settings, total=False):
    """The settings of :func:`run`."""

    db: Name
    key: Optional[str]
    accept_change: bool
    retry_changed: bool


def run(
    files: Iterable[File],
    call: Function,
    *,
    db: Name = "stride.db",
    threads: Optional[int] = None,
    processes: Optional[int] = None,
    rate: Optional[Number] = None,
    timeout: Optional[Number] = None,
    retries: Optional[int] = None,
    in_doubt: Optional[str] = None,
    max_failures: Optional[Number] = None,
    max_calls: Optional[Number] = None,
    max_cost: Optional[Number] = None,
    until: Optional[str] = None,
    output_dir: Optional[Name] = None,
    success: Optional[str] = None,
    extract: Optional[str] = None,
    name: Optional[str] = None,
    version: Optional[str] = None,
    accept_change: bool = False,
    retry_changed: bool = False,
    key: Optional[str] = None,
    classify: Optional[Classify] = None,
    progress: Progress = None,
    incomplete: str = "return",
    options: Iterable[str] = (),
) -> Results:
    """Calls a function once for each file, and returns the results when all calls have ended.

    Each call is recorded before it starts, and its result before the next one of its thread. The same `run` again, with
    the same `db`, continues after a crash or Ctrl-C: files with a result are not called again. A setting that is left
    out keeps the run's last value.

    Args:
        files: Names (``str``, ``bytes``, ``PathLike``) or rows (mappings). Any iterable; it is read once, in this
            thread, before the first call. Names need not be files.
        call: Gets a :class:`Job`, which is a ``str``, for a name, and a :class:`Row`, which is a ``dict``, for a row.
            It returns JSON's types, ``bytes``, a dataclass, an object with ``model_dump`` or an :class:`Answer`.
            It may be a coroutine function. It may be called again for a file after a failure, and after a crash.
        db: The run's database. It is made if there is none.
        threads: Calls at the same time: 8, or `processes`.
        processes: Call in this many processes, which crash by themselves. The function must be importable.
        rate: Calls a second at most, or a text such as ``"600/m"``. By default stride finds the pace that the service
            accepts.
        timeout: Seconds for a call, or a text such as ``"2m"``. A thread cannot be ended: its call is given up.
        retries: Retries after a transient failure.
        in_doubt: ``"retry"``, or ``"hold"`` to decide about calls of which nobody knows whether they were made.
        max_failures: Stop after so many failures; a share as ``"5%"``.
        max_calls: Stop after so many calls of the run. ``"none"`` removes this limit, as it does the others.
        max_cost: Stop before the run costs more. The function returns ``stride.Answer(…, cost=…)``, or
            ``options=["--cost", "0.0015"]`` says what each call costs.
        until: Stop at a time such as ``"06:00"``.
        output_dir: Write each result to a file of its own in this folder.
        success: A jq expression that is true of a result.
        extract: A jq expression for what exports and ``Results`` contain of a result.
        name: The function's name for the run; by default its module and its name. Another name is refused.
        version: The function's version. Another version is refused.
        accept_change: Continue although name or version differ. Results are kept.
        retry_changed: Call done files again whose row has changed since, or that were written since. By default their
            results stay, and a warning names them.
        key: The column that names a row: ``path`` or ``file`` by default; several as ``"path,lang"``, or ``"@line"``
            for its place, from 1.
        classify: A function from an exception to a class such as ``"transient"``, a :class:`Verdict`, a
            :class:`CallError`, or None for :func:`stride.classify`.
        progress: False for none, or a function that gets each :class:`Status`. By default a bar of tqdm, or a line
            every ten seconds.
        incomplete: ``"raise"`` to raise :class:`Incomplete` if files failed.
        options: More options of ``stride run``, as a list.

    Returns:
        The results of these files. ``results.failures`` has the files that failed.

    Raises:
        Halted: The run stopped early. The rest stays pending.
        Incomplete: Files failed or are held, and ``incomplete="raise"``.
        KeyboardInterrupt: Ctrl-C. Calls in flight had 30 seconds to end; a second Ctrl-C ended the run at once. Its
            ``results`` are those so far.
        Error: stride could not start or go on.
    """
    settings: RunSettings = {
        "db": db,
        "threads": threads,
        "processes": processes,
        "rate": rate,
        "timeout": timeout,
        "retries": retries,
        "in_doubt": in_doubt,
        "max_failures": max_failures,
        "max_calls": max_calls,
        "max_cost": max_cost,
        "until": until,
        "output_dir": output_dir,
        "success": success,
        "extract": extract,
        "name": name,
        "version": version,
        "accept_change": accept_change,
        "retry_changed": retry_changed,
        "key": key,
        "classify": classify,
        "progress": progress,
        "incomplete": incomplete,
        "options": options,
    }
    return Process(files, call, settings).result()


async def arun(files: Iterable[File], call: Function, **settings: "Unpack[RunSettings]") -> Results:
    """As :func:`run`, without blocking the event loop. A coroutine function runs on this loop.

    `files` is read on another thread. When the task is cancelled, calls in flight end first; a second cancellation ends
    the run at once.
    """
    _check(settings, RunSettings)
    return await Process(files, call, settings).aresult()


def resume(db: Name, call: Function, **settings: "Unpack[Settings]") -> Results:
    """Continues a run without its list, and returns the results of all its files.

    Settings are as of :func:`run`. The run knows the name and the version of its function.
    """
    return _process(db, call, settings).result()


def retry(
    db: Name, call: Function, settings: Mapping[str, object], flags: list[str], names: Optional[dict[str, int]]
) -> Results:
    """Calls failed files of a run again, and returns the results of these names.

    `flags` are those of ``stride retry``.
    """
    return _process(db, call, settings, flags, names).result()


def _process(
    db: Name,
    call: Function,
    settings: Mapping[str, object],
    retry: Optional[list[str]] = None,
    names: Optional[dict[str, int]] = None,
) -> Process:
    _check(settings, Settings)
    given: RunSettings = {**settings, "db": db}  # type: ignore[typeddict-item]
    return Process(None, call, given, retry, names)


def _check(settings: Mapping[str, object], known: type) -> None:
    unknown = settings.keys() - known.__annotations__.keys()
    if unknown:
        raise TypeError(f"no such setting: {', '.join(sorted(unknown))}")
