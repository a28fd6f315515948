"""Archives behind an ObsCore table: what they list, how they are paged, and where their files are."""

import contextlib
import hashlib
import io
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from astropy.io import fits

from dbclient.schema import FrameKind, FrameState
from dbclient.stores import Chronicles
from snooppix.datalink import is_datalink, own
from snooppix.errors import ListingBroken, ListingRefused, UnsafeAddress
from snooppix.names import Names
from snooppix.obscore import HORIZON, ObsCore
from snooppix.votable import TableBroken
from snooppix.wire import Wire
from spica.story import tell
from terapix.clock import SetClock
from terapix.sections import ArchiveSection, SelectionSection, Settings, SnooppixSection
from terapix.settings import load
from tests.snooppix.desk import at_work
from tests.support.archive import small_fits
from tests.support.obscore import LINKS, ObsCoreServer, served_obscore, votable
from tests.support.patience import PATIENCE

NOW = datetime(2008, 8, 5, tzinfo=UTC)
MJD_0 = datetime(1858, 11, 17, tzinfo=UTC)


@contextlib.asynccontextmanager
async def client(
    server: ObsCoreServer,
    *,
    page: int = 3,
    names: Names | None = None,
    hosts: tuple[str, ...] = (),
    **selection: object,
) -> AsyncIterator[ObsCore]:
    section = ArchiveSection(kind="obscore", address=server.tap)
    async with Wire(section, SnooppixSection(read_timeout=PATIENCE)) as wire:
        yield ObsCore(
            wire,
            section,
            selection=SelectionSection.model_validate(selection),
            names=names or Names(),
            page=page,
            clock=SetClock(NOW),
        )


async def listed(archive: ObsCore, mark: datetime | None = None) -> list[str]:
    return [seen.name async for batch in archive.since(mark) for seen in batch.sightings]


def days(moment: datetime) -> float:
    return (moment - MJD_0) / timedelta(days=1)


async def test_only_our_frames_are_listed_page_by_page() -> None:
    async with served_obscore() as server:
        names = [f"97941{number}p" for number in range(7)]
        for name in names:
            row = server.offer(name)
            server.rows.append(row | {"access_url": f"{server.address}/{name}.jpg", "access_format": "image/jpeg"})
            server.offer(f"{name[:-1]}o", calib_level=1)
        server.offer("979420p", instrument_name="WIRCam")
        server.offer("979421p", obs_collection="HST")
        async with client(server) as archive:
            batches = [batch async for batch in archive.everything()]
    assert [seen.name for batch in batches for seen in batch.sightings] == names
    assert len(batches) > 4
    assert all("obs_collection='CFHT'" in query for query in server.queries[1:])


async def test_a_row_says_what_obscore_tells_and_no_more() -> None:
    more = {"proposal_id": "TEXT", "filter": "TEXT", "OBS_RELEASE_DATE": "TEXT", "obs_creation_date": "TEXT"}
    async with served_obscore(**more) as server:
        told = {"proposal_id": "08AC14", "filter": "r.MP9601", "OBS_RELEASE_DATE": "2009-08-31T00:00:00.000"}
        server.offer("979412p", **told, obs_creation_date="2008-08-04T22:44:54")
        async with client(server) as archive:
            seen = await archive.find("979412p")
    assert seen is not None
    assert seen.uri == "ivo://elsewhere.org/obs?979412p/979412p.fits.fz"
    assert (seen.kind, seen.runid, seen.filter, seen.object) == ("object", "08AC14", "r.MP9601", "UrsaMajII_4")
    assert (seen.size, seen.digest, seen.modified) == (None, None, None)
    assert seen.release == datetime(2009, 8, 31, tzinfo=UTC)
    assert seen.processed_at == datetime(2008, 8, 4, 22, 44, 54, tzinfo=UTC)
    assert seen.observed_at == datetime(2008, 3, 30, 6, 0, tzinfo=UTC)


async def test_without_a_column_of_changes_a_look_asks_for_what_was_observed_lately() -> None:
    async with served_obscore() as server:
        server.offer("979412p", t_min=days(NOW - HORIZON + timedelta(days=1)))
        server.offer("979413p", t_min=days(NOW - HORIZON - timedelta(days=1)))
        server.offer("979414p", t_min=None)
        async with client(server, page=10) as archive:
            assert await listed(archive, NOW) == ["979412p"]
            assert await listed(archive) == ["979412p", "979413p", "979414p"]
            batches = [batch async for batch in archive.since(None)]
    assert [batch.reached for batch in batches] == [None, NOW]


async def test_with_a_column_of_changes_a_look_asks_for_what_changed() -> None:
    async with served_obscore(last_mod_date="TEXT") as server:
        server.offer("979412p", t_min=1.0, last_mod_date="2008-08-04T00:00:00.000")
        server.offer("979413p", last_mod_date="2008-08-01T00:00:00.000")
        async with client(server, page=1) as archive:
            assert await listed(archive, NOW - timedelta(days=2)) == ["979412p"]
            batches = [batch async for batch in archive.since(None)]
    assert [batch.reached for batch in batches[:-1]] == [None] * (len(batches) - 1)
    assert batches[-1].reached == datetime(2008, 8, 4, tzinfo=UTC)


async def test_releases_are_listed_where_the_table_has_them() -> None:
    day = datetime(2009, 8, 31, tzinfo=UTC)
    async with served_obscore(obs_release_date="TEXT") as server:
        server.offer("979412p", obs_release_date="2009-08-31T00:00:00.000")
        async with client(server) as archive:
            for after, count in ((day, 1), (day + timedelta(days=1), 0)):
                batches = [batch async for batch in archive.released(after, after + timedelta(days=1))]
                assert sum(len(batch.sightings) for batch in batches) == count
    async with served_obscore() as server, client(server) as archive:
        assert [batch async for batch in archive.released(day, day + timedelta(days=1))] == []


async def test_which_of_some_files_it_has_can_be_asked() -> None:
    async with served_obscore() as server:
        server.offer("979412p", did="ivo://it's/obs?979412p")
        async with client(server) as archive:
            [uri] = [seen.uri async for batch in archive.everything() for seen in batch.sightings]
            assert await archive.has([uri, "ivo://elsewhere.org/gone/gone.fits"]) == {uri}
            assert await archive.has([]) == set()


async def test_calibrations_are_found_by_name_and_like_finds_no_namesakes() -> None:
    async with served_obscore() as server:
        server.offer("08Am03.flat.r.36.02", instrument_name="", calib_level=3)
        server.offer("979412p")
        async with client(server) as archive:
            flat = await archive.find("08Am03.flat.r.36.02")
            assert flat is not None
            assert flat.kind is FrameKind.FLAT
            assert await archive.find("97941_p") is None
            assert await archive.find("979412P") is None


async def test_names_of_another_observatory_are_taken_where_the_instrument_says_so() -> None:
    async with served_obscore() as server:
        server.offer("c4d_130101_010203_ooi_g_v1")
        server.offer("c4d_130101_010203_ood_g_v1")
        async with client(server, names=Names(pattern="c4d_*_ooi_?_v*")) as archive:
            assert await listed(archive) == ["c4d_130101_010203_ooi_g_v1"]


async def test_an_address_is_asked_for_anew_and_leads_through_datalink() -> None:
    async with served_obscore() as server:
        server.offer("979412p")
        did = "ivo://elsewhere.org/obs?979413p"
        server.offer("979413p", access_url=f"{server.address}/links?ID={did}", access_format=LINKS)
        server.links[did] = votable(
            ("ID", "access_url", "service_def", "error_message", "semantics", "content_type"),
            [
                (did, f"{server.address}/preview.jpg", "", "", "#preview", "image/jpeg"),
                (did, "", "soda", "", "#cutout", ""),
                (did, f"{server.address}/this.jpg", "", "", "#this", "image/jpeg"),
                (did, f"{server.address}/files/979413p.fits.fz", "", "", "#this", "application/fits"),
                (did, f"{server.address}/broken", "", "NotFoundFault: gone", "#this", ""),
            ],
        )
        async with client(server) as archive:
            uris = {seen.name: seen.uri async for batch in archive.everything() for seen in batch.sightings}
            assert uris["979413p"].endswith("979413p/979413p.fits")
            for name in ("979412p", "979413p"):
                assert await archive.locate(uris[name]) == [f"{server.address}/files/{name}.fits.fz"]
            assert await archive.locate("ivo://elsewhere.org/gone/gone.fits") == []
            with pytest.raises(ListingRefused, match="no headers apart from files"):
                await archive.header(uris["979412p"])


async def test_no_address_leads_to_a_host_that_is_not_allowed() -> None:
    evil = "http://169.254.169.254/latest/979412p.fits"
    async with served_obscore() as server:
        server.offer("979412p", access_url=evil)
        did = "ivo://elsewhere.org/obs?979413p"
        server.offer("979413p", access_url=f"{server.address}/links?ID={did}", access_format=LINKS)
        server.links[did] = votable(("ID", "access_url", "semantics"), [(did, evil, "#this")])
        server.offer("979414p", access_url=evil, access_format=LINKS)
        async with client(server) as archive:
            async for batch in archive.everything():
                for seen in batch.sightings:
                    with pytest.raises(UnsafeAddress):
                        await archive.locate(seen.uri)


async def test_a_table_that_is_no_obscore_is_told() -> None:
    async with served_obscore() as server:
        server.columns = {"obs_id": "TEXT", "ra": "REAL"}
        async with client(server) as archive:
            with pytest.raises(ListingBroken, match="no ObsCore table: it has no obs_publisher_did"):
                await listed(archive)


async def test_an_identity_too_long_to_be_kept_is_told_of() -> None:
    async with served_obscore() as server:
        server.offer("979412p", did=f"ivo://elsewhere.org/{'x' * 300}?979412p")
        async with client(server) as archive:
            [batch] = [batch async for batch in archive.everything()]
    assert batch.sightings == ()
    assert "identity of 328 characters" in batch.refused[0]


def test_links_are_told_from_files_and_nonsense_from_both() -> None:
    assert is_datalink('application/x-votable+xml; content="datalink"')
    assert not is_datalink("application/x-votable+xml")
    for document in ("<html>", votable(("ID",), []), "<VOTABLE/>"):
        with pytest.raises(TableBroken):
            own(document)


def settings_for(directory: Path, server: ObsCoreServer) -> Settings:
    overrides = {
        "paths": {"directory": str(directory)},
        "archive": {"kind": "obscore", "address": server.tap},
        "snooppix": {"poll": 0.2, "reserve": 0, "read_timeout": PATIENCE},
    }
    return load(environment={}, overrides=overrides).settings


async def test_snooppix_follows_an_obscore_archive(tmp_path: Path) -> None:
    """Nothing but settings differs from following CADC: the frame and the calibrations that it names arrive valid."""
    async with served_obscore() as server:
        names = ("979412p", "08Am03.flat.r.36.02", "2003A.mask.0.36.01")
        for name in names:
            server.offer(name, small_fits(name), instrument_name="MegaPrime" if name == "979412p" else "")
        async with at_work(settings_for(tmp_path / "host", server)) as desk:
            for name in names:
                frame = await desk.until_state(name, FrameState.VALID)
                assert frame.path is not None
                assert (desk.settings.reception / frame.path).read_bytes() == small_fits(name)


def md5(content: bytes) -> bytes:
    return hashlib.md5(content, usedforsecurity=False).digest()


def flipped(content: bytes) -> bytes:
    return content[:-3000] + bytes([content[-3000] ^ 1]) + content[-2999:]


def without_sums(content: bytes) -> bytes:
    file = io.BytesIO()
    with fits.open(io.BytesIO(content)) as hdus:
        for hdu in hdus:
            hdu.header.remove("CHECKSUM")
            hdu.header.remove("DATASUM")
        hdus.writeto(file)
    return file.getvalue()


SERVER = "digest verified as the server told it, for none is listed"
SIZE = "size verified, for neither listing nor server tells a digest"


@pytest.mark.parametrize(
    ("content", "digest_of", "state", "words"),
    [
        (bytes, md5, "valid", (SERVER, "checksums of 37 of 37 HDUs agree")),
        (bytes, None, "valid", (SIZE, "checksums of 37 of 37 HDUs agree")),
        (without_sums, None, "valid", (SIZE, "headers and all pixels verified, no HDU has a checksum")),
        (flipped, None, "rejected", (SIZE, "changed or damaged")),
        (lambda content: content[:-2880], None, "rejected", (SIZE, "rejected")),
        (lambda content: content[:-2880], lambda _: md5(small_fits("979412p")), "spotted", ("its digest is md5",)),
    ],
    ids=["server's digest", "size and sums", "size alone", "flipped byte", "cut short", "not the server's digest"],
)
async def test_without_a_listed_digest_a_frame_is_verified_by_what_there_is_and_says_so(
    tmp_path: Path,
    content: Callable[[bytes], bytes],
    digest_of: Callable[[bytes], bytes] | None,
    state: str,
    words: tuple[str, ...],
) -> None:
    async with served_obscore() as server:
        server.digest_of = digest_of
        server.offer("979412p", content(small_fits("979412p")))
        async with at_work(settings_for(tmp_path / "host", server)) as desk:
            if state == "spotted":
                frame = await desk.until(lambda frame: frame is not None and bool(frame.reason), "979412p")
            else:
                frame = await desk.until_state("979412p", FrameState(state))
            async with desk.database.read() as session:
                chronicle = await Chronicles().of(session, frame)
        story = " ".join(tell(chronicle, now=NOW))
    assert frame.state.value == state
    for said in words:
        assert said in story
