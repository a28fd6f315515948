"""``terapix stuff``: files in, lists and tables out, and what is said where something is wrong."""

from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table

from processing.stuff.command import TOOL, main, settings_of
from processing.stuff.settings import Settings
from processing.stuff.sky import places
from processing.stuff.stars import from_centre

FEW = ["-FIELD_SIZE", "900,900", "-MAG_LIMITS", "16,25", "-SEED_GALAXIES", "7", "-SEED_STARS", "8"]


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_defaults_of_the_command_are_those_of_the_settings() -> None:
    given = settings_of(TOOL.read(["-SEED_GALAXIES", "1"]))
    assert given == Settings()


def test_lists_of_all_passbands_hold_the_same_sky(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*FEW, "-ADD_STARS", "Y"]) == 0
    told = capsys.readouterr().err
    assert "galaxies" in told
    assert "zero-point of megaprime/r: 24." in told
    lists = [(place / f"{band}.list").read_text().splitlines() for band in "gri"]
    first = lists[0]
    assert {line[:3] for line in first} == {"100", "200"}
    galaxies = [np.array([line.split() for line in each if line.startswith("200")], float) for each in lists]
    assert galaxies[0].shape[1] == 13
    same = [0, 1, 2, *range(5, 13)]
    for other in galaxies[1:]:
        np.testing.assert_array_equal(other[:, same], galaxies[0][:, same])
        assert np.all(other[:, 3] != galaxies[0][:, 3])
    layout = "200 %11.4f %11.4f %8.4f %5.3f %9.3f %5.3f %+7.2f %9.3f %5.3f %+7.2f %8.5f %+5.1f"
    for line in [line for line in first if line.startswith("200")][:50]:
        assert line == layout % tuple(float(word) for word in line.split()[1:])


@pytest.mark.parametrize("suffix", ["fits", "ecsv"])
def test_a_table_holds_what_the_lists_hold_with_units_and_ucds(suffix: str, place: Path) -> None:
    assert main([*FEW, "-TABLE_NAME", f"sky.{suffix}", "-ADD_STARS", "Y"]) == 0
    table = Table.read(place / f"sky.{suffix}")
    lines = [line.split() for line in (place / "r.list").read_text().splitlines()]
    np.testing.assert_allclose(table["x"], [float(words[1]) for words in lines], atol=6e-5)
    np.testing.assert_allclose(table["mag_megaprime_r"], [float(words[3]) for words in lines], atol=6e-5)
    assert str(table["disc_radius"].unit) == "arcsec"
    assert np.isnan(np.asarray(table["z"])[0])
    if suffix == "fits":
        header = fits.getheader(place / "sky.fits", 1)
        assert header["TUCD1"] == "meta.code.class"
        assert any("SEED_GALAXIES 7" in line for line in header["HISTORY"])
    else:
        assert table["disc_radius"].meta["ucd"] == "phys.angSize;src"
        assert table.meta["configuration"]["SEED_GALAXIES"] == "7"


def test_a_table_alone_and_sky_coordinates(place: Path) -> None:
    where = ["-COORD_TYPE", "EQUATORIAL", "-COORD_CENTER", "359.99,-30.5", "-FIELD_SIZE", "0.05,0.05"]
    assert main([*FEW, *where, "-CATALOG_NAME", "sky.fits"]) == 0
    table = Table.read(place / "sky.fits")
    assert not list(place.glob("*.list"))
    off = (np.asarray(table["ra"]) - 359.99 + 180) % 360 - 180
    assert np.abs(off * np.cos(np.radians(30.5))).max() < 0.0276
    assert np.abs(np.asarray(table["dec"]) + 30.5).max() < 0.0276
    assert main([*FEW, *where]) == 0
    words = (place / "g.list").read_text().split()
    assert len(words[1].split(".")[1]) == 7


def test_the_threads_change_no_bit_and_a_seed_of_nought_is_another_each_time(place: Path) -> None:
    found = []
    for threads in ("1", "2", "7"):
        assert main([*FEW, "-NTHREADS", threads]) == 0
        found.append((place / "i.list").read_bytes())
    assert found[0] == found[1] == found[2]
    assert main([*FEW, "-SEED_GALAXIES", "0"]) == 0
    assert (place / "i.list").read_bytes() != found[0]


def test_the_default_configuration_can_be_read_back(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["-d"]) == 0
    (place / "stuff.conf").write_text(capsys.readouterr().out)
    assert main(["-c", "stuff.conf", *FEW]) == 0
    assert main(["--help"]) == 0
    assert main([]) == 2


@pytest.mark.parametrize(
    ("given", "code", "told"),
    [
        (["-CATALOG_NAME", "g.list"], 2, "CATALOG_NAME: 1 names, but PASSBAND_OBS has 3"),
        (["-HUBBLE_TYPE", "1,2"], 2, "BULGE_FRACTION: 6 values, but HUBBLE_TYPE has 2 types"),
        (["-SED_GALAXIES", "E,Sbc,Scd,Imm"], 2, "SED_GALAXIES = Imm: neither a known name nor a file; did you mean Im"),
        (["-PASSBAND_OBS", "megaprime/g,megaprime/r,megaprime/y"], 2, "PASSBAND_OBS = megaprime/y"),
        (["-MAG_LIMITS", "26"], 2, "MAG_LIMITS = 26: two numbers"),
        (["-TABLE_NAME", "sky.txt"], 2, "TABLE_NAME = sky.txt"),
        (["-CLUSTER_LIST", "none.list"], 2, "CLUSTER_LIST = none.list: cannot be read"),
        (["-ADD_STARS", "Y", "-STAR_CATALOG", "none.fits"], 2, "STAR_COLUMNS"),
        (["-GAIN", "0"], 2, "GAIN = 0: a number above 0"),
        (["-SEED_GALAXIES", "-4"], 2, "SEED_GALAXIES"),
        (["-LENS_KAPA", "0.1"], 2, "did you mean LENS_KAPPA"),
        (["-CATALOG_NAME", "no/g,no/r,no/i"], 1, "no/g"),
        (["-c", "none.conf"], 2, "none.conf"),
    ],
)
def test_what_is_wrong_is_named_with_its_remedy(
    given: list[str], code: int, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*FEW, *given]) == code
    assert told in capsys.readouterr().err


def test_clusters_are_listed_with_their_numbers(place: Path) -> None:
    (place / "clusters").write_text("450 450 0.2 100\n")
    assert main([*FEW, "-CLUSTER_LIST", "clusters", "-CLUSTER_LISTOUT", "out"]) == 0
    words = (place / "out").read_text().splitlines()[1].split()
    assert float(words[2]) == 0.2
    assert int(words[-1]) > 20


def test_places_go_to_the_field_and_back_to_the_sky() -> None:
    """What is taken from the sky goes back to it, and east is at small x."""
    settings = Settings(coordinates="EQUATORIAL", centre=(10.0, 40.0), field_size=(1.0, 1.0))
    ra, dec = np.array([10.3, 9.9]), np.array([40.2, 39.7])
    x, y = from_centre(settings, ra, dec)
    assert x[0] < 0 < x[1]
    np.testing.assert_allclose(places(settings, x, y), (ra, dec), rtol=1e-12)
