"""The list of files, as stride reads it from a pipe."""

import itertools
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Optional, Union

from . import _wire
from ._results import Name
from ._stop import End

File = Union[Name, Mapping[str, Any]]


class FileList:
    """Encodes the files of a call, and keeps their names for its results."""

    def __init__(self, files: Iterable[File], key: Optional[str]) -> None:
        if hasattr(files, "columns") and hasattr(files, "to_dict"):
            raise TypeError(f"files is a {type(files).__name__}: use files.to_dict('records')")
        self.names: dict[str, int] = {}
        rest = iter(files)
        # The first one decides whether the list is one of rows.
        first = list(itertools.islice(rest, 1))
        self._files = itertools.chain(first, rest)
        row = first[0] if first and isinstance(first[0], Mapping) else None
        self._rows = row is not None
        if key and first and row is None:
            raise TypeError("key names a column of rows, but files has names: leave it out, or use dicts")
        self._key = key or ("path" if row is None or "path" in row else "file")
        self._is_usual = key is None
        self._columns = [self._key] if row is None or self._key in row else self._key.split(",")

    def options(self) -> list[str]:
        """Returns the options that describe the list."""
        return ["--list-format", "jsonl", "--key-column", self._key] if self._rows else ["-0"]

    def parts(self, reader: End) -> Iterator[bytes]:
        """Yields the list in parts, until its reader has ended."""
        encode = self._row if self._rows else self._name
        part: list[bytes] = []
        size = 0
        for position, file in enumerate(self._files):
            if reader.has_come:
                return
            try:
                line = encode(file, position)
            except (TypeError, KeyError, ValueError) as error:
                kind = next(kind for kind in (TypeError, KeyError, ValueError) if isinstance(error, kind))
                words = error.args[0] if len(error.args) == 1 else error
                raise kind(f"files[{position}]: {words}") from error
            part.append(line)
            size += len(line)
            if size > _wire.READ_SIZE:
                yield b"".join(part)
                part, size = [], 0
        yield b"".join(part)

    def _name(self, file: Any, position: int) -> bytes:
        if isinstance(file, Mapping):
            raise TypeError("files has names and rows: use one of both")
        if not isinstance(file, (str, bytes, os.PathLike)):
            raise TypeError(f"{file!r} is no name but a {type(file).__name__}: use str(), or a dict for a row")
        name = os.fsdecode(file)
        if not name or "\0" in name:
            raise ValueError(f"{name!r} is no name")
        self.names[name] = -1
        return os.fsencode(name) + b"\0"

    def _row(self, file: Any, position: int) -> bytes:
        if not isinstance(file, Mapping):
            raise TypeError("files has names and rows: use one of both")
        try:
            if self._key == "@line":
                name = str(position + 1)
            else:
                cells = [_text(file[column]) for column in self._columns]
                name = cells[0] if len(cells) == 1 else ",".join(map(_cell, cells))
        except KeyError as error:
            wanted = "path or file" if self._is_usual else error.args[0]
            raise KeyError(f"a row has no column {wanted}: use key=COLUMN") from None
        self.names[name] = -1
        try:
            return _wire.to_json(dict(file)) + b"\n"
        except (TypeError, ValueError, RecursionError) as error:
            raise TypeError(f"a row has what JSON has, and not {_wire.trouble(dict(file)) or error}") from None


def _text(value: Any) -> str:
    """Returns a part of a row's name, as stride reads it."""
    if isinstance(value, str):
        return value
    text = _wire.to_json(value).decode()
    return json.loads(text) if text.startswith('"') else text


def _cell(text: str) -> str:
    """Writes a part of a name as CSV does, so that the parts cannot be confused."""
    if not any(mark in text for mark in ',"\r\n'):
        return text
    return '"' + text.replace('"', '""') + '"'
