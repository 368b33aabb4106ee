"""Settings as flags of the program, and what the program says in terms of this package."""

import re

FLAGS = {
    "threads": "--threads",
    "rate": "--rate",
    "timeout": "--timeout",
    "retries": "--retries",
    "in_doubt": "--in-doubt",
    "max_failures": "--max-failures",
    "max_calls": "--max-calls",
    "max_cost": "--max-cost",
    "until": "--until",
    "output_dir": "--output-dir",
    "success": "--success",
    "extract": "--extract",
}
# Flags without a value.
SWITCHES = {"accept_change": "--accept-change", "retry_changed": "--retry-changed"}
_HINT = re.compile(r"hint: stride .* (--[a-z-]+)   (.+)")
_LINES = re.compile(r"lines? (\d+)(?: and (\d+))? of the list /dev/fd/\d+")


def in_python(line: str) -> str:
    """Names the switches and the lines of the list in a line of the program as they are named here."""
    found = _HINT.fullmatch(line)
    settings = [setting for setting, flag in SWITCHES.items() if found and found[1] == flag]
    if found and settings:
        return f"hint: {settings[0]}=True {found[2]}"
    return _LINES.sub(lambda lines: " and ".join(f"files[{int(n) - 1}]" for n in lines.groups() if n), line)


def with_settings(text: str) -> str:
    """Says what the flags that a text names are called here."""
    if old := re.search(r"^ *- worker name: (.+)$", text, re.MULTILINE):
        hint = (
            f'hint: use name="{old[1]}" if it is the same function, accept_change=True for another one, or another db='
        )
        return re.sub("hint: use the worker of the run, .*", lambda _: hint, text)
    if "worker: the program that starts stride" in text and "-m stride.worker" in text:
        hint = "hint: the way of the calls differs: use processes= as the run does, accept_change=True, or another db="
        return re.sub("hint: use the old request, .*", hint, text)
    flags = {**FLAGS, **SWITCHES, "key": "--key-column"}
    named = [f"{flag} is {setting}=" for setting, flag in flags.items() if re.search(rf"{flag}(?![\w-])", text)]
    return f"{text}\nnote: in Python, {', '.join(named)}" if named else text
