"""The weight stage from files to files, against the rule in plain numpy."""

import hashlib
import multiprocessing
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from numpy.typing import NDArray
from PIL import Image

from processing.defects.settings import ColumnSettings
from processing.errors import FileProblem, WorkerLost
from processing.flags import PixelFlag
from processing.mosaic import Mosaic, assemble, hdu_bytes, primary_bytes
from processing.provenance import digest_of
from processing.recipes import WeightRecipe
from processing.weightwatcher import WeighedFrame, stage, weigh_frame
from tests.support.mosaics import PLAIN, SATURATION, SHAPE, STEP, Mosaics, make_mosaics

RECIPE = WeightRecipe(**PLAIN, picture_width=100)
KINDS = {
    "weight": "979412p_weight.fits.fz",
    "flag": "979412p_flag.fits.fz",
    "picture-frame": "979412p_frame.png",
    "picture-weight": "979412p_weight.png",
    "picture-flag": "979412p_flag.png",
    "regions": "979412p.reg",
}


@pytest.fixture(scope="module")
def mosaics(tmp_path_factory: pytest.TempPathFactory) -> Mosaics:
    return make_mosaics(tmp_path_factory.mktemp("mosaics"))


def weigh(mosaics: Mosaics, place: Path, **options: Any) -> WeighedFrame:
    given = {"flat": mosaics.flat, "mask": mosaics.mask, "recipe": RECIPE, "workers": 1}
    return weigh_frame(mosaics.frame, into=place / "products", scratch=place / "scratch", **{**given, **options})


def rule(
    pixels: NDArray[np.int32], response: NDArray[np.float32], good: NDArray[np.int16]
) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    lines, columns = np.indices(SHAPE)
    overscan = (columns < 5) | (columns >= 85) | (lines >= 90)
    flags = np.where(good == 0, PixelFlag.BAD, 0) | np.where(overscan, PixelFlag.OVERSCAN, 0)
    flags |= np.where(np.isnan(response) | (response < np.float32(0.3)), PixelFlag.LOW_RESPONSE, 0)
    flags |= np.where(response > np.float32(1.3), PixelFlag.HIGH_RESPONSE, 0)
    flags |= np.where((pixels >= SATURATION) & ~overscan, PixelFlag.SATURATED, 0)
    return np.where(flags == 0, response, np.float32(0)), flags.astype(np.uint8)


def test_every_pixel_of_the_products_follows_the_rule(mosaics: Mosaics, tmp_path: Path) -> None:
    shares: list[float] = []
    made = weigh(mosaics, tmp_path, progress=shares.append, provenance={"job": "17", "flat": "md5:aa"})

    assert {each.kind: each.path for each in made.products} == {k: tmp_path / "products" / n for k, n in KINDS.items()}
    for each in made.products:
        content = each.path.read_bytes()
        assert (each.size, each.md5) == (len(content), hashlib.md5(content, usedforsecurity=False).hexdigest())
    totals = dict.fromkeys((flag.name for flag in PixelFlag), 0)
    with (
        fits.open(tmp_path / "products" / KINDS["weight"], checksum=True) as weights,
        fits.open(tmp_path / "products" / KINDS["flag"], checksum=True) as flags,
    ):
        for number, facts in enumerate(zip(mosaics.pixels, mosaics.response, mosaics.good, strict=True), 1):
            weight, flag = rule(*facts)
            np.testing.assert_array_equal(flags[number].data, flag)
            assert flags[number].data.dtype.newbyteorder("=") == np.int16
            assert ((weights[number].data == 0) == (flag != 0)).all()
            np.testing.assert_allclose(weights[number].data, weight, rtol=0, atol=STEP / 2)
            assert weights[number].data.dtype == np.float32
            assert weights[number].header["EFF_AREA"] == pytest.approx((weight > 0).mean())
            assert flags[number].header["EFF_AREA"] == pytest.approx((flag == 0).mean())
            for opened in (weights, flags):
                header = opened[number].header
                assert (opened[number].name, header["CRVAL1"], header["GAIN"]) == (f"ccd{number - 1:02d}", 132.43, 1.6)
            for bit in PixelFlag:
                totals[str(bit.name)] += int(((flag[:90, 5:85] & bit) != 0).sum())
        history = str(weights[0].header["HISTORY"]).replace("\n", "")
    assert made.summary["flags"] == totals
    assert totals["SATURATED"] > 80
    assert made.summary["ccds"] == made.summary["bases_made"] == 3
    for fact in (RECIPE.digest, "08Am03.flat.r.36.02.fits.fz md5:aa", "979412p.fits.fz md5:", "job: 17", "TERAPIX"):
        assert fact in history
        assert any(fact in f"{key}: {value}" for key, value in made.products[0].provenance.items())
    assert shares == sorted(shares)
    assert shares[-1] == 1.0
    assert sorted(each.name for each in (tmp_path / "scratch").iterdir()) == ["bases"]


def test_workers_and_kept_bases_never_change_a_bit(mosaics: Mosaics, tmp_path: Path) -> None:
    first = weigh(mosaics, tmp_path / "one", workers=1)
    kept = weigh(mosaics, tmp_path / "one", workers=2)
    fresh = weigh(mosaics, tmp_path / "two", workers=2)
    assert [each.md5 for each in first.products] == [each.md5 for each in kept.products]
    assert [each.md5 for each in first.products] == [each.md5 for each in fresh.products]
    assert (first.summary["bases_made"], kept.summary["bases_made"]) == (3, 0)


def test_another_flat_mask_or_recipe_never_meets_the_wrong_bases(mosaics: Mosaics, tmp_path: Path) -> None:
    variants: list[dict[str, Any]] = [
        {}, {"flat": None}, {"mask": None}, {"flat": None, "mask": None},
        {"recipe": WeightRecipe(**PLAIN, response_min=0.9)},
    ]  # fmt: skip
    digests = [weigh(mosaics, tmp_path, **variant).products[0].md5 for variant in variants]
    assert len(set(digests)) == len(variants)
    weigh(mosaics, tmp_path, flat=None)
    with fits.open(tmp_path / "products" / KINDS["weight"]) as opened:
        assert set(np.unique(opened[1].data).tolist()) == {0.0, 1.0}


def test_flags_take_the_smallest_type_that_holds_what_the_recipe_can_set(mosaics: Mosaics, tmp_path: Path) -> None:
    one = weigh(mosaics, tmp_path / "one", recipe=narrow())
    two = weigh(mosaics, tmp_path / "two")
    with fits.open(one.products[1].path) as few, fits.open(two.products[1].path) as many:
        assert (few[2].data.dtype.itemsize, many[2].data.dtype.itemsize) == (1, 2)
        np.testing.assert_array_equal(few[2].data, many[2].data)


def narrow() -> WeightRecipe:
    """A recipe that sets no flag above 8 bits."""
    return WeightRecipe(**PLAIN, picture_width=100, hand=False, hot=ColumnSettings(on=False))


def test_a_flat_of_coarse_steps_gives_weights_to_the_bit_and_in_less_room(mosaics: Mosaics, tmp_path: Path) -> None:
    coarse = tmp_path / "08Am03.flat.r.36.03.fits.fz"
    parts = [hdu_bytes(r, {}, name=f"ccd{k:02d}", quantize=0.004) for k, r in enumerate(mosaics.response)]
    assemble(coarse, primary_bytes({}), parts)
    fine, own = weigh(mosaics, tmp_path / "fine"), weigh(mosaics, tmp_path / "own", flat=coarse)
    code = [sum(each.size for each in Mosaic(made.products[0].path).extensions) for made in (own, fine)]
    assert code[0] < 0.9 * code[1], "two bits less for each pixel with weight, of about 9"
    with Mosaic(coarse) as flat, Mosaic(own.products[0].path) as weight, Mosaic(own.products[1].path) as flag:
        for ccd in range(3):
            expected = np.where(flag.read(ccd) == 0, flat.read(ccd), np.float32(0))
            np.testing.assert_array_equal(weight.read(ccd), expected)


def test_what_people_marked_is_an_input_and_comes_again_with_every_processing(mosaics: Mosaics, tmp_path: Path) -> None:
    regions = tmp_path / "979412p.reg"
    regions.write_text("image\ntile 2\nbox(31,41,19,9,0)\n")
    plain = weigh(mosaics, tmp_path / "plain")
    for place in ("once", "again"):
        made = weigh(mosaics, tmp_path / place, regions=[regions])
        assert made.products[0].provenance["regions"] == f"979412p.reg {digest_of(regions)}"
        assert made.summary["counts"]["HAND"] == [0, 171, 0]
    with Mosaic(made.products[0].path) as weights, Mosaic(made.products[1].path) as flags:
        marked = flags.read(1) & PixelFlag.HAND != 0
        assert np.argwhere(marked).min(axis=0).tolist() == [36, 21]
        assert np.argwhere(marked).max(axis=0).tolist() == [44, 39]
        assert not weights.read(1)[marked].any()
        with Mosaic(plain.products[1].path) as before:
            np.testing.assert_array_equal(flags.read(1) & ~np.int16(PixelFlag.HAND), before.read(1))
    regions.write_text("image\nsquare(31,41,20)\n")
    with pytest.raises(FileProblem, match=r"979412p\.reg"):
        weigh(mosaics, tmp_path / "wrong", regions=[regions])


def test_a_damaged_base_is_made_again(mosaics: Mosaics, tmp_path: Path) -> None:
    before = weigh(mosaics, tmp_path)
    for number, base in enumerate(sorted((tmp_path / "scratch" / "bases").rglob("*.base"))):
        content = base.read_bytes()
        holed = content[:4096] + bytes(512) + content[4608:]
        base.write_bytes(holed if number == 2 else content[: 1000 * number])
    after = weigh(mosaics, tmp_path)
    assert [each.md5 for each in before.products] == [each.md5 for each in after.products]
    assert after.summary["bases_made"] == 3


def test_two_jobs_at_once_share_what_they_make(mosaics: Mosaics, tmp_path: Path) -> None:
    made: list[WeighedFrame] = []
    jobs = [threading.Thread(target=lambda: made.append(weigh(mosaics, tmp_path))) for _ in range(2)]
    for job in jobs:
        job.start()
    for job in jobs:
        job.join()
    assert [each.md5 for each in made[0].products] == [each.md5 for each in made[1].products]
    assert [each.name for each in (tmp_path / "scratch").iterdir()] == ["bases"]


def test_a_gzipped_mask_is_taken_too(mosaics: Mosaics, tmp_path: Path) -> None:
    import gzip

    packed = tmp_path / "2003A.mask.0.36.01.fits.gz"
    packed.write_bytes(gzip.compress(mosaics.mask.read_bytes(), 1))
    plain, zipped = weigh(mosaics, tmp_path / "a"), weigh(mosaics, tmp_path / "b", mask=packed)
    for kind in ("weight", "flag"):
        with Mosaic(tmp_path / "a/products" / KINDS[kind]) as one, Mosaic(tmp_path / "b/products" / KINDS[kind]) as two:
            np.testing.assert_array_equal(one.read(1), two.read(1))
    assert plain.summary == zipped.summary


def test_the_pictures_show_each_ccd_in_its_place(mosaics: Mosaics, tmp_path: Path) -> None:
    weigh(mosaics, tmp_path)
    with Image.open(tmp_path / "products" / KINDS["picture-flag"]) as opened:
        picture = np.asarray(opened.convert("RGB")).astype(int)
    assert picture.shape == (46, 126, 3), "two pixels of the mosaic in one, and one to spare"
    red = (picture[..., 0] > 120) & (picture[..., 1] < 110)
    ccd, column = 85, 40 - 5
    bleeding = {(index * ccd + column) // 2 for index in (1, 2)}
    assert bleeding <= {x + off for x in np.flatnonzero(red[-10:].all(axis=0)).tolist() for off in (0, 1)}
    turned = (80 - 1 - column) // 2
    assert turned in np.flatnonzero(red[3:13].all(axis=0)).tolist(), "the first CCD is turned by half a turn"


def damaged(mosaics: Mosaics, place: Path, what: str) -> dict[str, Any]:
    place.mkdir()
    content = mosaics.frame.read_bytes()
    copy = place / "979412p.fits.fz"
    if what == "truncated":
        copy.write_bytes(content[: len(content) // 2])
    elif what == "pixels":
        with Mosaic(mosaics.frame) as opened:
            last = opened.extensions[-1]
        start = last.data + 8 * SHAPE[0]
        copy.write_bytes(content[:start] + b"\xff" * (last.size - 8 * SHAPE[0]) + content[last.data + last.size :])
    elif what == "missing":
        with Mosaic(mosaics.frame) as opened:
            third = opened.extensions[2]
        copy.write_bytes(content[: third.data - 2880 * (len(third.cards) // 2880 + 1)])
    elif what == "datasec":
        copy.write_bytes(content.replace(b"DATASEC = '[6:85,1:90]'", b"DATASEC = '[6:95,1:90]'", 1))
    if copy.exists():
        return {"mosaics": Mosaics(copy, mosaics.flat, mosaics.mask, [], [], [])}
    other = make_mosaics(place, ccds=2 if what == "few" else 3, shape=SHAPE if what == "few" else (100, 91))
    return {"mosaics": mosaics, "flat" if what == "few" else "mask": other.flat if what == "few" else other.mask}


@pytest.mark.parametrize(
    ("what", "told"),
    [
        ("truncated", ["979412p.fits.fz[", "its pixels end at byte", "fetch it again"]),
        ("pixels", ["979412p.fits.fz[3]", "cannot be decoded"]),
        ("missing", ["979412p.fits.fz", "2 images where NEXTEND promises 3"]),
        ("datasec", ["979412p.fits.fz[1]", "DATASEC = [6:95,1:90]", "90 x 100 pixels"]),
        ("few", ["08Am03.flat.r.36.02.fits.fz", "no image for CCD ccd02"]),
        ("size", ["2003A.mask.0.36.01.fits[1]", "91 x 100 pixels", "90 x 100 pixels"]),
    ],
)
def test_a_damaged_file_is_told_and_nothing_appears(
    what: str, told: list[str], mosaics: Mosaics, tmp_path: Path
) -> None:
    with pytest.raises(FileProblem) as caught:
        weigh(**damaged(mosaics, tmp_path / "damaged", what), place=tmp_path)
    for part in told:
        assert part in str(caught.value)
    assert not caught.value.retryable
    left = [each for each in tmp_path.rglob("*") if each.is_file() and "damaged" not in each.parts]
    assert [each for each in left if each.suffix != ".base"] == []


def test_a_lost_worker_is_told_as_such_and_the_next_try_succeeds(
    mosaics: Mosaics, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stage, "weigh_ccd", die)
    with pytest.raises(WorkerLost) as caught:
        weigh(mosaics, tmp_path)
    assert caught.value.retryable
    assert not (tmp_path / "products").exists()
    monkeypatch.undo()
    assert len(weigh(mosaics, tmp_path).products) == len(KINDS)


def die(_: object) -> None:
    import os
    import signal

    os.kill(os.getpid(), signal.SIGKILL)


def test_it_runs_inside_a_process_that_may_have_no_children(mosaics: Mosaics, tmp_path: Path) -> None:
    process = multiprocessing.get_context("spawn").Process(
        target=weigh_frame,
        args=(mosaics.frame,),
        kwargs={
            "flat": mosaics.flat, "mask": mosaics.mask, "recipe": RECIPE, "workers": 1,
            "into": tmp_path / "products", "scratch": tmp_path / "scratch",
        },
        daemon=True,
    )  # fmt: skip
    process.start()
    process.join()
    assert process.exitcode == 0
    assert sorted(each.name for each in (tmp_path / "products").iterdir()) == sorted(KINDS.values())


def test_what_a_killed_job_left_in_scratch_goes_with_the_next_job(mosaics: Mosaics, tmp_path: Path) -> None:
    left = tmp_path / "scratch" / "weigh-979412p-0123456789ab"
    left.mkdir(parents=True)
    (left / "979412p_weight.fits.fz.part").write_bytes(b"half")
    weigh(mosaics, tmp_path)
    assert [each.name for each in (tmp_path / "scratch").iterdir()] == ["bases"]
