"""The CADC client against the stand-in, and against servers that answer wrongly or lead astray."""

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime

import pytest
from aiohttp import web

from dbclient.schema import FrameKind
from dbclient.stores.frames import Sighting
from snooppix.cadc import Cadc
from snooppix.errors import ArchiveSilent, ListingBroken, ListingRefused, UnsafeAddress
from snooppix.listing import COLUMNS, moment, stamp, told
from snooppix.selection import quoted
from snooppix.standin.kinds import Busy, Down, DuplicateRows, Forbidden, Listed, QueryError, Unlocated
from snooppix.wire import Hosts, Wire
from terapix.clock import SystemClock
from terapix.sections import ArchiveSection, SelectionSection, SnooppixSection
from tests.support.archive import ServedArchive
from tests.support.patience import PATIENCE


@contextlib.asynccontextmanager
async def client(
    registry: str, *, page: int = 100, runs: tuple[str, ...] = (), **section: object
) -> AsyncIterator[Cadc]:
    settings = ArchiveSection.model_validate({"registry": registry, **section})
    async with Wire(settings, SnooppixSection(read_timeout=PATIENCE)) as wire:
        yield Cadc(wire, settings, selection=SelectionSection(runs=runs), page=page, clock=SystemClock())


async def listed(cadc: Cadc, mark: datetime | None = None) -> list[str]:
    return [seen.name async for batch in cadc.since(mark) for seen in batch.sightings]


async def test_only_processed_frames_are_listed_page_by_page(served_archive: ServedArchive) -> None:
    frames = [f"97941{number}p" for number in range(7)]
    for name in frames:
        served_archive.offer(name, seed=int(name[:-1]))
        served_archive.offer(f"{name[:-1]}o")
    served_archive.offer("08Am03.flat.r.36.02")

    async with client(served_archive.registry, page=3) as cadc:
        batches = [batch async for batch in cadc.since(None)]

    assert sorted(seen.name for batch in batches for seen in batch.sightings) == frames
    assert len(batches) >= 3


async def test_a_row_says_what_the_archive_knows(served_archive: ServedArchive) -> None:
    path = served_archive.offer("979412p")
    async with client(served_archive.registry) as cadc:
        [batch] = [batch async for batch in cadc.since(None)]
    [seen] = batch.sightings

    assert seen.uri == "cadc:CFHT/979412p.fits.fz"
    assert (seen.runid, seen.filter, seen.object) == ("08AC14", "r.MP9601", "UrsaMajII_4")
    assert seen.size == path.stat().st_size
    assert seen.digest is not None
    assert seen.digest.startswith("md5:")
    assert seen.exposure_time == pytest.approx(468.332)
    assert seen.observed_at is not None
    assert abs((seen.observed_at - datetime(2008, 3, 30, 6, 15, 39, tzinfo=UTC)).total_seconds()) < 1
    assert batch.reached == seen.modified


async def test_nothing_older_than_the_mark_is_listed(served_archive: ServedArchive) -> None:
    served_archive.offer("979412p")
    async with client(served_archive.registry) as cadc:
        assert await listed(cadc, datetime(2007, 1, 1, tzinfo=UTC)) == ["979412p"]
        assert await listed(cadc, datetime(2100, 1, 1, tzinfo=UTC)) == []


async def test_runs_can_be_chosen(served_archive: ServedArchive) -> None:
    served_archive.offer("979412p")
    served_archive.offer("979413p", RUNID="08AF99")
    async with client(served_archive.registry, runs=("08AF99", "it's")) as cadc:
        assert await listed(cadc) == ["979413p"]


async def test_what_is_released_between_two_moments_is_listed_though_nothing_changed(
    served_archive: ServedArchive,
) -> None:
    served_archive.offer("979412p", REL_DATE="2009-08-31T00:00:00")
    served_archive.offer("979413p", REL_DATE="2009-09-01T00:00:00", seed=2)
    begin, end = datetime(2009, 8, 31, tzinfo=UTC), datetime(2009, 9, 1, tzinfo=UTC)
    async with client(served_archive.registry, page=1) as cadc:
        batches = [batch async for batch in cadc.released(begin, end)]
    assert [seen.name for batch in batches for seen in batch.sightings] == ["979412p"]


async def test_everything_is_listed_by_address_page_by_page(served_archive: ServedArchive) -> None:
    for number in (3, 1, 2):
        served_archive.offer(f"97941{number}p", seed=number)
    served_archive.offer("979411o")
    async with client(served_archive.registry, page=2) as cadc:
        batches = [batch async for batch in cadc.everything()]
    assert [seen.name for batch in batches for seen in batch.sightings] == ["979411p", "979412p", "979413p"]


async def test_the_archive_tells_which_of_some_files_it_has_whatever_is_selected(served_archive: ServedArchive) -> None:
    names = [f"{number}p" for number in range(979001, 979204)]
    served_archive.offer(names[0])
    served_archive.offer(f"{names[-1][:-1]}o")
    async with client(served_archive.registry, runs=("08BF99",)) as cadc:
        uris = [served_archive.uri(name) for name in (*names, f"{names[-1][:-1]}o", "it's")]
        assert await cadc.has(uris) == {served_archive.uri(names[0]), served_archive.uri(f"{names[-1][:-1]}o")}
        assert await cadc.has([]) == set()


async def test_a_row_says_what_elixir_made_it_and_when(served_archive: ServedArchive) -> None:
    served_archive.offer("979412p")
    async with client(served_archive.registry) as cadc:
        [batch] = [batch async for batch in cadc.since(None)]
    [seen] = batch.sightings
    assert seen.version == "2.0"
    assert seen.processed_at == datetime(2008, 8, 4, 22, 44, 54, tzinfo=UTC)


async def test_duplicate_rows_do_no_harm(served_archive: ServedArchive) -> None:
    served_archive.offer("979412p")
    served_archive.faults.add(DuplicateRows())
    async with client(served_archive.registry) as cadc:
        assert set(await listed(cadc)) == {"979412p"}


async def test_an_error_inside_a_200_is_an_error(served_archive: ServedArchive) -> None:
    served_archive.faults.add(QueryError(message="the database is away"))
    async with client(served_archive.registry) as cadc:
        with pytest.raises(ListingRefused, match="the database is away"):
            await listed(cadc)


async def test_a_registry_that_refuses_everybody_says_nothing_of_a_file(served_archive: ServedArchive) -> None:
    served_archive.offer("979412p")
    served_archive.faults.add(Forbidden(at="reg", times=1))
    async with client(served_archive.registry) as cadc:
        with pytest.raises(ArchiveSilent, match="refuses what is public: status 403"):
            await cadc.locate("cadc:CFHT/979412p.fits.fz")
        assert await cadc.locate("cadc:CFHT/979412p.fits.fz")


@pytest.mark.parametrize("fault", [Down(), Busy(at="argus")])
async def test_an_archive_that_is_down_is_silent(fault: Down | Busy, served_archive: ServedArchive) -> None:
    served_archive.faults.add(fault)
    async with client(served_archive.registry) as cadc:
        with pytest.raises(ArchiveSilent):
            await listed(cadc)


async def test_an_archive_that_is_not_there_is_silent() -> None:
    async with client("http://127.0.0.1:9/reg/resource-caps") as cadc:
        with pytest.raises(ArchiveSilent):
            await listed(cadc)


async def test_a_calibration_is_found_by_its_name(served_archive: ServedArchive) -> None:
    served_archive.offer("08Am03.flat.r.36.02")
    async with client(served_archive.registry) as cadc:
        found = await cadc.find("08Am03.flat.r.36.02")
        assert found is not None
        assert (found.name, found.kind) == ("08Am03.flat.r.36.02", FrameKind.FLAT)
        assert await cadc.find("x' OR '1'='1") is None


async def test_locations_and_headers(served_archive: ServedArchive) -> None:
    served_archive.offer("979412p")
    async with client(served_archive.registry) as cadc:
        [address] = await cadc.locate("cadc:CFHT/979412p.fits.fz")
        assert address.startswith(served_archive.address)
        text = await cadc.header("cadc:CFHT/979412p.fits.fz")
        assert "IMRED_OP" in text
        served_archive.faults.add(Unlocated())
        assert await cadc.locate("cadc:CFHT/979412p.fits.fz") == []


@pytest.mark.parametrize(
    "uri",
    [
        *("cadc:CFHT/../../etc/passwd", "cadc:CFHT/../../etc/979412p.fits.fz", "cadc:CFHT/..p.fits"),
        *("cadc:CFHT/a b.fits", "x" * 400),
    ],
)
async def test_a_hostile_address_in_the_listing_is_refused_and_told(uri: str, served_archive: ServedArchive) -> None:
    served_archive.offer("979412p")
    served_archive.offer("979413p", seed=2)
    served_archive.faults.add(Listed(name="979412p*", uri=uri))
    async with client(served_archive.registry) as cadc:
        assert await listed(cadc) == ["979413p"]
        [why] = [why async for batch in cadc.since(None) for why in batch.refused]
    assert why.startswith("979412p is listed with an address that no file of the archive has and is not fetched:")


def test_cells_that_make_no_sense_become_none() -> None:
    row = dict.fromkeys(COLUMNS, "") | {
        "p.productID": "979412p",
        "a.uri": "cadc:CFHT/979412p.fits.fz",
        "a.contentLength": "-5",
        "a.contentChecksum": "md5:../../etc",
        "p.time_bounds_lower": "1e300",
        "p.time_exposure": "nan",
    }
    seen = told(list(row.values()))
    assert isinstance(seen, Sighting)
    assert (seen.size, seen.digest, seen.observed_at, seen.modified) == (None, None, None, None)


def test_constants_and_stamps_are_written_as_the_archive_reads_them() -> None:
    assert quoted("it's") == "'it''s'"
    assert stamp(datetime(2008, 3, 30, 6, 15, 39, 351_999, tzinfo=UTC)) == "2008-03-30T06:15:39.351"
    assert moment("2008-03-30T06:15:39.351") == datetime(2008, 3, 30, 6, 15, 39, 351_000, tzinfo=UTC)
    assert moment("yesterday") is None


Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


@contextlib.asynccontextmanager
async def answering(answer: Answer) -> AsyncIterator[str]:
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    await runner.cleanup()


@pytest.mark.parametrize("text", ["", "# nothing\n\n", "<html>login</html>"])
async def test_an_empty_registry_is_never_believed(text: str) -> None:
    async def answer(_: web.Request) -> web.Response:
        return web.Response(text=text)

    async with answering(answer) as address, client(f"{address}/reg") as cadc:
        with pytest.raises(ListingBroken):
            await listed(cadc)


@pytest.mark.parametrize(
    "target", ["http://169.254.169.254/latest/meta-data/", "http://127.0.0.1:1/", "file:///etc/passwd", "ftp://x/y"]
)
async def test_a_redirect_to_another_host_is_not_followed(target: str) -> None:
    async def answer(_: web.Request) -> web.Response:
        return web.Response(status=303, headers={"Location": target})

    async with answering(answer) as address, client(f"{address}/reg") as cadc:
        with pytest.raises(UnsafeAddress):
            await listed(cadc)


async def test_redirects_end() -> None:
    async def answer(request: web.Request) -> web.Response:
        return web.Response(status=303, headers={"Location": str(request.url)})

    async with answering(answer) as address, client(f"{address}/reg") as cadc:
        with pytest.raises(ArchiveSilent, match="redirects"):
            await listed(cadc)


@pytest.mark.parametrize(
    "table",
    [
        "no table at all",
        '<!DOCTYPE x [<!ENTITY a "aaaa">]><VOTABLE>&a;</VOTABLE>',
        "<VOTABLE><RESOURCE><TABLE><DATA><TABLEDATA><TR><TD>only one</TD></TR>",
        "<VOTABLE><RESOURCE><TABLE><DATA><BINARY/></DATA></TABLE></RESOURCE></VOTABLE>",
        f"<VOTABLE><TABLE><TABLEDATA><TR><TD>{'x' * 30_000}</TD></TR></TABLEDATA></TABLE></VOTABLE>",
        "<VOTABLE></VOTABLE>",
    ],
)
async def test_a_hostile_or_broken_table_is_told(table: str) -> None:
    async def answer(request: web.Request) -> web.Response:
        root = f"http://{request.host}"
        if request.path == "/reg":
            return web.Response(text=f"ivo://cadc.nrc.ca/argus = {root}/argus/capabilities")
        return web.Response(text=table, content_type="text/xml")

    async with answering(answer) as address, client(f"{address}/reg") as cadc:
        with pytest.raises(ListingBroken):
            await listed(cadc)


@pytest.mark.parametrize(
    ("address", "allowed"),
    [
        ("https://archive.org:443/x", True),
        ("http://archive.org/x", False),
        ("https://archive.org:8443/x", False),
        ("https://files.canfar.net/x", True),
        ("https://canfar.net/x", True),
        ("https://evilcanfar.net/x", False),
        ("https://other.example:8443/", True),
        ("https://other.example/", False),
        ("https://user@archive.org/x", True),
        ("https://user@files.canfar.net/x", False),
        ("javascript:alert(1)", False),
        ("//files.canfar.net", False),
    ],
)
def test_which_hosts_are_allowed(address: str, *, allowed: bool) -> None:
    hosts = Hosts("https://archive.org/reg", (".canfar.net", "other.example:8443"))
    if allowed:
        hosts.check(address)
    else:
        with pytest.raises(UnsafeAddress):
            hosts.check(address)
