"""Runs stride and the script threads_polite.py in turns against real limiters, and prints what their own records say."""
import argparse, shutil, signal, socket, sqlite3, statistics, subprocess, sys, tempfile, time
from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from rows import ROWS, Place, Row

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[2]
README = HERE.parent / "README.md"
BEGIN, END = "<!-- limits -->", "<!-- /limits -->"
# How long a service is away, and from when on, in seconds; less where a row is short.
AWAY = 20.0
CLIENTS = ("stride", "script")
HEADS = {
    "limit": ["service", "allowed/s", "accepted % whole", "second half", "refused %", "failed"],
    "away": ["service", "", "failed", "calls while away", "back after s", "calls/s before"],
    "files": ["service", "", "seconds", "refused calls", "failed"],
}


@dataclass
class Call:
    started: float
    ended: float
    status: int
    accepted: bool


@dataclass
class Record:
    """The record of one client: its calls, in seconds since the first one began."""
    calls: list[Call]
    failed: int
    seconds: float
    # When the service went away and came back.
    away: tuple[float, float] | None
    note: str = ""

    def accepted(self, begin: float, end: float) -> int:
        return sum(call.accepted and begin <= call.ended < end for call in self.calls)

    def limit(self, row: Row, seconds: float) -> list[float]:
        calls = [call for call in self.calls if call.ended < seconds]
        refused = sum(call.status in (429, 503) for call in calls)
        share = [self.accepted(begin, seconds) / (seconds - begin) for begin in (0, seconds / 2)]
        return [100 * rate / (row.allowed or 1) for rate in share] + [100 * refused / max(1, len(calls)), self.failed]

    def outage(self, seconds: float) -> list[float]:
        assert self.away
        left, back = self.away
        # From half of the time before it: a client may need a while to find its pace.
        before = self.accepted(left / 2, left) / (left / 2)
        while_away = sum(not call.accepted and left <= call.ended < seconds for call in self.calls)
        # The beginning of the first two seconds that have the former pace.
        tries = (tenth / 10 for tenth in range(int((seconds - back - 2) * 10)))
        found = (t for t in tries if self.accepted(back + t, back + t + 2) >= 0.9 * before * 2)
        return [self.failed, while_away, next(found, float("nan")), before]

    def files(self) -> list[float]:
        return [self.seconds, sum(call.status in (429, 503) for call in self.calls), self.failed]


def figures(row: Row, record: Record, seconds: float) -> list[float]:
    if row.files:
        return record.files()
    return record.outage(seconds) if row.away else record.limit(row, seconds)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def until_listening(port: int) -> None:
    for _ in range(200):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise SystemExit("error: a service did not start within 10 s")


def end(process: subprocess.Popen[bytes], how: signal.Signals) -> int:
    """Ends a process of ours, and returns its exit code."""
    if process.poll() is None:
        process.send_signal(how)
    try:
        return process.wait(30)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait()


def stride_calls(database: Path) -> tuple[list[tuple[float, float, int, bool]], int]:
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
        calls = connection.execute("SELECT started, ended, ifnull(status, 0), outcome = 'succeeded' FROM attempt"
                                   " WHERE outcome NOT NULL AND outcome <> 'interrupted'").fetchall()
        return calls, connection.execute("SELECT failed FROM tally").fetchone()[0]


def script_calls(csv: Path, said: str) -> tuple[list[tuple[float, float, int, bool]], int]:
    rows = [[int(cell) for cell in line.split(",")] for line in csv.read_text().splitlines()]
    return [(*row, row[2] == 200) for row in rows], int(said.split(" failed")[0].split()[-1])


def measure(row: Row, client: str, options: argparse.Namespace, files: Path, scratch: Path) -> Record:
    """Starts the row's service, lets a client call it for the time, and reads the client's record."""
    folder = Path(tempfile.mkdtemp(dir=scratch))
    place = Place(folder, options.tools, free_port)
    seconds = 600.0 if row.files else options.seconds
    database, csv, said, log = (folder / name for name in ("stride.db", "calls.csv", "said", "log"))
    try:
        url = f"http://127.0.0.1:{(port := row.service(place))}"
        until_listening(port)
        if client == "stride":
            words = [options.stride, "run", "--db", database, "--url", url + "/{name}", "-j", row.threads, *row.options, files]
        else:
            words = [sys.executable, HERE.parent / "peers/threads_polite.py", files, row.threads, url, folder / "out.json",
                     seconds + 2, csv]
        began, switches = time.time(), []
        with open(said, "wb") as out, open(log, "wb") as err:
            process = subprocess.Popen([str(word) for word in words], stdin=subprocess.DEVNULL, stdout=out, stderr=err,
                                       cwd=folder, start_new_session=True)
        place.started.append(process)
        if row.away and place.backend:
            moment = min(AWAY, seconds / 4)
            for switch in (signal.SIGUSR1, signal.SIGUSR2):
                time.sleep(moment)
                place.backend.send_signal(switch)
                switches.append(time.time())
        try:
            # The first call is a little later than the process.
            process.wait(seconds + 1 - (time.time() - began) if client == "stride" else seconds + 60)
        except subprocess.TimeoutExpired:
            pass
        took, early = time.time() - began, process.poll() is not None and client == "stride" and not row.files
        code = end(process, signal.SIGINT)
        calls, failed = stride_calls(database) if client == "stride" else script_calls(csv, said.read_text())
    finally:
        for process in reversed(place.started):
            end(process, signal.SIGTERM)
        if options.keep:
            shutil.copytree(folder, options.keep / f"{row.name}-{client}-{int(time.time())}")
        shutil.rmtree(folder, ignore_errors=True)
    first = min((call[0] for call in calls), default=began * 1000) / 1000
    parsed = [Call(call[0] / 1000 - first, call[1] / 1000 - first, call[2], bool(call[3])) for call in calls]
    away = (switches[0] - first, switches[1] - first) if len(switches) == 2 else None
    return Record(parsed, failed, took, away, f"ended by itself after {took:.0f} s, exit {code}" if early else "")


def make_files(folder: Path, count: int) -> Path:
    """A folder of so many tiny files, made once."""
    made = folder / f"files-{count}"
    if not made.exists():
        part = Path(tempfile.mkdtemp(dir=folder))
        for number in range(count):
            (part / f"{number:06}.txt").write_text(str(number))
        part.rename(made)
    return made


def show(numbers: Iterable[list[float]], kind: str) -> list[str]:
    """The medians of the rounds."""
    medians = [statistics.median(column) for column in zip(*numbers)]
    counts = {"limit": (3,), "away": (0, 1), "files": (1, 2)}[kind]
    return [f"{value:,.0f}" if i in counts else "never" if value != value else f"{value:.1f}" for i, value in enumerate(medians)]


def write(text: str) -> None:
    before, rest = README.read_text().split(BEGIN)
    README.write_text(f"{before}{BEGIN}\n{text.strip()}\n{END}{rest.split(END)[1]}")


def version(*command: object) -> str:
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True)
    return (done.stdout + done.stderr).strip().splitlines()[0]


def main() -> None:
    parser = argparse.ArgumentParser(prog="tests/bench/limits/run", description=__doc__)
    parser.add_argument("--seconds", type=float, default=120, help="the length of a turn [default: 120]")
    parser.add_argument("--only", action="append", metavar="NAME", help="the rows whose names begin so")
    parser.add_argument("--stride", type=Path, help="another build [default: the release build of this tree]")
    parser.add_argument("--rounds", type=int, default=1, help="turns of each client a row; the median is shown [default: 1]")
    parser.add_argument("--write", action="store_true", help="put the tables into the README")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="keep databases, logs and configurations there")
    parser.add_argument("--list", action="store_true", help="list the rows; those with a star are measured if none is named")
    parser.add_argument("--tools", type=Path, required=True, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.list:
        print("\n".join(f"{'*' if row.usual else ' '} {row.name:20} {row.says}" for row in ROWS))
        return
    options.stride = (options.stride or options.tools.parent / "release/stride").absolute()
    chosen = [row for row in ROWS if (any(map(row.name.startswith, options.only)) if options.only else row.usual)]
    if not chosen:
        parser.error("no row has such a name; see --list")
    # Where it was ignored, as in a script's background, it would not end this, either.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    lines: list[str] = []

    def say(line: str) -> None:
        print(line, flush=True)
        lines.append(line)

    say(f"{version(options.stride, '--version')}; {version('nginx', '-v')}; {version('haproxy', '-v')}; "
        f"node {version('node', '--version')}; {date.today()}; {options.seconds:.0f} s a turn, rounds: {options.rounds}")
    shown = ""
    with tempfile.TemporaryDirectory(prefix="stride-limits-") as scratch:
        for row in chosen:
            kind = "files" if row.files else "away" if row.away else "limit"
            if kind != shown:
                first, second, *columns = HEADS[kind]
                heads = [first, second or "-"] + [f"{client}: {column}" for client in CLIENTS for column in columns] + ["note"]
                say(f"\n| {' | '.join(heads)} |\n| --- |{' ---: |' * (len(heads) - 2)} --- |")
                shown = kind
            pace = row.threads / 0.05 if row.away else 2 * (row.allowed or 0) + 50
            files = make_files(options.tools, row.files or (40_000 if pace * options.seconds < 40_000 else 200_000))
            records: dict[str, list[Record]] = {client: [] for client in CLIENTS}
            for _ in range(options.rounds):
                for client in CLIENTS:
                    records[client].append(measure(row, client, options, files, Path(scratch)))
            cells = [row.says, f"{row.allowed:.0f}" if row.allowed else "-"]
            for client in CLIENTS:
                cells += show([figures(row, record, options.seconds) for record in records[client]], kind)
            notes = [record.note for record in records["stride"] if record.note]
            say(f"| {' | '.join(cells + ['; '.join(notes)])} |")
    if options.write:
        write("\n".join(lines))


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(130)
