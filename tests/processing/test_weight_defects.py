"""The weight stage on a frame with every kind of defect: each is found, counted and nulls what the recipe says."""

from pathlib import Path

import numpy as np
import pytest
from astropy import units
from numpy.typing import NDArray

from processing.cards import CardValues
from processing.flags import PixelFlag
from processing.mosaic import Mosaic
from processing.provenance import digest_of
from processing.recipes import WeightRecipe
from processing.regions import hand_mask, read_regions
from processing.regions.coverage import read_moc
from processing.regions.sky import Sky
from processing.weightwatcher import WeighedFrame, weigh_frame
from tests.support.sky_with_defects import FULL, HOT_COLUMN, X0, X1, Y0, Y1, Painted, paint

KEPT = PixelFlag.HALO | PixelFlag.SPIKE | PixelFlag.GHOST | PixelFlag.EDGE
INSIDE = np.s_[Y0:Y1, X0:X1]


@pytest.fixture(scope="module")
def painted(tmp_path_factory: pytest.TempPathFactory) -> Painted:
    return paint(tmp_path_factory.mktemp("painted"))


def weigh(painted: Painted, place: Path, recipe: WeightRecipe, workers: int = 1) -> WeighedFrame:
    return weigh_frame(
        painted.frame, flat=painted.flat, mask=painted.mask, hot=painted.hot, regions=[painted.regions],
        into=place / "products", scratch=place / "scratch", recipe=recipe, workers=workers,
    )  # fmt: skip


@pytest.fixture(scope="module")
def made(painted: Painted, tmp_path_factory: pytest.TempPathFactory) -> WeighedFrame:
    return weigh(painted, tmp_path_factory.mktemp("made"), WeightRecipe())


@pytest.fixture(scope="module")
def flags(made: WeighedFrame) -> list[NDArray[np.int16]]:
    opened = Mosaic(made.products[1].path)
    return [opened.read(ccd) for ccd in range(3)]


def has(flags: NDArray[np.int16], flag: PixelFlag) -> NDArray[np.bool_]:
    return flags & int(flag) != 0


def test_every_kind_of_defect_is_found_where_it_is(painted: Painted, flags: list[NDArray[np.int16]]) -> None:
    for ccd in (0, 1):
        full = painted.pixels[ccd][INSIDE] >= FULL
        assert has(flags[ccd][INSIDE], PixelFlag.SATURATED)[full].all()
    for ccd in range(3):
        hit = painted.rays[ccd] & (flags[ccd] & int(PixelFlag.BAD | PixelFlag.SATURATED | PixelFlag.BLEED) == 0)
        assert has(flags[ccd], PixelFlag.COSMIC)[hit].mean() > 0.9, "60 rays a CCD, a few of them on stars"
        crossed = painted.trail[ccd] & ~has(flags[ccd], PixelFlag.DEAD)
        assert has(flags[ccd], PixelFlag.SATELLITE)[crossed].mean() > 0.95
    middle = (X0 + X1) // 2
    assert has(flags[2][Y0:Y1, middle:X1], PixelFlag.DEAD).all()
    assert not has(flags[2][Y0:Y1, X0:middle], PixelFlag.DEAD).any()
    assert has(flags[1], PixelFlag.BLEED)[660:950, 350].mean() > 0.7
    assert has(flags[0][Y0:Y1, HOT_COLUMN], PixelFlag.HOT).all()
    assert np.argwhere(has(flags[1], PixelFlag.HAND)).shape == (41 * 21, 2)
    assert has(flags[0], PixelFlag.HALO).any(), "of the star on the CCD beside it"
    for flag in PixelFlag:
        assert any(has(each, flag).any() for each in flags), flag.name


def test_weights_are_null_where_the_recipe_says_and_the_flats_elsewhere(
    painted: Painted, made: WeighedFrame, flags: list[NDArray[np.int16]]
) -> None:
    weights, flat = Mosaic(made.products[0].path), Mosaic(painted.flat)
    for ccd in range(3):
        nulled = flags[ccd] & ~np.int16(KEPT) != 0
        np.testing.assert_array_equal(weights.read(ccd), np.where(nulled, np.float32(0), flat.read(ccd)))
        assert (weights.read(ccd)[flags[ccd] & int(KEPT) != 0] > 0).any()


def test_counts_are_those_of_the_map_in_the_summary_and_the_headers(
    made: WeighedFrame, flags: list[NDArray[np.int16]]
) -> None:
    extensions = Mosaic(made.products[1].path).extensions
    assert made.summary["names"] == ["ccd00", "ccd01", "ccd02"]
    assert made.summary["trails"] == 1
    for flag in PixelFlag:
        counts = [int(has(each[INSIDE], flag).sum()) for each in flags]
        assert made.summary["counts"].get(flag.name, [0, 0, 0]) == counts
        assert made.summary["flags"][flag.name] == sum(counts)
        cards = [CardValues(each.cards).number(f"NFLAG{flag.bit_length() - 1}") for each in extensions]
        assert cards == counts


def test_what_a_frame_was_made_of_is_told(painted: Painted, made: WeighedFrame) -> None:
    told = made.products[0].provenance
    assert told["hot"] == f"08AC14.hot.fits.fz {digest_of(painted.hot)}"
    assert told["regions"] == f"979413p.reg {digest_of(painted.regions)}"
    assert told["stage"] == "weight 3"


def test_the_number_of_workers_changes_no_bit(painted: Painted, made: WeighedFrame, tmp_path: Path) -> None:
    again = weigh(painted, tmp_path, WeightRecipe(), workers=2)
    assert [each.md5 for each in again.products] == [each.md5 for each in made.products]
    assert again.summary == made.summary


@pytest.mark.parametrize("table", ["edges", "dead", "saturation", "cosmics", "hot", "stars", "trails", "hand"])
def test_what_is_switched_off_is_not_there_and_the_rest_is(
    table: str, painted: Painted, made: WeighedFrame, tmp_path: Path
) -> None:
    recipe = WeightRecipe.model_validate({table: False if table == "hand" else {"on": False}})
    counts = weigh(painted, tmp_path, recipe).summary["counts"]
    gone = {str(flag.name) for flag in PixelFlag if not flag & recipe.flags}
    assert set(made.summary["counts"]) - set(counts) == gone


def test_outlines_and_coverage_are_those_of_the_flags(
    painted: Painted, made: WeighedFrame, flags: list[NDArray[np.int16]]
) -> None:
    files = {each.kind: each.path for each in made.products}
    assert (files["regions"].name, files["moc"].name) == ("979413p.reg", "979413p.moc.fits")
    regions = read_regions(files["regions"])
    for name in ("SATURATED", "BLEED", "COSMIC", "HAND", "HALO"):
        mine = [region for region in regions if region.tags == (name,)]
        for ccd in range(3):
            outlined = hand_mask(mine, flags[ccd].shape, None, ccd + 1)
            seen = np.zeros_like(outlined)
            seen[INSIDE] = has(flags[ccd][INSIDE], PixelFlag[name])
            np.testing.assert_array_equal(outlined, seen, err_msg=name)
    text = files["regions"].read_text("ascii")
    assert "979413p.fits.fz md5:" in text
    assert max(map(len, text.splitlines())) < 4096, "which is all that WeightWatcher reads of a line"

    moc, bits = read_moc(files["moc"]), WeightRecipe().outlines.bits
    for ccd, extension in enumerate(Mosaic(painted.frame).extensions):
        rows, columns = np.nonzero(flags[ccd][INSIDE] & bits)
        places = Sky(extension.cards).positions(np.stack([columns + X0, rows + Y0], axis=1).astype(float))
        # cells are four times as wide as the blocks: only their tips reach into a block between its corners
        assert moc.contains_lonlat(places[:, 0] * units.deg, places[:, 1] * units.deg).mean() > 0.999
    covered = moc.sky_fraction * 41252.96
    assert 0 < covered < 3 * (5.14e-5 * 1100) ** 2, "the CCDs of this frame all lie at one place of the sky"


def test_outlines_are_switched_off(painted: Painted, tmp_path: Path) -> None:
    off = {name: {"on": False} for name in ("cosmics", "trails", "stars")}
    recipe = WeightRecipe.model_validate({"outlines": {"regions": False, "moc": False}, **off})
    assert len(weigh(painted, tmp_path, recipe).products) == 5
