"""``terapix skymaker`` from the command line."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from processing.skymaker.command import main
from processing.skymaker.settings import TOOL

ROOT = Path(__file__).resolve().parents[2]
LIST = """# a comment
100 40.0 30.5 18.0
200 70.25 90.0 18.5 0.4 0.8 0.7 30 1.0 0.5 -40 0.3 2
210 100 60 19 0.5 2.5 0.6 0.8 10 0.9 0.7 20
200 20 100 19.0 1.0
"""
SEEDS = ["-SEED_STARPOS", "3", "-SEED_MOTION", "4"]
QUICK = ["-PSF_MAPSIZE", "256", "-AUREOLE_RADIUS", "20", "-VERBOSE_TYPE", "QUIET", *SEEDS]
SMALL = [*QUICK, "-IMAGE_SIZE", "128,112", "-STARCOUNT_ZP", "0"]


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "in.list").write_text(LIST)
    return tmp_path


def pixels(name: str = "sky.fits") -> np.ndarray:
    return np.asarray(fits.getdata(name), float)


def test_a_list_becomes_an_image_and_a_list(place: Path) -> None:
    assert main(["in.list", *SMALL, "-IMAGE_TYPE", "SKY_NONOISE", "-BACK_MAG", "22"]) == 0
    image = pixels()
    sky = 0.2**2 * 10 ** (0.4 * (26 - 22)) * 300.0
    light = 300.0 * 10 ** (0.4 * (26.0 - np.array([18.0, 18.5, 19.0, 19.0])))
    assert image.shape == (112, 128)
    assert (image - sky).sum() == pytest.approx(light.sum(), rel=0.03), "some wings fall beside the image"
    assert np.unravel_index(image[:60, :60].argmax(), (60, 60)) in {(29, 39), (30, 39)}
    rows = [line.split() for line in (place / "sky.list").read_text().splitlines()]
    assert [row[:4] for row in rows] == [
        ["100", "40.0000", "30.5000", "18.0000"],
        ["200", "70.2500", "90.0000", "18.5000"],
        ["210", "100.0000", "60.0000", "19.0000"],
        ["200", "20.0000", "100.0000", "19.0000"],
    ]
    header = fits.getheader("sky.fits")
    assert header["IMATYPE"] == "SKY_NONOISE"
    assert header["PIXSIZE"] == 0.2
    assert header["SEEDSPOS"] == 3


def test_noise_has_the_mean_and_the_variance_of_electrons(place: Path) -> None:
    more = ["-GAIN", "2.0", "-READOUT_NOISE", "6.0", "-BACK_MAG", "21"]
    assert main([*QUICK, "-IMAGE_SIZE", "512", "-STARCOUNT_ZP", "0", *more]) == 0
    image = pixels() * 2.0
    sky = 0.2**2 * 10 ** (0.4 * 5.0) * 300.0 * 2.0
    count = image.size
    assert abs(image.mean() - sky) < 3.0 * np.sqrt((sky + 36.0) / count)
    assert abs(image.var() / (sky + 36.0) - 1.0) < 3.0 * np.sqrt(2.0 / count)


def test_few_electrons_are_counted(place: Path) -> None:
    more = ["-GAIN", "1.0", "-READOUT_NOISE", "0.0", "-BACK_MAG", "25.5", "-EXPOSURE_TIME", "50"]
    assert main([*QUICK, "-IMAGE_SIZE", "512", "-STARCOUNT_ZP", "0", *more]) == 0
    image = pixels()
    sky = 0.2**2 * 10 ** (0.4 * 0.5) * 50.0
    assert np.array_equal(image, np.rint(image))
    assert abs(image.mean() - sky) < 3.0 * np.sqrt(sky / image.size)
    assert abs(image.var() - sky) < 3.0 * np.sqrt((sky + 2.0 * sky**2) / image.size)


def test_seeds_and_not_threads_make_the_image(place: Path) -> None:
    stars = [*QUICK, "-IMAGE_SIZE", "300", "-STARCOUNT_ZP", "1e6"]
    for name, threads, seed in (("a", "1", "4"), ("b", "3", "4"), ("c", "1", "5")):
        assert main([*stars, "-IMAGE_NAME", f"{name}.fits", "-NTHREADS", threads, "-SEED_MOTION", seed]) == 0
    assert np.array_equal(pixels("a.fits"), pixels("b.fits"))
    assert not np.array_equal(pixels("a.fits"), pixels("c.fits"))
    assert (place / "a.list").read_text() == (place / "c.list").read_text() != ""


@pytest.mark.parametrize("kind", ["REAL", "IMAGINARY", "MODULUS", "PHASE", "MTF"])
def test_images_of_the_pupil(place: Path, kind: str) -> None:
    assert main([*QUICK, "-IMAGE_TYPE", f"PUPIL_{kind}", "-COMAX_D80", "0.4"]) == 0
    image = pixels()
    assert image.shape == (256, 256)
    assert np.isfinite(image).all()


@pytest.mark.parametrize(("kind", "total"), [("PSF_FULLRES", 1.0), ("PSF_FINALRES", 25.0), ("PSF_MTF", None)])
def test_images_of_the_psf(place: Path, kind: str, total: float | None) -> None:
    assert main([*QUICK, "-IMAGE_TYPE", kind]) == 0
    image = pixels()
    assert image.max() == pytest.approx(1.0) if total is None else image.sum() == pytest.approx(total, rel=0.02), (
        "the map is small"
    )


def test_a_grid_holds_a_source_a_knot(place: Path) -> None:
    assert main(["in.list", *SMALL, "-IMAGE_TYPE", "GRID_NONOISE", "-GRID_SIZE", "32", "-STARCOUNT_ZP", "1e9"]) == 0
    at = np.loadtxt(place / "sky.list", usecols=(1, 2))
    assert len(at) == 12
    knots = np.array([(16 + 32 * (k % 4) + 1, 16 + 32 * (k // 4) + 1) for k in range(12)])
    assert np.abs(at - knots).max() <= 0.5


def test_a_psf_from_a_file_gives_the_same_image(place: Path) -> None:
    assert main([*SMALL, "-IMAGE_TYPE", "PSF_FINALRES", "-IMAGE_NAME", "psf.fits"]) == 0
    for name, kind in (("a", "INTERNAL"), ("b", "FILE")):
        more = ["-IMAGE_TYPE", "SKY_NONOISE", "-PSF_TYPE", kind, "-IMAGE_NAME", f"{name}.fits"]
        assert main(["in.list", *SMALL, *more]) == 0
    ours, other = pixels("a.fits"), pixels("b.fits")
    assert np.abs(ours - other).max() < 1e-4 * np.ptp(ours)


def test_a_raster_carries_its_light_at_its_place(place: Path) -> None:
    (place / "rasters").mkdir()
    image = np.zeros((41, 41), np.float32)
    image[10:31, 15:26] = 1.0
    fits.writeto(place / "rasters" / "raster_000007.fits", image)
    (place / "r.list").write_text("300 64.0 56.0 18.0 7 4.1 1.0 0.0\n")
    assert main(["r.list", *SMALL, "-IMAGE_TYPE", "SKY_NONOISE", "-AUREOLE_RADIUS", "0"]) == 0
    light = pixels() - pixels().min()
    j, i = np.indices(light.shape)
    assert light.sum() == pytest.approx(300.0 * 10 ** (0.4 * 8.0), rel=0.02)
    assert (light * i).sum() / light.sum() == pytest.approx(63.0, abs=0.05)
    assert (light * j).sum() / light.sum() == pytest.approx(55.0, abs=0.05)
    spread = [(light * (k - m) ** 2).sum() / light.sum() for k, m in ((i, 63.0), (j, 55.0))]
    assert spread[1] - spread[0] == pytest.approx((21**2 - 11**2) / 12 / 4, rel=0.1)


def test_positions_on_the_sky_become_pixels(place: Path) -> None:
    (place / "in.head").write_text(
        "CTYPE1  = 'RA---TAN'\nCTYPE2  = 'DEC--TAN'\nCRVAL1  = 150.0\nCRVAL2  = 30.0\nCRPIX1  = 64.0\nCRPIX2  = 56.0\n"
        "CD1_1   = -5.5555555555E-05\nCD1_2   = 0.0\nCD2_1   = 0.0\nCD2_2   = 5.5555555555E-05\nFILTER  = 'r'\nEND\n"
    )
    (place / "w.list").write_text("200 150.0 30.0011111 18.0 0 1 1 0 2 0.3 30 0 0\n")
    arguments = ["w.list", *SMALL, "-LISTCOORD_TYPE", "WORLD", "-IMAGE_HEADER", "in.head"]
    assert main(arguments) == 0
    row = (place / "sky.list").read_text().split()
    assert [float(word) for word in row[1:3]] == pytest.approx([64.0, 76.0], abs=1e-3)
    assert float(row[10]) % 180.0 == pytest.approx(150.0, abs=0.1), "30 degrees from east over north"
    assert fits.getheader("sky.fits")["FILTER"] == "r"


def test_a_weight_map_makes_the_read_noise(place: Path) -> None:
    rms = np.full((112, 128), 10.0, np.float32)
    rms[:, 64:] = 40.0
    rms[3, 5] = np.nan
    fits.writeto(place / "rms.fits", rms)
    more = ["-WEIGHT_TYPE", "MAP_RMS", "-WEIGHT_IMAGE", "rms.fits", "-BACK_MAG", "30"]
    assert main([*SMALL, *more]) == 0
    image = pixels()
    assert image[3, 5] == 0.0
    assert image[:, 64:].std() / image[:, :64].std() == pytest.approx(4.0, rel=0.1)


def test_correlated_noise_keeps_its_mean(place: Path) -> None:
    assert main([*SMALL, "-CORREL_TYPE", "NOISE"]) == 0
    image = pixels() - pixels().mean()
    beside = (image[:, 1:] * image[:, :-1]).mean() / (image**2).mean()
    assert beside > 0.3


def test_a_full_well_overflows_along_its_column(place: Path) -> None:
    (place / "b.list").write_text("100 64 56 12\n")
    assert main(["b.list", *SMALL, "-WELL_CAPACITY", "50000", "-IMAGE_TYPE", "SKY_NONOISE"]) == 0
    image = pixels()
    assert image.max() <= 50000 * 1.001
    assert image[10, 63] > 10 * image[55, 20]


def test_microscanning_interleaves_steps(place: Path) -> None:
    arguments = ["in.list", *SMALL, "-IMAGE_TYPE", "SKY_NONOISE", "-MICROSCAN_NSTEP", "2"]
    assert main(arguments) == 0
    image = pixels()
    assert np.unravel_index(image[:60, :60].argmax(), (60, 60)) in {(29, 39), (30, 39)}


def test_defaults_are_printed_and_read_again(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["-dd"]) == 0
    (place / "all.sky").write_text(capsys.readouterr().out)
    assert TOOL.read(["-c", "all.sky"]).as_texts() == TOOL.read([]).as_texts()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["-SEEING_FWHM", "x"], "SEEING_FWHM = x: a number was expected"),
        (["-SEEING_FWMH", "1"], "did you mean SEEING_FWHM?"),
        (["-GAIN", "0"], "GAIN = 0.0: 1e-12 to 1e+18 was expected"),
        (["-IMAGE_TYPE", "SKY_NONOIS"], "did you mean SKY_NONOISE?"),
        (["-LISTCOORD_TYPE", "WORLD"], "IMAGE_HEADER"),
        (["-DEFOC_D80", "1,2"], "DEFOC_D80 = 1.0,2.0"),
        (["-IMAGE_SIZE", "101", "-MICROSCAN_NSTEP", "2"], "multiples of MICROSCAN_NSTEP 2"),
        (["in.list", "-IMAGE_NAME", "in.fits"], "would overwrite in.list"),
        (["in.list", "other.list"], "'other.list'"),
        (["-PSF_OVERSAMP", "2.5"], "a whole number was expected"),
    ],
)
def test_bad_settings_say_what_is_wrong(
    place: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    assert main(arguments) == 2
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("150 1 1 20", "bad.list:2: code 150; 100, 200, 210 or 300 was expected"),
        ("100 1 one 20", "bad.list:2: 'one' in column 3; a number was expected"),
        ("100 1 1", "bad.list:2: 3 columns; code, x, y and magnitude"),
        ("200 1 1 20 1.5", "bad.list:2: bulge share 1.5; 0 to 1 was expected"),
        ("200 1 1 20 0.5 1 0", "bad.list:2: bulge ratio 0.0"),
        ("100 1 nan 20", "bad.list:2: nan in column 3"),
        ("300 1 1 20 0 1", "bad.list:2: raster 0.0"),
    ],
)
def test_bad_lines_are_named(place: Path, capsys: pytest.CaptureFixture[str], line: str, said: str) -> None:
    (place / "bad.list").write_text(f"100 5 5 20\n{line}\n")
    assert main(["bad.list", *SMALL]) == 1
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    [
        ["none.list"],
        ["-PSF_TYPE", "FILE", "-PSF_NAME", "none.fits"],
        ["-IMAGE_HEADER", "none.head"],
        ["-WEIGHT_TYPE", "MAP_RMS"],
    ],
)
def test_missing_files_are_named(place: Path, capsys: pytest.CaptureFixture[str], arguments: list[str]) -> None:
    assert main([*SMALL, *arguments]) == 1
    said = capsys.readouterr().err
    assert "none." in said or "sky.weight.fits" in said
    assert not (place / "sky.fits").exists()


@pytest.mark.timeout(200)
def test_the_tool_meets_compiled_kernels_only(place: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from processing.kernels.sky import TASKS\n"
        "[task() for task in TASKS]\n"
        "cache = Path(sys.argv[1]); compiled = sorted(cache.rglob('*.nbc')); assert compiled\n"
        "from processing.skymaker.command import main\n"
        f"assert main(['in.list', *{SMALL}, '-STARCOUNT_ZP', '1e7', '-WELL_CAPACITY', '3e3']) == 0\n"
        "assert sorted(cache.rglob('*.nbc')) == compiled, set(cache.rglob('*.nbc')) - set(compiled)\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", script, str(place / "cache")],
        env={**os.environ, "PYTHONPATH": str(ROOT), "NUMBA_CACHE_DIR": str(place / "cache")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr


@pytest.mark.parametrize(("switch", "factor"), [("Y", 16.0), ("N", 1.0)])
def test_a_pixel_that_fewer_exposures_saw_has_more_noise_of_photons(place: Path, switch: str, factor: float) -> None:
    rms = np.full((112, 128), 5.0, np.float32)
    rms[:, 64:] = 20.0
    fits.writeto(place / "rms.fits", rms)
    # 120,000 electrons of sky, of which a sixteenth of the exposures counted 7,500; then 12 and 0.75, one by one
    for back in (16.0, 26.0):
        more = ["-WEIGHT_TYPE", "MAP_RMS", "-WEIGHT_IMAGE", "rms.fits", "-WEIGHT_GAIN", switch, "-SATUR_LEVEL", "1e9"]
        assert main([*SMALL, *more, "-BACK_MAG", str(back)]) == 0
        image = pixels()
        electrons = 0.2**2 * 10 ** (0.4 * (26 - back)) * 300.0
        for part, read, share in ((image[:, :64], 5.0, 1.0), (image[:, 64:], 20.0, factor)):
            expected = electrons * share + read**2
            # 7168 pixels: the variance is right to 1.7 %, the mean to its own error; 5 sigma each
            assert part.var() == pytest.approx(expected, rel=0.085)
            assert abs(part.mean() - electrons) < 5 * np.sqrt(expected / part.size)


def test_a_short_exposure_moves_as_a_whole_with_its_seed(place: Path) -> None:
    (place / "one.list").write_text("100 64.0 56.0 15.0\n")
    places = []
    for seed in ("4", "4", "5"):
        more = ["-SEEING_TYPE", "SHORT_EXPOSURE", "-IMAGE_TYPE", "SKY_NONOISE", "-BACK_MAG", "40", "-SEED_MOTION", seed]
        assert main(["one.list", *SMALL, *more]) == 0
        image = pixels()
        rows, columns = np.mgrid[:112, :128] + 1
        core = image * (np.hypot(columns - 64, rows - 56) < 20)
        places.append(((core * columns).sum() / core.sum(), (core * rows).sum() / core.sum()))
    assert places[0] == places[1]
    assert np.hypot(places[0][0] - places[2][0], places[0][1] - places[2][1]) > 0.05
    row = (place / "sky.list").read_text().split()
    assert row[1:3] == ["64.0000", "56.0000"], "the list tells where the source is, not where its image was"
