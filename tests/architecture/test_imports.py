"""The import law, SQL only in stores, kernels pure."""

import ast
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("terapix", "dbclient", "snooppix", "datatransfer", "processing", "spica")
SQL_ROOMS = (
    "dbclient/stores/",
    "dbclient/schema/",
    "dbclient/migrations/",
    "dbclient/migration.py",
    *(f"dbclient/{name}.py" for name in ("database", "engines", "units", "news")),
)
"""Stores, and the plumbing of connections: pragmas, BEGIN IMMEDIATE, NOTIFY."""
SQL_WORDS = {"select", "insert", "update", "delete", "text", "func"}
KERNEL_IMPORTS = {"numpy", "math", "processing", "collections", "functools", "typing"}


def modules() -> list[Path]:
    return [path for package in PACKAGES for path in (ROOT / package).rglob("*.py")]


def imported(path: Path) -> set[tuple[str, str]]:
    """Return (module, name) for each import in a file."""
    found: set[tuple[str, str]] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {(alias.name, "") for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {(node.module, alias.name) for alias in node.names}
    return found


def test_the_import_law_holds() -> None:
    checked = subprocess.run(
        [sys.executable, "-c", "from importlinter.cli import lint_imports_command as c; c(['--no-cache'])"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_sql_is_written_in_stores_only() -> None:
    found = {
        str(path.relative_to(ROOT)): sorted(
            name for module, name in imported(path) if module.startswith("sqlalchemy") and name in SQL_WORDS
        )
        for path in modules()
        if not str(path.relative_to(ROOT)).startswith(SQL_ROOMS)
    }
    assert {path: words for path, words in found.items() if words} == {}


def test_kernels_import_numpy_and_math_only() -> None:
    found = {
        str(path.relative_to(ROOT)): sorted({module.split(".")[0] for module, _ in imported(path)} - KERNEL_IMPORTS)
        for path in (ROOT / "processing" / "kernels").rglob("*.py")
    }
    assert {path: names for path, names in found.items() if names} == {}


def test_kernels_take_from_elsewhere_what_their_stamp_is_of() -> None:
    """Or code compiled with the numbers of before would run on."""
    known = ("processing.kernels", "processing.compiler", "processing.flags")
    found = {
        module
        for path in (ROOT / "processing" / "kernels").glob("*.py")
        if path.name != "compile.py"  # no kernel: it calls them
        for module, _ in imported(path)
        if module.startswith("processing") and not module.startswith(known)
    }
    assert found == set()


def test_in_spica_only_the_stages_and_the_demo_import_processing() -> None:
    found = {
        str(path.relative_to(ROOT))
        for path in (ROOT / "spica").rglob("*.py")
        if any(module.split(".")[0] == "processing" for module, _ in imported(path))
    }
    assert found == {"spica/demo.py", "spica/pipeline/stages.py"}


def test_every_package_has_its_place_in_the_law() -> None:
    law = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    packages = {path.parent.name for path in ROOT.glob("*/__init__.py")} - {"tests"}
    assert packages == set(law["root_packages"]) == set(PACKAGES)
