"""VECTOR_ASSOC, NUMBER_ASSOC and the choice of sources against Debian's source-extractor."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from processing.sextractor.command import main

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
