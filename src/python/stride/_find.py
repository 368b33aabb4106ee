"""Finds and starts the program ``stride``."""

import os
import subprocess
import threading
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Optional

from ._errors import Error

# `sysconfig.get_path` fails if its first calls are at the same time.
_finding = threading.Lock()

if TYPE_CHECKING:
    _Popen = subprocess.Popen[bytes]
else:
    _Popen = subprocess.Popen


def binary() -> str:
    """Returns the path of the program: that of ``STRIDE_BIN``, or the one installed with this package, or one in PATH.

    Raises:
        FileNotFoundError: There is none.
    """
    import shutil
    import sysconfig

    given = os.environ.get("STRIDE_BIN")
    if given:
        found = shutil.which(given)
        if found is None:
            raise FileNotFoundError(f"STRIDE_BIN={given} is no program")
        return os.path.abspath(found)
    here = os.path.dirname(os.path.abspath(__file__))
    with _finding:
        folders = [
            sysconfig.get_path("scripts"),
            # `pip install --target`, and `pip install --user`.
            os.path.join(os.path.dirname(here), "bin"),
            sysconfig.get_path("scripts", "posix_user"),
        ]
    for folder in folders:
        path = os.path.join(folder, "stride")
        if os.access(path, os.X_OK):
            return path
    found = shutil.which("stride")
    if found is None:
        raise FileNotFoundError(
            "the program stride is missing: `pip install .` in its source folder installs it with this package, "
            "and STRIDE_BIN=PATH names one that is elsewhere"
        )
    return os.path.abspath(found)


class Program(_Popen):
    """A process of ``stride`` with these arguments. Its exit code is never made up."""

    def __init__(self, words: Iterable[str], **more: Any) -> None:
        super().__init__(["stride", *words], executable=binary(), **more)

    def wait(self, timeout: Optional[float] = None) -> int:
        """Waits for its end and returns its exit code.

        Raises:
            Error: The exit code is lost. `Popen` would return 0.
        """
        if timeout is not None or self.returncode is not None or not hasattr(os, "waitid"):
            return super().wait(timeout)
        try:
            end = os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOWAIT)
        except ChildProcessError:
            end = None
        code = super().wait()
        if end is not None:
            code = self.returncode = end.si_status if end.si_code == os.CLD_EXITED else -end.si_status
        elif code == 0:
            raise Error(
                "the exit code of stride is lost: this program ignores SIGCHLD, or another part of it waits for any "
                "child\nhint: signal.signal(signal.SIGCHLD, signal.SIG_DFL)"
            )
        return code
