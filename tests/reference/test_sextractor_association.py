"""VECTOR_ASSOC, NUMBER_ASSOC and the choice of sources against Debian's source-extractor."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from processing.sextractor.command import main
from processing.sextractor.world import world_of

pytestmark = pytest.mark.reference

SHARE = Path("/usr/share/source-extractor")
COLUMNS = ("NUMBER", "X_IMAGE", "Y_IMAGE", "NUMBER_ASSOC", "VECTOR_ASSOC(4)")
WAYS = ("FIRST", "NEAREST", "MEAN", "MAG_MEAN", "SUM", "MAG_SUM", "MIN", "MAX")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with an image of 40 Gaussians and a list of one to three entries near every other one."""
    made, random = tmp_path_factory.mktemp("association"), np.random.default_rng(11)
    image = random.normal(1000.0, 5.0, (320, 400))
    y, x = np.mgrid[:320, :400]
    rows = []
    for k in range(40):
        cx, cy = 25.0 + 50.0 * (k % 8) + random.uniform(-5, 5), 30.0 + 60.0 * (k // 8) + random.uniform(-5, 5)
        image += 400.0 * np.exp(-0.5 * ((x - cx) ** 2 + (y - cy) ** 2) / 4.0)
        for _ in range(k % 2 * random.integers(1, 4)):
            dx, dy = random.uniform(-1.6, 1.6, 2)
            rows.append((len(rows), cx + 1 + dx, cy + 1 + dy, random.uniform(1, 12), random.uniform(0, 120)))
    np.savetxt(made / "sky.list", random.permutation(np.array(rows)), fmt="%.4f", header="id x y mag other")
    fits.writeto(made / "image.fits", image.astype(np.float32))
    (made / "sex.conf").write_text(f"FILTER_NAME {SHARE / 'default.conv'}\n")
    (made / "default.param").write_text("\n".join(COLUMNS))
    return made


@pytest.mark.parametrize(
    ("how", "choice", "data", "places"),
    [
        *((how, "ALL", "1,4,5,2", "2,3,4") for how in WAYS),
        *((how, "ALL", "0", "2,3") for how in WAYS),
        ("NEAREST", "MATCHED", "2", "2,3,4"),
        ("NEAREST", "-MATCHED", "2", "2,3,4"),
    ],
)
def test_entries_are_those_of_the_original(
    place: Path,
    program: Callable[[str, str], str],
    monkeypatch: pytest.MonkeyPatch,
    how: str,
    choice: str,
    data: str,
    places: str,
) -> None:
    monkeypatch.chdir(place)
    words = [
        "image.fits", "-c", "sex.conf", "-CATALOG_TYPE", "FITS_1.0", "-VERBOSE_TYPE", "QUIET", "-ASSOC_TYPE", how,
        "-ASSOCSELEC_TYPE", choice, "-ASSOC_DATA", data, "-ASSOC_PARAMS", places, "-CATALOG_NAME",
    ]  # fmt: skip
    tool = program("source-extractor", "source-extractor")
    subprocess.run([tool, *words, "peer.cat"], check=True, capture_output=True)
    assert main([*words, "ours.cat"]) == 0
    theirs, ours = (fits.getdata(name, 1) for name in ("peer.cat", "ours.cat"))
    assert len(theirs) == (40 if choice == "ALL" else 20)
    for name in ("NUMBER", "NUMBER_ASSOC"):
        assert np.array_equal(ours[name], theirs[name])
    # magnitudes of the original are off by 1.76e-12 of themselves, as with 2.30258509299 for the logarithm of 10
    assert np.allclose(ours["VECTOR_ASSOC"], theirs["VECTOR_ASSOC"], rtol=1e-11, atol=0.0)


@pytest.mark.parametrize(
    ("how", "centre"), [("NEAREST", (123.0, -9.5)), ("FIRST", (0.004, 71.0)), ("SUM", (10.0, 2.0))]
)
def test_entries_with_places_on_the_sky_are_those_of_the_original(
    place: Path,
    program: Callable[[str, str], str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    how: str,
    centre: tuple[float, float],
) -> None:
    monkeypatch.chdir(place)
    image, header = fits.getdata(place / "image.fits", header=True)
    told = {"CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CRPIX1": -2000.0, "CRPIX2": 3000.5}
    told |= {"CRVAL1": centre[0], "CRVAL2": centre[1], "EQUINOX": 2000.0, "RADESYS": "FK5"}
    told |= {"CD1_1": -5.1e-5, "CD1_2": 2.0e-6, "CD2_1": 2.1e-6, "CD2_2": 5.2e-5}
    header.update(told)
    fits.writeto(tmp_path / "sky.fits", image, header)
    world, rows = world_of(header.tostring()), np.loadtxt(place / "sky.list")
    assert world is not None
    rows[:, 1], rows[:, 2] = world.world(rows[:, 1], rows[:, 2])
    far = np.array([[900.0, (centre[0] + 180.0) % 360.0, -centre[1], 3.0, 4.0]])  # on the other side of the sky
    np.savetxt(tmp_path / "sky.list", np.concatenate((far, rows)), fmt="%.9f")
    words = [
        str(tmp_path / "sky.fits"), "-c", "sex.conf", "-CATALOG_TYPE", "FITS_1.0", "-VERBOSE_TYPE", "QUIET",
        "-ASSOC_TYPE", how, "-ASSOC_NAME", str(tmp_path / "sky.list"), "-ASSOCSELEC_TYPE", "ALL", "-ASSOC_DATA",
        "1,4,2,3", "-ASSOC_PARAMS", "2,3,4", "-ASSOCCOORD_TYPE", "WORLD", "-ASSOC_RADIUS", "1.9", "-CATALOG_NAME",
    ]  # fmt: skip
    tool = program("source-extractor", "source-extractor")
    subprocess.run([tool, *words, "peer.cat"], check=True, capture_output=True)
    assert main([*words, "ours.cat"]) == 0
    theirs, ours = (fits.getdata(name, 1) for name in ("peer.cat", "ours.cat"))
    assert np.count_nonzero(theirs["NUMBER_ASSOC"]) >= 18
    assert np.array_equal(ours["NUMBER_ASSOC"], theirs["NUMBER_ASSOC"])
    assert np.allclose(ours["VECTOR_ASSOC"], theirs["VECTOR_ASSOC"], rtol=1e-11, atol=0.0)
