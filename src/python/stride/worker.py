"""``python -m stride.worker module:function`` answers the calls of ``stride run --worker``.

``module`` may be the path of a script, whose ``if __name__ == "__main__":`` part does not run.
"""

import argparse
import importlib
import importlib.machinery
import importlib.util
import os
import sys
from typing import Any

from . import _process
from ._wire import Channel
from ._worker import Function, identity, make, source


def load(target: str) -> Function:
    """Returns the function that ``module:function`` names.

    Raises:
        ImportError, AttributeError: There is none.
    """
    module, _, path = target.rpartition(":")
    if not module:
        raise ImportError(f"{target} names no function: use module:function")
    if module.endswith(".py") or os.sep in module:
        loader = importlib.machinery.SourceFileLoader("__mp_main__", module)
        spec = importlib.util.spec_from_file_location("__mp_main__", module, loader=loader)
        assert spec is not None
        loaded = importlib.util.module_from_spec(spec)
        # Its classes find their module by this name, as in multiprocessing.
        sys.modules["__mp_main__"] = loaded
        sys.path.insert(0, os.path.dirname(os.path.abspath(module)))
        loader.exec_module(loaded)
    else:
        loaded = importlib.import_module(module)
    found: Any = loaded
    for part in path.split("."):
        found = getattr(found, part)
    return found  # type: ignore[no-any-return]


def main() -> None:
    """Serves until stride says that no more calls come."""
    parser = argparse.ArgumentParser(prog="python -m stride.worker", description=__doc__)
    parser.add_argument("function", help="module:function, or script.py:function")
    parser.add_argument("--name", help="name of the function for the run")
    parser.add_argument("--version", help="version of the function; another one makes other results")
    parser.add_argument("--classify", help="module:function that classifies exceptions")
    parser.add_argument("--threads", type=int, default=1, help="calls at the same time; 0: as many as stride asks for")
    options = parser.parse_args()
    # Text that the function prints must not meet the protocol: it goes to stderr.
    channel = Channel(os.dup(0), os.dup(1))
    os.dup2(2, 1)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.register_at_fork(after_in_child=channel.close_forked)
    _process.importing = True
    call = load(options.function)
    classify = load(options.classify) if options.classify else None
    _process.importing = False
    more: dict[str, Any] = {
        "width": options.threads,
        "hello": {"name": options.name or identity(call), "version": options.version, "source": source(call)},
        "classify": classify,
    }
    worker = make(channel, call, **more)
    worker.ends_process = True
    worker.serve()


if __name__ == "__main__":
    main()
