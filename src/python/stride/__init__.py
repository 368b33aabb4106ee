"""Calls your function once for each file of a long list, and never loses an answer.

    results = stride.run(files, api_call, threads=10, db="run.db")

The queue and every answer are in one SQLite file, which the program ``stride`` keeps. The same call again continues
after any stop.
"""

from typing import TYPE_CHECKING

from ._errors import (
    Auth,
    BadInput,
    CallError,
    Error,
    Halted,
    Incomplete,
    Local,
    Quota,
    Rejected,
    Throttled,
    Transient,
    Verdict,
    classify,
)
from ._find import binary
from ._progress import Status
from ._results import Failure, Results, open
from ._run import arun, resume, run
from ._wire import Answer, Job, Row

if TYPE_CHECKING:
    __version__: str

__all__ = [
    "Answer",
    "Auth",
    "BadInput",
    "CallError",
    "Error",
    "Failure",
    "Halted",
    "Incomplete",
    "Job",
    "Local",
    "Quota",
    "Rejected",
    "Results",
    "Row",
    "Status",
    "Throttled",
    "Transient",
    "Verdict",
    "arun",
    "binary",
    "classify",
    "open",
    "resume",
    "run",
]


def __getattr__(name: str) -> str:
    # Reading the metadata takes as long as the rest of the import.
    if name == "__version__":
        from importlib.metadata import version

        return version("stride-batch")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
