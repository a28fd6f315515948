"""SkyMaker's images against those of the original 4.3.0, against GalSim, and as source-extractor and psfex see them."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table

from conftest import lacking
from processing.skymaker.command import main
from processing.skymaker.profiles import TABLE_LOW, TABLE_STEP, transform_table
from processing.skymaker.psf import Aberration, Optics, Psf, psf_of
from processing.skymaker.psf_files import psf_from
from processing.skymaker.pupil import amplitude
from processing.skymaker.scene import Scene, paint_scene

pytestmark = pytest.mark.reference

SCALE = 0.186
CAMERA = {
    "PIXEL_SIZE": "0.186", "SEEING_FWHM": "0.8", "GAIN": "1.585", "READOUT_NOISE": "5", "EXPOSURE_TIME": "468",
    "MAG_ZEROPOINT": "26.045", "BACK_MAG": "20.9", "STARCOUNT_ZP": "0", "VERBOSE_TYPE": "QUIET",
}  # fmt: skip
ZERO_POINT = 26.045 + 2.5 * np.log10(468.0)
ABERRATED = Optics(seeing=0.8, defocus=Aberration((0.3,)), coma_x=Aberration((0.4,)), astigmatism_45=Aberration((0.5,)))


@pytest.fixture(scope="module")
def original(shared_data: Path) -> Path:
    place = shared_data / "reference" / "skymaker"
    if not place.is_dir():
        pytest.skip(f"no images of the original SkyMaker in {place}")
    return place


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def arguments(**more: str) -> list[str]:
    return [word for key, value in {**CAMERA, **more}.items() for word in (f"-{key}", value)]


def test_the_pupil_is_the_originals(original: Path) -> None:
    reference = fits.getdata(original / "pupil.fits.gz")
    ours = np.abs(amplitude(Optics(seeing=0.8), sample=SCALE / 5, size=1024))
    assert np.abs(ours - reference).max() < 1.0 / 255.0


@pytest.mark.parametrize(("name", "optics"), [("default", Optics(seeing=0.8)), ("aberrated", ABERRATED)])
@pytest.mark.parametrize("as_original", [False, True])
def test_the_psf_is_the_originals(original: Path, name: str, optics: Optics, as_original: bool) -> None:
    """With the slips of the original repeated or not: at this pupil, one sample a pixel, they change nothing."""
    reference = fits.getdata(original / f"psf_{name}.fits.gz").astype(float)
    psf = psf_of(optics, pixel_scale=SCALE, as_original=as_original)
    assert np.abs(psf.components[0] * 25.0 - reference).max() < 1e-5 * reference.max()


def test_the_originals_slips_are_repeated_on_demand() -> None:
    """QUA22 taken for QUA00, and positions cut to whole pixels where a pixel of the pupil is sampled finely."""
    turned = Optics(seeing=0.8, quadratic_22=Aberration((0.5,)))
    straight = Optics(seeing=0.8, quadratic_00=Aberration((0.5,)))
    slipped = psf_of(turned, pixel_scale=SCALE, as_original=True).components[0]
    meant = psf_of(straight, pixel_scale=SCALE).components[0]
    assert np.abs(slipped - meant).max() < 1e-5 * meant.max()
    coarse = {"sample": SCALE / 5, "size": 256}
    assert np.abs(
        np.abs(amplitude(ABERRATED, **coarse)) - np.abs(amplitude(ABERRATED, **coarse, as_original=True))
    ).any()


def test_sources_without_noise_are_the_originals(original: Path, place: Path) -> None:
    reference = fits.getdata(original / "sky_nonoise.fits.gz").astype(float)
    more = {"IMAGE_TYPE": "SKY_NONOISE", "IMAGE_SIZE": "512"}
    assert main([str(original / "objects.list"), "-c", str(original / "sky.conf"), *arguments(**more)]) == 0
    ours = fits.getdata("sky.fits").astype(float)
    sky = reference.min()
    rows = [line.split() for line in (original / "objects.list").read_text().splitlines()]
    j, i = np.indices(ours.shape)
    for row in rows:
        near = np.hypot(i - float(row[1]) + 1.0, j - float(row[2]) + 1.0) < 50.0
        peak = (reference[near] - sky).max()
        assert np.abs(ours - reference)[near].max() < 2e-3 * peak, row
        assert (ours - sky)[near].sum() == pytest.approx((reference - sky)[near].sum(), rel=1e-3), row
    listed = np.array([line.split()[-1] for line in Path("sky.list").read_text().splitlines()[2:]], float)
    theirs = [float(line.split()[-1]) for line in (original / "sky_nonoise.list").read_text().splitlines()[2:]]
    assert listed == pytest.approx(theirs, rel=0.04), "noise-equivalent areas"


@pytest.fixture(scope="module")
def galsim() -> object:
    try:
        import galsim
    except ImportError:
        lacking("galsim", "pip install galsim")
    return galsim


@pytest.mark.parametrize("n", [0.5, 1.0, 2.5, 4.0, 6.0])
def test_profiles_have_galsims_transforms(galsim: object, n: float) -> None:
    theirs = galsim.Sersic(n=n, half_light_radius=1.0)  # type: ignore[attr-defined]
    table = transform_table(n)
    at = range(0, 2200, 50)
    expected = [theirs.kValue(np.exp(0.5 * (TABLE_LOW + TABLE_STEP * k)), 0.0).real for k in at]
    assert table[at] == pytest.approx(np.array(expected), abs=2e-4), "b(n) is an expansion"


def test_a_round_pupil_in_the_atmosphere_is_galsims_kolmogorov(galsim: object) -> None:
    """A large mirror leaves the atmosphere's image alone; the pixel is part of both."""
    optics = Optics(seeing=0.8, m1_diameter=60.0, m2_diameter=0.0, arms=0)
    ours = psf_of(optics, pixel_scale=SCALE, oversampling=5, size=2048).components[0]
    model = galsim.Convolve(  # type: ignore[attr-defined]
        galsim.Kolmogorov(fwhm=0.8),
        galsim.Pixel(SCALE),  # type: ignore[attr-defined]
    )
    theirs = model.drawImage(nx=255, ny=255, scale=SCALE / 5, method="no_pixel").array
    middle = ours.shape[0] // 2
    assert np.abs(ours[middle - 127 : middle + 128, middle - 127 : middle + 128] - theirs).max() < 2e-3 * theirs.max()


def as_galsim(galsim: object, psf: Psf) -> object:
    odd = psf.components[0][1:, 1:].astype(float)
    image = galsim.Image(odd, scale=SCALE / psf.oversampling)  # type: ignore[attr-defined]
    return galsim.InterpolatedImage(image, x_interpolant="lanczos5", flux=1.0)  # type: ignore[attr-defined]


GALAXIES = [
    (0.0, 0.3, 1.0, 0.0, 0.6, 0.5, 30.0, 4.0),
    (1.0, 0.8, 0.7, -20.0, 1.0, 1.0, 0.0, 4.0),
    (0.4, 0.5, 0.8, 60.0, 1.2, 0.4, 70.0, 4.0),
    (1.0, 0.6, 0.5, 10.0, 1.0, 1.0, 0.0, 2.0),
]


@pytest.mark.parametrize("shape", GALAXIES)
def test_galaxies_are_galsims(galsim: object, shape: tuple[float, ...]) -> None:
    gs: object = galsim
    share, bulge_radius, bulge_ratio, bulge_angle, disc_radius, disc_ratio, disc_angle, n = shape
    psf = psf_of(Optics(seeing=0.8), pixel_scale=SCALE)
    x, y, flux = 100.3, 90.7, 1e5
    columns = dict(
        zip(
            (
                "bulge_share",
                "bulge_radius",
                "bulge_ratio",
                "bulge_angle",
                "disc_radius",
                "disc_ratio",
                "disc_angle",
                "index",
            ),
            (np.array([value]) for value in shape),
            strict=True,
        )
    )
    light = np.zeros((201, 201), np.float32)
    paint_scene(
        light, Scene(np.array([x]), np.array([y]), np.array([flux]), **columns), psf, pixel_scale=SCALE, faint=0.05
    )
    parts = []
    for weight, profile, ratio, angle in (
        (share, gs.Sersic(n=n, half_light_radius=bulge_radius), bulge_ratio, bulge_angle),  # type: ignore[attr-defined]
        (1.0 - share, gs.Exponential(scale_radius=disc_radius), disc_ratio, disc_angle),  # type: ignore[attr-defined]
    ):
        if weight > 0.0:
            squeezed = profile.transform(1.0, 0.0, 0.0, ratio) / ratio
            parts.append(weight * squeezed.rotate(angle * gs.degrees))  # type: ignore[attr-defined]
    seen = gs.Convolve(gs.Add(parts), as_galsim(galsim, psf)).withFlux(flux)  # type: ignore[attr-defined]
    offset = gs.PositionD(x - 100.0, y - 100.0)  # type: ignore[attr-defined]
    theirs = seen.drawImage(nx=201, ny=201, scale=SCALE, method="no_pixel", offset=offset).array
    assert np.abs(light - theirs).max() < 1e-3 * theirs.max()


@pytest.fixture(scope="module")
def seen(
    program: Callable[[str, str], str], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Table, np.ndarray]:
    """An image of 900 stars and 500 galaxies, the catalogue of source-extractor, and the truth (code, x, y, mag)."""
    extractor = program("source-extractor", "source-extractor")
    place = tmp_path_factory.mktemp("seen")
    chance = np.random.default_rng(12)
    lines = []
    for k in range(1400):
        spot = (k % 40) * 50.0 + 35.0 + chance.uniform(-9, 9), (k // 40) * 50.0 + 35.0 + chance.uniform(-9, 9)
        if k % 14 < 9:
            lines.append(f"100 {spot[0]:.4f} {spot[1]:.4f} {chance.uniform(17.5, 23.0):.4f}")
        else:
            mag, radius = chance.uniform(19.0, 22.5), chance.uniform(0.2, 0.6)
            lines.append(
                f"200 {spot[0]:.4f} {spot[1]:.4f} {mag:.4f} 0 1 1 0 {radius:.3f} {chance.uniform(0.4, 1):.2f} 30 0 0"
            )
    (place / "in.list").write_text("\n".join(lines))
    more = {"IMAGE_SIZE": "2048,1800", "SEED_STARPOS": "5", "SEED_MOTION": "6", "AUREOLE_RADIUS": "0"}
    assert main([str(place / "in.list"), *arguments(**more, IMAGE_NAME=str(place / "sky.fits"))]) == 0
    names = "NUMBER XWIN_IMAGE YWIN_IMAGE X_IMAGE Y_IMAGE MAG_APER MAG_AUTO FLUX_RADIUS ELONGATION FLAGS SNR_WIN"
    columns = [*names.split(), "FLUX_APER(1)", "FLUXERR_APER(1)", "VIGNET(35,35)"]
    (place / "sky.param").write_text("\n".join(columns))
    (place / "sky.conv").write_text("CONV NORM\n1 2 1\n2 4 2\n1 2 1\n")
    settings = {
        "CATALOG_NAME": "sky.cat", "CATALOG_TYPE": "FITS_LDAC", "PARAMETERS_NAME": "sky.param",
        "FILTER_NAME": "sky.conv",
        "PHOT_APERTURES": "40", "MAG_ZEROPOINT": f"{ZERO_POINT:.5f}", "GAIN": "1.585", "PIXEL_SCALE": "0.186",
        "DETECT_THRESH": "2.0", "SATUR_LEVEL": "65000", "BACK_SIZE": "128", "SEEING_FWHM": "0.8",
        "VERBOSE_TYPE": "QUIET", "WEIGHT_TYPE": "NONE", "CLEAN": "N",
        "BACK_TYPE": "MANUAL", "BACK_VALUE": f"{SCALE**2 * 10 ** (0.4 * (ZERO_POINT - 20.9)):.4f}",
    }  # fmt: skip
    words = [word for key, value in settings.items() for word in (f"-{key}", value)]
    (place / "empty.sex").write_text("")
    subprocess.run([extractor, "sky.fits", "-c", "empty.sex", *words], cwd=place, check=True, capture_output=True)
    truth = np.array([line.split()[:4] for line in (place / "sky.list").read_text().splitlines()], float)
    return place, Table.read(place / "sky.cat", hdu=2), truth


def matched(found: Table, truth: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Index of the nearest detection of every source, and its distance in pixels."""
    distance = np.hypot(
        truth[:, 1][:, np.newaxis] - found["XWIN_IMAGE"], truth[:, 2][:, np.newaxis] - found["YWIN_IMAGE"]
    )
    return distance.argmin(axis=1), distance.min(axis=1)


def test_source_extractor_counts_the_sources(seen: tuple[Path, Table, np.ndarray]) -> None:
    _, found, truth = seen
    _, distance = matched(found, truth)
    bright = truth[:, 3] < 22.5
    assert (distance < 2.0)[bright].mean() > 0.995
    assert len(found) < 1.1 * len(truth), "hardly anything that is not there"


def test_source_extractor_measures_magnitudes_and_places(seen: tuple[Path, Table, np.ndarray]) -> None:
    """Of stars in a circle of 40 pixels, which holds 99.5 % of their light: that share is taken from the PSF."""
    _, found, truth = seen
    nearest, distance = matched(found, truth)
    image = psf_of(Optics(seeing=0.8), pixel_scale=SCALE).components[0]
    j, i = np.indices(image.shape) - image.shape[0] // 2
    inside = image[np.hypot(i, j) <= 20.0 * 5].sum()
    good = (truth[:, 0] == 100) & (distance < 2.0) & (truth[:, 3] > 18.0) & (truth[:, 3] < 21.0)
    error = np.asarray(found["MAG_APER"])[nearest] - truth[:, 3] + 2.5 * np.log10(inside)
    assert good.sum() > 300
    assert abs(np.median(error[good])) < 0.01
    shift_x = (np.asarray(found["XWIN_IMAGE"])[nearest] - truth[:, 1])[good]
    shift_y = (np.asarray(found["YWIN_IMAGE"])[nearest] - truth[:, 2])[good]
    noise = 4.4 / 2.35 / np.asarray(found["SNR_WIN"])[nearest][good]
    for shift in (shift_x, shift_y):
        pull = shift / np.hypot(noise, 0.002)
        assert abs(np.median(pull)) < 0.3
        assert 0.6 < 1.48 * np.median(np.abs(pull)) < 1.7


def test_psfex_finds_the_width_and_its_model_paints_the_same_stars(
    program: Callable[[str, str], str], seen: tuple[Path, Table, np.ndarray]
) -> None:
    place, _, _ = seen
    modeller = program("psfex", "psfex")
    settings = {
        "BASIS_TYPE": "PIXEL", "PSF_SAMPLING": "0.7", "PSF_SIZE": "35,35", "PSFVAR_DEGREES": "1",
        "SAMPLE_FWHMRANGE": "2,8", "SAMPLE_MINSN": "200", "SAMPLE_MAXELLIP": "0.03", "NTHREADS": "1",
        "CHECKPLOT_TYPE": "NONE", "CHECKIMAGE_TYPE": "NONE",
        "WRITE_XML": "N", "VERBOSE_TYPE": "QUIET", "PHOTFLUX_KEY": "FLUX_APER(1)", "PHOTFLUXERR_KEY": "FLUXERR_APER(1)",
    }  # fmt: skip
    words = [word for key, value in settings.items() for word in (f"-{key}", value)]
    (place / "empty.psfex").write_text("")
    subprocess.run([modeller, "sky.cat", "-c", "empty.psfex", *words], cwd=place, check=True, capture_output=True)
    ours = psf_of(Optics(seeing=0.8), pixel_scale=SCALE)
    model = psf_from(place / "sky.psf")
    assert model.fwhm == pytest.approx(ours.fwhm, rel=0.02)
    images = []
    for psf in (ours, model):
        light = np.zeros((41, 41), np.float32)
        paint_scene(
            light, Scene(np.array([20.3]), np.array([19.6]), np.array([1e5])), psf, pixel_scale=SCALE, faint=1.0
        )
        images.append(light / light.max())
    assert np.abs(images[0] - images[1]).max() < 0.02, "the model holds the light of its window only"
