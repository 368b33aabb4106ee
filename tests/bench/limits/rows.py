"""The rows: each a service with a limit, or one that goes away. A service is started anew for each client."""
import os, subprocess, sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

HERE = Path(__file__).resolve().parent


@dataclass
class Place:
    """Where a row's service runs: a folder for its files, the tools, free ports, and what was started."""
    folder: Path
    tools: Path
    ports: Callable[[], int]
    started: list[subprocess.Popen[bytes]] = field(default_factory=list)
    # The process that goes away and comes back.
    backend: subprocess.Popen[bytes] | None = None

    def start(self, *command: object) -> subprocess.Popen[bytes]:
        with open(self.folder / "services.log", "ab") as log:
            process = subprocess.Popen([str(word) for word in command], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
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
    # Works on so many files to the end, and the time is the figure.
    files: int | None = None
    options: tuple[str, ...] = ()
    # One of those that are measured where none is named.
    usual: bool = True


def backend(*words: object) -> Service:
    def start(place: Place) -> int:
        port = place.ports()
        place.backend = place.start(sys.executable, HERE / "backend.py", port, *words)
        return port
    return start


NGINX = """daemon off; worker_processes 1; pid {folder}/nginx.pid; error_log {folder}/error.log crit;
events {{ worker_connections 1024; }}
http {{
    access_log off; keepalive_requests 1000000;
    client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
    upstream backend {{ server 127.0.0.1:{backend}; keepalive 64; }}
    {zone}
    server {{
        listen 127.0.0.1:{port} backlog=1024;
        location / {{ {limit} proxy_pass http://backend; proxy_http_version 1.1; proxy_set_header Connection ""; }}
    }}
}}
"""


def nginx(zone: str, limit: str, *latency: object) -> Service:
    def start(place: Place) -> int:
        port, behind = place.ports(), backend(*latency)(place)
        config = place.folder / "nginx.conf"
        config.write_text(NGINX.format(folder=place.folder, port=port, backend=behind, zone=zone, limit=limit))
        place.start("nginx", "-p", place.folder, "-c", config, "-e", place.folder / "error.log")
        return port
    return start


def limit_req(limit: str, *latency: object) -> Service:
    return nginx("limit_req_zone $binary_remote_addr zone=callers:1m rate=100r/s;", f"limit_req zone=callers {limit};", *latency)


HAPROXY = """global
    maxconn 4000
defaults
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


def haproxy(limit: str, *latency: object) -> Service:
    def start(place: Place) -> int:
        port, behind = place.ports(), backend(*latency)(place)
        config = place.folder / "haproxy.cfg"
        config.write_text(HAPROXY.format(port=port, backend=behind, limit=limit))
        place.start("haproxy", "-db", "-f", config)
        return port
    return start


def stick_table(period: str, most: int, refuse: str) -> Service:
    return haproxy(f"""stick-table type ip size 1k expire 60s store http_req_rate({period})
    http-request track-sc0 src
    http-request {refuse} if {{ sc_http_req_rate(0) gt {most} }}""", 5)


def express(window_ms: int, limit: int, headers: str) -> Service:
    def start(place: Place) -> int:
        port = place.ports()
        place.start("node", HERE / "app.js", port, window_ms, limit, headers)
        return port
    return start


def flask(strategy: str, limit: str, headers: str) -> Service:
    def start(place: Place) -> int:
        port = place.ports()
        place.start(sys.executable, HERE / "app.py", port, strategy, limit, headers)
        return port
    return start


RETURN_2 = "return status 429 content-type text/plain string slower hdr Retry-After 2"
LIMIT_CONN = nginx("limit_conn_zone $binary_remote_addr zone=callers:1m;", "limit_conn callers 4; limit_conn_status 429;", 200)

ROWS = [
    Row("nginx-429", "nginx limit_req 100r/s burst=100 nodelay, 429; 2 ms, a tenth 150 ms",
        limit_req("burst=100 nodelay; limit_req_status 429", 2, "--slow", 150), 100),
    Row("nginx-503", "nginx limit_req 100r/s burst=10 nodelay, 503; 30–60 ms", limit_req("burst=10 nodelay", "30-60"), 100),
    Row("nginx-delay", "nginx limit_req 100r/s burst=20, which delays, 503; 2 ms", limit_req("burst=20", 2), 100),
    Row("haproxy-10s", "haproxy http_req_rate(10s) gt 500, 429", stick_table("10s", 500, "deny deny_status 429"), 50),
    Row("haproxy-10s-wait", "the same with Retry-After: 2", stick_table("10s", 500, RETURN_2), 50),
    Row("haproxy-1s", "haproxy http_req_rate(1s) gt 50, 429", stick_table("1s", 50, "deny deny_status 429"), 50),
    Row("express-10s", "express-rate-limit 500 in 10 s, no headers", express(10_000, 500, "none"), 50),
    Row("express-1s", "express-rate-limit 50 in 1 s, draft-8 headers", express(1_000, 50, "draft-8"), 50),
    Row("flask-fixed", "Flask-Limiter fixed-window 500 in 10 s, headers", flask("fixed-window", "500 per 10 seconds", "on"), 50),
    Row("flask-moving", "Flask-Limiter moving-window 500 in 10 s, no headers",
        flask("moving-window", "500 per 10 seconds", "off"), 50),
    Row("nginx-conn", "nginx limit_conn 4, 429; 200 ms; `-j 16`", LIMIT_CONN, 20, 16),
    Row("outage", "haproxy whose only server is down for a while: 503; `-j 8`", haproxy("", 50), None, 8, away=True),
    # By name only.
    Row("nginx-burst2", "nginx limit_req 100r/s burst=2 nodelay, 429; 2 ms",
        limit_req("burst=2 nodelay; limit_req_status 429", 2), 100, usual=False),
    Row("express-60s", "express-rate-limit 3,000 in 60 s, draft-6 headers", express(60_000, 3000, "draft-6"), 50, usual=False),
    Row("G11", "10 calls in any second, 429; `-j 10 --rate 10/s`, 200 files", backend(20, "--window", 10), None, 10, files=200,
        options=("--rate", "10/s"), usual=False),
    Row("slow", "eight files of 30 s; `-j 8`", backend(30_000), None, 8, files=8, usual=False),
]
for threads in (8, 64):
    for how in ("refused", "500", "502", "503", "503 --retry-after 5", "529", "429"):
        name, words = how.replace(" --retry-after ", "-wait"), how.split()
        says = "connections refused" if how == "refused" else how.replace(" --retry-after", " with Retry-After:")
        ROWS.append(Row(f"away-{name}-j{threads}", f"{says}; `-j {threads}`", backend(50, "--away", *words), None, threads,
                        away=True, usual=False))
