"""What every test may ask for."""

import logging
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import structlog

ROOT = Path(__file__).resolve().parent
os.environ.setdefault("NUMBA_CACHE_DIR", str(ROOT / ".numba"))  # all tests and what they start share compiled kernels


def lacking(part: str, remedy: str) -> None:
    """Skip the test for want of a part, or fail it where every part is required (TERAPIX_REQUIRE=all)."""
    message = f"{part} is not here: {remedy}"
    if os.environ.get("TERAPIX_REQUIRE") == "all":
        pytest.fail(message)
    pytest.skip(message)


@pytest.fixture(autouse=True)
def journal_ends_with_its_test() -> Iterator[None]:
    """Undo what a test's journal has set up for the whole process: its stream is closed after the test."""
    root = logging.getLogger()
    handlers = list(root.handlers)
    yield
    structlog.reset_defaults()
    root.handlers = handlers
    logging.captureWarnings(capture=False)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of real data; tests that need it skip where it is absent, since the project must not depend on it."""
    place = Path(os.environ.get("TERAPIX_SHARED", ROOT.parent / "shared")) / "data"
    if not place.is_dir():
        pytest.skip(f"no real data in {place}: set TERAPIX_SHARED to the shared folder")
    return place


@pytest.fixture(scope="session")
def program() -> Callable[[str, str], str]:
    """Find an installed program by name and Debian package, as ``program("fpack", "libcfitsio-bin")``."""

    def find(name: str, package: str) -> str:
        path = shutil.which(name)
        if path is None:
            lacking(name, f"apt-get install {package}")
        assert path is not None
        return path

    return find
