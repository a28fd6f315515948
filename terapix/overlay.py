"""What operators may set on the page: which keys, and where each was written.

The page is reached by a browser, so its rights are the least that serve: how
SNOOPPIX works and what it follows, never whom it asks, whom it trusts and with
which credential. These lead out of the house and stay in the file.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from terapix.sections import declared
from terapix.tomlfile import TomlFile, flat

SECTIONS: Final = ("archive", "selection", "snooppix")
"""Sections that the page shows."""
OF_ARCHIVE: Final = frozenset({"archive.collection", "archive.instrument", "archive.table", "archive.offers"})
"""Keys of [archive] that say what is asked; all others say whom, and with which rights."""
KNOWN: Final = frozenset(key for key, _ in declared())
LONGEST: Final = 20_000
"""Characters of a version."""


def settable(key: str) -> bool:
    """Tell whether operators may set a key on the page."""
    section = key.partition(".")[0]
    return key in OF_ARCHIVE or section in {"selection", "snooppix"}


@dataclass(frozen=True, slots=True)
class Overlay:
    """One version of operators' settings."""

    text: str
    """TOML."""
    version: int | None = None
    """Its number; none while it is not saved."""

    @property
    def name(self) -> str:
        return "the edited text" if self.version is None else f"version {self.version} of the console"

    def values(self) -> dict[str, Any]:
        """Give what is the operators' to set, as nested tables. Raises `Unreadable`."""
        given = self._file().values
        return {
            section: _kept(section, table) if isinstance(table, dict) else table
            for section, table in given.items()
            if section in SECTIONS
        }

    def origins(self) -> dict[str, str]:
        """Say where each key stands."""
        file = self._file()
        return {key: f"{self.name}:{file.line(key)}" for key in (*flat(file.values), *file.lines)}

    def refused(self, origins: Mapping[str, str]) -> list[str]:
        """Word everything that is not the operators' to set; `origins` says where it is set instead."""
        if len(self.text) > LONGEST:
            return [f"{self.name}: has {len(self.text)} characters; {LONGEST} are the most"]
        file = self._file()
        found = []
        for section, table in file.values.items():
            if section not in SECTIONS:
                where = f"{self.name}:{file.line(section)}"
                found.append(f"{where}: {section} is not set here, only [{'], ['.join(SECTIONS)}] are")
                continue
            for name, value in table.items() if isinstance(table, dict) else ():
                key = f"{section}.{name}"
                where = f"{self.name}:{file.line(key)}"
                if _is_kept_back(key):
                    found.append(
                        f"{where}: {key} is not set here: it says whom we ask and with which rights; "
                        f"it comes from {_place(origins.get(key, 'default'))}"
                    )
                elif key == "snooppix.instrument" and not _is_a_name(value):
                    found.append(f"{where}: {key} = {value!r}: expected a name in etc/instruments, no path")
        return found

    def _file(self) -> TomlFile:
        return TomlFile.of(self.text, Path(self.name))


def _kept(section: str, table: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in table.items() if not _is_kept_back(f"{section}.{name}")}


def _is_kept_back(key: str) -> bool:
    return key in KNOWN and not settable(key)


def _place(origin: str) -> str:
    """Say where a key is set, without its line."""
    if origin == "default":
        return "its default"
    return f"the {origin.rpartition(':')[0]}" if origin.startswith("file ") else f"the {origin}"


def _is_a_name(value: Any) -> bool:
    return not isinstance(value, str) or not ({"/", "\\"} & set(value) or ".toml" in value)
