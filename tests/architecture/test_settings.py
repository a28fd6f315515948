"""Code, file and documentation of the settings say the same."""

import ast
import re
from itertools import pairwise
from pathlib import Path

from terapix.reference import default_file, in_page
from terapix.sections import Settings, declared
from terapix.settings import load

ROOT = Path(__file__).resolve().parents[2]
FILE, PAGE = ROOT / "etc" / "terapix.toml", ROOT / "docs" / "operators.md"
AGAIN = "write them again: python -m terapix.reference etc/terapix.toml docs/operators.md"


def test_the_file_is_what_the_code_says() -> None:
    assert FILE.read_text() == default_file(), AGAIN


def test_the_page_is_what_the_code_says() -> None:
    assert PAGE.read_text() == in_page(PAGE.read_text()), AGAIN


def test_the_file_holds_every_setting_with_its_default_and_a_comment() -> None:
    loaded = load(FILE, environment={})
    assert loaded.settings == Settings()
    optional = {key for key, field in declared() if field.get_default() is None}
    unsaid = {key for key, origin in loaded.origins.items() if origin == "default"}
    assert unsaid == optional
    lines = FILE.read_text().splitlines()
    for key in optional:
        assert any(line.startswith(f"# {key.rpartition('.')[2]} = ") for line in lines), key
    explained = lines[: [number for number, line in enumerate(lines) if line == "[[nodes]]"][1]]
    bare = [line for before, line in pairwise(explained) if re.match(r"\w+ = ", line) and not before.startswith("# ")]
    assert bare == []


def test_every_setting_says_what_it_means_in_a_sentence() -> None:
    dumb = [key for key, field in declared() if not re.fullmatch(r"(?s)[A-Za-z].{10,}\.", field.description or "")]
    assert dumb == []


def test_every_setting_is_used() -> None:
    """A setting that nobody reads is a promise that nobody keeps."""
    read: set[str] = set()
    for package in ("terapix", "dbclient", "snooppix", "datatransfer", "processing", "spica"):
        for path in (ROOT / package).rglob("*.py"):
            if path.name != "sections.py":
                read |= {node.attr for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Attribute)}
    by_name = {"status.snooppix", "status.datatransfer", "status.node", "status.spica", "status.publish"}
    by_property = {"paths.reception"}  # Settings.reception_disks reads it
    assert {key for key, _ in declared() if key.rpartition(".")[2] not in read} - by_name - by_property == set()
