"""What an exception says about a call: its class, whether anything was sent, and how long to wait.

Clients are recognized by the names and attributes of their exceptions, so none of them is imported.
"""

import errno
import math
import os
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, NamedTuple, Optional, Union

if TYPE_CHECKING:
    from ._results import Results

CLASSES = (
    "transient",
    "throttled",
    "quota",
    "auth",
    "rejected",
    "bad_response",
    "input",
    "local",
)

# Its own frames say nothing about a failure.
_HERE = os.path.dirname(os.path.abspath(__file__))
# The part of a traceback or of an answer that is kept with a failure.
MAX_BODY = 4096
MAX_MESSAGE = 1000
# Seconds that are as good as no end: three hundred years.
LONGEST = 1e10


class Error(Exception):
    """stride could not do its work. The text says why and what to do.

    Attributes:
        code: The exit code of the program: 2 for wrong settings, 5 if another process works on the run, 6 and 7 for
            the database and its disk.
    """

    def __init__(self, text: str, code: int = 1) -> None:
        super().__init__(text)
        self.code = code


class Halted(Error):
    """The run stopped early. Everything so far is recorded, and the same call continues.

    Attributes:
        reason: The reason, as stride states it.
        results: The results so far.
        code: 4 if a person is needed (credentials, quota, a guard, a spent budget), 75 if the same call is enough
            later (an outage, a long wait, ``until``).
    """

    def __init__(self, reason: str, results: "Results", code: int) -> None:
        super().__init__(reason, code)
        self.reason = reason
        self.results = results


class Incomplete(Error):
    """The run ended, and files failed or are held. Raised only with ``incomplete="raise"``.

    Attributes:
        results: The results, with ``failures``.
    """

    def __init__(self, text: str, results: "Results") -> None:
        super().__init__(text, 3)
        self.results = results


class CallError(Exception):
    """Base of the exceptions by which a function says what its failure is. Raise one of the subclasses.

    Args:
        message: What happened.
        retry_after: Seconds that the service asks to wait.
        status: The HTTP status, if there was one.
        sent: False if the request was provably not sent, None if nobody knows. By default the service answered.
    """

    cls = "rejected"
    _sent: Optional[bool] = True

    def __init__(
        self,
        message: str = "",
        *,
        retry_after: Optional[float] = None,
        status: Optional[int] = None,
        sent: Union[bool, str, None] = "",
    ) -> None:
        super().__init__(message)
        self.retry_after = retry_after
        self.status = status
        self.sent: Optional[bool] = self._sent if isinstance(sent, str) else sent


class Throttled(CallError):
    """The service is refusing calls for a while. All calls wait, and the file is called again."""

    cls = "throttled"


class Transient(CallError):
    """The call may succeed later. It is retried."""

    cls = "transient"


class Rejected(CallError):
    """The service refused this file. It fails."""

    cls = "rejected"


class Auth(CallError):
    """The credentials were refused. stride stops the run before it harms."""

    cls = "auth"


class Quota(CallError):
    """An allowance is spent, and waiting does not help. The run stops."""

    cls = "quota"


class BadInput(CallError):
    """The file cannot be used. It fails, and by default as not sent."""

    cls = "input"
    _sent = False


class Local(CallError):
    """This machine lacks something, such as disk space."""

    cls = "local"


class Verdict(NamedTuple):
    """What an exception says about a call.

    Attributes:
        cls: The class of the failure, one of ``transient``, ``throttled``, ``quota``, ``auth``, ``rejected``,
            ``bad_response``, ``input`` and ``local``.
        sent: Whether the request was sent. None means that nobody knows: the call is in doubt.
        retry_after: Seconds that the service asks to wait.
        status: The status of the service's answer.
        kind: The name of the exception's type.
        message: Its text.
        body: The answer's beginning, or where the exception was raised.
    """

    cls: str
    sent: Optional[bool] = True
    retry_after: Optional[float] = None
    status: Optional[int] = None
    kind: str = ""
    message: str = ""
    body: Optional[str] = None


Classify = Callable[[BaseException], Union[Verdict, CallError, str, None]]

_NOT_SENT = {
    "ConnectError",
    "ConnectTimeout",
    "ConnectTimeoutError",
    "ConnectionTimeoutError",
    "ConnectionRefusedError",
    "ClientConnectorError",
    "ClientProxyConnectionError",
    "EndpointConnectionError",
    "NameResolutionError",
    "NewConnectionError",
    "PoolTimeout",
    "ProxyConnectionError",
    "SSLCertVerificationError",
    "gaierror",
}
_IN_DOUBT = {
    "BrokenPipeError",
    "CancelledError",
    "ChunkedEncodingError",
    "ClientOSError",
    "ClientPayloadError",
    "ConnectionAbortedError",
    "ConnectionClosedError",
    "ConnectionResetError",
    "HTTPException",
    "IncompleteRead",
    "ProtocolError",
    "ReadError",
    "ReadTimeout",
    "ReadTimeoutError",
    "ResponseStreamingError",
    "ServerDisconnectedError",
    "ServerTimeoutError",
    "WriteError",
    "WriteTimeout",
}
# Wrappers: what they wrap may know more. On their own they mean that nobody knows.
_WRAPPERS = {
    "APIConnectionError",
    "APITimeoutError",
    "ClientConnectionError",
    "ConnectionError",
    "HTTPClientError",
    "MaxRetryError",
    "NetworkError",
    "RetryError",
    "Timeout",
    "TimeoutError",
    "TimeoutException",
    "TransportError",
    "URLError",
}
_INPUT = {
    "FileNotFoundError",
    "IsADirectoryError",
    "NotADirectoryError",
    "PermissionError",
    "UnicodeDecodeError",
}
_NOT_SENT_ERRNO = {
    errno.ECONNREFUSED,
    errno.EHOSTDOWN,
    errno.EHOSTUNREACH,
    errno.ENETDOWN,
    errno.ENETUNREACH,
}
_LOCAL_ERRNO = {errno.EDQUOT, errno.EMFILE, errno.ENFILE, errno.ENOSPC}
_SPENT = (
    "insufficient_quota",
    "exceeded your current quota",
    "billing_hard_limit_reached",
    "billing_not_active",
    "credit balance is too low",
    "insufficient credits",
    "insufficient balance",
)
_ALREADY_THERE = (
    "alreadyexists",
    "already exists",
    "already_exists",
    "duplicatekey",
    "duplicate key",
)
# botocore's own list of the codes that AWS throttles with, some of them as a 400.
_THROTTLED_CODES = {
    "BandwidthLimitExceeded",
    "EC2ThrottledException",
    "LimitExceededException",
    "PriorRequestNotComplete",
    "ProvisionedThroughputExceededException",
    "RequestLimitExceeded",
    "RequestThrottled",
    "RequestThrottledException",
    "SlowDown",
    "ThrottledException",
    "Throttling",
    "ThrottlingException",
    "TooManyRequestsException",
    "TransactionInProgressException",
}
_AUTH_CODES = {
    "AccessDenied",
    "AccessDeniedException",
    "ExpiredToken",
    "ExpiredTokenException",
    "IncompleteSignature",
    "InvalidAccessKeyId",
    "InvalidClientTokenId",
    "InvalidSignatureException",
    "SignatureDoesNotMatch",
    "UnrecognizedClientException",
}


def classify(error: BaseException) -> Verdict:
    """Returns what an exception says about the call that raised it.

    An exception with a status of HTTP is read as that answer. Other exceptions are read by their type, also inside the
    exceptions of clients that wrap them. Everything else is ``rejected``: calling again would fail again.
    """
    kind, said = type(error).__name__, _say(error)
    if isinstance(error, CallError):
        return Verdict(error.cls, error.sent, error.retry_after, error.status, kind, said, _trace(error))
    sent: Optional[bool]
    # The outermost one that says anything is what happened last.
    cls, sent = "rejected", True
    for node in _chain(error):
        status = _status(node)
        if status is not None:
            verdict = _answered(node, status)
            return verdict._replace(kind=kind, message=said, body=_body(node) or _trace(error))
        meaning = _unanswered(node)
        if meaning is not None:
            cls, sent = meaning
            break
        if any(base.__name__ in _WRAPPERS for base in type(node).__mro__):
            cls, sent = "transient", None
    return Verdict(cls, sent, None, None, kind, said, _trace(error))


def judge(error: BaseException, own: Optional[Classify]) -> Verdict:
    """Returns what the user's function says about an exception, or :func:`classify` if that says None."""
    if own is None:
        return classify(error)
    try:
        given = own(error)
    except Exception as broken:
        given = None
        error = broken
    if given is None or isinstance(given, CallError):
        return classify(error if given is None else given)
    cls = given.cls if isinstance(given, Verdict) else given
    if cls not in CLASSES:
        return classify(ValueError(f"classify returned {cls!r}: use one of {', '.join(CLASSES)}"))
    if isinstance(given, Verdict):
        return given
    verdict = classify(error)
    # The exception still says when the service wants the next call, and whether this one was sent.
    return verdict._replace(cls=given)


def _say(error: BaseException) -> str:
    try:
        said = str(error) or repr(error)
    except Exception as broken:
        said = f"its text cannot be made: {type(broken).__name__}"
    return said[:MAX_MESSAGE]


def _trace(error: BaseException) -> str:
    """Returns where an exception was raised, the innermost place first, because stride shows how a text begins."""
    import traceback

    try:
        here = os.getcwd()
    except OSError:
        # The folder was deleted.
        here = "\0"
    lines = []
    for node in _chain(error, handled=True):
        if node is not error:
            lines.append(f"because of {type(node).__name__}: {_say(node)}")
        for frame in reversed(traceback.extract_tb(node.__traceback__)):
            if os.path.dirname(frame.filename) != _HERE:
                path = os.path.relpath(frame.filename) if frame.filename.startswith(here) else frame.filename
                lines.append(f"{path}:{frame.lineno} in {frame.name}: {frame.line}")
    return "\n".join(lines)[:MAX_BODY]


def _chain(error: BaseException, handled: bool = False) -> Iterator[BaseException]:
    """Yields an exception and those that it wraps, each once, the outermost first.

    One that was being handled says nothing about the call: that may have come after it. Only with `handled` it counts.
    """
    seen: set[int] = set()
    rest: list[Any] = [error]
    while rest:
        node = rest.pop(0)
        if not isinstance(node, BaseException) or id(node) in seen:
            continue
        seen.add(id(node))
        yield node
        for name in ("reason", "os_error", "cause"):
            rest.append(_attribute(node, name))
        for name in ("exceptions", "args"):
            inner = _attribute(node, name)
            rest.extend(inner if isinstance(inner, (list, tuple)) else ())
        # botocore's wrappers have it there.
        rest.append(_item(_attribute(node, "kwargs"), "error"))
        rest.append(node.__cause__)
        if handled and not node.__suppress_context__:
            rest.append(node.__context__)


def _attribute(thing: Any, name: str) -> Any:
    """Returns an attribute. It may be a property that fails."""
    try:
        return getattr(thing, name, None)
    except Exception:
        return None


def _item(thing: Any, *names: str) -> Any:
    """Returns an item of nested dicts, and None if there is none."""
    for name in names:
        thing = thing.get(name) if isinstance(thing, dict) else None
    return thing


def _number(value: Any) -> Optional[int]:
    """Returns a status of an HTTP error; enums of statuses are ints or have one."""
    value = _attribute(value, "value") if hasattr(value, "value") else value
    is_status = isinstance(value, int) and not isinstance(value, bool) and 400 <= value <= 599
    return int(value) if is_status else None


def _status(error: BaseException) -> Optional[int]:
    response = _attribute(error, "response")
    if isinstance(response, dict):
        return _number(_item(response, "ResponseMetadata", "HTTPStatusCode"))
    places = [(response, "status_code"), (response, "status")] if response is not None else []
    places += [(error, "status_code"), (error, "status"), (error, "code"), (error, "http_status")]
    for thing, name in places:
        status = _number(_attribute(thing, name))
        if status is not None:
            return status
    return None


def _headers(error: BaseException) -> dict[str, str]:
    response = _attribute(error, "response")
    if isinstance(response, dict):
        headers = _item(response, "ResponseMetadata", "HTTPHeaders")
    else:
        headers = _attribute(response, "headers") or _attribute(error, "headers")
    try:
        return {str(name).lower(): str(value) for name, value in (headers or {}).items()}
    except Exception:
        return {}


def _body(error: BaseException) -> Optional[str]:
    """Returns the beginning of the service's answer, if the client has read it: reading could wait for the network."""
    response = _attribute(error, "response")
    content = _attribute(response, "_content")
    if isinstance(content, (bytes, bytearray)):
        return bytes(content[:MAX_BODY]).decode("utf-8", "replace")
    body = _attribute(error, "body")
    if body is None and isinstance(response, dict):
        body = response.get("Error")
    return None if body is None else str(body)[:MAX_BODY]


def _wait(headers: dict[str, str]) -> Optional[float]:
    milliseconds = headers.get("retry-after-ms")
    after = headers.get("retry-after")
    try:
        if milliseconds is not None:
            return seconds(float(milliseconds) / 1000)
        if after is None:
            return None
        return seconds(float(after))
    except ValueError:
        pass
    import email.utils

    try:
        return seconds(email.utils.parsedate_to_datetime(str(after)).timestamp() - time.time())
    except (TypeError, ValueError, OverflowError):
        return None


def seconds(wait: Optional[float]) -> Optional[float]:
    """Returns a wait that stride can have, and None for one that is no number. What is neither int nor float stays."""
    if isinstance(wait, (int, float)) and LONGEST < wait < math.inf:
        return LONGEST
    if not isinstance(wait, float):
        return wait
    return max(0.0, wait) if math.isfinite(wait) else None


def _answered(error: BaseException, status: int) -> Verdict:
    """Returns the verdict of an answer with this status. The rules are those of stride for HTTP."""
    wait = _wait(_headers(error))
    response = _attribute(error, "response")
    code = _item(response, "Error", "Code")
    # aiohttp's exceptions have a status, and warn whoever asks for a code.
    word = None if hasattr(error, "status") else _attribute(error, "code")
    text = f"{_say(error)} {_body(error)} {word}".lower()
    spent = any(word in text for word in _SPENT) and "resource_exhausted" not in text
    if status == 402 or (status in (400, 403, 429) and spent):
        cls = "quota"
    elif status in (429, 529) or code in _THROTTLED_CODES or (status in (403, 503) and wait is not None):
        cls = "throttled"
    elif status in (401, 403, 407) or code in _AUTH_CODES:
        cls = "auth"
    elif status in (501, 505, 506, 510) or (status == 409 and any(word in text for word in _ALREADY_THERE)):
        cls = "rejected"
    elif status in (408, 409, 425) or status >= 500:
        cls = "transient"
    else:
        cls = "rejected"
    return Verdict(cls, True, wait, status)


def _unanswered(error: BaseException) -> Optional[tuple[str, Optional[bool]]]:
    """Returns the class of an exception without an answer and whether anything was sent, if its type tells."""
    number = error.errno if isinstance(error, OSError) else None
    if isinstance(error, MemoryError) or number in _LOCAL_ERRNO:
        return "local", None
    if number in _NOT_SENT_ERRNO:
        return "transient", False
    for base in type(error).__mro__:
        name = base.__name__
        if name in _NOT_SENT:
            return "transient", False
        if name in _IN_DOUBT:
            return "transient", None
        if name in _INPUT:
            return "input", False
        if name in _WRAPPERS:
            return None
    return None
