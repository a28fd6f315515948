"""The weightwatcher tool where no peer is needed: files, errors, the summary."""

from pathlib import Path
from xml.etree import ElementTree as ET

import numpy as np
import pytest

from processing.mosaic import Mosaic
from processing.weightwatcher.command import TOOL, main
from tests.support.mosaics import Mosaics, make_mosaics


@pytest.fixture
def mosaics(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Mosaics:
    made = make_mosaics(tmp_path / "in")
    monkeypatch.chdir(tmp_path)
    return made


def argv(**settings: object) -> list[str]:
    return [part for key, value in settings.items() for part in (f"-{key}", str(value))]


def test_compressed_maps_are_taken_and_the_summary_tells_areas(
    mosaics: Mosaics, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    named = argv(WEIGHT_NAMES=mosaics.flat, FLAG_NAMES=mosaics.mask, FLAG_WMASKS="0x1", GETAREA="Y")
    assert main(named) == 0
    with Mosaic(tmp_path / "weight.fits") as weights:
        assert [extension.name for extension in weights.extensions] == ["ccd00", "ccd01", "ccd02"]
        for index, (response, good) in enumerate(zip(mosaics.response, mosaics.good, strict=True)):
            with np.errstate(invalid="ignore"):
                kept = (response >= np.float32(0.3)) & (response <= np.float32(1.3)) & (good & 1 == 0)
            np.testing.assert_array_equal(weights.read(index), np.where(kept, response, np.float32(0)))
    rows = ET.parse(tmp_path / "ww.xml").getroot().findall(".//{*}TR")
    assert [row[1].text for row in rows] == ["W", "F"] * 3
    assert "extension 3: share of good pixels" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("settings", "code", "told"),
    [
        ({"WEIGHT_NAMES": "none.fits", "FLAG_NAMES": ""}, 1, "none.fits"),
        ({"WEIGHT_NAMES": "", "FLAG_NAMES": ""}, 2, "no input"),
        ({"WEIGHT_NAMES": "{flat},{flat}"}, 2, "WEIGHT_MIN: 1 given, but WEIGHT_NAMES names 2 maps"),
        ({"FLAG_NAMES": "{flat}"}, 1, "no integer data"),
        ({"FLAG_MASKS": "0x7"}, 2, "FLAG_OUTFLAGS: no flag for bit 0x2"),
        ({"WEIGHT_OUTFLAGS": "-1"}, 2, "output flag"),
        ({"POLY_NAMES": "a.reg"}, 2, "regions"),
        ({"WEIGHT_NMAES": "x"}, 2, "did you mean WEIGHT_NAMES?"),
        ({"FLAG_NAMES": "{other}"}, 1, "91"),
    ],
)
def test_what_is_wrong_is_named_and_nothing_is_written(
    settings: dict[str, str],
    code: int,
    told: str,
    mosaics: Mosaics,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    other = make_mosaics(tmp_path / "other", shape=(100, 91)).mask
    given = {"WEIGHT_NAMES": "{flat}", "FLAG_NAMES": "{mask}", **settings}
    paths = {"flat": mosaics.flat, "mask": mosaics.mask, "other": other}
    assert main(argv(**{key: value.format(**paths) for key, value in given.items()})) == code
    assert told in capsys.readouterr().err
    assert [each.name for each in tmp_path.iterdir() if each.is_file()] == []


def test_help_and_defaults_are_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["-d"]) == 0
    assert "WEIGHT_NAMES    weightin.fits" in capsys.readouterr().out
    assert main(["-dd"]) == 0
    assert "POLY_NAMES" in capsys.readouterr().out
    assert main(["-h"]) == 0
    assert main([]) == 2
    assert all(key.comment for key in TOOL.keys)
