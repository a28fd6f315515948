"""Our archive clients against DaCHS, which nobody here wrote: list, page, find, release dates, locate and fetch."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from dbclient.schema import FrameKind, FrameState
from snooppix.cadc import Cadc
from snooppix.errors import ListingRefused, RuleNotFollowed, UnsafeAddress
from snooppix.names import Names
from snooppix.obscore import ObsCore
from snooppix.selection import Tally
from tests.dachs.site import FETCHED, FOREIGN, NUMBERS, RELEASES, STAMP, Site, changed, client, file_of, settings_for
from tests.snooppix.desk import at_work

PROCESSED = [f"{number}p" for number in NUMBERS]
KINDS = pytest.mark.parametrize("kind", ["caom2", "obscore"])


@KINDS
async def test_every_processed_frame_is_listed_once_page_by_page(site: Site, tmp_path: Path, kind: str) -> None:
    """DaCHS writes BINARY and says OVERFLOW behind the rows; texts are in the order of a dictionary."""
    async with client(site, kind, tmp_path) as archive:
        changes = [batch async for batch in archive.since(None)]
        everything = [batch async for batch in archive.everything()]
    for batches in (changes, everything):
        names = [seen.name for batch in batches for seen in batch.sightings]
        assert sorted(names) == PROCESSED
        assert len(batches) >= 5
    if kind == "obscore":
        uris = [seen.uri for batch in everything for seen in batch.sightings]
        assert sorted(uris) != uris
        assert sorted(uris, key=str.lower) == uris
    assert changes[-1].reached is not None


async def test_a_row_of_caom2_says_what_the_archive_knows(site: Site, tmp_path: Path) -> None:
    async with client(site, "caom2", tmp_path) as archive:
        seen = await archive.find("979403p")
        assert await archive.find("979499p") is None
    assert seen is not None
    size, digest = file_of(site.files.directory, "979403p")
    assert (seen.uri, seen.size, seen.digest) == ("cadc:CFHT/979403p.fits.fz", size, digest)
    assert (seen.kind, seen.runid, seen.filter) == (FrameKind.OBJECT, "08AC14", "r.MP9601")
    assert (seen.modified, seen.release) == (STAMP, RELEASES[979403])
    assert seen.exposure_time == pytest.approx(468.332)


async def test_a_row_of_obscore_says_what_obscore_tells(site: Site, tmp_path: Path) -> None:
    async with client(site, "obscore", tmp_path) as archive:
        seen = await archive.find("979403p")
        assert await archive.find("979499p") is None
    assert seen is not None
    assert seen.uri == "ivo://terapix.test/CFHT?979403/979403p/979403p.fits.fz"
    assert (seen.size, seen.digest, seen.modified) == (None, None, None)
    assert (seen.runid, seen.object, seen.release) == ("08AC14", "UrsaMajII_4", RELEASES[979403])
    assert seen.observed_at is not None
    assert seen.observed_at.date().isoformat() == "2008-03-30"


async def test_what_changed_since_a_mark_is_listed_to_the_microsecond(site: Site, tmp_path: Path) -> None:
    async with client(site, "caom2", tmp_path) as archive:
        for mark, count in ((STAMP, 30), (STAMP + timedelta(seconds=1), 20), (STAMP + timedelta(hours=3), 0)):
            names = [seen.name async for batch in archive.since(mark) for seen in batch.sightings]
            assert len(names) == len(set(names)) == count, mark


async def test_without_stamps_a_look_asks_for_what_was_observed_lately(site: Site, tmp_path: Path) -> None:
    async with client(site, "obscore", tmp_path) as archive:
        for mark, count in ((datetime(2008, 4, 5, tzinfo=UTC), 30), (datetime(2010, 1, 1, tzinfo=UTC), 0)):
            batches = [batch async for batch in archive.since(mark)]
            assert sum(len(batch.sightings) for batch in batches) == count
            assert [batch.reached for batch in batches[:-1]] == [None] * (len(batches) - 1)
            assert batches[-1].reached is not None


@KINDS
async def test_what_was_released_between_two_moments_is_listed(site: Site, tmp_path: Path, kind: str) -> None:
    day = datetime(2009, 8, 31, tzinfo=UTC)
    async with client(site, kind, tmp_path) as archive:
        for after, until, expected in (
            (day, day + timedelta(seconds=1), ["979403p", "979404p"]),
            (day, day + timedelta(seconds=0.5), ["979403p"]),
            (day + timedelta(seconds=1), day + timedelta(days=1), []),
        ):
            released = [seen.name async for batch in archive.released(after, until) for seen in batch.sightings]
            assert sorted(released) == expected


@KINDS
async def test_which_of_some_files_it_has_can_be_asked(site: Site, tmp_path: Path, kind: str) -> None:
    async with client(site, kind, tmp_path) as archive:
        had = [seen.uri async for batch in archive.everything() for seen in batch.sightings]
        lost = [uri.replace("9794", "1234") for uri in had[:2]]
        assert await archive.has([*had, *lost]) == set(had)


@KINDS
@pytest.mark.parametrize(
    ("selection", "count"),
    [
        ({"runs": ["08AC14"]}, {"caom2": 15, "obscore": 30}),
        ({"runs": ["08A_*"]}, {"caom2": 15, "obscore": 0}),
        ({"begin": "2008-03-30T06:14:24"}, {"caom2": 20, "obscore": 20}),
        ({"end": "2008-03-30"}, {"caom2": 0, "obscore": 0}),
        ({"box": [350, 0.4, 60, 70]}, {"caom2": 20, "obscore": 20}),
        ({"box": [350, 1, 60, 70]}, {"caom2": 30, "obscore": 30}),
        ({"level": 1}, {"caom2": 0, "obscore": 0}),
    ],
)
async def test_the_rules_of_the_selection_hold(
    site: Site, tmp_path: Path, kind: str, selection: dict[str, Any], count: dict[str, int]
) -> None:
    """An underscore means any letter to LIKE: 08AC14 would pass for 08A_*, were rows not asked again."""
    async with client(site, kind, tmp_path, selection=selection) as archive:
        names = [seen.name async for batch in archive.everything() for seen in batch.sightings]
    assert len(names) == count[kind]


async def test_a_rule_that_obscore_cannot_answer_is_an_error(site: Site, tmp_path: Path) -> None:
    async with client(site, "obscore", tmp_path, selection={"camera_runs": ["08Am03"]}) as archive:
        with pytest.raises(RuleNotFollowed, match=r"ivoa\.obscore does not tell the camera run"):
            [batch async for batch in archive.since(None)]


@KINDS
async def test_all_candidates_are_counted_whatever_the_rules(site: Site, tmp_path: Path, kind: str) -> None:
    async with client(site, kind, tmp_path, selection={"box": [350, 0.4, 60, 70]}) as archive:
        assert isinstance(archive, Cadc | ObsCore)
        tally = Tally(await archive.rules_of(Names()))
        async for some in archive.candidates():
            for row in some:
                tally.add(row)
    assert tally.listed == 60
    assert tally.sentence == "name 30, level 0, box 10; kept 20"


@KINDS
async def test_a_query_that_it_refuses_is_told_in_its_own_words(site: Site, tmp_path: Path, kind: str) -> None:
    archive = {"instrument": "Mega\x00Prime"} if kind == "caom2" else {"table": "ivoa.nothing"}
    async with client(site, kind, tmp_path, archive=archive) as refused:
        with pytest.raises(ListingRefused, match=r"refuses a query"):
            [batch async for batch in refused.everything()]


@KINDS
async def test_addresses_lead_to_the_file_also_through_datalink(site: Site, tmp_path: Path, kind: str) -> None:
    async with client(site, kind, tmp_path) as archive:
        for name in FETCHED[:2]:
            seen = await archive.find(name)
            assert seen is not None
            addresses = await archive.locate(seen.uri)
            assert addresses
            assert all(address.endswith(f"{name}.fits.fz") for address in addresses)
        assert await archive.locate(seen.uri.replace("9794", "1234")) == []


async def test_an_address_on_a_host_that_is_not_allowed_is_not_followed(site: Site, tmp_path: Path) -> None:
    async with client(site, "obscore", tmp_path, archive={"hosts": []}) as archive:
        seen = await archive.find(FETCHED[0])
        assert seen is not None
        with pytest.raises(UnsafeAddress):
            await archive.locate(seen.uri)


@KINDS
async def test_frames_are_fetched_and_accepted(site: Site, tmp_path: Path, kind: str) -> None:
    """SNOOPPIX as a whole follows DaCHS: what it lists and the stand-in stores becomes a valid frame here."""
    settings = settings_for(site, tmp_path / "host", kind, selection={"end": "2008-03-30T06:04:00"})
    async with at_work(settings) as desk:
        for name in FETCHED:
            frame = await desk.until_state(name, FrameState.VALID, seconds=60)
            assert frame.path is not None
            received = (desk.settings.reception / frame.path).read_bytes()
            assert received == (site.files.directory / f"{name}.fits.fz").read_bytes()


async def test_a_row_that_changes_is_listed_again(site: Site, tmp_path: Path) -> None:
    now = STAMP + timedelta(days=1)
    site.centre.change(
        f"UPDATE caom2.observation SET maxlastmodified = '{now:%Y-%m-%d %H:%M:%S.%f}' WHERE obsid = 'o979429'"
    )
    try:
        async with client(site, "caom2", tmp_path) as archive:
            seen = [seen async for batch in archive.since(now - timedelta(hours=1)) for seen in batch.sightings]
            assert [(one.name, one.modified) for one in seen] == [("979429p", now)]
    finally:
        old = changed(979429)
        site.centre.change(
            f"UPDATE caom2.observation SET maxlastmodified = '{old:%Y-%m-%d %H:%M:%S.%f}' WHERE obsid = 'o979429'"
        )


async def test_a_collection_that_is_not_cfht_s_is_followed(site: Site, tmp_path: Path) -> None:
    archive = {"collection": "NOAO", "instrument": "decam"}
    async with client(site, "caom2", tmp_path, names=Names(pattern="c4d_*_ooi_?_v*"), archive=archive) as followed:
        [seen] = [seen async for batch in followed.since(None) for seen in batch.sightings]
        assert (seen.name, seen.uri) == (FOREIGN, f"noao:NOAO/{FOREIGN}.fits.fz")
        assert await followed.find(FOREIGN) == seen
        assert await followed.find("ooi_g_v1") is None
