"""Finds the program ``stride``."""

import os


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
