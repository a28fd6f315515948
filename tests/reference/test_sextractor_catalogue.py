"""Catalogues against those of Debian's source-extractor 2.25: its own base columns in, all other columns out."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from processing.reading import Mosaic
from processing.sextractor.catalogue import write
from processing.sextractor.columns import measured, not_measured
from processing.sextractor.command import main
from processing.sextractor.deriving import ANALYSIS, Place, base_columns, derive, rules
from processing.sextractor.extraction import Extraction, Statistics
from processing.sextractor.parameters import wanted
from processing.sextractor.settings import Settings
from processing.sextractor.world import world_of

pytestmark = pytest.mark.reference

LEFT_OUT = ("PSF", "STAR_PROB", "ASSOC", "SPREAD", "DURATION", "IMAFLAGS")
"""Columns that want more than an image."""
OWN = {"STAR_PROB"}
"""Columns that the original does not have."""
COLUMNS = ["NUMBER", "ALPHA_J2000", "DELTA_J2000", "MAG_AUTO"]
HEADER = {
    "CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CRVAL1": 132.4438, "CRVAL2": 63.583, "CRPIX1": -5220.2,
    "CRPIX2": 9647.5, "CD1_1": 5.14e-5, "CD1_2": 5.3e-7, "CD2_1": -1.2e-8, "CD2_2": -5.14e-5, "EQUINOX": 2000.0,
    "RADESYS": "FK5", "GAIN": 1.6, "SATURATE": 65000.0,
}  # fmt: skip


def columns() -> list[str]:
    rest = [name for name in measured() if name not in COLUMNS and not any(part in name for part in LEFT_OUT)]
    sizes = {"FLUX_APER": "(2)", "FLUXERR_APER": "(2)", "MAG_APER": "(2)", "MAGERR_APER": "(2)", "VIGNET": "(5,3)"}
    return [name + sizes.get(name, "") for name in [*COLUMNS, *rest]]


@pytest.fixture(scope="module")
def peer(program: Callable[[str, str], str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with an image and the original's catalogues of it."""
    tool, place = program("source-extractor", "source-extractor"), tmp_path_factory.mktemp("peer")
    draw = np.random.default_rng(7)
    y, x = np.mgrid[:180, :200]
    pixels = draw.normal(1000.0, 10.0, y.shape)
    for _ in range(14):
        centre, shape, turn = draw.uniform(15, 165, 2), draw.uniform(1.5, 4.0, 2), draw.uniform(0, np.pi)
        along = (x - centre[0]) * np.cos(turn) + (y - centre[1]) * np.sin(turn)
        across = (y - centre[1]) * np.cos(turn) - (x - centre[0]) * np.sin(turn)
        pixels += draw.uniform(300, 3000) * np.exp(-0.5 * ((along / shape[0]) ** 2 + (across / shape[1]) ** 2))
    fits.PrimaryHDU(pixels.astype(np.float32), fits.Header(HEADER)).writeto(place / "image.fits")
    (place / "default.param").write_text("\n".join(columns()) + "\n")
    share = Path("/usr/share/source-extractor")
    for form in ("FITS_LDAC", "ASCII", "ASCII_HEAD", "ASCII_SKYCAT"):
        words = [
            tool, "image.fits", "-c", str(share / "default.sex"), "-PARAMETERS_NAME", "default.param", "-FILTER_NAME",
            str(share / "default.conv"), "-STARNNW_NAME", str(share / "default.nnw"), "-CATALOG_TYPE", form,
            "-CATALOG_NAME", form, "-PHOT_APERTURES", "5,9", "-PIXEL_SCALE", "0", "-MAG_ZEROPOINT", "30",
        ]  # fmt: skip
        subprocess.run(words, cwd=place, check=True, capture_output=True)
    return place


def read(peer: Path) -> dict[str, np.ndarray]:
    with fits.open(peer / "FITS_LDAC") as hdus:
        data = hdus[2].data
        return {name: np.asarray(data[name]).astype(data[name].dtype.newbyteorder("=")) for name in data.names}


def test_every_column_of_the_original_is_known(program: Callable[[str, str], str]) -> None:
    told = subprocess.run(
        [program("source-extractor", "source-extractor"), "-dp"], capture_output=True, text=True, check=True
    )
    names = [line.split()[0].removeprefix("#") for line in told.stdout.splitlines()]
    assert len(names) > 400
    assert set(names) == (set(measured()) - OWN) | not_measured()
    for line in told.stdout.splitlines():
        name, unit = line.split()[0].removeprefix("#"), line.rpartition("[")[2].rstrip("] ") if "[" in line else ""
        if name in measured():
            assert measured()[name].unit == unit, name


def test_derived_columns_agree(peer: Path) -> None:
    theirs = read(peer)
    world = world_of(Mosaic(peer / "image.fits").extensions[0].cards)
    assert world is not None
    assert len(theirs["NUMBER"]) > 8
    names = [name for name in rules() if name in theirs]
    assert len(names) > 100
    # both curves of growth are of one length here: magnitudes follow from the same fluxes
    source = {f"FLUX_OF_MAG_{name}": f"FLUX_{name}" for name in ("GROWTH", "GROWTHSTEP")}
    base = {name: theirs[source.get(name, name)] for name in base_columns(names) if name != ANALYSIS}
    base[ANALYSIS] = theirs["THRESHOLD"].astype(np.float64)
    ours = derive(base, names, Place(world, 30.0, 0.0))
    for name in names:
        found, expected = ours[name].astype(float), theirs[name].astype(float)
        error, kind = name.startswith("ERR"), name.removeprefix("ERR").split("WIN")[0].split("_")[0]
        if kind.startswith("C") and name.endswith("_WORLD"):
            continue  # the original's are moments times 1e6, whatever the ellipse
        if kind == "THETA":
            # its angles follow from moments with half their covariance; B1950 turns the other way there
            apart = np.abs((found - expected + 90.0) % 180.0 - 90.0)
            assert np.median(apart) < (1.2 if name.endswith("B1950") else 0.2 if not error else 5.0), name
        elif name.endswith("B1950"):
            assert np.abs(found - expected).max() * 3600.0 < 0.02, name  # 5 mas on the sky, at 64 degrees
        elif kind in {"X2", "Y2", "XY", "A", "B", "POLAR"} and name.endswith("_WORLD"):
            assert np.median(np.abs(found / expected - 1.0)) < 0.01, name  # half the covariance, as above
        elif name.startswith(("X", "Y", "ALPHA", "DELTA")):
            assert np.abs(found - expected).max() < 1e-11, name  # the last bits of 133 degrees
        else:
            # stored as float32; ratios of axes lose three digits where both are alike
            loss = 1e-4 if kind in {"ELLIPTICITY", "POLAR", "POLARWIN"} else 3e-7
            assert np.allclose(found, expected, rtol=loss, atol=3e-6), name


def test_texts_are_the_same_byte_by_byte(peer: Path) -> None:
    theirs = read(peer)
    kinds = wanted((peer / "default.param").read_text().splitlines())
    table = {each.name: theirs[each.name] for each in kinds}
    made = Extraction(1, 1, "image.fits", "", kinds, table, Statistics(0, 1, 1, 1, 1, 1, 1))
    for form in ("ASCII", "ASCII_SKYCAT", "ASCII_HEAD"):
        write(peer / "ours", form, [made], Settings())
        ours, expected = ((peer / name).read_text().splitlines() for name in ("ours", form))
        if form == "ASCII_HEAD":  # meanings are in our words
            ours, expected = ([line[:29] if line[0] == "#" else line for line in lines] for lines in (ours, expected))
        assert ours == expected, form


def test_tables_are_declared_as_the_original_declares_them(peer: Path) -> None:
    with fits.open(peer / "FITS_LDAC") as hdus:
        for theirs in hdus[2].columns:
            declared = measured()[theirs.name]
            assert (theirs.format[-1], theirs.unit or "", theirs.disp) == (
                declared.type, declared.unit, declared.display,
            ), theirs.name  # fmt: skip


def test_check_images_are_the_same(
    peer: Path, program: Callable[[str, str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(peer)
    kinds = "IDENTICAL BACKGROUND BACKGROUND_RMS MINIBACKGROUND MINIBACK_RMS -BACKGROUND FILTERED "
    kinds += "OBJECTS -OBJECTS SEGMENTATION"
    share = Path("/usr/share/source-extractor")
    (peer / "number.param").write_text("NUMBER\nX_IMAGE\n")
    (peer / "check.conf").write_text(
        f"FILTER_NAME {share / 'default.conv'}\nPARAMETERS_NAME number.param\nCATALOG_TYPE NONE\nVERBOSE_TYPE QUIET\n"
        f"CHECKIMAGE_TYPE {','.join(kinds.split())}\n"
    )
    names = {whose: [f"{whose}{place}.fits" for place in range(len(kinds.split()))] for whose in ("peer", "ours")}
    words = ["image.fits", "-c", "check.conf", "-CHECKIMAGE_NAME"]
    tool = program("source-extractor", "source-extractor")
    subprocess.run([tool, *words, ",".join(names["peer"])], check=True, capture_output=True)
    assert main([*words, ",".join(names["ours"])]) == 0
    for kind, theirs, ours in zip(kinds.split(), names["peer"], names["ours"], strict=True):
        with fits.open(theirs) as expected, fits.open(ours) as found:
            assert found[0].data.dtype == expected[0].data.dtype, kind
            if kind == "OBJECTS":
                assert np.array_equal(found[0].data, expected[0].data)
            elif kind == "-OBJECTS":  # 0 in sources; the original's also in what CLEAN took away
                shown = expected[0].data != 0
                assert np.array_equal(found[0].data[shown], expected[0].data[shown])
                assert 0 < np.count_nonzero(found[0].data[~shown]) < 0.1 * np.count_nonzero(~shown)
            elif kind == "SEGMENTATION":  # the same pixels in each object, whatever its number
                pairs = set(zip(found[0].data.ravel(), expected[0].data.ravel(), strict=True))
                assert len(pairs) == len({one for one, _ in pairs}) == len({other for _, other in pairs}) > 12
            else:
                # 1e-6 of a level of 1000: the last bit of float32
                assert np.allclose(found[0].data, expected[0].data, rtol=1e-6, atol=2e-3), kind
