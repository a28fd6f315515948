"""A TOML file with the line of each key."""

import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_HEADER = re.compile(r"\s*(\[\[?)\s*([^\]]+?)\s*\]\]?\s*(#.*)?")
_KEY = re.compile(r"""\s*((?:[\w-]+|"[^"]*"|'[^']*')(?:\s*\.\s*(?:[\w-]+|"[^"]*"|'[^']*'))*)\s*=""")
_PART = re.compile(r"""[\w-]+|"[^"]*"|'[^']*'""")


class Unreadable(Exception):
    """The file cannot be read, or is no TOML; the message says what and where."""


@dataclass(frozen=True, slots=True)
class TomlFile:
    """Values of a file, and where they stand."""

    path: Path
    values: dict[str, Any]
    lines: Mapping[str, int]
    """Line of each table and key by its dotted name; tables of an array are numbered: ``nodes.0.name``."""

    @classmethod
    def read(cls, path: Path) -> "TomlFile":
        """Read a file; raise `Unreadable`."""
        try:
            text = path.read_text(encoding="utf-8-sig")
        except OSError as problem:
            raise Unreadable(f"{path}: cannot be read: {problem.strerror}") from problem
        except UnicodeDecodeError as problem:
            raise Unreadable(f"{path}: is no text in UTF-8: byte {problem.start} is {problem.reason}") from problem
        return cls.of(text, path)

    @classmethod
    def of(cls, text: str, path: Path) -> "TomlFile":
        """Take a text as the file `path`; raise `Unreadable`."""
        try:
            values = tomllib.loads(text)
        except tomllib.TOMLDecodeError as problem:
            raise Unreadable(f"{path}: is no TOML: {problem}") from problem
        except RecursionError as problem:
            raise Unreadable(f"{path}: is no TOML of ours: its tables are nested too deep") from problem
        return cls(path, values, dict(_lines(text)))

    def line(self, key: str) -> int:
        """Give the line of a dotted key, or of the nearest thing around it that has one."""
        while key:
            if key in self.lines:
                return self.lines[key]
            key = key.rpartition(".")[0]
        return 1


def flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    """Give the dotted keys of nested tables; an empty table gives its own name."""
    for key, value in values.items():
        if isinstance(value, Mapping) and value:
            yield from flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}"


def _lines(text: str) -> Iterator[tuple[str, int]]:
    table = ""
    counts: dict[str, int] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if header := _HEADER.fullmatch(line):
            table = _dotted(header[2])
            if header[1] == "[[":
                index = counts[table] = counts.get(table, -1) + 1
                if index == 0:
                    yield table, number
                table = f"{table}.{index}"
            yield table, number
        elif key := _KEY.match(line):
            yield f"{table}.{_dotted(key[1])}".lstrip("."), number


def _dotted(written: str) -> str:
    return ".".join(part.strip("\"'") for part in _PART.findall(written))
