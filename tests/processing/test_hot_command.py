"""``terapix weightwatcher hot``: what is hot all over a run becomes a mask that the stage takes."""

import gzip
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from processing.defects.columns import read_hot
from processing.mosaic import assemble, hdu_bytes, primary_bytes
from processing.weightwatcher.command import main

SHAPE, LEVEL, NOISE = (256, 200), 500.0, 20.0
COLUMN, KNOWN = 60, 120
NAMES = ("ccd00", "ccd01")


def frame(place: Path, number: int, *, names: tuple[str, ...] = NAMES) -> Path:
    """Two CCDs of sky; the second has a hot column no mask knows, one that the mask knows, and one of this frame."""
    chance = np.random.default_rng(number)
    parts = []
    for index, name in enumerate(names):
        pixels = chance.normal(LEVEL, NOISE, SHAPE)
        if index:
            pixels[:, [COLUMN, KNOWN, 20 + 5 * number]] += 2 * NOISE
        parts.append(hdu_bytes(np.rint(pixels).astype(np.int16), {"GAIN": 1.6, "RDNOISE": 4.0}, name=name))
    path = place / f"97941{number}p.fits.fz"
    assemble(path, primary_bytes({"NEXTEND": len(names), "RUNID": "08AC14"}), parts)
    return path


def mask(place: Path) -> Path:
    good = np.ones(SHAPE, np.uint8)
    good[:, KNOWN] = 0
    path = place / "mask.fits.fz"
    assemble(path, primary_bytes({}), [hdu_bytes(good, {}, name=name) for name in NAMES])
    return path


@pytest.mark.parametrize("zipped", [False, True])
def test_what_stands_in_every_frame_and_in_no_mask_is_hot(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], zipped: bool
) -> None:
    frames = [str(frame(tmp_path, number)) for number in range(1, 5)]
    made, known = tmp_path / "hot.fits.fz", mask(tmp_path)
    if zipped:
        known.with_suffix(".gz").write_bytes(gzip.compress(known.read_bytes()))
        known = known.with_suffix(".gz")
    assert main(["hot", *frames, "-MASK_NAME", str(known), "-HOT_NAME", str(made), "-NTHREADS", "1"]) == 0
    assert read_hot(made, "ccd00", SHAPE).all()
    bad = np.flatnonzero((read_hot(made, "ccd01", SHAPE) == 0).any(axis=0))
    assert bad.tolist() == [COLUMN]
    assert fits.getheader(made)["RUNID"] == "08AC14"
    assert f"{SHAPE[0]} pixels of 2 CCDs are hot or dead in 4 frames" in capsys.readouterr().err


def test_too_few_frames_and_frames_of_two_cameras_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    frames = [str(frame(tmp_path, number)) for number in (1, 2)]
    assert main(["hot", *frames]) == 2
    assert "2 frames given: at least FRAMES_MIN = 3" in capsys.readouterr().err
    other = frame(tmp_path, 3, names=("ccd00", "ccd07"))
    assert main(["hot", *frames, str(other)]) == 1
    said = capsys.readouterr().err
    assert str(other) in said
    assert "one camera" in said
