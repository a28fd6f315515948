"""Retinas: networks as filters of detection, beside numpy; files that are none, told by name."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from numpy.typing import NDArray

from processing.errors import BadSetting
from processing.sextractor.checking import check
from processing.sextractor.command import main
from processing.sextractor.configuration import settings_of
from processing.sextractor.detection import Thresholds, detect
from processing.sextractor.extract import extract
from processing.sextractor.filtering import filter_with
from processing.sextractor.keys import TOOL
from processing.sextractor.records import Pixels
from processing.sextractor.retina import read_retina
from processing.sextractor.settings import Settings
from tests.support.retinas import Network, drawn, of_stars

SIGMA = 3.0


def sky() -> Pixels:
    """Stars on noise of 3 about 0."""
    draw, (y, x) = np.random.default_rng(4), np.mgrid[:90, :70]
    pixels = draw.normal(0.0, SIGMA, y.shape)
    for _ in range(12):
        at = draw.uniform(0, (70, 90))
        pixels += 10 ** draw.uniform(1.5, 3.5) * np.exp(-0.3 * ((x - at[0]) ** 2 + (y - at[1]) ** 2))
    return pixels.astype(np.float32)


def settings_with(network: Network, place: Path, *thresholds: float) -> Settings:
    retina = read_retina(network.written(place / "a.ret"))
    return Settings(filter=None, retina=retina, filter_thresh=thresholds)


@pytest.mark.parametrize("window", [(1, 1), (3, 3), (3, 5), (5, 4), (2, 1)])
@pytest.mark.parametrize("hidden", [(), (4,), (6, 3)])
@pytest.mark.parametrize("linear", [True, False])
def test_pixels_are_what_the_network_answers(
    window: tuple[int, int], hidden: tuple[int, ...], linear: bool, tmp_path: Path
) -> None:
    network, pixels = drawn(window, *hidden, linear=linear), sky()
    filtered = np.empty((20, 70), np.float32)
    chosen = filter_with(settings_with(network, tmp_path), SIGMA)
    chosen.fill(pixels, 7, filtered)
    assert chosen.height == window[0]
    # single precision, in which up to 26 products are added before the exponential
    assert np.allclose(filtered, network.of(pixels, SIGMA)[7:27], rtol=3e-5, atol=1e-5)


def test_what_lies_beyond_the_edges_is_deeply_negative(tmp_path: Path) -> None:
    network, pixels = drawn((5, 5), 3, seed=2), sky()
    filtered = np.empty_like(pixels)
    filter_with(settings_with(network, tmp_path), SIGMA).fill(pixels, 0, filtered)
    wanted = network.of(pixels, SIGMA)
    assert np.allclose(filtered, wanted, rtol=3e-5)
    assert not np.allclose(wanted[0], network.of(np.pad(pixels, 5), SIGMA)[5, 5:-5], rtol=0.1)


@pytest.mark.parametrize("thresholds", [(1.0,), (-0.5, 20.0)])
def test_pixels_beyond_the_thresholds_stay(thresholds: tuple[float, ...], tmp_path: Path) -> None:
    network, pixels = drawn((3, 3), 2), sky()
    filtered = np.empty_like(pixels)
    filter_with(settings_with(network, tmp_path, *thresholds), SIGMA).fill(pixels, 0, filtered)
    left = pixels < thresholds[0] * SIGMA
    if len(thresholds) == 2:
        left |= pixels > thresholds[1] * SIGMA
        assert (pixels > thresholds[1] * SIGMA).any()
    assert 0 < left.sum() < left.size
    assert np.array_equal(filtered[left], pixels[left])
    assert np.allclose(filtered[~left], network.of(pixels, SIGMA)[~left], rtol=3e-5)


def test_bands_and_threads_change_no_bit(tmp_path: Path) -> None:
    settings, pixels = settings_with(of_stars(), tmp_path), np.tile(sky(), (4, 1))

    def found(settings: Settings) -> NDArray[Any]:
        seen = Thresholds(1.5 * SIGMA, 1.5 * SIGMA)
        return detect(lambda a, b: (pixels[a:b], None), pixels.shape, seen, settings, rms=SIGMA).objects

    whole = found(replace(settings, memory_bufsize=8 * len(pixels)))
    bands = found(replace(settings, memory_bufsize=len(pixels), threads=3))  # 90 rows each
    assert len(whole) > 20
    assert np.array_equal(whole, bands)


def test_a_call_takes_one_by_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    of_stars().written(tmp_path / "stars.ret")
    fits.writeto("image.fits", np.tile(sky(), (2, 2)) + np.float32(100.0))
    Path("default.param").write_text("NUMBER\nX_IMAGE\n")
    words = ["image.fits", "-c", "/dev/null", "-FILTER_NAME", "stars.ret", "-FILTER_THRESH", "0.5,90"]
    words += ["-CATALOG_TYPE", "FITS_LDAC", "-VERBOSE_TYPE", "QUIET"]
    assert main([*words, "-CATALOG_NAME", "a.cat"]) == 0
    settings = settings_of(TOOL.read(words[1:]), ("NUMBER", "X_IMAGE"))
    assert settings.filter is None
    assert settings.filter_thresh == (0.5, 90.0)
    table = extract(fits.getdata("image.fits"), settings=settings)
    catalogue = fits.getdata("a.cat", 2)
    assert len(catalogue) > 20
    assert np.allclose(catalogue["X_IMAGE"], table["X_IMAGE"], atol=1e-4)
    assert b"SEXFLTR =                    T" in Path("a.cat").read_bytes()
    assert settings_of(TOOL.read([*words[1:], "-FILTER", "N"]), ("NUMBER",)).retina is None


BAD = {
    "of another kind": ({"BPTYPE": "RETINA_2D"}, "BPTYPE = RETINA_2D: RETINA was expected"),
    "without a kind": ({"BPTYPE": None}, "BPTYPE = None"),
    "of one axis": ({"RENAXIS": 1}, "RENAXIS = 1: 2 was expected"),
    "of no width": ({"RENAXIS1": None}, "RENAXIS1 = None: a whole number from 1 on"),
    "too wide": ({"RENAXIS1": 4}, "NNEUR_PER_LAYER = 9 2 1: 12 .RENAXIS1 times RENAXIS2. neurons"),
    "of one layer": ({"BPNLAYER": 1}, "BPNLAYER = 1: a whole number from 2 on"),
    "of too many layers": ({"BPNLAYER": 7}, r"NNEUR_PER_LAYER = 9 2 1: 7 .BPNLAYER. numbers above 0"),
    "of another name": ({"EXTNAME": "OTHER"}, "no table BP-ANN, so it is no retina"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_file_is_told_with_what_is_wrong_and_what_to_do(name: str, tmp_path: Path) -> None:
    changed, told = BAD[name]
    path = drawn((3, 3), 2).written(tmp_path / "bad.ret", **changed)
    with pytest.raises(BadSetting, match=rf"bad\.ret.*{told}.*take the file as EyE wrote it"):
        read_retina(path)


def test_weights_that_lack_or_are_no_numbers_are_told(tmp_path: Path) -> None:
    network = drawn((3, 3), 2)
    holes = network.layers[0].copy()
    holes[1, 3] = np.nan
    path = replace(network, layers=(holes, network.layers[1])).written(tmp_path / "holes.ret")
    with pytest.raises(BadSetting, match=r"WEIGHT_LAYER1 has 19 numbers: 20 were expected"):
        read_retina(path)
    short = replace(network, layers=(network.layers[0][:, 1:], network.layers[1])).written(tmp_path / "short.ret")
    with pytest.raises(BadSetting, match=r"WEIGHT_LAYER1 has 18 numbers: 20 were expected"):
        read_retina(short)


@pytest.mark.parametrize("column", ["NNEUR_PER_LAYER", "WEIGHT_LAYER1", "WEIGHT_LAYER2"])
def test_a_column_that_lacks_is_told(column: str, tmp_path: Path) -> None:
    path = drawn((3, 3), 2).written(tmp_path / "odd.ret")
    path.write_bytes(path.read_bytes().replace(column.encode(), column[::-1].encode()))
    with pytest.raises(BadSetting, match=rf"odd\.ret, HDU BP-ANN: it has no column {column}, or no row; take the file"):
        read_retina(path)


def test_a_cut_file_is_told(tmp_path: Path) -> None:
    whole = drawn((3, 3), 2).written(tmp_path / "whole.ret").read_bytes()
    for size in (2880, 2880 + 400, len(whole) - 2880):
        cut = tmp_path / f"{size}.ret"
        cut.write_bytes(whole[:size])
        with pytest.raises(BadSetting, match=rf"{size}\.ret"):
            read_retina(cut)
    (tmp_path / "text.ret").write_text("weights\n")
    with pytest.raises(BadSetting, match=r"text\.ret: CONV NORM or CONV NONORM was expected"):
        settings_of(TOOL.read(["-c", "/dev/null", "-FILTER_NAME", str(tmp_path / "text.ret")]), ("NUMBER",))


def test_thresholds_of_pixels_are_none_of_a_network(tmp_path: Path) -> None:
    settings = settings_with(of_stars(), tmp_path)
    weighted = replace(settings, weight_type=("MAP_WEIGHT", "MAP_WEIGHT"))
    with pytest.raises(BadSetting, match="a retina makes no thresholds of WEIGHT_TYPE = MAP_WEIGHT; take THRESH_TYPE"):
        check(weighted)
    check(replace(weighted, thresh_type="ABSOLUTE"))
    check(replace(settings, weight_type=("NONE", "MAP_WEIGHT")))
    with pytest.raises(BadSetting, match="FILTER_THRESH: 3 values are given"):
        check(replace(settings, filter_thresh=(1.0, 2.0, 3.0)))
