"""The weightwatcher tool where no peer is needed: files, errors, the summary."""

import errno
import os
from pathlib import Path

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
    assert "extension 3: share of good pixels" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("settings", "code", "told"),
    [
        ({"WEIGHT_NAMES": "none.fits", "FLAG_NAMES": ""}, 1, "none.fits"),
        ({"WEIGHT_NAMES": "", "FLAG_NAMES": ""}, 2, "no input"),
        ({"WEIGHT_NAMES": "{flat},{flat}"}, 2, "WEIGHT_MIN: 1 given, but WEIGHT_NAMES names 2 files"),
        ({"FLAG_NAMES": "{flat}"}, 1, "no integer data"),
        ({"FLAG_MASKS": "0x7"}, 2, "FLAG_OUTFLAGS: no flag for bit 0x2"),
        ({"WEIGHT_OUTFLAGS": "-1"}, 2, "output flag"),
        ({"POLY_NAMES": "a.reg"}, 2, "POLY_OUTFLAGS: 0 given"),
        ({"POLY_NAMES": "a.reg", "POLY_OUTFLAGS": "4"}, 1, "a.reg: cannot be read"),
        ({"POLY_NAMES": "in/far.reg", "POLY_OUTFLAGS": "4"}, 1, "far.reg: line 1: tile 9, but the maps have 3 images"),
        ({"POLY_NAMES": "in/sky.reg", "POLY_OUTFLAGS": "4"}, 1, "sky.reg: line 1: circle in fk5, but"),
        ({"OUTWEIGHT_STEP": "-1"}, 2, "OUTWEIGHT_STEP"),
        ({"OUTWEIGHT_TYPE": "SIGMA"}, 2, "one of WEIGHT, VARIANCE, RMS"),
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
    (tmp_path / "in" / "far.reg").write_text("tile 9;image;circle(1,2,3)")
    (tmp_path / "in" / "sky.reg").write_text("fk5;circle(1,2,3)")
    other = make_mosaics(tmp_path / "other", shape=(100, 91)).mask
    given = {"WEIGHT_NAMES": "{flat}", "FLAG_NAMES": "{mask}", **settings}
    paths = {"flat": mosaics.flat, "mask": mosaics.mask, "other": other}
    assert main(argv(**{key: value.format(**paths) for key, value in given.items()})) == code
    assert told in capsys.readouterr().err
    assert [each.name for each in tmp_path.iterdir() if each.is_file()] == []


def test_the_summary_is_a_votable_with_the_peers_tables(mosaics: Mosaics, tmp_path: Path) -> None:
    from astropy.io import votable

    named = {"WEIGHT_NAMES": mosaics.flat, "FLAG_NAMES": mosaics.mask, "FLAG_WMASKS": "0x1", "GETAREA": "Y"}
    assert main(argv(**named, OUTFLAG_NAME="a&b.fits", VERBOSE_TYPE="QUIET")) == 0
    told = votable.parse(tmp_path / "ww.xml", verify="exception")
    images = told.get_table_by_id("OutFields")
    assert images.fields[0].name == "Output_Image_Name"
    table = images.to_table()
    assert list(table["Output_Image_Name"]) == ["weight.fits", "a&b.fits"] * 3
    assert list(table["Output_Image_Type"]) == ["W", "F"] * 3
    assert list(table["Extension"]) == [1, 1, 2, 2, 3, 3]
    with Mosaic(tmp_path / "weight.fits") as weights, Mosaic(tmp_path / "a&b.fits") as flags:
        for index in range(3):
            # The field is of single precision, as the peer's.
            assert table["Effective_Area"][2 * index] == pytest.approx((weights.read(index) > 0).mean(), rel=1e-6)
            assert table["Effective_Area"][2 * index + 1] == pytest.approx(
                (flags.read(index) & 1 == 0).mean(), rel=1e-6
            )
    assert [field.name for field in told.get_table_by_id("Warnings").fields] == ["Date", "Time", "Msg"]
    settings = {param.name: param.value for param in told.resources[0].resources[0].resources[0].params}
    assert (settings["Weight_Min"], settings["Getarea"], settings["Flag_Wmasks"]) == (0.3, True, 1)
    assert settings["Command_Line"].startswith("weightwatcher -WEIGHT_NAMES")
    assert set(settings) == {"_".join(map(str.capitalize, key.name.split("_"))) for key in TOOL.keys} | {"Command_Line"}


def test_compressed_maps_hold_the_same_to_a_thousandth_and_zeros_exactly(mosaics: Mosaics, tmp_path: Path) -> None:
    (tmp_path / "a.reg").write_text("tile 2;image;circle(30,40,12.2)\n")
    named = {
        "WEIGHT_NAMES": mosaics.flat, "FLAG_NAMES": mosaics.mask, "FLAG_WMASKS": "0x1", "POLY_NAMES": "a.reg",
        "POLY_OUTFLAGS": "16384", "POLY_OUTWEIGHTS": "0.01", "WRITE_XML": "N", "GETAREA": "Y",
    }  # fmt: skip
    assert main(argv(**named)) == 0
    assert main(argv(**named, OUTWEIGHT_NAME="weight.fits.fz", OUTFLAG_NAME="flag.fits.fz", NTHREADS=2)) == 0
    for kind in ("weight", "flag"):
        plain, packed = Mosaic(tmp_path / f"{kind}.fits"), Mosaic(tmp_path / f"{kind}.fits.fz")
        assert [each.name for each in plain.extensions] == [each.name for each in packed.extensions]
        for index, extension in enumerate(packed.extensions):
            expected, found = plain.read(index), packed.read(index)
            assert (found.dtype, extension.compressed) == (expected.dtype, True)
            np.testing.assert_array_equal(found == 0, expected == 0)
            np.testing.assert_allclose(found, expected, rtol=1e-3 if kind == "weight" else 0)
            for keyword in ("EFF_AREA", "GAIN", "DETSEC"):
                assert extension.values.raw[keyword] == plain.extensions[index].values.raw[keyword]
        assert "POLY_NAMES: a.reg" in plain.primary_cards
        assert "POLY_NAMES: a.reg" in packed.primary_cards
    circle = np.hypot(*(np.mgrid[1:101, 1:91] - np.array([40, 30])[:, None, None])) < 12.2
    np.testing.assert_array_equal(Mosaic(tmp_path / "flag.fits.fz").read(1) & 16384 != 0, circle)
    assert not (Mosaic(tmp_path / "flag.fits.fz").read(0) & 16384).any()


@pytest.mark.parametrize("name", ["other.fits", "other.fits.fz"])
@pytest.mark.parametrize(("kind", "power"), [("VARIANCE", -1.0), ("RMS", -0.5)])
def test_variance_and_rms_are_what_the_weight_tells(
    kind: str, power: float, name: str, mosaics: Mosaics, tmp_path: Path
) -> None:
    named = {"WEIGHT_NAMES": mosaics.flat, "FLAG_NAMES": "", "WRITE_XML": "N", "OUTFLAG_NAME": ""}
    assert main(argv(**named)) == 0
    assert main(argv(**named, OUTWEIGHT_NAME=name, OUTWEIGHT_TYPE=kind)) == 0
    weights, others = Mosaic(tmp_path / "weight.fits"), Mosaic(tmp_path / name)
    for index in range(3):
        weight, other = weights.read(index), others.read(index)
        np.testing.assert_allclose(other[weight > 0], weight[weight > 0] ** power, rtol=1e-6)
        assert (other[weight == 0] == np.float32(1e30)).all()
        assert others.extensions[index].values.text("WGHTTYPE") == kind


def test_one_image_becomes_one_compressed_image(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from astropy.io import fits

    monkeypatch.chdir(tmp_path)
    flat = np.random.default_rng(3).normal(1, 0.2, (50, 60)).astype(np.float32)
    fits.PrimaryHDU(flat, fits.Header([("GAIN", 1.5)])).writeto("flat.fits")
    named = argv(WEIGHT_NAMES="flat.fits", FLAG_NAMES="", OUTWEIGHT_NAME="w.fits.fz", OUTFLAG_NAME="", WRITE_XML="N")
    assert main(named) == 0
    with fits.open("w.fits.fz") as made:
        assert len(made) == 2
        assert made[1].header["GAIN"] == 1.5
        np.testing.assert_allclose(made[1].data, np.where((flat >= 0.3) & (flat <= 1.3), flat, 0), rtol=1e-3)


def test_on_a_full_disk_nothing_of_a_map_remains(
    mosaics: Mosaics, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(*_: int) -> None:
        raise OSError(errno.ENOSPC, "")

    monkeypatch.setattr(os, "posix_fallocate", refuse)
    assert main(argv(WEIGHT_NAMES=mosaics.flat, FLAG_NAMES=mosaics.mask)) == 1
    assert "weight.fits" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["in"]


def test_help_and_defaults_are_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["-d"]) == 0
    assert "WEIGHT_NAMES    weightin.fits" in capsys.readouterr().out
    assert main(["-dd"]) == 0
    assert "POLY_NAMES" in capsys.readouterr().out
    assert main(["-h"]) == 0
    assert main([]) == 2
    assert all(key.comment for key in TOOL.keys)
