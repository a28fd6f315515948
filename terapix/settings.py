"""How settings are put together: environment over file over default, strict, with the origin of each value.

SettingsError: every unknown key and bad value at once, each with its file
and line (or environment name), what was expected and the nearest known key.
"""

import difflib
import json
import os
import re
import tomllib
import types
import typing
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from terapix.errors import TerapixError
from terapix.sections import Section, Settings

PREFIX = "TERAPIX_"
SYSTEM_FILE = Path("/etc/terapix/terapix.toml")
RESERVED = frozenset({"CONFIG", "ETC", "DIE_AT", "DIE_ONCE", "REQUIRE", "SHARED"})
"""TERAPIX_… names in the environment that are no settings."""


class SettingsError(TerapixError):
    """The settings do not hold; the message lists every problem."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


@dataclass(frozen=True, slots=True)
class Loaded:
    """Settings, and where they come from."""

    settings: Settings
    origins: dict[str, str]
    """Dotted key to ``default``, ``file PATH:LINE`` or ``environment NAME``."""
    path: Path | None


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
) -> Loaded:
    """Load the settings.

    Parameters
    ----------
    path : Path
        File to read; else ``TERAPIX_CONFIG``, ``./terapix.toml``, ``/etc/terapix/terapix.toml``, else defaults alone.
    environment : mapping
        ``TERAPIX_SECTION__KEY`` values; the process's own by default.
    overrides : mapping
        Dotted keys that win over everything, as ``{"snooppix.poll": 2.0}``.

    Raises
    ------
    SettingsError
        With every problem of file and environment.
    """
    around = os.environ if environment is None else environment
    file = path or _find(around)
    problems: list[str] = []
    values: dict[str, Any] = {}
    origins: dict[str, str] = {}
    if file is not None:
        values, lines = _read(file)
        for key in _flat(values):
            origins[key] = f"file {file}:{_line(lines, key)}"
    for name, text in sorted(around.items()):
        if name.startswith(PREFIX) and name.removeprefix(PREFIX) not in RESERVED:
            key = name.removeprefix(PREFIX).lower().replace("__", ".")
            _put(values, key, _parse(key, text))
            origins[key] = f"environment {name}"
    for key, value in (overrides or {}).items():
        _put(values, key, value)
        origins[key] = "command line"
    known = {key for key, _ in fields(Settings)}
    problems += _unknown(values, origins, known)
    try:
        settings = Settings.model_validate(values)
    except ValidationError as failure:
        problems += [p for error in failure.errors() if (p := _say(error, origins))]
    if problems:
        raise SettingsError(problems)
    return Loaded(settings, {key: origins.get(key, "default") for key in known}, file)


def rows(loaded: Loaded) -> list[Row]:
    """Give every setting with its value and origin, in the order of the file."""
    return [Row(key, _shown(_get(loaded.settings, key)), loaded.origins[key]) for key, _ in fields(Settings)]


def problems(path: Path | None = None, *, environment: Mapping[str, str] | None = None) -> list[str]:
    """Give everything that is wrong with a settings file: empty when it holds."""
    try:
        load(path, environment=environment)
    except SettingsError as failure:
        return failure.problems
    return []


def fields(model: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Walk over all settings: dotted key and declaration."""
    for name, field in model.model_fields.items():
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, Section):
            yield from fields(kind, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", field


def default_file() -> str:
    """Give the text of etc/terapix.toml: every setting with its default and what it means."""
    text = ["# TERAPIX settings. Every setting stands here with its default; a file of yours needs only what differs.",
            "# The environment wins over the file: TERAPIX_SNOOPPIX__POLL=10. `terapix config check` checks a file,",
            "# `terapix config show --origin` says where each value comes from.", ""]  # fmt: skip
    for name, field in Settings.model_fields.items():
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, Section):
            text += [f"# {(kind.__doc__ or '').strip()}", f"[{name}]", *_lines(kind, getattr(Settings(), name)), ""]
    node = typing.get_args(Settings.model_fields["nodes"].annotation)[0]
    text += [f"# {(node.__doc__ or '').strip()} Each has a table of its own; these two are the default."]
    for one in Settings().nodes:
        text += ["[[nodes]]", *_lines(node, one), ""]
    return "\n".join(text).rstrip() + "\n"


def _lines(kind: type[Section], values: Section) -> list[str]:
    lines = []
    for key, field in kind.model_fields.items():
        value = getattr(values, key)
        lines.append(f"# {field.description}")
        lines.append(f"# {key} = (none)" if value is None else f"{key} = {_shown(value)}")
    return lines


def _shown(value: Any) -> str:
    if isinstance(value, BaseModel):
        return "{" + ", ".join(f"{key} = {_shown(item)}" for key, item in value if item is not None) + "}"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (tuple, list)):
        return "[" + ", ".join(_shown(item) for item in value) + "]"
    if value is None:
        return "(none)"
    return str(value) if isinstance(value, (int, float)) else json.dumps(str(value))


def _find(environment: Mapping[str, str]) -> Path | None:
    chosen = environment.get(f"{PREFIX}CONFIG")
    if chosen:
        return Path(chosen)
    return next((place for place in (Path("terapix.toml"), SYSTEM_FILE) if place.is_file()), None)


def _read(file: Path) -> tuple[dict[str, Any], list[str]]:
    try:
        text = file.read_text(encoding="utf-8")
        return tomllib.loads(text), text.splitlines()
    except OSError as problem:
        raise SettingsError([f"{file}: cannot be read ({problem.strerror}); name another file with -c"]) from problem
    except UnicodeDecodeError as problem:
        raise SettingsError([f"{file}: is no UTF-8 text ({problem.reason})"]) from problem
    except tomllib.TOMLDecodeError as problem:
        raise SettingsError([f"{file}: is no TOML: {problem}"]) from problem


def _flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}"


def _line(lines: list[str], key: str) -> int:
    """Find the line of a dotted key; 1 where the file writes it in another way."""
    *section, name = key.split(".")
    header = ".".join(section)
    here = ""
    for number, line in enumerate(lines, 1):
        if opened := re.match(r"\s*\[\[?\s*([\w.\-\"]+)\s*\]\]?", line):
            here = opened[1].strip('"')
            if here == key:
                return number
        elif here == header and re.match(rf"\s*\"?{re.escape(name)}\"?\s*=", line):
            return number
    return 1


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


def _parse(key: str, text: str) -> Any:
    """Read a value of the environment: JSON for lists and tables, commas for lists of words, else the text."""
    declared = dict(fields(Settings)).get(key)
    kind = declared.annotation if declared is not None else None
    if typing.get_origin(kind) is tuple:
        if text.lstrip().startswith("["):
            try:
                return json.loads(text)
            except ValueError:
                return text
        return [word.strip() for word in text.split(",") if word.strip()]
    if isinstance(kind, types.UnionType) and not text:
        return None
    return text


def _unknown(values: Mapping[str, Any], origins: Mapping[str, str], known: set[str]) -> list[str]:
    found = []
    sections = {key.split(".")[0] for key in known}
    for key in _flat(values):
        if key not in known:
            section = key.split(".")[0]
            near = difflib.get_close_matches(key, known, n=1, cutoff=0.5)
            same = sorted(k for k in known if k.startswith(f"{section}.")) if section in sections else sorted(sections)
            hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(same)}"
            found.append(f"{origins.get(key, 'default')}: {key} is no setting; {hint}")
    return found


def _say(error: Any, origins: Mapping[str, str]) -> str:
    """Word one problem of pydantic's; unknown top-level keys were said already."""
    place = [part for part in error["loc"] if not (isinstance(part, str) and part.startswith(("function-", "literal")))]
    key = ".".join(str(part) for part in place)
    if error["type"] == "extra_forbidden":
        if place and place[0] != "nodes":
            return ""
        near = difflib.get_close_matches(str(place[-1]), list(_node_keys()), n=1, cutoff=0.5)
        return f"{_origin(key, origins)}: {key} is no setting{f'; did you mean {near[0]}?' if near else ''}"
    expected = str(error["msg"]).removeprefix("Input should be ").removeprefix("Value error, ")
    value = error.get("input")
    shown = "" if error["type"] == "missing" or "credential" in key else f" is {value!r}, but"
    return f"{_origin(key, origins)}: {key}{shown} {expected} was expected"


def _origin(key: str, origins: Mapping[str, str]) -> str:
    parts = key.split(".")
    for length in range(len(parts), 0, -1):
        if found := origins.get(".".join(parts[:length])):
            return found
    return "default"


def _node_keys() -> Iterator[str]:
    node = typing.get_args(Settings.model_fields["nodes"].annotation)[0]
    yield from node.model_fields
