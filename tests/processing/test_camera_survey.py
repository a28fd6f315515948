"""Surveys: what the command writes, what it refuses, and whether our own verification takes it."""

import asyncio
import hashlib
from dataclasses import replace

import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS

from processing.flags import PixelFlag
from processing.skymaker.distortion import wcs_of
from processing.skymaker.effects import FULL
from processing.skymaker.exposures import exposure_of
from processing.skymaker.frame import Shot, expose, processed
from processing.skymaker.survey import main
from snooppix.acceptance import FileKind
from snooppix.cli.check import check_file
from snooppix.verification import Verifier
from terapix.instruments import load_instrument

FIELD = "214.87,52.68"


def survey(directory, *more):
    assert main(["--pointing", FIELD, "--directory", str(directory), "--workers", "1", *more]) == 0
    return directory


@pytest.fixture(scope="module")
def night(tmp_path_factory):
    """Two frames of two CCDs, of filters without and with fringes."""
    orders = ("--instrument", "megacam", "--ccds", "2", "--exposures", "2", "--filter", "r,z", "--seed", "5")
    return survey(tmp_path_factory.mktemp("night"), *orders)


def test_a_survey_is_frames_the_calibrations_that_they_name_and_the_truth(night):
    assert {path.name for path in night.iterdir()} == {
        "2003A.mask.0.36.01.fits.fz",
        "08Am01.flat.r.36.02.fits.fz",
        "08Am01.flat.z.36.01.fits.fz",
        "08Am01.fringe.z.36.01.fits.fz",
        *(
            f"{number}p{end}"
            for number in (990001, 990002)
            for end in (".fits.fz", ".truth.fits", ".truth-mask.fits.fz")
        ),
    }
    for name in ("990001p", "990002p"):
        header = fits.getheader(night / f"{name}.fits.fz")
        named = [header[key] for key in ("IMRED_FF", "IMRED_MK", "IMRED_FR") if key in header]
        assert all((night / f"{each}.fits.fz").exists() for each in named)
        assert ("IMRED_FR" in header) == ("FRINGE" in header["IMRED_OP"]) == (header["FILTER"] == "z.MP9801")


def test_our_own_verification_takes_the_frames_for_elixirs(night):
    async def answers():
        async with Verifier(load_instrument("megacam:2"), compression=3.0) as verifier:
            return [
                await check_file(night / f"{name}.fits.fz", verifier, pixels=True) for name in ("990001p", "990002p")
            ]

    for answer in asyncio.run(answers()):
        assert answer["accepted"], answer["reason"]
        assert answer["kind"] == FileKind.FRAME.value


def test_bits_are_the_same_for_two_workers_and_another_time(night, tmp_path):
    orders = ("--instrument", "megacam", "--ccds", "2", "--exposures", "1", "--filter", "r", "--seed", "5")
    assert main(["--pointing", FIELD, "--directory", str(tmp_path), "--workers", "2", *orders]) == 0

    for path in tmp_path.glob("*.fz"):
        assert hashlib.md5(path.read_bytes()).digest() == hashlib.md5((night / path.name).read_bytes()).digest(), (
            path.name
        )


def test_the_number_of_threads_changes_no_bit():
    megacam = load_instrument("megacam")
    one, two = (processed(Shot(megacam, megacam.ccds[9], exposure_of(2, 3), 3, threads=n))[0] for n in (1, 2))

    assert np.array_equal(one, two)


def test_the_truth_tells_what_was_painted(night):
    with fits.open(night / "990002p.truth.fits", checksum=True) as truth:
        sources, cosmics, ccds, flaws = (truth[name].data.copy() for name in ("SOURCES", "COSMICS", "CCDS", "DEFECTS"))
        assert all(truth[1].header[f"TUCD{n}"] for n in range(1, 10))
    with fits.open(night / "990002p.truth-mask.fits.fz") as masks, fits.open(night / "990002p.fits.fz") as frame:
        marks, pixels = ([hdu.data.copy() for hdu in hdus[1:]] for hdus in (masks, frame))

    assert set(sources["TYPE"]) == {100, 200}
    assert ((sources["X"] > 32) & (sources["X"] < 2081) & (sources["Y"] > 0) & (sources["Y"] < 4613)).all()
    for ccd in range(2):
        row = ccds[ccds["CCD"] == ccd][0]
        assert row["COSMIC"] == cosmics["PIXELS"][cosmics["CCD"] == ccd].sum()
        assert row["COSMIC"] == np.count_nonzero(marks[ccd] & PixelFlag.COSMIC)
        assert row["FULL"] == np.count_nonzero(marks[ccd] & PixelFlag.SATURATED)
        assert (marks[ccd][pixels[ccd] >= row["SATURATE"]] & PixelFlag.SATURATED > 0).all()
        bad = flaws[(flaws["CCD"] == ccd) & flaws["MASKED"]]
        assert all(not pixels[ccd][b["Y0"] - 1 : b["Y1"], b["X0"] - 1 : b["X1"]].any() for b in bad)
        here = sources[sources["CCD"] == ccd]
        bright = here[(here["TYPE"] == 100) & (here["MAG"] < 19) & (here["TOUCHED"] == 0)]
        levels = pixels[ccd][np.rint(bright["Y"]).astype(int) - 1, np.rint(bright["X"]).astype(int) - 1]
        assert (levels > row["SKY"] + 0.02 * bright["FLUX"]).all()


def test_noise_of_each_amplifier_is_that_of_its_photons_and_of_its_reading():
    megacam = load_instrument("megacam")
    for index in (3, 20, 29):
        ccd = megacam.ccds[index]
        plain = FULL.plain()
        shot = Shot(megacam, ccd, exposure_of(0, 11), 11, effects=plain)
        pixels, exposed = processed(shot)
        for columns, read_noise in ((slice(0, 1024), ccd.read_noise_a), (slice(1024, 2048), ccd.read_noise_b)):
            charge = exposed.charge[:, columns].astype(float)
            empty = charge < charge.min() + 0.5
            values = pixels[:4612, 32:2080][:, columns][empty].astype(float)
            expected = charge[empty].mean() / ccd.gain
            variance = (charge[empty].mean() + read_noise**2) / ccd.gain**2 + 1 / 12
            assert values.size > 100_000
            assert values.mean() == pytest.approx(expected, abs=3 * np.sqrt(variance / values.size))
            assert values.var() == pytest.approx(variance, rel=3 * np.sqrt(2 / values.size))


def test_blooming_moves_charge_and_loses_none():
    megacam = load_instrument("megacam")
    ccd, exposure = megacam.ccds[13], exposure_of(0, 7)
    quiet = FULL.switched("cosmic_rays=off,trails=off")
    bled = expose(Shot(megacam, ccd, exposure, 7, effects=quiet))
    dry = expose(Shot(megacam, ccd, exposure, 7, effects=quiet.switched("blooming=off")))
    changed = np.flatnonzero((bled.charge != dry.charge).any(axis=0))

    assert 0 < changed.size < 60
    assert bled.charge.max() <= np.float32(ccd.gain * 65435)
    assert (bled.charge >= dry.charge).all()
    assert np.count_nonzero(bled.marks & PixelFlag.SATURATED) > np.count_nonzero(dry.marks & PixelFlag.SATURATED)


@pytest.mark.parametrize(
    ("camera", "more", "ccds"),
    [("wircam", ("--filter", "J"), 1), ("generic", ("--filter", "i", "--wcs", "pv"), 1), ("megacam", ("--plain",), 1)],
)
def test_other_cameras_are_painted_by_their_files(tmp_path, camera, more, ccds):
    survey(tmp_path, "--instrument", camera, "--ccds", str(ccds), *more)
    instrument = load_instrument(f"{camera}:{ccds}")
    with fits.open(tmp_path / "990001p.fits.fz") as hdus:
        header, pixels = hdus[1].header, hdus[1].data
        assert pixels.shape == (instrument.height, instrument.width)
        assert hdus[0].header["INSTRUME"] == instrument.camera
        assert (header["CTYPE1"] == "RA---TPV") == ("pv" in more)
        seen = pixels[pixels != 0]
        middle, spread = np.median(seen), np.median(np.abs(seen - np.median(seen))) * 1.48
        assert middle > 100
        assert 0.2 * np.sqrt(middle) < spread < 3 * np.sqrt(middle)
    assert (tmp_path / "2003A.mask.0.36.01.fits.fz").exists() == instrument.weights


def test_a_list_of_sources_is_painted_where_it_lies(tmp_path):
    ccd = load_instrument("megacam").ccds[1]
    pointing = exposure_of(0, 1)
    header = fits.Header(
        wcs_of(ccd, replace(pointing, ra=214.87, dec=52.68)) | {"CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN"}
    )
    (ra, *more), (dec, *further) = WCS(header).wcs_pix2world([600.0, 1500.0], [1000.0, 3000.0], 0)
    (tmp_path / "my.list").write_text(
        f"100 {ra} {dec} 17.0\n200 {more[0]} {further[0]} 18.0 0.3 1.0 0.8 30 1.5 0.5 30 # a galaxy\n"
    )
    survey(tmp_path, "--instrument", "megacam", "--ccds", "2", "--list", str(tmp_path / "my.list"), "--dither", "0:0",
           "--transparency", "1", "--plain")  # fmt: skip

    sources = fits.getdata(tmp_path / "990001p.truth.fits", "SOURCES")
    assert sources["CCD"].tolist() == [1, 1]
    assert sources["MAG"].tolist() == [17.0, 18.0]
    assert np.allclose(sources["X"], [601.0, 1501.0], atol=1e-3)
    assert np.allclose(sources["Y"], [1001.0, 3001.0], atol=1e-3)
    pixels = fits.getdata(tmp_path / "990001p.fits.fz", 2).astype(float)
    for x, y, flux in zip((600, 1500), (1000, 3000), sources["FLUX"], strict=True):
        part = pixels[y - 60 : y + 61, x - 60 : x + 61]
        # 60 pixels hold all but 1 % of the light of a star, and of this galaxy; the noise of the sky adds 0.6 %
        assert (part - np.median(pixels[pixels > 0])).sum() == pytest.approx(flux, rel=0.03)


@pytest.mark.parametrize(
    ("orders", "told"),
    [
        (("--instrument", "megacan"), "did you mean megacam"),
        (("--instrument", "megacam", "--filter", "r.MP9602"), "--filter r.MP9602"),
        (("--instrument", "megacam", "--exposures", "0"), "--exposures 0"),
        (("--instrument", "megacam", "--ccds", "37"), "--ccds 37: 1 to 36"),
        (("--instrument", "megacam", "--dither", "wide"), "--dither wide"),
        (("--instrument", "megacam", "--date", "yesterday"), "--date yesterday"),
        (("--instrument", "megacam", "--effects", "rain=on"), "no effect 'rain'"),
        (("--instrument", "megacam", "--list", "missing.list"), "--list missing.list: there is no such file"),
        (("--instrument", "megacam", "--pointing", "10,-80"), "--pointing 10.0000,-80.0000: it stands"),
        (("--instrument", "megacam", "--pointing", "ten"), "--pointing ten"),
        (("--instrument", "megacam", "--seeing", "0"), "--seeing 0"),
        (("--instrument", "megacam", "--exptime", "-3"), "--exptime -3"),
    ],
)
def test_what_cannot_be_painted_is_told_with_its_option(tmp_path, capsys, orders, told):
    code = main(["--pointing", FIELD, "--directory", str(tmp_path), *orders])

    assert code in {1, 2}
    assert told in capsys.readouterr().err
    assert not list(tmp_path.glob("*.fz"))


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("100 214.8 52.7", "line 1: 3 words"),
        ("100 214.8 52.7 faint", "line 1: numbers were expected"),
        ("300 214.8 52.7 20", "code 300"),
        ("100 4000 52.7 20", "RA and Dec in degrees"),
        ("100 214.8 -12 20", "lie beside the field"),
        ("", "it has no sources"),
    ],
)
def test_what_is_wrong_with_a_list_is_told(tmp_path, capsys, line, told):
    (tmp_path / "my.list").write_text(f"{line}\n")
    code = main(["--instrument", "megacam", "--pointing", FIELD, "--list", str(tmp_path / "my.list")])

    assert code == 2
    assert told in capsys.readouterr().err
