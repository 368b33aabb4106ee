"""Exceptions of real clients, raised by a real service on this machine, and of Python itself."""

import asyncio
import contextlib
import errno
import http.client
import http.server
import json
import socket
import struct
import subprocess
import threading
import time
import urllib.request
from email.utils import formatdate

import pytest

import stride
from stride import classify

SPENT = json.dumps({"error": {"message": "You exceeded your current quota", "code": "insufficient_quota"}})
# path: status, headers, body
ANSWERS = {
    "429": (429, {"Retry-After": "3"}, "{}"),
    "429ms": (429, {"Retry-After": "9", "Retry-After-Ms": "2500"}, "{}"),
    "429quota": (429, {}, SPENT),
    "529": (529, {}, "{}"),
    "402": (402, {}, "{}"),
    "401": (401, {}, "{}"),
    "403": (403, {}, "{}"),
    "403wait": (403, {"Retry-After": "1"}, "{}"),
    "404": (404, {}, "{}"),
    "408": (408, {}, "{}"),
    "409": (409, {}, "{}"),
    "409exists": (409, {}, '{"error": {"message": "already exists"}}'),
    "422": (422, {}, '{"error": {"message": "too short"}}'),
    "500": (500, {}, "{}"),
    "501": (501, {}, "{}"),
    "503": (503, {}, "{}"),
    "503wait": (503, {"Retry-After": "2"}, "{}"),
}
# path: class, sent, wait
EXPECTED = {
    "429": ("throttled", True, 3.0),
    "429ms": ("throttled", True, 2.5),
    "429quota": ("quota", True, None),
    "529": ("throttled", True, None),
    "402": ("quota", True, None),
    "401": ("auth", True, None),
    "403": ("auth", True, None),
    "403wait": ("throttled", True, 1.0),
    "404": ("rejected", True, None),
    "408": ("transient", True, None),
    "409": ("transient", True, None),
    "409exists": ("rejected", True, None),
    "422": ("rejected", True, None),
    "500": ("transient", True, None),
    "501": ("rejected", True, None),
    "503": ("transient", True, None),
    "503wait": ("throttled", True, 2.0),
    # Without an answer.
    "refused": ("transient", False, None),
    "reset": ("transient", None, None),
    "closed": ("transient", None, None),
    "cut": ("transient", None, None),
    "silent": ("transient", None, None),
}


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        path = self.path.strip("/").split("/")[0]
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.server.calls.append(path)
        self.close_connection = True
        if path == "reset":
            # Closing with a linger of 0 seconds resets the connection.
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.shutdown(socket.SHUT_RD)
            self.connection.close()
            return
        if path == "closed":
            return
        if path == "silent":
            self.server.over.wait()
            return
        status, headers, body = ANSWERS.get(path, (200, {}, '{"an": "answer"}'))
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body) + (100 if path == "cut" else 0)))
        self.end_headers()
        self.wfile.write(body.encode())

    do_GET = do_POST

    def log_message(self, *words):
        pass

    def finish(self):
        with contextlib.suppress(OSError, ValueError):
            super().finish()


@pytest.fixture(scope="module")
def service():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.handle_error = lambda *words: None
    server.daemon_threads = True
    server.over = threading.Event()
    server.calls = []
    server.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.over.set()
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(scope="module")
def refusing():
    """A URL whose port nobody listens at. It stays bound, so nobody else gets it."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{bound.getsockname()[1]}"


def with_urllib(url):
    urllib.request.urlopen(urllib.request.Request(url, b"{}"), timeout=0.5).read()


def with_httpx(url):
    import httpx

    httpx.post(url, json={}, timeout=0.5).raise_for_status()


def with_async_httpx(url):
    import httpx

    async def call():
        async with httpx.AsyncClient(timeout=0.5) as client:
            (await client.post(url, json={})).raise_for_status()

    asyncio.run(call())


def with_requests(url):
    import requests

    requests.post(url, json={}, timeout=0.5).raise_for_status()


def with_aiohttp(url):
    import aiohttp

    async def call():
        timeout = aiohttp.ClientTimeout(total=0.5)
        client = aiohttp.ClientSession(timeout=timeout, raise_for_status=True)
        async with client, client.post(url, json={}) as answer:
            await answer.json()

    asyncio.run(call())


def with_openai(url):
    import openai

    client = openai.OpenAI(api_key="none", base_url=url, max_retries=0, timeout=0.5)
    client.chat.completions.create(model="m", messages=[{"role": "user", "content": "x"}])


def with_anthropic(url):
    import anthropic

    client = anthropic.Anthropic(api_key="none", base_url=url, max_retries=0, timeout=0.5)
    client.messages.create(model="m", max_tokens=1, messages=[{"role": "user", "content": "x"}])


def with_google(url):
    import requests
    from google.api_core import exceptions

    answer = requests.post(url, json={}, timeout=0.5)
    if answer.status_code >= 400:
        raise exceptions.from_http_response(answer)


CLIENTS = [
    with_urllib,
    with_httpx,
    with_async_httpx,
    with_requests,
    with_aiohttp,
    with_openai,
    with_anthropic,
    with_google,
]
# urllib's exception has not read the answer's body, and aiohttp's has none.
WITHOUT_BODY = {"with_urllib", "with_aiohttp"}


def raised(call, *arguments):
    """Returns what a function raises."""
    try:
        call(*arguments)
    except BaseException as error:
        return error
    raise AssertionError("nothing was raised")


@pytest.mark.parametrize("client", CLIENTS, ids=lambda client: client.__name__[5:])
@pytest.mark.parametrize("path", EXPECTED)
def test_clients(client, path, service, refusing):
    if client.__name__ in WITHOUT_BODY and path in ("429quota", "409exists"):
        pytest.skip("the exception has no body")
    if client.__name__ in ("with_openai", "with_anthropic") and path == "cut":
        pytest.skip("the client reads it whole before it looks at it")
    url = f"{refusing if path == 'refused' else service.url}/{path}"
    error = raised(client, url)
    verdict = classify(error)
    assert (verdict.cls, verdict.sent, verdict.retry_after) == EXPECTED[path], repr(error)
    if path in ANSWERS:
        assert verdict.status == ANSWERS[path][0]
    if path == "422" and client.__name__ not in WITHOUT_BODY:
        assert "too short" in verdict.body
    assert verdict.kind == type(error).__name__ and verdict.message


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("429", ("throttled", True)),
        ("503", ("transient", True)),
        ("400:ThrottlingException", ("throttled", True)),
        ("400:ExpiredTokenException", ("auth", True)),
        ("403:AccessDenied", ("auth", True)),
        ("400:ValidationException", ("rejected", True)),
        ("refused", ("transient", False)),
        ("silent", ("transient", None)),
        ("closed", ("transient", None)),
    ],
)
def test_botocore(path, expected, service, refusing):
    import botocore.config
    import botocore.session

    status, _, code = path.partition(":")
    if code:
        ANSWERS[path] = (int(status), {"x-amzn-errortype": code}, json.dumps({"__type": code}))
    config = botocore.config.Config(
        retries={"total_max_attempts": 1}, read_timeout=0.5, connect_timeout=0.5, parameter_validation=False
    )
    client = botocore.session.get_session().create_client(
        "dynamodb",
        region_name="eu-west-1",
        endpoint_url=f"{refusing if path == 'refused' else service.url}/{path}",
        aws_access_key_id="none",
        aws_secret_access_key="none",
        config=config,
    )
    error = raised(lambda: client.list_tables())
    verdict = classify(error)
    assert (verdict.cls, verdict.sent) == expected, repr(error)
    if path == "429":
        assert verdict.retry_after == 3


def test_botocore_wraps_other_errors():
    from botocore.exceptions import HTTPClientError

    for inner, sent in ((socket.gaierror(-2, "x"), False), (ConnectionResetError(), None)):
        verdict = classify(HTTPClientError(error=inner))
        assert (verdict.cls, verdict.sent) == ("transient", sent)


def test_clients_retry_by_themselves_unless_they_are_told_not_to(service):
    """So stride does not learn of the 429 that the others should wait for."""
    import openai

    def calls(**more):
        del service.calls[:]
        client = openai.OpenAI(api_key="none", base_url=f"{service.url}/503", timeout=5, **more)
        verdict = classify(raised(lambda: client.models.list()))
        assert verdict.cls == "transient"
        return len(service.calls)

    assert calls() == 3
    assert calls(max_retries=0) == 1


def test_a_wait_may_be_a_date():
    class Answer:
        status_code = 503
        headers = {"RETRY-AFTER": formatdate(time.time() + 100)}

    class Client(Exception):
        response = Answer

    assert 98 < classify(Client()).retry_after <= 100
    Answer.headers = {"retry-after": "soon"}
    assert classify(Client()).retry_after is None


class Broken(Exception):
    """Its text cannot be made."""

    def __str__(self):
        raise ValueError("no text")

    @property
    def response(self):
        raise ValueError("no answer")


def chained(outer, inner, explicit=True):
    try:
        try:
            raise inner
        except BaseException as error:
            if explicit:
                raise outer from error
            raise outer  # noqa: B904
    except BaseException as error:
        return error


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (ValueError("x"), ("rejected", True)),
        (KeyError("x"), ("rejected", True)),
        (AssertionError(), ("rejected", True)),
        (Broken(), ("rejected", True)),
        (subprocess.CalledProcessError(1, "x"), ("rejected", True)),
        (FileNotFoundError(errno.ENOENT, "x"), ("input", False)),
        (PermissionError(errno.EACCES, "x"), ("input", False)),
        (IsADirectoryError(errno.EISDIR, "x"), ("input", False)),
        (UnicodeDecodeError("utf-8", b"x", 0, 1, "x"), ("input", False)),
        (MemoryError(), ("local", None)),
        (OSError(errno.ENOSPC, "x"), ("local", None)),
        (OSError(errno.EMFILE, "x"), ("local", None)),
        (OSError(errno.ENETUNREACH, "x"), ("transient", False)),
        (ConnectionRefusedError(errno.ECONNREFUSED, "x"), ("transient", False)),
        (socket.gaierror(-2, "x"), ("transient", False)),
        (ConnectionResetError(errno.ECONNRESET, "x"), ("transient", None)),
        (BrokenPipeError(errno.EPIPE, "x"), ("transient", None)),
        (TimeoutError("x"), ("transient", None)),
        (asyncio.TimeoutError(), ("transient", None)),
        (asyncio.CancelledError(), ("transient", None)),
        (http.client.IncompleteRead(b""), ("transient", None)),
        (http.client.RemoteDisconnected(), ("transient", None)),
        (chained(RuntimeError("x"), ConnectionRefusedError(errno.ECONNREFUSED, "x")), ("transient", False)),
        # An error that was handled before the call says nothing about it.
        (chained(ValueError("x"), ConnectionRefusedError(errno.ECONNREFUSED, "x"), explicit=False), ("rejected", True)),
        (chained(ValueError("x"), FileNotFoundError(errno.ENOENT, "x"), explicit=False), ("rejected", True)),
        (chained(TimeoutError("x"), ConnectionRefusedError(errno.ECONNREFUSED, "x"), False), ("transient", None)),
        # The outer one is what happened at last.
        (chained(ConnectionResetError(), ConnectionRefusedError(errno.ECONNREFUSED, "x")), ("transient", None)),
        (stride.Transient("x"), ("transient", True)),
        (stride.Transient("x", sent=None), ("transient", None)),
        (stride.Quota("x"), ("quota", True)),
        (stride.Auth("x"), ("auth", True)),
        (stride.Rejected("x"), ("rejected", True)),
        (stride.BadInput("x"), ("input", False)),
        (stride.Local("x"), ("local", True)),
    ],
    ids=repr,
)
def test_exceptions_without_an_answer(error, expected):
    verdict = classify(error)
    assert (verdict.cls, verdict.sent) == expected
    assert verdict.kind == type(error).__name__
    assert len(verdict.body) <= 4096


def test_a_failure_names_where_it_was_raised_first():
    def deep(depth):
        if depth:
            deep(depth - 1)
        raise ValueError("at the bottom")

    body = classify(raised(deep, 100)).body
    assert body.splitlines()[0].endswith(' in deep: raise ValueError("at the bottom")') and len(body) <= 4096
    assert "test_errors.py" in body and "_errors.py:" not in body.replace("test_errors.py:", "")
    because = classify(chained(RuntimeError("outer"), KeyError("inner"))).body
    assert "because of KeyError: 'inner'\n" in because
    assert len(classify(ValueError("x" * 10_000)).message) == 1000


def test_a_failure_in_a_deleted_folder_names_its_place(tmp_path, monkeypatch):
    folder = tmp_path / "gone"
    folder.mkdir()
    monkeypatch.chdir(folder)
    folder.rmdir()
    assert "test_errors.py" in classify(chained(RuntimeError("x"), KeyError("y"))).body


def test_an_exception_in_a_circle_is_read_once():
    one, two = ValueError(1), ValueError(2)
    one.__cause__, two.__cause__ = two, one
    assert classify(one).cls == "rejected"
