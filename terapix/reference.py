"""The settings as people read them: etc/terapix.toml and the table in docs/operators.md, both written from the code.

``python -m terapix.reference etc/terapix.toml docs/operators.md`` writes them again.
"""

import json
import re
import sys
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from terapix.section import Section
from terapix.sections import Settings

BEGIN, END = "<!-- settings: written by python -m terapix.reference -->", "<!-- end of settings -->"
"""Marks in a page between which the table stands."""

HEAD = """\
# Settings of TERAPIX. Each stands here with its default; a file of yours needs only what differs.
# The environment wins over the file: TERAPIX_SNOOPPIX__POLL=10 (TERAPIX_SECTION__KEY; lists with commas or as JSON).
# `terapix config check -c FILE` checks a file; `terapix config show --origin` says where each value comes from.
"""


def shown(value: Any) -> str:
    """Write a value as TOML does; a password within an address is left out."""
    if isinstance(value, BaseModel):
        value = {name: item for name, item in value if item is not None}
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key} = {shown(item)}" for key, item in value.items()) + "}"
    if isinstance(value, (tuple, list)):
        return "[" + ", ".join(shown(item) for item in value) + "]"
    if isinstance(value, bool):
        return str(value).lower()
    if value is None:
        return "none"
    return str(value) if isinstance(value, (int, float)) else json.dumps(without_password(str(value)))


def without_password(text: str) -> str:
    """Take the password out of an address: ``scheme://user:password@host`` or ``?password=…``."""
    text = re.sub(r"(://[^/:@\s]*):\S*@", r"\1:***@", text)
    return re.sub(r"(?i)(password|token|secret)=[^&\s]*", r"\1=***", text)


def default_file() -> str:
    """Give the text of etc/terapix.toml: every setting with its default and what it means."""
    parts = [HEAD]
    for name, kind, default in _sections():
        parts.append("\n".join([f"# {_meaning(kind)}", f"[{name}]", *_lines(kind, default)]) + "\n")
    first, *others = Settings().nodes
    node = type(first)
    about = f"# {_meaning(node)} Each has a table of its own; the names of these two are the default."
    parts.append("\n".join([about, "[[nodes]]", *_lines(node, first)]) + "\n")
    parts += ["\n".join(["[[nodes]]", *_values(node, other)]) + "\n" for other in others]
    return "\n".join(parts)


def markdown() -> str:
    """Give the table of all settings for the documentation."""
    lines = []
    node = type(Settings().nodes[0])
    for name, kind, default in [*_sections(), ("[nodes]", node, None)]:
        lines += [f"**`[{name}]`** {_meaning(kind)}", "", "| key | default | meaning |", "|---|---|---|"]
        for key, field in kind.model_fields.items():
            given = getattr(default, key) if default else field.get_default()
            value = "required" if field.is_required() else f"`{shown(given)}`"
            lines.append(f"| `{key}` | {value} | {_bounded(field)} |".replace("||", "\\|\\|"))
        lines.append("")
    return "\n".join(lines).rstrip()


def in_page(page: str) -> str:
    """Put the table into a page, between its marks."""
    before, found, rest = page.partition(BEGIN)
    _, closed, after = rest.partition(END)
    if not found or not closed:
        raise ValueError(f"the page has no place for the settings: it needs the lines {BEGIN!r} and {END!r}")
    return f"{before}{BEGIN}\n\n{markdown()}\n\n{END}{after}"


def _sections() -> Iterator[tuple[str, type[Section], Section]]:
    default = Settings()
    for name, field in Settings.model_fields.items():
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, Section):
            yield name, kind, getattr(default, name)


def _meaning(kind: type[Section]) -> str:
    return (kind.__doc__ or "").strip()


def _lines(kind: type[Section], values: Section) -> Iterator[str]:
    for (key, field), line in zip(kind.model_fields.items(), _values(kind, values), strict=True):
        yield f"# {_bounded(field)}"
        yield line if getattr(values, key) is not None else f"# {key} = {shown((field.examples or [''])[0])}"


def _values(kind: type[Section], values: Section) -> Iterator[str]:
    for key in kind.model_fields:
        yield f"{key} = {shown(getattr(values, key))}"


def _bounded(field: FieldInfo) -> str:
    """Give what a setting means, and between what bounds it lies where its words do not say so."""
    meaning = " ".join((field.description or "").split())
    bounds = {name: getattr(mark, name) for mark in field.metadata for name in ("ge", "le") if hasattr(mark, name)}
    if "le" in bounds and bounds["le"] != 65535:
        return f"{meaning.rstrip('.')} ({bounds.get('ge', 'more than 0')} to {bounds['le']})."
    choices = typing.get_args(field.annotation)
    if typing.get_origin(field.annotation) is typing.Literal and not all(str(word) in meaning for word in choices):
        return f"{meaning.rstrip('.')} ({', '.join(map(str, choices))})."
    return meaning


def main(paths: list[str]) -> None:
    """Write the files again: a .toml file whole, a page between its marks."""
    for path in map(Path, paths):
        path.write_text(default_file() if path.suffix == ".toml" else in_page(path.read_text()))


if __name__ == "__main__":
    main(sys.argv[1:])
