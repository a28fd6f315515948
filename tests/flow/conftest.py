"""Frames for the flow tests, painted once a session."""

import shutil
from pathlib import Path

import pytest

from processing.skymaker.painter import paint_run
from spica.demo import Night

FRAMES = 3
CCDS = 1


@pytest.fixture(scope="session")
def painted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Directory of a small night: three frames of one CCD each, with their calibrations."""
    directory = tmp_path_factory.mktemp("archive")
    paint_run(directory, frames=FRAMES, ccds=CCDS, seed=7, workers=2, progress=lambda what, share: None)
    return directory


@pytest.fixture
def night(tmp_path: Path, painted: Path) -> Night:
    """Give a fresh host directory whose archive holds the painted frames."""
    fresh = Night(tmp_path / "host", FRAMES, CCDS, seed=7)
    shutil.copytree(painted, fresh.archive, copy_function=lambda a, b: Path(b).hardlink_to(a))
    return fresh
