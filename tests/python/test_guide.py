"""Runs the Python of the guide and of the README, block by block."""

import json
import re
from pathlib import Path

from conftest import ROOT, Script, lines, program, status, wait_for


def blocks(page: str) -> list:
    """Returns the Python blocks of a page."""
    return re.findall(r"```python\n(.*?)```", (ROOT / page).read_text(), re.DOTALL)


def texts() -> None:
    Path("texts").mkdir()
    for number in range(10):
        Path(f"texts/{number}.txt").write_text("a few words")


def test_the_guide():
    texts()
    names = {"__name__": "guide"}
    found = blocks("src/guide/python.md")
    assert len(found) > 8
    for block in found:
        exec(compile(block, "python.md", "exec"), names)
    shell = "".join(re.findall(r"```sh\n(.*?)```", (ROOT / "src/guide/python.md").read_text(), re.DOTALL))
    commands = [line.split()[1:] for line in shell.splitlines() if line.startswith("stride ")]
    assert len(commands) == 2
    for words in commands:
        program(*words)
    assert Path("api_call_results.json").exists() and Path("results.csv").exists()


def test_the_readme_is_killed_and_resumed():
    """The script of the README, with a call that waits, as a program that is killed and started again."""
    block = next((block for block in blocks("README.md") if "stride.run(" in block), None)
    if block is None:
        block = next(block for block in blocks("src/guide/python.md") if "stride.run(" in block)
    texts()
    assert len(block.splitlines()) <= 10
    waiting = block.replace("def api_call(file):", "def api_call(file):\n    note(file)")
    head = """
import os, time
def note(file):
    with open("calls", "a") as calls:
        calls.write(file + "\\n")
    while file == files[3] and not os.path.exists("go"):
        time.sleep(0.01)
"""
    first = Script(head + waiting)
    wait_for(lambda: "texts/3.txt" in lines("calls") and status()["done"] >= 4)
    first.process.kill()
    first.end()
    assert not Path("api_call_results.json").exists()
    Path("go").touch()
    code, _, err = Script(head + waiting).end()
    assert code == 0, err
    results = json.loads(Path("api_call_results.json").read_text())
    assert list(results) == list(dict.fromkeys(results)) and all(results.values())
    assert len(results) == status()["total"]
    # Only the call in flight was repeated.
    called = lines("calls")
    assert sorted(called) == sorted([*results, "texts/3.txt"])
