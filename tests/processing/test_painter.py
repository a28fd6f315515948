"""Painted frames: what the files are like, and what their pixels and headers promise each other."""

import subprocess
import warnings

import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS, FITSFixedWarning
from PIL import Image

from processing.mosaic import Mosaic
from processing.skymaker.catalogue import sky
from processing.skymaker.defects import Flaw, defects
from processing.skymaker.effects import FULL
from processing.skymaker.exposures import exposure_of
from processing.skymaker.painter import Kind, files_of, is_painted, paint_run, paintings
from processing.skymaker.sources import natural_magnitudes, place_of
from terapix.instruments import load_instrument
from tests.support.dumps import headers_of

SEED = 7
CCDS = 2


@pytest.fixture(scope="module")
def megacam():
    return load_instrument(f"megacam:{CCDS}")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """One frame of two CCDs with all that goes with it."""
    directory = tmp_path_factory.mktemp("run")
    paint_run(directory, frames=1, ccds=CCDS, seed=SEED, workers=1)
    return directory


@pytest.fixture(scope="module")
def frame(run):
    with fits.open(run / "980101p.fits.fz") as hdus:
        return [(hdu.header.copy(), np.asarray(hdu.data)) for hdu in hdus]


@pytest.fixture(scope="module")
def mask(run):
    with fits.open(run / "2003A.mask.0.36.01.fits.fz") as hdus:
        return [np.asarray(hdu.data) for hdu in hdus[1:]]


@pytest.fixture(scope="module")
def flat(run):
    with fits.open(run / "08Am03.flat.r.36.02.fits.fz") as hdus:
        return [np.asarray(hdu.data) for hdu in hdus[1:]]


def around(pixels, x, y, half):
    """Pixels round a place, and their coordinates."""
    i, j = round(x), round(y)
    part = pixels[j - half : j + half + 1, i - half : i + half + 1]
    rows, columns = np.mgrid[j - half : j + half + 1, i - half : i + half + 1]
    return part, columns, rows


def wcs_of(header):
    """World coordinates of a CCD; astropy warns of RADECSYS and of a DATE-OBS without time, in real headers too."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FITSFixedWarning)
        return WCS(header)


def lonely_stars(ccd, exposure, bright, faint, edge=80):
    """True places (from 0) and magnitudes of stars on a CCD without brighter or nearly as bright neighbours."""
    objects = sky(SEED)
    magnitudes = natural_magnitudes(exposure, objects)
    x, y = place_of(load_instrument("megacam"), ccd, exposure, FULL, objects)
    seen = (x > -200) & (x < 2312) & (y > -200) & (y < 4844) & (magnitudes < faint + 2.5)
    x, y, magnitudes, stars = x[seen], y[seen], magnitudes[seen], objects.stars[seen]
    for k in np.flatnonzero(stars & (magnitudes > bright) & (magnitudes < faint)):
        distance = np.hypot(x - x[k], y - y[k])
        inside = 32 + edge < x[k] < 2080 - edge and edge < y[k] < 4612 - edge
        if inside and np.sort(distance)[1] > 40 and not ((magnitudes < 17) & (distance < 250) & (distance > 0)).any():
            yield x[k], y[k], magnitudes[k]


def test_the_same_seed_gives_the_same_bytes_whatever_the_number_of_workers(run, tmp_path):
    files = paint_run(tmp_path, frames=1, ccds=CCDS, seed=SEED, workers=2)

    assert {path.name for path in files} == {path.name for path in run.iterdir()}
    assert all(path.read_bytes() == (run / path.name).read_bytes() for path in files)


def test_the_truth_lies_beside_the_run_and_is_made_where_it_lacks(tmp_path):
    told = tmp_path / "truth"
    files = paint_run(tmp_path / "run", frames=1, ccds=CCDS, seed=SEED, truth=told)
    (table,) = told.iterdir()
    frame = next(path for path in files if path.name.endswith("p.fits.fz"))
    assert fits.getheader(table)["FRAME"] == frame.name
    sources = fits.getdata(table, "SOURCES")
    assert sources["CCD"].max() == CCDS - 1
    assert not [path for path in (tmp_path / "run").iterdir() if "truth" in path.name]

    content = frame.read_bytes()
    table.unlink()
    paint_run(tmp_path / "run", frames=1, ccds=CCDS, seed=SEED, truth=told)
    assert table.is_file()
    assert frame.read_bytes() == content


def test_what_is_there_is_kept_and_what_is_missing_is_painted(run):
    before = {path.name: path.stat().st_mtime_ns for path in run.iterdir()}
    lost = run / "2003A.mask.0.36.01.fits.fz"
    content = lost.read_bytes()
    lost.unlink()
    told = []

    files = paint_run(run, frames=1, ccds=CCDS, seed=SEED, progress=lambda name, share: told.append((name, share)))

    assert lost.read_bytes() == content
    after = {path.name: path.stat().st_mtime_ns for path in files}
    assert [name for name, stamp in after.items() if stamp != before[name]] == [lost.name]
    assert set(after) == set(before)
    assert told == [("2003A.mask.0.36.01", 0.5), ("2003A.mask.0.36.01", 1.0), ("", 1.0)]


@pytest.mark.parametrize("workers", [1, 2])
def test_painting_can_be_ended_and_leaves_complete_files_only(tmp_path, workers):
    (tmp_path / ".painting-0").mkdir()

    class Enough(Exception):
        pass

    def progress(name, share):
        if share > 0.6:
            raise Enough

    with pytest.raises(Enough):
        paint_run(tmp_path, frames=1, ccds=CCDS, seed=SEED, workers=workers, progress=progress)

    left = {path.name for path in tmp_path.iterdir()}
    assert left == {"2003A.mask.0.36.01.fits.fz", "08Am03.flat.r.36.02.fits.fz"}


def test_another_seed_is_another_plan(run):
    ours = paintings(1, ccds=CCDS, seed=SEED)
    others = paintings(1, ccds=CCDS, seed=SEED + 1)

    assert all(is_painted(run, painting) for painting in ours)
    assert [other.kind for other in others if is_painted(run, other)] == [Kind.MASK]


def test_four_frames_show_all_filters_and_programmes_and_name_what_is_painted():
    listed = paintings(4, ccds=36, seed=1)
    frames = [painting.exposure for painting in listed if painting.kind is Kind.PROCESSED]
    flats = {painting.name for painting in listed if painting.kind is Kind.FLAT}

    assert {frame.band.name for frame in frames} == {"g", "r", "i2", "z"}
    assert len({frame.programme.run for frame in frames}) == 3
    assert flats == {frame.flat for frame in frames}
    assert {painting.kind for painting in listed} == set(Kind) - {Kind.FRINGE}
    assert listed[:6] == paintings(2, ccds=36, seed=1)
    assert [painting.kind for painting in listed[:4]] == [Kind.MASK, Kind.FLAT, Kind.PROCESSED, Kind.RAW]
    assert len({name for painting in listed for name in files_of(painting)}) == 3 * 4 + 4 + 1 + 1


def test_exposures_lie_one_after_the_other_on_a_visible_sky():
    for index in range(200):
        exposure, later = exposure_of(index, 1), exposure_of(index + 12, 1)
        assert later.mjd >= exposure.end_mjd
        assert 1.0 < exposure.airmass < 2.0


@pytest.mark.parametrize("asked", [{"frames": -1}, {"frames": 1, "ccds": 37}, {"frames": 1, "ccds": 0}])
def test_what_cannot_be_painted_is_refused(tmp_path, asked):
    with pytest.raises(ValueError, match=r"frames|CCDs"):
        paint_run(tmp_path, **asked)


@pytest.mark.parametrize("name", ["980101p", "980101o", "08Am03.flat.r.36.02", "2003A.mask.0.36.01"])
def test_files_are_sound(run, name):
    path = run / f"{name}.fits.fz"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with fits.open(path, checksum=True) as hdus:
            hdus.verify("exception")
            assert [hdu.name for hdu in hdus] == ["PRIMARY", "ccd00", "ccd01"]
            for hdu in hdus:
                assert {"CHECKSUM", "DATASUM"} <= set(hdu._bintable.header if hasattr(hdu, "_bintable") else hdu.header)
            assert hdus[0].header["NEXTEND"] == hdus[0].header["NCCDS"] == 2
    with Mosaic(path) as mosaic:
        assert [extension.shape for extension in mosaic.extensions] == [(4644, 2112)] * 2


def test_funpack_reads_the_pixels_that_we_meant(run, frame, program, tmp_path):
    funpack = program("funpack", "libcfitsio-bin")
    plain = tmp_path / "plain.fits"
    subprocess.run([funpack, "-O", plain, run / "980101p.fits.fz"], check=True)

    with fits.open(plain) as hdus:
        assert hdus[1].header["BITPIX"] == 16
        assert hdus[1].header["BZERO"] == 32668
        assert np.array_equal(hdus[1].data, frame[1][1])


def test_headers_have_the_keywords_of_real_ones(run, shared_data):
    real_primary, real_ccd, *_ = headers_of(shared_data / "headers/mega/979412p.fits.header.gz")
    with fits.open(run / "980101p.fits.fz", disable_image_compression=True) as hdus:
        ours_primary, ours_ccd = hdus[0].header, hdus[1].header

    assert set(real_primary) - set(ours_primary) == set()
    assert set(real_ccd) - set(ours_ccd) == set()
    for real, ours in ((real_primary, ours_primary), (real_ccd, ours_ccd)):
        for key in ("INSTRUME", "DETECTOR", "OBSTYPE", "EL_SYS", "IMRED_OP", "TELESCOP", "RADECSYS", "IMRED_OV"):
            assert ours[key] == real[key]
    for key in ("DETSEC", "DETSECA", "DETSECB", "DATASEC", "ASECA", "BSECA", "CCDNAME", "AMPNAME", "CTYPE1", "INHERIT"):
        assert str(ours_ccd[key]).replace("False", "F") == real_ccd[key], key


def test_the_header_tells_the_frame_from_its_neighbours(frame):
    exposure = exposure_of(0, SEED)
    (primary, _), *ccds = frame

    assert primary["FILTER"] == "r.MP9601"
    assert (primary["RUNID"], primary["CRUNID"], primary["QRUNID"]) == ("08AF31", "08Am03", "08AQ05")
    assert primary["IMRED_FF"] == exposure.flat == "08Am03.flat.r.36.02"
    assert [header["IMRED_FF"] for header, _ in ccds] == [f"{exposure.flat}.fits[ccd{n:02}]" for n in range(CCDS)]
    assert all(header["DATEPROC"] <= primary["DATEPROC"] for header, _ in ccds)
    assert any("painted by TERAPIX, no observation" in line for line in primary["HISTORY"])


def test_raw_frames_are_no_processed_ones(run):
    with fits.open(run / "980101o.fits.fz") as hdus:
        header, pixels = hdus[1].header, hdus[1].data
        assert "EL_SYS" not in hdus[0].header
        assert "IMRED_OP" not in hdus[0].header
    assert pixels.dtype == np.uint16
    assert header["SATURATE"] == 65535
    assert np.median(pixels[:, :32]) == 1277
    assert np.median(pixels[:, 2080:]) == 1232


def test_previews_are_pictures(run):
    for size in (256, 1024):
        with Image.open(run / f"980101p_preview_{size}.jpg") as image:
            assert image.format == "JPEG"
            assert max(image.size) <= size


def test_bad_pixels_of_the_mask_are_zero_in_the_frame_and_low_in_the_flat(megacam, frame, mask, flat):
    x0, x1, y0, y1 = megacam.datasec
    for ccd, (_, pixels), known, response in zip(megacam.ccds, frame[1:], mask, flat, strict=True):
        good = known.copy()
        for bad in defects(megacam, ccd, FULL.defects):
            if bad.flaw is Flaw.HOT:
                good[bad.y0 : bad.y1, bad.x0 : bad.x1] = pixels[bad.y0 : bad.y1, bad.x0 : bad.x1] != 0
        assert set(np.unique(good)) == {0, 1}
        assert not pixels[good == 0].any()
        assert good[y0:y1, x0:x1].mean() > 0.99
        outside = np.ones(good.shape, bool)
        outside[y0:y1, x0:x1] = False
        assert not good[outside].any()
        assert not response[outside].any()
        bad = (good == 0) & ~outside
        assert bad.any()
        assert response[bad].max() < 0.3
        assert response[good == 1].min() > 0.7
        assert np.median(response[good == 1]) == pytest.approx(1.0, abs=0.1)


def test_the_grain_of_the_flat_is_three_percent(flat):
    block = flat[0][1000:1400, 400:800]
    grain = np.std(block[1:] - block[:-1]) / np.sqrt(2) / np.median(block)
    # rounding to the step of 0.004 adds (0.004/0.03)**2 / 12 / 2 of the rms: 0.1 %
    assert grain == pytest.approx(0.03, rel=0.02)


def test_the_header_tells_to_two_arcsec_where_stars_lie(megacam, frame):
    exposure, objects = exposure_of(0, SEED), sky(SEED)
    for ccd, (header, _) in zip(megacam.ccds, frame[1:], strict=True):
        x, y = place_of(megacam, ccd, exposure, FULL, objects)
        inside = (x > 32) & (x < 2080) & (y > 0) & (y < 4612)
        told = np.array(wcs_of(header).wcs_world2pix(objects.ra[inside], objects.dec[inside], 0))
        away = np.hypot(told[0] - x[inside], told[1] - y[inside]) * megacam.pixel_scale
        assert 0.1 < np.median(away) < 1.0
        assert away.max() < 2.0


def test_stars_lie_where_the_truth_puts_them(megacam, frame):
    exposure = exposure_of(0, SEED)
    offsets = []
    for ccd, (_, pixels) in zip(megacam.ccds, frame[1:], strict=True):
        for x, y, _ in lonely_stars(ccd, exposure, 17.0, 20.0):
            part, columns, rows = around(pixels, x, y, 5)
            if (part == 0).any():
                continue
            light = np.clip(part - np.median(pixels), 0, None) * (np.hypot(columns - x, rows - y) < 5)
            offsets.append(((light * columns).sum() / light.sum() - x, (light * rows).sum() / light.sum() - y))
    assert len(offsets) >= 10
    # centroids of the faintest scatter by 0.1 pixel
    assert np.abs(np.median(offsets, axis=0)).max() < 0.05
    assert np.std(offsets, axis=0).max() < 0.15


def test_magnitudes_follow_from_the_formula_in_the_header(megacam, frame):
    exposure = exposure_of(0, SEED)
    differences = []
    for ccd, (header, pixels) in zip(megacam.ccds, frame[1:], strict=True):
        for x, y, magnitude in lonely_stars(ccd, exposure, 16.5, 18.5):
            part, columns, rows = around(pixels, x, y, 34)
            distance = np.hypot(columns - x, rows - y)
            if (part[distance < 20] == 0).any():
                continue
            ring = part[(distance > 26) & (distance < 34)]
            light = (part - np.median(ring[ring > 0]))[distance < 20].sum()
            measured = -2.5 * np.log10(light) + 2.5 * np.log10(header["EXPTIME"]) + header["PHOT_C"]
            differences.append(measured + header["PHOT_K"] * (header["AIRMASS"] - 1) - magnitude)
    assert len(differences) >= 5
    # the aperture of 20 pixels misses 1 % of a star's light: most of that lies in the halo
    assert np.median(differences) == pytest.approx(0.012, abs=0.015)


def test_the_noise_is_that_of_photons_and_of_reading(megacam, frame, flat):
    for ccd, (_, pixels), response in zip(megacam.ccds, frame[1:], flat, strict=True):
        for columns, gain, read_noise in (
            (slice(200, 1000), ccd.gain_a, ccd.read_noise_a),
            (slice(1100, 1900), ccd.gain_b, ccd.read_noise_b),
        ):
            block = pixels[2000:2800, columns].astype(float)
            block[block == 0] = np.nan
            steps = np.diff(block, axis=0)
            for _ in range(5):
                steps = steps[np.abs(steps) < 4 * np.nanstd(steps)]
            found = np.std(steps) / np.sqrt(2)
            electrons = gain * np.median(response[2000:2800, columns])
            level = np.nanmedian(block)
            expected = np.sqrt(level * electrons + read_noise**2) / electrons
            # differences of neighbours, bright objects cut off; the photons of fainter ones raise them a little
            assert found == pytest.approx(expected, rel=0.03), ccd.name


def test_saturated_pixels_have_the_value_that_the_header_gives(frame):
    tops = [(int(pixels.max()), header["SATURATE"]) for header, pixels in frame[1:]]
    assert all(top <= saturation for top, saturation in tops)
    assert any(top == saturation for top, saturation in tops)
