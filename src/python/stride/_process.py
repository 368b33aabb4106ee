"""Starts ``stride`` with this program as its worker, gives it the list, and waits for its end."""

import _thread
import atexit
import fcntl
import json
import logging
import math
import os
import re
import signal
import subprocess
import sys
import threading
import types
from collections import deque
from collections.abc import Callable, Iterable
from decimal import Decimal
from typing import TYPE_CHECKING, Any, NoReturn, Optional, Union

from . import _wire
from ._errors import Error, Halted, Incomplete
from ._find import Program
from ._list import File, FileList
from ._progress import Display, Status, progress
from ._results import Results
from ._stop import End, ctrl_c_later
from ._terms import FLAGS, SWITCHES, in_python, with_settings
from ._wire import Channel, Message
from ._worker import Function, Worker, identity, make, source

if TYPE_CHECKING:
    from ._run import RunSettings

log = logging.getLogger("stride")

Number = Union[int, float, str]

# Seconds between a second Ctrl-C and the end of a program that does not end by itself.
KILL_AFTER = 5.0

# The beginnings of lines that a program's log has to show.
_WARNINGS = ("warning", "failed", "held", "recovered")
_DATE = re.compile(r"\d{4}-\d\d-\d\dT\S+ ")

# A worker process is importing the program in which its function is.
importing = False
# Runs of this process that have not ended.
_active: "set[Process]" = set()


def _forked() -> None:
    # The parent closes the pipes, also by its death, only if no child has them.
    for one in list(_active):
        if one.channel is not None:
            one.channel.close_forked()
        one.close_feeds()
    _active.clear()


@atexit.register
def _at_exit() -> None:
    for one in list(_active):
        one.stop(now=False)
        one.ended.wait()


os.register_at_fork(after_in_child=_forked)


class Process:
    """One process of stride, and what serves it."""

    def __init__(
        self,
        files: Optional[Iterable[File]],
        call: Function,
        settings: "RunSettings",
        retry: Optional[list[str]] = None,
        names: Optional[dict[str, int]] = None,
    ) -> None:
        if importing:
            raise RuntimeError(
                "a worker process imports this program, and would start its run again: "
                'put stride.run under `if __name__ == "__main__":`'
            )
        if isinstance(files, (str, bytes)):
            raise TypeError("files is one name: use a list, [name]")
        if isinstance(settings.get("options"), str):
            raise TypeError('options is a text: use a list, ["--flag", "value"]')
        if not callable(call):
            raise TypeError(f"call is a {type(call).__name__}, not a function")
        for setting in ("name", "version"):
            given = settings.get(setting)
            if given is not None and not isinstance(given, str):
                raise TypeError(f"{setting}={given!r} is a {type(given).__name__}: use a text")
        if not isinstance(_thread.start_new_thread, types.BuiltinFunctionType):
            raise RuntimeError(
                "gevent or eventlet has replaced the threads of this program, and those of stride would never run: "
                "call stride in a program that does not patch them"
            )
        if signal.getsignal(signal.SIGCHLD) is signal.SIG_IGN:
            raise RuntimeError(
                "this program ignores SIGCHLD, so it cannot learn how stride ends: "
                "signal.signal(signal.SIGCHLD, signal.SIG_DFL) ends that"
            )
        if settings.get("incomplete", "return") not in ("return", "raise"):
            raise ValueError('incomplete is "return" or "raise"')
        self.call = call
        self.settings = settings
        # Which files are called again, as flags of `stride retry`.
        self.retry = retry
        # The program may change its folder before it reads the results.
        self.db = os.path.abspath(os.fsdecode(settings.get("db", "stride.db")))
        self.processes = settings.get("processes")
        threads = settings.get("threads")
        self.threads = threads if threads is not None else self.processes or 8
        self.files = None if files is None else FileList(files, settings.get("key"))
        # Those of the results.
        self.names = names if self.files is None else self.files.names
        self.channel: Optional[Channel] = None
        self.worker: Optional[Worker] = None
        self.ended = End()
        self.broken: Optional[BaseException] = None
        self._feeds: Optional[int] = None
        self._said: deque[str] = deque(maxlen=200)
        self._at_end: Callable[[], object] = self.ended.set
        self._show = progress(settings.get("progress"))

    def result(self) -> Results:
        """Runs to the end on this thread."""
        try:
            with ctrl_c_later():
                self._start(None)
            self._feed()
            self.ended.wait()
        except KeyboardInterrupt:
            self._interrupted()
        except BaseException:
            # Not if it could not start.
            if self in _active:
                self._kill()
            raise
        return self._finish()

    async def aresult(self) -> Results:
        """Runs to the end beside the tasks of the running loop."""
        import asyncio

        from ._async import in_thread

        loop = asyncio.get_running_loop()
        end = loop.create_future()

        def ended() -> None:
            self.ended.set()
            # A loop that has been closed meanwhile waits for nothing.
            if not loop.is_closed():
                loop.call_soon_threadsafe(end.set_result, None)

        self._at_end = ended
        try:
            with ctrl_c_later():
                self._start(loop)
            await in_thread(self._feed)
            await asyncio.shield(end)
        except asyncio.CancelledError:
            if self._feeds is None:
                self.stop(now=False)
            else:
                # stride waits for the rest of the list, and no call has begun.
                self._child.kill()
            try:
                await asyncio.shield(end)
            except asyncio.CancelledError:
                self.stop(now=True)
                await in_thread(self._give_up)
            raise
        except BaseException:
            if self in _active:
                self._kill()
            raise
        return self._finish()

    def stop(self, now: bool) -> None:
        """Asks stride to stop: to let the calls in flight end, or at once."""
        if self.channel is not None:
            self.channel.send(_wire.line({"t": "stop", "now": now}))
        else:
            self._child.send_signal(signal.SIGINT)

    def _start(self, loop: Any) -> None:
        command, environment = self._command()
        kept: list[int] = []
        if self.files is not None:
            names, self._feeds = _pipe()
            kept.append(names)
            command += ["--files-from", f"/dev/fd/{names}", *self.files.options()]
        calls = answers = None
        if self.processes is None:
            reads, calls = _pipe()
            answers, writes = _pipe()
            self.channel = Channel(reads, writes)
            self.worker = self._make_worker(self.channel, loop)
        complaints, said = _pipe()
        try:
            # Its own session keeps the terminal's Ctrl-C away: Python decides what that means.
            self._child = Program(
                command,
                stdin=subprocess.DEVNULL if answers is None else answers,
                stdout=subprocess.DEVNULL if calls is None else calls,
                stderr=said,
                pass_fds=kept,
                env=environment,
                start_new_session=True,
            )
        finally:
            for end in (*kept, calls, answers, said):
                if end is not None:
                    os.close(end)
        self._listener = threading.Thread(target=self._listen, args=(complaints,), daemon=True)
        self._listener.start()
        self._display = Display(self._show)
        threading.Thread(target=self._serve, name="stride-serve", daemon=True).start()
        _active.add(self)

    def _command(self) -> "tuple[list[str], dict[str, str]]":
        settings = self.settings
        verb = ["run"] if self.files is not None else ["resume"] if self.retry is None else ["retry", *self.retry]
        command = [*verb, "--db", self.db, "--quiet"]
        for setting, flag in FLAGS.items():
            value = self.threads if setting == "threads" else settings.get(setting)
            if value is not None:
                command.append(f"{flag}={_word(setting, value)}")
        command += [flag for setting, flag in SWITCHES.items() if settings.get(setting)]
        environment = dict(os.environ)
        if self.processes is None:
            command += ["--worker", "-"]
        else:
            if self.files is None:
                # `resume` goes on with the command of the run.
                self._known()
            else:
                command += ["--worker", self._worker_command()]
            command += ["--workers", str(self.processes)]
            # Its own session and workers would let it outlive this process.
            command += ["--end-with", str(os.getpid())]
            paths = (os.path.abspath(path) for path in sys.path)
            environment["PYTHONPATH"] = os.pathsep.join(paths)
        return command + list(settings.get("options", ())), environment

    def _hello(self) -> Message:
        known = self.settings if self.files is not None else self._known()
        return {
            "name": known.get("name") or identity(self.call),
            "version": known.get("version"),
            "source": source(self.call),
        }

    def _known(self) -> Message:
        """Returns what the run knows of its function.

        Raises:
            Error: Something else is given. stride would refuse it too late: when it has made failed files pending.
        """
        status = _status(self.db)
        call: Message = status["call"] if status else {}
        if call.get("way") == ("starter" if self.processes else "worker"):
            have, hint = ("threads", "leave processes= out") if self.processes else ("processes", "use processes=")
            raise Error(f"the run has {have}\nhint: {hint}, or use stride.run with accept_change=True", 2)
        for setting in ("name", "version"):
            given, known = self.settings.get(setting), call.get(setting)
            if given is not None and given != known:
                raise Error(
                    f"{setting}={given!r} is not that of the run, which is {known!r}\n"
                    f"hint: leave {setting}= out, or use stride.run with accept_change=True",
                    2,
                )
        return call

    def _worker_command(self) -> str:
        hello = self._hello()
        import shlex

        words = [sys.executable, "-m", "stride.worker", _importable(self.call, "call")]
        # The run knows the function by these words, and other numbers are no other function.
        words += ["--name", hello["name"], "--threads", "0"]
        if hello["version"] is not None:
            words += ["--version", hello["version"]]
        classify = self.settings.get("classify")
        if classify is not None:
            words += ["--classify", _importable(classify, "classify")]
        return shlex.join(words)

    def _make_worker(self, channel: Channel, loop: Any) -> Worker:
        return make(
            channel,
            self.call,
            loop=loop,
            width=self.threads,
            hello={**self._hello(), "status": True},
            classify=self.settings.get("classify"),
            told=self._told,
        )

    def _told(self, message: Message) -> None:
        counts = message.get("counts", {})
        numbers = {name: counts.get(name, 0) for name in Status._fields[:6]}
        status = Status(**numbers)
        self._display.tell(status._replace(limited_by=message.get("limited_by"), finish=message.get("finish")))

    def _feed(self) -> None:
        """Writes the list. An incomplete one would be a different list, so an error ends the run before it begins."""
        feeds = self._feeds
        if self.files is None or feeds is None:
            return
        try:
            for part in self.files.parts(self.ended):
                rest = memoryview(part)
                try:
                    while rest:
                        rest = rest[os.write(feeds, rest) :]
                except BrokenPipeError:
                    # stride has ended, and says why.
                    return
        except BaseException:
            self._kill()
            raise
        finally:
            self.close_feeds()

    def close_feeds(self) -> None:
        """Ends the list."""
        feeds, self._feeds = self._feeds, None
        if feeds is not None:
            os.close(feeds)

    def _serve(self) -> None:
        """Serves stride until it ends."""
        try:
            if self.worker is not None:
                self.worker.serve()
            else:
                self._watch()
        except BaseException as error:
            self.broken = error
            self._child.kill()
        try:
            self._child.wait()
            self._listener.join()
            if self.channel is not None:
                self.channel.close()
            self._display.end()
        except BaseException as error:
            self.broken = self.broken or error
        _active.discard(self)
        self._at_end()

    def _watch(self) -> None:
        """Shows the progress of workers in other processes, until the end."""
        while True:
            self._listener.join(timeout=1)
            if not self._listener.is_alive():
                return
            counts = _status(self.db)
            if counts:
                self._told({"counts": counts})

    def _listen(self, complaints: int) -> None:
        """Passes on what stride says to people. Its errors become exceptions."""
        level = logging.INFO
        with os.fdopen(complaints, encoding="utf-8", errors="replace") as lines:
            for line in lines:
                # A log has its own dates.
                text = in_python(_DATE.sub("", line.rstrip("\n"), count=1))
                self._said.append(text)
                # A hint belongs to the line before it.
                if not text.startswith("hint:"):
                    is_warning = text.startswith(_WARNINGS) or " in doubt, because " in text
                    level = logging.WARNING if is_warning else logging.INFO
                log.log(level, "%s", text)

    def _interrupted(self) -> NoReturn:
        try:
            if self._feeds is None:
                self.stop(now=False)
                log.warning(
                    "stopping: waiting for the calls in flight; Ctrl-C again ends at once and leaves them in doubt"
                )
                self.ended.wait()
            else:
                # stride waits for the rest of the list, and no call has begun.
                self._kill()
                self.close_feeds()
        except KeyboardInterrupt:
            self.stop(now=True)
            self._give_up()
        try:
            counts = _status(self.db)
        except KeyboardInterrupt:
            counts = None
        done = f"{counts['done']:,} of {counts['total']:,} files done; " if counts else ""
        # A subclass would say more, but Python ends only by this very type as a shell expects it after Ctrl-C.
        stopped = KeyboardInterrupt(f"{done}the same call continues")
        stopped.results = self._results()  # type: ignore[attr-defined]
        raise stopped from None

    def _give_up(self) -> None:
        try:
            has_ended = self.ended.wait(KILL_AFTER)
        except KeyboardInterrupt:
            has_ended = False
        if not has_ended:
            self._kill()

    def _kill(self) -> None:
        self._child.kill()
        self.ended.wait()

    def _results(self) -> Results:
        return Results(self.db, self.names, self.settings)

    def _finish(self) -> Results:
        code = self._child.returncode
        fatal = self.worker.fatal if self.worker is not None else None
        error = self.broken or fatal
        if error is not None:
            raise error
        results = self._results()
        if code in (0, 3):
            if code == 3 and self.settings.get("incomplete") == "raise":
                counts = results.counts
                text = f"{counts['total'] - counts['done']:,} of {counts['total']:,} files have no result"
                raise Incomplete(text, results)
            return results
        lines = list(self._said)
        starts = [place for place, line in enumerate(lines) if line.startswith("error")]
        text = "\n".join(lines[starts[0] :] if starts else lines)
        text = with_settings(text)
        if code in (4, 75):
            if "threads have not returned" in text and self.worker is not None:
                names = dict.fromkeys(self.worker.hanging().values())
                text += f"\nnote: they hang in {', '.join(map(repr, names))}"
            raise Halted(text, results, code)
        if code < 0:
            text = f"stride was killed by signal {-code}; the same call continues"
        raise Error(text or f"stride ended with exit code {code}", code)


def _pipe() -> "tuple[int, int]":
    """Returns a pipe whose ends are no standard streams: where those are closed, new files get their numbers."""
    ends = os.pipe()
    try:
        reads, writes = (fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, 3) for end in ends)
    finally:
        for end in ends:
            os.close(end)
    return reads, writes


def _word(setting: str, value: Any) -> str:
    """Returns the text of a setting's value."""
    if isinstance(value, (int, float)) and setting == "rate":
        return f"{Decimal(str(value)):f}/s"
    if isinstance(value, (int, float)) and setting == "timeout" and math.isfinite(value):
        return f"{round(value * 1000)}ms"
    return os.fsdecode(value) if setting == "output_dir" else str(value)


def _importable(call: Function, what: str) -> str:
    """Returns the name by which another process finds a function.

    Raises:
        ValueError: It finds none.
    """
    path = getattr(call, "__qualname__", "<none>")
    module: Any = getattr(call, "__module__", None)
    found: Any = sys.modules.get(module)
    main = sys.modules["__main__"]
    if found is main:
        spec = getattr(main, "__spec__", None)
        script = getattr(main, "__file__", None)
        module = spec.name if spec else script and os.path.abspath(script)
    for part in path.split("."):
        found = getattr(found, part, None)
    # A method has the name of its class's function, and what a decorator returns often that of the function within.
    if not module or found != call:
        raise ValueError(
            f"{what} is {path}, which other processes cannot import: "
            "define it at the top of a module by this name, or leave out processes="
        )
    return f"{module}:{path}"


def _status(db: str) -> "Optional[dict[str, Any]]":
    """Returns the run's counts and its call, or None if there is no run."""
    words = ("status", "--json", "--db", db)
    with Program(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as child:
        said, _ = child.communicate()
    return json.loads(said) if child.returncode == 0 else None
