"""What a frame needs: by its header, by what was written of late of its instrument, and by the rule of 2003."""

from datetime import UTC, datetime

import pytest

from datatransfer.growth import Expected, Growth, Need, by_the_rule, expected, need_of
from dbclient.growth import GrowthRecord

NOW = datetime(2008, 3, 30, tzinfo=UTC)
GB = 10**9


def measured(instrument: str, stage: str, kind: str, products: float, files: float, unpacked: float) -> GrowthRecord:
    return GrowthRecord(instrument, stage, kind, products, files, unpacked, 7, NOW)


GROWTH = Growth.of(
    [
        measured("MegaPrime", "weight", "weight", 200, 300, 700),
        measured("MegaPrime", "weight", "flag", 7, 300, 700),
        measured("MegaPrime", "quality", "catalogue", 14, 150, 350),
        measured("", "weight", "weight", 50, 100, 100),
    ]
)


def test_need_comes_from_the_header_and_measured_growth_beats_the_guess():
    needs = {"frame": 300, "unpacked": 700, "scratch": 90}

    guessed = need_of(needs, 310, growth={}, compression=0.5)
    told = need_of(needs, 310, growth={"weight": 0.2, "flag": 0.01, "picture-frame": 0.001}, compression=0.5)

    # weight and flag map; regions and coverage, of which nothing is told beforehand; catalogue and PSF
    assert guessed == Need(310, int(700 * 2 * 0.5 + 350 * 0.05 + 700 * 0.005 + 700 * 0.02), 90)
    assert told == Need(310, 147 + 14, 90), "a night's first frames have maps before a catalogue"
    catalogued = {"weight": 0.2, "flag": 0.01, "catalogue": 0.03, "psf": 0.01}
    assert need_of(needs, 310, growth=catalogued, compression=0.5) == Need(310, 175, 90)
    needs["sources"] = 20
    assert need_of(needs, 310, growth={"weight": 0.2, "flag": 0.01}, compression=0.5) == Need(310, 167, 90)
    assert need_of(None, 100, growth={}, compression=0.3).total > 100


def test_a_frame_of_which_no_maps_are_made_needs_itself_alone():
    needs = {"frame": 300, "unpacked": 700, "weight": 0, "flag": 0, "scratch": 0}

    assert need_of(needs, 300, growth={"weight": 0.5}, compression=0.3) == Need(300, 0, 0)


def test_growth_is_of_the_instrument_and_of_all_its_stages():
    assert GROWTH.shares("MegaPrime") == pytest.approx({"weight": 2 / 7, "flag": 0.01, "catalogue": 0.04})
    assert GROWTH.shares("WIRCam") == pytest.approx({"weight": 0.5}), "of frames whose instrument nobody noted"
    assert Growth.of([]).shares("MegaPrime") == {}


def test_a_run_expands_as_its_frames_did():
    assert Growth.of([]).expansion() is None
    megaprime, others = 1 + 207 / 300 + 14 / 150, 1 + 50 / 100
    assert GROWTH.expansion() == pytest.approx((300 * megaprime + 100 * others) / 400)


def test_the_rule_of_2003_is_four_times_the_size():
    assert by_the_rule(3 * GB) == 12 * GB
    assert expected(3 * GB, Growth.of([])) == Expected(None, 12 * GB)
    assert expected(4 * GB, Growth.of([measured("", "weight", "weight", 50, 100, 100)])) == Expected(6 * GB, 16 * GB)
