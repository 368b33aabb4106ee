"""Runs stride and the script threads_polite.py in turns against real limiters, and prints what their own records say."""
import argparse, shutil, signal, socket, sqlite3, statistics, subprocess, sys, tempfile, time
from contextlib import closing
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from rows import HERE, ROWS, Place, Row

README = HERE.parent / "README.md"
BEGIN, END = "<!-- limits -->", "<!-- /limits -->"
# How long a service is away, and from when on, in seconds; less where a turn is short.
AWAY = 20.0
CLIENTS = ("stride", "script")
# The columns of each table, and those of them that are counts.
TABLES = {
    "limit": (["accepted % whole", "second half", "refused %", "failed"], {3}),
    "away": (["failed", "calls while away", "back after s", "calls/s before"], {0, 1}),
    "files": (["seconds", "refused calls", "failed"], {1, 2}),
}


@dataclass
class Call:
    """Times are in seconds; the status is 0 where there was no answer."""
    started: float
    ended: float
    status: int
    accepted: bool

    def refused(self) -> bool:
        return self.status in (429, 503)


@dataclass
class Record:
    """What a client recorded, its times counted from the beginning of its first call."""
    calls: list[Call]
    failed: int
    seconds: float
    # When the service went away and came back.
    switches: list[float]
    note: str

    def accepted(self, begin: float, end: float) -> int:
        return sum(call.accepted and begin <= call.ended < end for call in self.calls)

    def figures(self, row: Row, seconds: float) -> list[float]:
        """The values of the row's columns.

        >>> calls = [Call(t / 10, t / 10, 429 if t % 5 == 0 else 200, t % 5 > 0) for t in range(250)]
        >>> limited = Row("", "", lambda place: 0, allowed=10)
        >>> Record(calls, 1, 25, [], "").figures(limited, 20)
        [80.0, 80.0, 20.0, 1]
        >>> good = [Call(t / 10, t / 10, 200, True) for t in range(250) if not 100 <= t < 160]
        >>> probes = [Call(t, t, 503, False) for t in (10.5, 11, 12, 14)]
        >>> gone = Row("", "", lambda place: 0, away=True)
        >>> Record(good + probes, 0, 25, [10, 15], "").figures(gone, 25)
        [0, 4, 0.8, 10.0]
        """
        if row.files:
            return [self.seconds, sum(call.refused() for call in self.calls), self.failed]
        if row.away:
            left, back = self.switches
            # From half of the time before: a client may need a while to find its pace.
            before = self.accepted(left / 2, left) / (left / 2)
            in_vain = sum(not call.accepted and left <= call.ended < seconds for call in self.calls)
            # The beginning of the first two seconds that have the former pace.
            tries = (tenth / 10 for tenth in range(int((seconds - back - 2) * 10)))
            soon = (t for t in tries if self.accepted(back + t, back + t + 2) >= 0.9 * before * 2)
            return [self.failed, in_vain, next(soon, float("nan")), before]
        calls = [call for call in self.calls if call.ended < seconds]
        refused = 100 * sum(call.refused() for call in calls) / max(1, len(calls))
        rates = [self.accepted(begin, seconds) / (seconds - begin) for begin in (0, seconds / 2)]
        return [100 * rate / (row.allowed or 1) for rate in rates] + [refused, self.failed]


def until_listening(port: int) -> None:
    for _ in range(200):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    sys.exit("error: a service did not start within 10 s; see --keep")


def end(process: subprocess.Popen[bytes], how: signal.Signals) -> int:
    """Ends a process of ours, and returns its exit code."""
    if process.poll() is None:
        process.send_signal(how)
    try:
        return process.wait(30)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait()


def read(folder: Path, client: str) -> tuple[list[Call], int]:
    """The calls of a client, their times since 1970, and the number of its failed files."""
    if client == "stride":
        with closing(sqlite3.connect(f"file:{folder}/stride.db?mode=ro", uri=True)) as database:
            rows = database.execute("SELECT started, ended, ifnull(status, 0), outcome = 'succeeded' FROM attempt"
                                    " WHERE outcome <> 'interrupted'").fetchall()
            failed = database.execute("SELECT failed FROM counts").fetchone()[0]
    else:
        cells = (line.split(",") for line in (folder / "calls.csv").read_text().splitlines())
        rows = [(int(started), int(ended), int(status), status == "200") for started, ended, status in cells]
        failed = int((folder / "said").read_text().split(" failed")[0].split()[-1])
    return [Call(started / 1000, ended / 1000, status, bool(good)) for started, ended, status, good in rows], failed


def measure(row: Row, client: str, options: argparse.Namespace, files: Path, scratch: Path) -> Record:
    """Starts the row's service, lets a client call it for the time, and reads the client's record."""
    place = Place(Path(tempfile.mkdtemp(dir=scratch)), options.tools)
    folder, switches = place.folder, []
    # The first call is a little later than the process.
    seconds = 600.0 if row.files else options.seconds + 2
    try:
        port = row.service(place)
        until_listening(port)
        url, began = f"http://127.0.0.1:{port}", time.time()
        if client == "stride":
            process = place.start(options.stride, "run", "--db", folder / "stride.db", "--url", url + "/{name}",
                                  "-j", row.threads, *row.options, files, said="said", log="log")
        else:
            process = place.start(sys.executable, HERE.parent / "peers/threads_polite.py", files, row.threads, url,
                                  folder / "out.json", seconds, folder / "calls.csv", said="said", log="log")
        if row.away and place.backend:
            for switch in (signal.SIGUSR1, signal.SIGUSR2):
                time.sleep(min(AWAY, options.seconds / 4))
                place.backend.send_signal(switch)
                switches.append(time.time())
        try:
            # The script stops by itself.
            process.wait(began + seconds - time.time() + (0 if client == "stride" else 60))
        except subprocess.TimeoutExpired:
            pass
        took, early = time.time() - began, process.poll() is not None and client == "stride" and not row.files
        code = end(process, signal.SIGINT)
        calls, failed = read(folder, client)
    finally:
        for process in reversed(place.started):
            end(process, signal.SIGTERM)
        if options.keep:
            shutil.copytree(folder, options.keep / f"{row.name}-{client}-{int(time.time())}")
        shutil.rmtree(folder, ignore_errors=True)
    first = min((call.started for call in calls), default=began)
    for call in calls:
        call.started, call.ended = call.started - first, call.ended - first
    note = f"stride ended by itself after {took:.0f} s with exit code {code}" if early else ""
    return Record(calls, failed, took, [moment - first for moment in switches], note)


def make_files(folder: Path, count: int) -> Path:
    """A folder of so many tiny files, made once."""
    made = folder / f"files-{count}"
    if not made.exists():
        part = Path(tempfile.mkdtemp(dir=folder))
        for number in range(count):
            (part / f"{number:06}.txt").write_text(str(number))
        part.rename(made)
    return made


def version(*command: object) -> str:
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True)
    return " ".join((done.stdout + done.stderr).split()[:3])


def measure_all(rows: list[Row], options: argparse.Namespace, scratch: Path) -> str:
    """Prints each row as soon as it is measured, and returns all that was printed."""
    lines: list[str] = []

    def say(line: str) -> None:
        print(line, flush=True)
        lines.append(line)

    say(f"{version(options.stride, '--version')}; {version('nginx', '-v')}; {version('haproxy', '-v')}; "
        f"node {version('node', '--version')}; {date.today()}; {options.seconds:.0f} s a turn; rounds: {options.rounds}")
    table = ""
    for row in rows:
        kind = "files" if row.files else "away" if row.away else "limit"
        columns, counts = TABLES[kind]
        if kind != table:
            heads = [f"{client}: {column}" for client in CLIENTS for column in columns]
            say(f"\n| service | allowed/s | {' | '.join(heads)} | note |\n| --- |{' ---: |' * (len(heads) + 1)} --- |")
            table = kind
        # Twice as many as can be called; a service without a limit takes a call for each thread in 50 ms.
        most = 2 * options.seconds * (row.allowed or row.threads / 0.05)
        files = make_files(options.tools, row.files or (40_000 if most < 40_000 else 400_000))
        turns = [[measure(row, client, options, files, scratch) for client in CLIENTS] for _ in range(options.rounds)]
        cells = [row.says, f"{row.allowed:.0f}" if row.allowed else "-"]
        for records in zip(*turns):
            rounds = zip(*(record.figures(row, options.seconds) for record in records))
            for column, values in enumerate(rounds):
                value = statistics.median(values)
                cells.append("never" if value != value else f"{value:,.0f}" if column in counts else f"{value:.1f}")
        notes = dict.fromkeys(record.note for turn in turns for record in turn if record.note)
        say(f"| {' | '.join([*cells, '; '.join(notes)])} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(prog="tests/bench/limits/run", description=__doc__)
    parser.add_argument("--seconds", type=float, default=120, help="the length of a turn [default: 120]")
    parser.add_argument("--only", action="append", metavar="NAME", help="the rows whose names begin so")
    parser.add_argument("--stride", type=Path, help="another build [default: the release build of this tree]")
    parser.add_argument("--rounds", type=int, default=1, help="turns of each client; medians are shown [default: 1]")
    parser.add_argument("--write", action="store_true", help="put the tables into the README")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="keep databases, logs and configurations there")
    parser.add_argument("--list", action="store_true", help="list the rows; those with a star are measured if none is named")
    parser.add_argument("--tools", type=Path, required=True, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.list:
        print("\n".join(f"{'*' if row.usual else ' '} {row.name:20} {row.says}" for row in ROWS))
        return
    options.stride = (options.stride or options.tools.parent / "release/stride").absolute()
    rows = [row for row in ROWS if (any(map(row.name.startswith, options.only)) if options.only else row.usual)]
    if not rows:
        parser.error("no row has such a name; see --list")
    # In the background of a script, SIGINT may have been ignored.
    for stop in (signal.SIGINT, signal.SIGTERM):
        signal.signal(stop, signal.default_int_handler)
    with tempfile.TemporaryDirectory(prefix="stride-limits-") as scratch:
        tables = measure_all(rows, options, Path(scratch))
    if options.write:
        before, rest = README.read_text().split(BEGIN)
        README.write_text(f"{before}{BEGIN}\n{tables}\n{END}{rest.split(END)[1]}")


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(130)
