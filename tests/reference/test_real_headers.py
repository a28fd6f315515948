"""Real headers decide: every processed MegaCam frame is accepted, all else is told apart with its reason."""

import gzip
import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from snooppix.cli import app

pytestmark = pytest.mark.reference

FILES = {
    "mega/979412p.fits.header.gz": ("elixir-processed frame", True, ""),
    "mega/1257365p.fits.header.gz": ("elixir-processed frame", True, ""),
    "mega/979412o.fits.header.gz": ("raw frame", False, "raw exposure"),
    "mega/1257365o.fits.header.gz": ("raw frame", False, "raw exposure"),
    "mega/1265044o.fits.header.gz": ("raw frame", False, "raw exposure"),
    "mega/676000o.fits.header.gz": ("amplifier frame", False, "single amplifiers"),
    "mega/1013552p_flag.fits.header.gz": ("flag map", False, "flag map"),
    "mega/2004B.mask.0.36.01.fits.header.gz": ("mask", False, "IMRED_MK"),
    "mega/1000003f.fits.header.gz": ("flat", False, "IMRED_FF"),
    "mega/695816p_diag.fits.header.gz": ("diagnostic", False, "no image"),
    "wircam/2281792o.fits.header.gz": ("WIRCam frame", False, "another camera"),
    "wircam/2281792p.fits.header.gz": ("WIRCam frame", False, "another camera"),
    "wircam/2281792s.fits.header.gz": ("WIRCam frame", False, "another camera"),
}


WIRCAM = {
    "wircam/2281792p.fits.header.gz": ("observatory-processed frame", True, "its headers are those of an observatory-"),
    "wircam/2281792s.fits.header.gz": ("observatory-processed frame", False, "SKYSUBTR = 'no' where 'yes' is needed"),
    "wircam/2281792o.fits.header.gz": ("raw frame", False, "without IIWIVER of I'iwi: the processed p frame is taken"),
    "mega/979412p.fits.header.gz": ("frame of another camera", False, "INSTRUME = 'MegaPrime', DETECTOR = 'MegaCam'"),
    "mega/1000003f.fits.header.gz": ("frame of another camera", False, "WIRCam with WIRCam is wanted"),
}
"""The same for who follows WIRCam. Of p and s, both of calibration level 2, the record says skysubtraction=yes of p."""


def check(*paths: Path, instrument: str = "megacam") -> tuple[int, list[dict[str, object]]]:
    result = CliRunner().invoke(app, ["check", "--json", "--instrument", instrument, *map(str, paths)])
    return result.exit_code, json.loads(result.stdout)


@pytest.mark.parametrize("name", FILES)
def test_each_real_file_is_told_apart(name: str, shared_data: Path) -> None:
    kind, accepted, why = FILES[name]

    code, [answer] = check(shared_data / "headers" / name)

    assert (answer["kind"], answer["accepted"]) == (kind, accepted)
    assert why in str(answer["reason"])
    assert code == (0 if accepted else 3)


@pytest.mark.parametrize("name", WIRCAM)
def test_each_is_told_apart_for_the_other_camera_too(name: str, shared_data: Path) -> None:
    kind, accepted, why = WIRCAM[name]

    code, [answer] = check(shared_data / "headers" / name, instrument="wircam")

    assert (answer["kind"], answer["accepted"]) == (kind, accepted)
    assert why in str(answer["reason"])
    assert code == (0 if accepted else 3)


def test_wircam_s_metadata_agree_with_the_archive_s_own_record(shared_data: Path) -> None:
    """The record of 2281792 says: target 280.18208 +63.19139, 20 s, J, program 18AP32, camera run 18Aw03."""
    _, [answer] = check(shared_data / "headers/wircam/2281792p.fits.header.gz", instrument="wircam")

    assert (answer["runid"], answer["crunid"], answer["filter"]) == ("18AP32", "18Aw03", "J")
    assert answer["exposure_time"] == pytest.approx(20.0)
    assert answer["observed_at"] == "2018-06-02T12:09:43+00:00"
    # the record has the telescope's pointing; I'iwi's fit puts its middle 51 arcsec west and 56 south of it
    assert answer["ra"] == pytest.approx(280.150637879, abs=0.0005)
    assert answer["dec"] == pytest.approx(63.1758881983, abs=0.0005)
    assert answer["needs"]["unpacked"] == 4 * 2048 * 2048 * 2  # type: ignore[index]
    assert answer["elixir"] == {"IIWIVER": "2.1.200", "PROCDATE": "2018-06-05HST17:21:20"}


def test_no_real_header_is_left_out(shared_data: Path) -> None:
    found = {str(path.relative_to(shared_data / "headers")) for path in (shared_data / "headers").rglob("*.header.gz")}
    assert found == set(FILES)


def test_a_plain_dump_is_read_as_a_packed_one(shared_data: Path, tmp_path: Path) -> None:
    packed = shared_data / "headers/mega/979412p.fits.header.gz"
    plain = tmp_path / "979412p.fits.header"
    plain.write_bytes(gzip.decompress(packed.read_bytes()))

    _, answers = check(packed, plain)

    assert answers[0] | {"file": "", "needs": ""} == answers[1] | {"file": "", "needs": ""}


def test_metadata_agree_with_the_archive_s_own_record(shared_data: Path) -> None:
    """The record of 1257365 says: target 280.57296 +59.51667, 20.194 s, i.MP9702, program 10BD90, camera run 10Bm03."""
    _, [answer] = check(shared_data / "headers/mega/1257365p.fits.header.gz")

    assert answer["runid"] == "10BD90"
    assert answer["crunid"] == "10Bm03"
    assert answer["filter"] == "i.MP9702"
    assert answer["exposure_time"] == pytest.approx(20.194)
    assert answer["observed_at"] == "2010-11-03T04:37:54.310000+00:00"
    # the middle of the mosaic is the pointing to the few arcsec by which its CCDs are not symmetric
    assert answer["ra"] == pytest.approx(280.57296, abs=0.003)
    assert answer["dec"] == pytest.approx(59.51667, abs=0.003)
    assert answer["flat"] == "10Bm03.flat.i2.36.01"
    assert answer["mask"] == "2003A.mask.0.36.02"
    assert answer["needs"]["unpacked"] == 36 * 2112 * 4644 * 2  # type: ignore[index]


def test_the_real_mask_file_is_a_mask_as_a_packed_fits_file(shared_data: Path) -> None:
    code, [answer] = check(shared_data / "obs_cfht/2004B.mask.0.36.01.fits.gz")
    assert (code, answer["kind"], answer["accepted"]) == (3, "mask", False)
