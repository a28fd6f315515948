"""How settings are put together: environment over operators' version over file over default, strict, with origins.

`SettingsError` tells every unknown key and bad value at once: file and line, or
name in the environment; what was expected; the nearest known key.
"""

import difflib
import json
import os
import re
import textwrap
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from terapix.errors import TerapixError
from terapix.hosts import NodeSection
from terapix.overlay import Overlay
from terapix.reference import default_file, shown
from terapix.sections import Settings, declared
from terapix.tomlfile import TomlFile, Unreadable, flat

__all__ = ["Loaded", "Row", "SettingsError", "default_file", "load", "problems", "rows"]

PREFIX = "TERAPIX_"
SYSTEM_FILE = Path("/etc/terapix/terapix.toml")
KEYS = types.MappingProxyType(dict(declared()))
"""Dotted key of every setting and its declaration; `nodes` counts as one."""
SECTIONS = tuple(dict.fromkeys(key.partition(".")[0] for key in KEYS))
WORDS = {"true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False, "0": False}
"""What the environment may say for true and false."""

EXPECTED = types.MappingProxyType({
    "int_type": "a whole number",
    "float_type": "a number",
    "finite_number": "a number",
    "bool_type": "true or false",
    "string_type": "text in quotes",
    "path_type": "a path in quotes",
    "tuple_type": "a list in [ ]",
    "model_type": "a table with keys",
    "greater_than": "more than {gt:g}",
    "greater_than_equal": "{ge:g} or more",
    "less_than_equal": "{le:g} or less",
})  # fmt: skip
"""Our words for pydantic's types of errors; a pattern is told by its setting's title, the others by pydantic."""
WIDTH = 100
"""Characters of a bad value that a message repeats."""


class SettingsError(TerapixError):
    """The settings do not hold; the message lists every problem, in the order of the lines."""

    def __init__(self, problems: list[str]) -> None:
        problems = sorted(problems, key=_by_line)
        super().__init__("\n".join(problems))
        self.problems = problems


@dataclass(frozen=True, slots=True)
class Loaded:
    """Settings, and where they come from."""

    settings: Settings
    origins: dict[str, str]
    """Dotted key to ``default``, ``file PATH:LINE``, ``version N of the console:LINE``, ``environment NAME`` …"""
    path: Path | None
    """The file; none where defaults and environment are all there is."""
    overlay: Overlay | None = None
    """What operators edited on the page, laid over the file."""


@dataclass(frozen=True, slots=True)
class Row:
    """One setting as `terapix config show` prints it."""

    key: str
    value: str
    origin: str


def load(
    path: Path | None = None,
    *,
    environment: Mapping[str, str] | None = None,
    overrides: Mapping[str, Any] | None = None,
    overlay: Overlay | None = None,
) -> Loaded:
    """Load the settings.

    Parameters
    ----------
    path : Path
        File to read; else ``TERAPIX_CONFIG``, ``./terapix.toml``, ``/etc/terapix/terapix.toml``, else defaults alone.
    environment : mapping
        ``TERAPIX_SECTION__KEY`` values; the process's own by default. ``TERAPIX_NODES`` holds the nodes as JSON.
    overrides : mapping
        Dotted keys that win over everything, as ``{"snooppix.poll": 2.0}``.
    overlay : Overlay
        What operators edited on the page: wins over the file, and the environment wins over it.

    Raises
    ------
    SettingsError
        With every problem of file, overlay and environment.
    """
    around = os.environ if environment is None else environment
    values: dict[str, Any] = {}
    origins: dict[str, str] = {}
    found: list[str] = []
    chosen = path or _find(around)
    if chosen is not None:
        try:
            file = TomlFile.read(chosen)
        except Unreadable as problem:
            raise SettingsError([str(problem)]) from problem
        values = file.values
        origins = {key: f"file {chosen}:{file.line(key)}" for key in (*flat(values), *file.lines)}
    if overlay is not None:
        found += _lay_over(values, origins, overlay)
    for name in sorted(around):
        if (key := _key_of(name)) is not None:
            if "__" not in name and key != "nodes":
                found.append(f"environment {name}: is no setting; did you mean {_as_variable(key)}?")
                continue
            _put(values, key, _parse(key, around[name]))
            origins = {known: origin for known, origin in origins.items() if not f"{known}.".startswith(f"{key}.")}
            origins[key] = f"environment {name}"
    for key, value in (overrides or {}).items():
        _put(values, key, value)
        origins[key] = "command line"
    try:
        settings = Settings.model_validate_json(json.dumps(values, default=str), strict=True)
    except ValidationError as failure:
        raise SettingsError(found + [_say(error, origins) for error in failure.errors()]) from failure
    if found:
        raise SettingsError(found)
    return Loaded(settings, {key: origins.get(key, "default") for key in KEYS}, chosen, overlay)


def rows(loaded: Loaded) -> list[Row]:
    """Give every setting with its value and origin, in the order of the file; passwords are left out."""
    return [Row(key, shown(_get(loaded.settings, key)), loaded.origins[key]) for key in KEYS]


def problems(path: Path | None = None, *, environment: Mapping[str, str] | None = None) -> list[str]:
    """Give everything that is wrong with a settings file: empty when it holds."""
    try:
        load(path, environment=environment)
    except SettingsError as failure:
        return failure.problems
    return []


def _lay_over(values: dict[str, Any], origins: dict[str, str], overlay: Overlay) -> list[str]:
    """Lay operators' values over those of the file; give what is not theirs to set."""
    try:
        found, given, places = overlay.refused(origins), overlay.values(), overlay.origins()
    except Unreadable as problem:
        raise SettingsError([str(problem)]) from problem
    for section, table in given.items():
        held = values.get(section)
        values[section] = {**held, **table} if isinstance(held, dict) and isinstance(table, dict) else table
    for key in flat(given):
        for known in [known for known in origins if f"{known}.".startswith(f"{key}.")]:
            del origins[known]
    origins.update(places)
    return found


def _by_line(problem: str) -> list[str | int]:
    return [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", problem)]


def _find(environment: Mapping[str, str]) -> Path | None:
    if chosen := environment.get(f"{PREFIX}CONFIG"):
        return Path(chosen)
    return next((place for place in (Path("terapix.toml"), SYSTEM_FILE) if place.is_file()), None)


def _key_of(name: str) -> str | None:
    """Give the dotted key that a name in the environment means; none if it means no setting.

    ``TERAPIX_CONFIG`` and its like are no settings. ``TERAPIX_SNOOPPIX_POLL`` is one that was misspelt.
    """
    if not name.startswith(PREFIX):
        return None
    rest = name.removeprefix(PREFIX).lower()
    if "__" in rest or rest == "nodes":
        return rest.replace("__", ".")
    return next((key for key in KEYS if key.replace(".", "_") == rest), None)


def _as_variable(key: str) -> str:
    return PREFIX + key.upper().replace(".", "__")


def _parse(key: str, text: str) -> Any:
    """Read a value of the environment as its setting is declared; what cannot be read stays text, and is refused."""
    kind: Any = KEYS[key].annotation if key in KEYS else str
    if isinstance(kind, types.UnionType) and not text:
        return None
    try:
        if typing.get_origin(kind) is tuple:
            as_json = text.lstrip().startswith("[")
            return json.loads(text) if as_json else [word.strip() for word in text.split(",") if word.strip()]
        if kind is bool:
            return WORDS[text.strip().lower()]
        if kind is int or kind is float:
            return kind(text)
    except (ValueError, KeyError):
        return text
    return text


def _put(values: dict[str, Any], key: str, value: Any) -> None:
    *section, name = key.split(".")
    for part in section:
        inner = values.setdefault(part, {})
        if not isinstance(inner, dict):
            return
        values = inner
    values[name] = value


def _get(settings: BaseModel, key: str) -> Any:
    found: Any = settings
    for part in key.split("."):
        found = getattr(found, part)
    return found


def _say(error: ErrorDetails, origins: Mapping[str, str]) -> str:
    """Word one problem of pydantic's as ``origin: key = value: what was expected``."""
    key = ".".join(map(str, error["loc"]))
    origin = _origin(key, origins)
    if error["type"] == "extra_forbidden":
        near = _nearest(key)
        section = key.partition(".")[0]
        inside = [known for known in KEYS if known.startswith(f"{section}.")] or SECTIONS
        return f"{origin}: {key} is no setting; " + (f"did you mean {near}?" if near else f"known: {', '.join(inside)}")
    if error["type"] == "missing":
        return f"{origin}: {key} is missing; every node needs it"
    if error["type"] == "value_error":
        message = str(error["msg"]).removeprefix("Value error, ")
        return f"{origin}: {key}: {message}" if key else f"{_origin('nodes', origins)}: {message}"
    return f"{origin}: {key} = {textwrap.shorten(shown(error['input']), WIDTH)}: expected {_expected(key, error)}"


def _expected(key: str, error: ErrorDetails) -> str:
    words = EXPECTED.get(error["type"])
    if words is None and error["type"] == "string_pattern_mismatch":
        declaration = KEYS.get(key) or NodeSection.model_fields.get(key.rpartition(".")[2])
        words = declaration.title if declaration else None
    return words.format(**error.get("ctx", {})) if words else str(error["msg"]).removeprefix("Input should be ")


def _nearest(key: str) -> str | None:
    """Find the known key that somebody may have meant."""
    last = key.rpartition(".")[2]
    namesakes = [known for known in KEYS if known.rpartition(".")[2] == last]
    if key.startswith("nodes."):
        known = list(NodeSection.model_fields)
    elif namesakes:
        known = namesakes
    else:
        known = [*KEYS, *SECTIONS]
    near = difflib.get_close_matches(last if key.startswith("nodes.") else key, known, n=1, cutoff=0.6)
    return near[0] if near else next(iter(namesakes if len(namesakes) == 1 else []), None)


def _origin(key: str, origins: Mapping[str, str]) -> str:
    """Say where a key was given: its own place, that of what is around it, or of what is in it."""
    around = key
    while around:
        if found := origins.get(around):
            return found
        around = around.rpartition(".")[0]
    return next((origin for known, origin in origins.items() if known.startswith(f"{key}.")), "default")
