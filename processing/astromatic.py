"""Command lines and configuration files of the AstrOmatic tools: ``tool -c FILE -KEY VALUE``.

A tool declares its keys once; files, command lines, ``-d`` and ``-dd`` follow from
that. A line of a file is ``KEY value,value # comment``, or ``KEY = value; value``;
``$NAME`` and ``${NAME}`` stand for variables of the environment, and of Y or N the
first letter counts. What the peers take for a warning, an unknown key or a number
that is none, is an error here.
"""

import math
import os
import re
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from processing.errors import BadSetting, ProcessingError

_TOKEN = re.compile(r'"([^"]*)"|\'([^\']*)\'|([^\s,;"\']+)')
_QUOTE_OR_HASH = re.compile(r'"[^"]*"|\'[^\']*\'|(?<![^\s,;="\'])#.*')
_NAME_AND_VALUES = re.compile(r'([^\s=,;"]+)[\s=]*(.*)', re.DOTALL)
_VARIABLE = re.compile(r"\$(?:\{([^}]*)\}|([A-Za-z_][A-Za-z0-9_]*))")
_WHOLE = re.compile(r"([+-]?[0-9]+)(?:\.0*)?")


class Kind(Enum):
    """What the values of a key are."""

    TEXT = "a text"
    WHOLE = "a whole number, decimal or 0x…"
    NUMBER = "a number"
    SWITCH = "Y or N"


@dataclass(frozen=True, slots=True)
class Key:
    """One setting of a tool."""

    name: str
    kind: Kind
    default: str
    """As a file would have it."""
    comment: str
    group: str
    """Heading under which ``-d`` prints it."""
    many: bool = False
    """Takes a list."""
    choices: tuple[str, ...] = ()
    extended: bool = False
    """Printed by ``-dd`` only."""


Value = str | int | float | bool


class Values:
    """Values of all keys of a tool; each accessor answers for its kind only."""

    def __init__(self, held: Mapping[str, tuple[Value, ...]]) -> None:
        self._held = dict(held)

    def texts(self, key: str) -> tuple[str, ...]:
        return tuple(str(value) for value in self._held[key])

    def text(self, key: str) -> str:
        """Return the text; empty where none is set."""
        return next(iter(self.texts(key)), "")

    def wholes(self, key: str) -> tuple[int, ...]:
        return tuple(int(value) for value in self._held[key])

    def whole(self, key: str) -> int:
        return self.wholes(key)[0]

    def numbers(self, key: str) -> tuple[float, ...]:
        return tuple(float(value) for value in self._held[key])

    def number(self, key: str) -> float:
        return self.numbers(key)[0]

    def switches(self, key: str) -> tuple[bool, ...]:
        return tuple(bool(value) for value in self._held[key])

    def switch(self, key: str) -> bool:
        return self.switches(key)[0]

    def as_texts(self) -> dict[str, str]:
        """Every key with its values as one text."""
        return {key: ",".join(_plain(value) for value in values) for key, values in self._held.items()}


@dataclass(frozen=True, slots=True)
class Tool:
    """A tool as its users call it."""

    name: str
    default_file: str
    """Read where it lies in the current directory and -c names none."""
    keys: tuple[Key, ...]
    obsolete: frozenset[str] = frozenset()
    """Keys of other releases that files may hold: they are told and passed over."""

    def read(self, argv: Sequence[str], *, directory: Path = Path()) -> Values:
        """Put defaults, file and command line together, the later over the earlier.

        Raises
        ------
        BadSetting
            Names the file and line or the argument, the key, what was expected, and the nearest known key.
        """
        chosen, given = self._arguments(argv)
        known = {key.name: key for key in self.keys}
        held = {key.name: _values(key, key.default, f"{self.name}'s defaults") for key in self.keys}
        path = directory / (chosen or self.default_file)
        if chosen or path.exists():
            held |= self._file(path, known)
        for name, text in given:
            if name.upper() in self.obsolete:
                sys.stderr.write(f"{self.name}: argument -{name} does nothing in this release\n")
                continue
            key = self._known(name, known, f"argument -{name}")
            held[key.name] = _values(key, text, f"argument -{name}")
        return Values(held)

    def call(
        self, arguments: Sequence[str], do: Callable[[], str], *, usage: str = "", more: str = "", bare: bool = False
    ) -> int:
        """Answer as its users call it.

        Parameters
        ----------
        do : does what the arguments ask and gives a line about it, empty to say nothing
        usage : how it is called; by itself with options only
        more : lines of the help behind it
        bare : it may be called without any argument

        Returns
        -------
        status : 0 where it did what was asked, 1 where a file hindered it, 2 where the settings did
        """
        if list(arguments) in (["-d"], ["-dd"]):
            sys.stdout.write(self.dump(extended=list(arguments) == ["-dd"]))
            return 0
        if arguments[:1] in (["-h"], ["--help"]) or not (arguments or bare):
            shown = usage or f"{self.name} [-c FILE] [-KEY VALUE]…"
            sys.stdout.write(f"{shown}\n{self.name} -d | -dd   print the default configuration\n{more}")
            return 0 if arguments else 2
        try:
            done = do()
        except BadSetting as problem:
            sys.stderr.write(f"{self.name}: {problem}\n")
            return 2
        except (ProcessingError, OSError) as problem:
            sys.stderr.write(f"{self.name}: {problem}\n")
            return 1
        if done:
            sys.stderr.write(f"{self.name}: {done}\n")
        return 0

    def _arguments(self, argv: Sequence[str]) -> tuple[str | None, list[tuple[str, str]]]:
        chosen: str | None = None
        given: list[tuple[str, str]] = []
        rest = iter(argv)
        for argument in rest:
            if not re.fullmatch(r"-[A-Za-z_][A-Za-z0-9_]*", argument):
                expected = f"{self.name} [-c FILE] [-KEY VALUE]… was expected; -d prints every KEY"
                raise BadSetting(f"argument {argument!r}: {expected}")
            value = next(rest, None)
            if value is None:
                raise BadSetting(f"argument {argument}: its value is missing")
            if argument == "-c":
                chosen = value
            else:
                given.append((argument[1:], value))
        return chosen, given

    def _file(self, path: Path, known: Mapping[str, Key]) -> dict[str, tuple[Value, ...]]:
        try:
            lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
        except OSError as problem:
            raise BadSetting(f"{path}: cannot be read ({problem.strerror})") from problem
        held: dict[str, tuple[Value, ...]] = {}
        for number, line in enumerate(lines, 1):
            bare = _QUOTE_OR_HASH.sub(lambda found: "" if found[0].startswith("#") else found[0], line).strip()
            if bare:
                found = _NAME_AND_VALUES.fullmatch(bare)
                if found is None:
                    raise BadSetting(f"{path}:{number}: {bare!r}: KEY value was expected")
                if found[1].upper() in self.obsolete:
                    sys.stderr.write(f"{self.name}: {path}:{number}: {found[1]} does nothing in this release\n")
                    continue
                key = self._known(found[1], known, f"{path}:{number}")
                held[key.name] = _values(key, found[2], f"{path}:{number}")
        return held

    def _known(self, name: str, known: Mapping[str, Key], where: str) -> Key:
        key = known.get(name.upper())
        if key is None:
            near = _nearest(name.upper(), known)
            hint = f"did you mean {near}?" if near else f"{self.name} -dd prints all keys"
            raise BadSetting(f"{where}: {self.name} has no key {name}; {hint}")
        return key

    def dump(self, *, extended: bool) -> str:
        """Text of a configuration file with every default; `extended` adds the keys seldom changed."""
        lines = [f"# Default configuration of {self.name}"]
        group = ""
        for key in self.keys:
            if key.extended and not extended:
                continue
            if key.group != group:
                group = key.group
                lines += ["", "#" + f" {group} ".center(78, "-"), ""]
            default = key.default or '""'
            lines.append(f"{key.name:<15} {default:<15} # {key.comment}")
        return "\n".join(lines) + "\n"


def files_and_settings(argv: Sequence[str]) -> tuple[list[str], list[str]]:
    """Part the files that a tool is called with from its ``-KEY VALUE`` pairs, among which they may stand anywhere."""
    files: list[str] = []
    settings: list[str] = []
    rest = iter(argv)
    for argument in rest:
        if argument.startswith("-"):
            settings += [argument, *([value] if (value := next(rest, None)) is not None else [])]
        else:
            files.append(argument)
    return files, settings


def _plain(value: Value) -> str:
    if isinstance(value, bool):
        return "Y" if value else "N"
    return str(value)


def _values(key: Key, text: str, where: str) -> tuple[Value, ...]:
    tokens = [next(part for part in (*found.groups(), "") if part is not None) for found in _TOKEN.finditer(text)]
    tokens = [_expanded(key, token, where) for token in tokens if token]
    if key.kind is not Kind.TEXT or key.choices:  # 5#pixels
        marked = next((at for at, token in enumerate(tokens) if "#" in token), None)
        if marked is not None:
            tokens = [*tokens[:marked], *filter(None, [tokens[marked].split("#")[0]])]
    if not key.many and len(tokens) > 1:
        raise BadSetting(f"{where}: {key.name} = {text.strip()}: one value was expected")
    if not tokens and not key.many and key.kind is not Kind.TEXT:
        raise BadSetting(f"{where}: {key.name}: {key.kind.value} was expected")
    return tuple(_value(key, token, where) for token in tokens)


def _expanded(key: Key, token: str, where: str) -> str:
    """A value with what variables of the environment hold."""

    def held(found: re.Match[str]) -> str:
        name = found[1] if found[1] is not None else found[2]
        value = os.environ.get(name)
        if value is None:
            raise BadSetting(f"{where}: {key.name} = {token}: there is no variable {name} in the environment; set it")
        return value

    return _VARIABLE.sub(held, token)


def _finite(number: float) -> float:
    if not math.isfinite(number):
        raise ValueError(number)
    return number


def _value(key: Key, token: str, where: str) -> Value:
    try:
        if key.kind is Kind.WHOLE:
            if token.lower().startswith("0x"):
                return int(token, 0)
            whole = _WHOLE.fullmatch(token)
            return int(whole[1] if whole else token.replace("_", "?"))
        if key.kind is Kind.NUMBER:
            return _finite(float(token.replace("_", "?")))
    except ValueError:
        raise BadSetting(f"{where}: {key.name} = {token}: {key.kind.value} was expected") from None
    if key.kind is Kind.SWITCH:
        if token[0] not in "YyNn":
            raise BadSetting(f"{where}: {key.name} = {token}: {key.kind.value} was expected")
        return token[0] in "Yy"
    if key.choices and token.upper() not in key.choices:
        near = _nearest(token.upper(), key.choices)
        hint = f"; did you mean {near}?" if near else ""
        raise BadSetting(f"{where}: {key.name} = {token}: one of {', '.join(key.choices)} was expected{hint}")
    return token.upper() if key.choices else token


def _nearest(word: str, known: Iterable[str]) -> str:
    """What was perhaps meant; empty where nothing is near."""
    from difflib import get_close_matches  # noqa: PLC0415  those who spell well start sooner

    return next(iter(get_close_matches(word, known, n=1)), "")
