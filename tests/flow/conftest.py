"""Frames for the flow tests, painted once a session."""

from pathlib import Path

import pytest

from processing.skymaker.painter import paint_run
from spica.demo import Night
from tests.support.databases import postgresql

__all__ = ["postgresql"]

PAINTED = 8
FRAMES = 3
"""Frames of an ordinary night."""
CCDS = 1


@pytest.fixture(scope="session")
def painted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Directory of frames of one CCD each, with their calibrations."""
    directory = tmp_path_factory.mktemp("archive")
    paint_run(directory, frames=PAINTED, ccds=CCDS, seed=7, workers=2, progress=lambda what, share: None)
    return directory


@pytest.fixture
def night(tmp_path: Path, painted: Path) -> Night:
    """Give a fresh host directory whose archive holds the first painted frames."""
    return served(tmp_path, painted, FRAMES)


def served(directory: Path, painted: Path, frames: int) -> Night:
    """Offer so many painted frames, and all calibrations, to a host in a fresh directory."""
    night = Night(directory / "host", frames, CCDS, seed=7)
    night.archive.mkdir(parents=True)
    left_out = names(painted)[frames:]
    for path in painted.iterdir():
        if not path.name.startswith(tuple(name[:-1] for name in left_out)):
            (night.archive / path.name).hardlink_to(path)
    return night


def names(directory: Path) -> list[str]:
    """Names of the processed frames in a directory."""
    return sorted(path.name.removesuffix(".fits.fz") for path in directory.glob("*p.fits.fz"))
