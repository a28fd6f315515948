"""A directory as an archive: what is complete, what is refused, and how far is looked."""

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime

import pytest

from snooppix.archive import Batch
from snooppix.credentials import Credential
from snooppix.errors import ListingBroken, ListingRefused
from snooppix.ftp.archive import FtpArchive
from snooppix.ftp.directory import DEEPEST, MOST_REFUSED
from snooppix.ftp.door import Door
from snooppix.names import Names
from terapix.clock import SetClock
from terapix.sections import ArchiveSection, SelectionSection, SnooppixSection
from tests.support.archive import small_fits
from tests.support.ftp_server import OddServer
from tests.support.patience import PATIENCE

NOON = datetime(2008, 3, 30, 12, tzinfo=UTC)
OLD = "20080301000000"
FILE = "979412p.fits.fz"


@dataclass(slots=True)
class Site:
    """A server with one directory, and who follows it."""

    server: OddServer
    clock: SetClock
    archive: FtpArchive

    async def look(self) -> tuple[list[str], tuple[str, ...]]:
        """Look once: what is handed on, and what is refused."""
        batches: list[Batch] = [batch async for batch in self.archive.since(None)]
        names = [f"{seen.name} {seen.size}" for batch in batches for seen in batch.sightings]
        return names, tuple(why for batch in batches for why in batch.refused)


@contextlib.asynccontextmanager
async def site(*lines: str, server: OddServer | None = None, **selection: object) -> AsyncIterator[Site]:
    server, clock = server or OddServer(), SetClock(NOON)
    server.listings.setdefault("/d", listing(*lines))
    async with server.running():
        section = ArchiveSection(kind="ftp", address=f"{server.address}/d", ftp_security="none")
        door = Door(section, SnooppixSection(connect_timeout=5.0, read_timeout=PATIENCE), Credential())
        rules = SelectionSection.model_validate(selection)
        yield Site(server, clock, FtpArchive(door, selection=rules, names=Names(), page=100, clock=clock))


def listing(*lines: str) -> bytes:
    return "".join(f"{line}\r\n" for line in lines).encode("utf-8", errors="surrogateescape")


def file(name: str = FILE, *, size: int = 3, modified: str = OLD) -> str:
    return f"type=file;size={size};modify={modified}; {name}"


def folder(name: str) -> str:
    return f"type=dir;modify={OLD}; {name}"


async def test_a_file_changed_within_five_minutes_is_left_for_a_later_look() -> None:
    async with site(file(modified="20080330115900")) as here:
        assert await here.look() == ([], ())
        here.clock.advance(200)
        assert await here.look() == ([], ())
        here.clock.advance(100)
        assert await here.look() == (["979412p 3"], ())
        assert await here.look() == ([], ())


async def test_a_file_that_grows_is_left_until_it_has_not_for_five_minutes() -> None:
    async with site(file(modified="20080330115900")) as here:
        for size in range(4, 8):
            await here.look()
            here.clock.advance(290)
            here.server.listings["/d"] = listing(file(size=size, modified="20080330115900"))
        assert await here.look() == ([], ())
        here.clock.advance(290)
        assert await here.look() == ([], ())
        here.clock.advance(10)
        assert await here.look() == (["979412p 7"], ())


@pytest.mark.parametrize("hours", [-20, 20])
async def test_a_server_whose_clock_is_wrong_has_its_files_watched_by_ours(hours: int) -> None:
    """Behind, its time of a file that is just written looks old; ahead, it never seems to get old."""
    written = f"200803{30 + (12 + hours) // 24:02d}{(12 + hours) % 24:02d}0000"
    async with site(file(modified=written)) as here:
        assert await here.look() == ([], ())
        here.clock.advance(300)
        assert await here.look() == (["979412p 3"], ())


async def test_a_file_that_comes_with_a_time_of_its_own_is_watched_too() -> None:
    """Copied with its time, it looks old from its first byte on."""
    async with site(file()) as here:
        assert await here.look() == (["979412p 3"], ())
        here.server.listings["/d"] = listing(file(), file("979413p.fits.fz", size=2))
        assert await here.look() == ([], ())
        here.clock.advance(300)
        assert await here.look() == (["979413p 2"], ())


async def test_who_only_compares_goes_by_the_times_of_files() -> None:
    async with site(file(modified="20080330115400"), file("979413p.fits", modified="20080330115600")) as here:
        [batch] = [batch async for batch in here.archive.everything()]
    assert [seen.name for seen in batch.sightings] == ["979412p"]


HOSTILE = (
    "../979413p.fits.fz",
    "/etc/979413p.fits.fz",
    "a/../../979413p.fits.fz",
    "..979413p.fits.fz",
    "979413p.fits.fz\0",
    "979413p\r.fits.fz",
    "\x1b[2J\x1b]0;gone\x07979413p.fits.fz",
    "979413p.fits.fz\u2028979414p.fits.fz",
    "979413p\u202ezf.stif",
    "979413p.fits.fz ",
    "9794\udcff13p.fits.fz",
    "x" * 300 + ".fits.fz",
    "$(reboot).fits.fz",
    "979413p.fits.fz;rm -rf",
)


@pytest.mark.parametrize("kind", ["file", "dir"])
@pytest.mark.parametrize("name", HOSTILE)
async def test_hostile_names_are_refused_with_a_reason_and_escaped(name: str, kind: str) -> None:
    async with site(file(), f"type={kind};size=3;modify={OLD}; {name}") as here:
        found, [why] = await here.look()
        commands = list(here.server.commands)
    assert found == ["979412p 3"]
    assert "is passed over" in why
    assert why.isprintable()
    assert why.isascii()
    assert len(why) <= 300
    assert not any("979413" in command or "etc" in command for command in commands)


async def test_a_name_with_a_line_end_in_it_gives_no_other_file() -> None:
    async with site(file(), file("979413p.fits.fz\n979414p.fits.fz")) as here:
        found, [why] = await here.look()
    assert found == ["979412p 3"]
    assert why.endswith("is in no form that is known: 979414p.fits.fz")


async def test_people_may_have_files_with_spaces_beside() -> None:
    async with site(file(), file("read me.txt"), file(".hidden file"), folder(".ssh x"), folder("my notes")) as here:
        found, [why] = await here.look()
    assert found == ["979412p 3"]
    assert why.startswith("a line of directory / is passed over: 'my notes' is no name for a file")


async def test_of_names_that_differ_by_case_only_the_one_that_was_there_is_kept() -> None:
    flat, other = "08Am03.flat.r.36.02.fits", "08AM03.flat.r.36.02.fits"
    async with site(file(flat), file(other, modified="20080302000000")) as here:
        found, [why] = await here.look()
        here.server.listings["/d"] = listing(file(flat), file(other, modified="20080229000000"))
        here.clock.advance(300)
        again = await here.look()
    assert found == ["08Am03.flat.r.36.02 3"]
    assert why == f"{other} is passed over: it differs from {flat} only by case"
    assert again == ([], (why,))


async def test_of_two_files_of_one_name_the_newer_counts() -> None:
    lines = (folder("a"), folder("b"))
    server = OddServer(
        listings={"/d/a": listing(file(size=1)), "/d/b": listing(file(size=2, modified="20080302000000"))}
    )
    async with site(*lines, server=server) as here:
        found, [why] = await here.look()
    assert found == ["979412p 2"]
    assert why == f"a/{FILE} is passed over: b/{FILE} has the same name and is newer"


async def test_directories_are_looked_into_so_deep_and_no_deeper() -> None:
    server = OddServer()
    for depth in range(1, DEEPEST + 2):
        place = "/d" + "/x" * depth
        server.listings[place] = listing(folder("x"), file(f"97941{depth}p.fits"))
    async with site(folder("x"), server=server) as here:
        found, [why] = await here.look()
    assert sorted(found) == ["979411p 3", "979412p 3", "979413p 3"]
    assert why == "directory x/x/x/x is too deep, or one too many"


async def test_a_link_back_to_a_directory_above_is_not_followed() -> None:
    """As a server shows it that follows links: a directory in itself."""
    lines = (file(), folder("night"), folder("back"))
    server = OddServer(listings={"/d/night": listing(file("979413p.fits"), folder("up"))})
    server.listings |= {"/d/back": listing(*lines), "/d/night/up": listing(*lines)}
    async with site(*lines, server=server) as here:
        found, refused = await here.look()
        asked = [command for command in here.server.commands if command.startswith("MLSD")]
    assert sorted(found) == ["979412p 3", "979413p 3"]
    assert sorted(refused) == [
        "directory back is passed over: it leads back to one above it",
        "directory night/up is passed over: it leads back to one above it",
    ]
    assert asked == ["MLSD /d", "MLSD /d/night", "MLSD /d/back", "MLSD /d/night/up"]


async def test_too_many_directories_are_told_of(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("snooppix.ftp.directory.MOST_DIRECTORIES", 2)
    async with site(folder("a"), folder("b"), folder("c"), server=OddServer(listings={"/d/a": b""})) as here:
        _, refused = await here.look()
    assert refused == ("directory b is too deep, or one too many", "directory c is too deep, or one too many")


async def test_more_lines_than_any_directory_has_are_no_listing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("snooppix.ftp.directory.MOST_LINES", 2)
    async with site(file(), file("979413p.fits"), file("979414p.fits")) as here:
        with pytest.raises(ListingBroken, match="more than 2 files"):
            await here.look()


async def test_a_listing_in_no_known_form_is_no_empty_directory() -> None:
    """Else all that was held would count as withdrawn."""
    async with site("Volume in drive C is ARCHIVE", "nothing else\x1b[2J") as here:
        with pytest.raises(ListingBroken, match="in a form that is known"):
            await here.look()


PEOPLE = f"-rw-r--r--  1 e c  3 Mar 29 22:00 {FILE}"


@pytest.mark.parametrize("broken", [{}, {"refuses": {"MLSD": "502 not here"}}])
async def test_without_mlsd_the_time_is_asked_for_since_the_zone_of_list_is_not_told(broken: dict[str, object]) -> None:
    features = ("SIZE", "MDTM", *(("MLST",) if broken else ()))
    server = OddServer(features=features, files={f"/d/{FILE}": b"abc"}, time=OLD, **broken)  # type: ignore[arg-type]
    async with site(PEOPLE, server=server) as here:
        [batch] = [batch async for batch in here.archive.since(None)]
    assert [(seen.size, seen.modified) for seen in batch.sightings] == [(3, datetime(2008, 3, 1, tzinfo=UTC))]


async def test_digests_beside_count_although_the_zone_of_list_is_another() -> None:
    sums = f"{'a' * 32}  {FILE}\n".encode()
    server = OddServer(features=(), files={f"/d/{FILE}": b"abc", "/d/MD5SUMS": sums}, time=OLD)
    async with site(PEOPLE, "-rw-r--r--  1 e c 50 Feb 28 10:00 MD5SUMS", server=server) as here:
        [batch] = [batch async for batch in here.archive.since(None)]
    assert [seen.digest for seen in batch.sightings] == [f"md5:{'a' * 32}"]


async def test_a_server_that_knows_neither_size_nor_mdtm_is_asked_with_mlst() -> None:
    server = OddServer(files={f"/d/{FILE}": b"abcd"}, time=OLD, refuses={"SIZE": "502 no", "MDTM": "500 no"})
    async with site(f"type=OS.unix=symlink;modify={OLD}; {FILE}", server=server) as here:
        assert await here.look() == (["979412p 4"], ())


async def test_a_link_whose_file_was_replaced_is_noticed() -> None:
    """The line of a link tells of the link alone, and stays as it was."""
    server = OddServer(features=(), files={f"/d/{FILE}": b"abc"}, time=OLD)
    async with site(f"lrwxrwxrwx  1 e c  9 Mar 01 2008 {FILE} -> /old/x", server=server) as here:
        assert await here.look() == (["979412p 3"], ())
        here.clock.advance(1000)
        await here.look()
        server.files[f"/d/{FILE}"] = b"abcdef"
        server.time = "20080330121600"
        assert await here.look() == ([], ())
        here.clock.advance(300)
        assert await here.look() == (["979412p 6"], ())


async def test_files_that_cannot_be_read_do_not_stop_the_look() -> None:
    """A file of digests and a frame that vanish between the listing and the question."""
    server = OddServer(files={f"/d/{FILE}": small_fits("979412p")})
    lines = (file(), file("979413p.fits"), file("MD5SUMS"))
    async with site(*lines, server=server, runs=["08AC14"]) as here:
        found, [why] = await here.look()
    assert found == ["979412p 3"]
    assert why.startswith("979413p.fits cannot be read: the server answers 550")


async def test_what_lies_where_we_cannot_look_is_not_called_withdrawn() -> None:
    server = OddServer(listings={}, refuses={})
    async with site(file(), folder("closed"), server=server) as here:
        _, [why] = await here.look()
        uris = [here.archive.door.address(path) for path in (FILE, "closed/979413p.fits", "979414p.fits")]
        server.files = {f"/d/{FILE}": b"abc"}
        assert await here.archive.has(uris) == set(uris[:2])
        server.refuses = {"SIZE": "550 Permission denied"}
        assert await here.archive.has(uris) == set(uris)
        server.refuses = {"SIZE": "502 not here", "MLST": "502 not here"}
        server.features = ()
        assert await here.archive.has(uris) == set(uris[:2])
    assert why == "directory closed cannot be read: the server answers 550 no such thing"


@pytest.mark.parametrize(("ignores", "count"), [(False, 37), (True, 1)])
async def test_headers_are_read_each_from_where_it_begins(ignores: bool, count: int) -> None:
    server = OddServer(files={f"/d/{FILE}": small_fits("979412p")}, ignores_rest=ignores)
    async with site(file(), server=server) as here:
        dump = await here.archive.header(here.archive.door.address(FILE))
    assert dump.count("\nEND") == count


async def test_who_only_compares_reads_the_headers_of_young_files_too() -> None:
    server = OddServer(files={f"/d/{FILE}": small_fits("979412p")})
    async with site(file(modified="20080330115400"), server=server, runs=["08AC14"]) as here:
        [batch] = [batch async for batch in here.archive.everything()]
    assert [(seen.name, seen.runid) for seen in batch.sightings] == [("979412p", "08AC14")]


async def test_of_many_lines_that_are_refused_some_are_told() -> None:
    async with site(file(), *(file(f"{number} .fits") for number in range(MOST_REFUSED + 5))) as here:
        _, refused = await here.look()
    assert len(refused) == MOST_REFUSED


async def test_a_directory_that_is_not_there_is_refused_in_words_that_can_be_printed() -> None:
    server = OddServer(refuses={"MLSD": "550 \x1b[2Jn\u00e9\udcff \u202e"})
    async with site(server=server) as here:
        with pytest.raises(ListingRefused) as problem:
            await here.look()
    assert str(problem.value).isprintable()
    assert r"550 \x1b[2Jné\xff \u202e" in str(problem.value)
