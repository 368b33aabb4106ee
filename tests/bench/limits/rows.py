"""The rows: each a service with a limit, or one that goes away. A service is started anew for each turn."""
import os, socket, subprocess, sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

HERE = Path(__file__).resolve().parent


@dataclass
class Place:
    """A folder for the files of a turn, the tools, and the processes that were started."""
    folder: Path
    tools: Path
    started: list[subprocess.Popen[bytes]] = field(default_factory=list)
    # Of a service that goes away and comes back.
    backend: subprocess.Popen[bytes] | None = None

    def start(self, *command: object, said: str = "services.log", log: str = "services.log") -> subprocess.Popen[bytes]:
        with open(self.folder / said, "ab") as out, open(self.folder / log, "ab") as err:
            process = subprocess.Popen([str(word) for word in command], stdin=subprocess.DEVNULL, stdout=out, stderr=err,
                                       env=os.environ | {"NODE_PATH": str(self.tools / "node_modules")}, start_new_session=True)
        self.started.append(process)
        return process


# Starts a service and returns its port.
Service = Callable[[Place], int]


@dataclass
class Row:
    name: str
    says: str
    service: Service
    # Calls a second that the service allows, where it has a limit.
    allowed: float | None = None
    threads: int = 32
    # It goes away during the run.
    away: bool = False
    # Works on so many files to the end; the time is the figure.
    files: int | None = None
    options: tuple[str, ...] = ()
    # One of those that are measured where none is named.
    usual: bool = True


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def server(file: str, *words: object) -> Service:
    def start(place: Place) -> int:
        port, interpreter = free_port(), "node" if file.endswith(".js") else sys.executable
        place.backend = place.start(interpreter, HERE / file, port, *words)
        return port
    return start


def backend(*words: object) -> Service:
    return server("backend.py", *words)


def limiter(config: str, command: tuple[str, ...], limit: str, *latency: object) -> Service:
    def start(place: Place) -> int:
        port, behind, file = free_port(), backend(*latency)(place), place.folder / "limiter.conf"
        file.write_text(config.format(folder=place.folder, port=port, backend=behind, limit=limit))
        place.start(*command, file)
        return port
    return start


NGINX = """daemon off; worker_processes 1; pid {folder}/nginx.pid; error_log stderr crit;
events {{ worker_connections 1024; }}
http {{
    access_log off; keepalive_requests 1000000;
    client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
    limit_req_zone $binary_remote_addr zone=rate:1m rate=100r/s;
    limit_conn_zone $binary_remote_addr zone=width:1m;
    upstream backend {{ server 127.0.0.1:{backend}; keepalive 64; }}
    server {{
        listen 127.0.0.1:{port} backlog=1024;
        # A location with `return` would answer before any limit is looked at.
        location / {{ {limit}; proxy_pass http://backend; proxy_http_version 1.1; proxy_set_header Connection ""; }}
    }}
}}
"""
HAPROXY = """defaults
    mode http
    timeout connect 1s
    timeout client 60s
    timeout server 60s
frontend callers
    bind 127.0.0.1:{port}
    {limit}
    default_backend service
backend service
    server one 127.0.0.1:{backend} check inter 200ms rise 1 fall 1
"""


def nginx(limit: str, *latency: object) -> Service:
    return limiter(NGINX, ("nginx", "-e", "stderr", "-c"), limit, *latency)


def haproxy(limit: str, latency: int) -> Service:
    return limiter(HAPROXY, ("haproxy", "-db", "-f"), limit, latency)


def stick_table(period: str, most: int, refuse: str) -> Service:
    return haproxy(f"""stick-table type ip size 1k expire 60s store http_req_rate({period})
    http-request track-sc0 src
    http-request {refuse} if {{ sc_http_req_rate(0) gt {most} }}""", 5)


DENY = "deny deny_status 429"
WAIT = "return status 429 content-type text/plain string slower hdr Retry-After 2"

ROWS = [
    Row("nginx-429", "nginx limit_req 100r/s burst=100 nodelay, 429; 2 ms, a tenth 150 ms",
        nginx("limit_req zone=rate burst=100 nodelay; limit_req_status 429", 2, "--slow", 150), 100),
    Row("nginx-503", "nginx limit_req 100r/s burst=10 nodelay, 503; 30–60 ms",
        nginx("limit_req zone=rate burst=10 nodelay", "30-60"), 100),
    Row("nginx-delay", "nginx limit_req 100r/s burst=20, which delays, 503; 2 ms",
        nginx("limit_req zone=rate burst=20", 2), 100),
    Row("haproxy-10s", "haproxy http_req_rate(10s) gt 500, 429", stick_table("10s", 500, DENY), 50),
    Row("haproxy-10s-wait", "haproxy http_req_rate(10s) gt 500, 429 with Retry-After: 2",
        stick_table("10s", 500, WAIT), 50),
    Row("haproxy-1s", "haproxy http_req_rate(1s) gt 50, 429", stick_table("1s", 50, DENY), 50),
    Row("express-10s", "express-rate-limit 500 in 10 s, no headers", server("app.js", 10_000, 500, "none"), 50),
    Row("express-1s", "express-rate-limit 50 in 1 s, draft-8 headers", server("app.js", 1_000, 50, "draft-8"), 50),
    Row("flask-fixed", "Flask-Limiter fixed-window 500 in 10 s, headers",
        server("app.py", "fixed-window", "500 per 10 seconds", "on"), 50),
    Row("flask-moving", "Flask-Limiter moving-window 500 in 10 s",
        server("app.py", "moving-window", "500 per 10 seconds", "off"), 50),
    Row("nginx-conn", "nginx limit_conn 4, 429; 200 ms; `-j 16`",
        nginx("limit_conn width 4; limit_conn_status 429", 200), 20, 16),
    Row("outage", "haproxy whose only server is down for a while: 503; `-j 8`", haproxy("", 50), None, 8, away=True),
    # By name only.
    Row("nginx-burst2", "nginx limit_req 100r/s burst=2 nodelay, 429; 2 ms",
        nginx("limit_req zone=rate burst=2 nodelay; limit_req_status 429", 2), 100, usual=False),
    Row("express-60s", "express-rate-limit 3,000 in 60 s, draft-6 headers",
        server("app.js", 60_000, 3000, "draft-6"), 50, usual=False),
    Row("G11", "10 calls in any second, 429; `-j 10`, stride with `--rate 10/s`; 200 files",
        backend(20, "--window", 10), None, 10, files=200, options=("--rate", "10/s"), usual=False),
    Row("slow", "eight files of 30 s; `-j 8`", backend(30_000), None, 8, files=8, usual=False),
]
for threads in (8, 64):
    for how in ("refused", "500", "502", "503", "503 --retry-after 5", "529", "429"):
        says = "connections refused" if how == "refused" else how.replace(" --retry-after", " with Retry-After:")
        ROWS.append(Row(f"away-{how.replace(' --retry-after ', '-wait')}-j{threads}", f"{says}; `-j {threads}`",
                        backend(50, "--away", *how.split()), None, threads, away=True, usual=False))
