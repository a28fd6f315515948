"""The FTP archive against Debian's vsftpd: listing, FTPS, resume, and a whole SNOOPPIX that follows its directory."""

import asyncio
import contextlib
import hashlib
import os
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path

import pytest

from dbclient.schema import FrameState
from snooppix.carrier import Arrived, Progress, Wanted
from snooppix.credentials import Credential
from snooppix.errors import ArchiveSilent, NotStored
from snooppix.ftp.archive import FtpArchive
from snooppix.ftp.carrier import FtpDownloader
from snooppix.ftp.door import Door
from snooppix.names import Names
from snooppix.segments import Growth
from terapix.clock import SystemClock
from terapix.identity import Digest
from terapix.sections import ArchiveSection, SelectionSection, Settings, SnooppixSection
from terapix.settings import load
from tests.snooppix.desk import at_work
from tests.support.archive import small_fits
from tests.support.vsftpd import PROGRAM, Vsftpd, vsftpd

pytestmark = pytest.mark.reference

MB = 1024 * 1024
CONTENT = small_fits("979412p") + b"\0" * 7 * MB + os.urandom(MB)


@pytest.fixture
def server(program: Callable[[str, str], str], tmp_path: Path) -> Iterator[Vsftpd]:
    program(PROGRAM, "vsftpd")
    with vsftpd(tmp_path / "ftp") as running:
        yield running


def door(server: Vsftpd, *, secured: bool = False, authority: Path | None = None, address: str = "") -> Door:
    section = ArchiveSection(
        kind="ftp", address=address or server.address, ftp_security="explicit" if secured else "none"
    )
    return Door(section, SnooppixSection(connect_timeout=5.0, read_timeout=5.0), Credential(authority=authority))


def md5(content: bytes) -> Digest:
    return Digest("md5", hashlib.md5(content, usedforsecurity=False).hexdigest())


async def listed(archive: FtpArchive) -> dict[str, tuple[int | None, datetime | None, str | None]]:
    return {
        seen.name: (seen.size, seen.modified, seen.digest)
        async for batch in archive.since(None)
        for seen in batch.sightings
    }


def follower(way: Door, **selection: object) -> FtpArchive:
    section = SelectionSection.model_validate(selection)
    return FtpArchive(way, selection=section, names=Names(), page=100, clock=SystemClock())


async def test_the_listing_tells_size_and_time_to_the_second_and_the_digest_beside(server: Vsftpd) -> None:
    path = server.offer("979412p.fits.fz", CONTENT)
    server.offer("979413p.fits.fz", b"x")
    server.offer("979412p.fits.fz.md5", f"{md5(CONTENT).hexadecimal}  979412p.fits.fz\n".encode())
    server.offer("979412o.fits.fz", b"raw")
    server.offer("notes.txt", b"read me")

    found = await listed(follower(door(server)))

    changed = datetime.fromtimestamp(int(path.stat().st_mtime), SystemClock().now().tzinfo)
    assert found["979412p"] == (len(CONTENT), changed, str(md5(CONTENT)))
    assert found["979413p"][2] is None
    assert sorted(found) == ["979412p", "979413p"]


async def test_frames_are_selected_by_their_first_header(server: Vsftpd) -> None:
    server.offer("979412p.fits.fz", small_fits("979412p"))
    server.offer("979413p.fits.fz", small_fits("979413p", RUNID="08AC99"))
    archive = follower(door(server), runs=("08AC14",))

    [batch] = [batch async for batch in archive.since(None)]

    assert [(seen.name, seen.runid, seen.filter) for seen in batch.sightings] == [("979412p", "08AC14", "r.MP9601")]
    header = await archive.header(f"{server.address}/979412p.fits.fz")
    assert header.count("XTENSION= 'IMAGE   '") == 36


@contextlib.contextmanager
def secured_server(tmp_path: Path, **options: str) -> Iterator[Vsftpd]:
    with vsftpd(tmp_path / "ftps", secured=True, **options) as running:
        yield running


@pytest.mark.parametrize("reuse", ["YES", "NO"])
async def test_ftps_with_and_without_demand_for_the_same_tls_session(
    reuse: str, program: Callable[[str, str], str], tmp_path: Path
) -> None:
    program(PROGRAM, "vsftpd")
    with secured_server(tmp_path, require_ssl_reuse=reuse) as server:
        server.offer("979412p.fits.fz", CONTENT)
        way = door(server, secured=True, authority=server.authority)
        found = await listed(follower(way))
        wanted = Wanted("979412p", tmp_path / "979412p.part", len(CONTENT), md5(CONTENT))
        arrived = await FtpDownloader(way).fetch(wanted, f"{server.address}/979412p.fits.fz", Progress())

    assert found["979412p"][0] == len(CONTENT)
    assert arrived == Arrived(len(CONTENT), md5(CONTENT))
    assert (tmp_path / "979412p.part").read_bytes() == CONTENT
    told = server.log.read_text(errors="replace")
    assert "PROT P" in told
    assert "cipher: TLS_AES_256_GCM_SHA384, reused" in told


async def test_a_server_whose_certificate_nobody_signed_is_not_followed(
    program: Callable[[str, str], str], tmp_path: Path
) -> None:
    program(PROGRAM, "vsftpd")
    with secured_server(tmp_path) as server:
        with pytest.raises(ArchiveSilent, match=r"not trusted.*archive.authority"):
            await listed(follower(door(server, secured=True)))
        elsewhere = server.address.replace("localhost", "127.0.0.1")
        with pytest.raises(ArchiveSilent, match=r"not trusted.*IP address"):
            await listed(follower(door(server, secured=True, authority=server.authority, address=elsewhere)))


async def test_a_file_that_is_gone_is_not_stored(server: Vsftpd, tmp_path: Path) -> None:
    wanted = Wanted("979412p", tmp_path / "979412p.part", None, None)
    with pytest.raises(NotStored, match="550"):
        await FtpDownloader(door(server)).fetch(wanted, f"{server.address}/979412p.fits.fz", Progress())


async def test_without_epsv_the_address_that_pasv_gives_is_not_followed(
    program: Callable[[str, str], str], tmp_path: Path
) -> None:
    program(PROGRAM, "vsftpd")
    with vsftpd(tmp_path / "ftp", pasv_address="192.0.2.1", cmds_denied="EPSV") as server:
        server.offer("979412p.fits.fz", CONTENT)
        assert list(await listed(follower(door(server)))) == ["979412p"]
        assert "PASV" in server.commands()


async def test_what_lies_in_a_real_directory_beside_frames(server: Vsftpd) -> None:
    """A file of 5 GB, a link to a frame, links back to the directory, and names that nobody should have."""
    with server.offer("979412p.fits.fz", b"").open("wb") as large:
        large.truncate(5 * 1024**3)
    os.utime(large.name, (1.2e9, 1.2e9))
    server.offer("frame.fits.fz", CONTENT).rename(server.directory.parent / "elsewhere.fits.fz")
    (server.directory / "979413p.fits.fz").symlink_to(server.directory.parent / "elsewhere.fits.fz")
    (server.directory / "979414p.fits.fz").symlink_to("nowhere")
    (server.directory / "night").mkdir()
    (server.directory / "night" / "back").symlink_to(server.directory)
    (server.directory / "loop").symlink_to(".")
    for name in (
        "read me.txt",
        "979415p .fits",
        "\x1b[2J979416p.fits",
        "979417p.fits\n979418p.fits",
        "97941\udcff9p.fits",
    ):
        server.offer(name, b"x")

    archive = follower(door(server))
    [batch] = [batch async for batch in archive.since(None)]

    found = {seen.name: seen.size for seen in batch.sightings}
    assert found == {"979412p": 5 * 1024**3, "979413p": len(CONTENT)}
    assert all(why.isprintable() for why in batch.refused)
    assert [sum(name in why for why in batch.refused) for name in ("979415p", "[2J979416p", "979418p", "xff")] == [
        1,
        1,
        1,
        1,
    ]
    assert not any("\x1b" in command for command in server.commands())


async def test_a_large_file_comes_over_as_many_connections_as_the_server_grants(
    program: Callable[[str, str], str], tmp_path: Path
) -> None:
    """Each at 8 MB/s at most, so that a further one pays; of the three that we may have it grants two."""
    program(PROGRAM, "vsftpd")
    content = CONTENT + os.urandom(24 * MB)
    growth = Growth(most=3, period=0.3, worth=8 * MB)
    with vsftpd(tmp_path / "ftp", anon_max_rate=str(8 * MB), max_per_ip="2") as server:
        server.offer("979412p.fits.fz", content)
        progress = Progress()
        wanted = Wanted("979412p", tmp_path / "a.part", len(content), md5(content))
        await FtpDownloader(door(server), growth=growth).fetch(wanted, f"{server.address}/979412p.fits.fz", progress)
        offsets = [command for command in server.commands() if command.startswith("REST")]

    assert (tmp_path / "a.part").read_bytes() == content
    assert offsets
    assert progress.interruptions == 0


def settings_for(directory: Path, server: Vsftpd, **archive: object) -> Settings:
    return load(
        environment={},
        overrides={
            "paths": {"directory": str(directory)},
            "archive": {"kind": "ftp", "address": server.address, "ftp_security": "none", "ftp_quiet": 0.3, **archive},
            "snooppix": {"poll": 0.2, "reserve": 0, "read_timeout": 5.0},
        },
    ).settings


async def come_halfway(incoming: Path) -> None:
    """Wait until some of a file is here."""
    async with asyncio.timeout(20.0):
        while not any(part.stat().st_size >= MB // 2 for part in incoming.glob("*.part")):
            await asyncio.sleep(0.02)


async def test_a_whole_snooppix_follows_a_directory(program: Callable[[str, str], str], tmp_path: Path) -> None:
    """Offered, spotted, fetched, valid; then replaced, cut off in the middle, resumed, and valid again."""
    program(PROGRAM, "vsftpd")
    first = small_fits("979412p")
    second = small_fits("979412p", seed=2, shape=(16, 32)) + b"\0" * 2880 * 1000
    with vsftpd(tmp_path / "ftps", secured=True, require_ssl_reuse="YES", anon_max_rate="2000000") as server:
        server.offer("979412p.fits.fz", first)
        settings = settings_for(tmp_path / "host", server, ftp_security="explicit", authority=str(server.authority))
        async with at_work(settings) as desk:
            frame = await desk.until_state("979412p", FrameState.VALID)
            assert frame.uri == f"{server.address}/979412p.fits.fz"
            assert frame.wire_digest == str(md5(first))
            server.offer("979412p.fits.fz", second, age=1800.0)
            await come_halfway(settings.reception / "incoming")
            assert server.cut()
            newer = await desk.until(
                lambda f: f is not None and f.generation == 2 and f.state is FrameState.VALID, "979412p"
            )
            messages = [event.message for event in await desk.events()]

        assert (settings.reception / str(newer.path)).read_bytes() == second
        assert newer.wire_digest == str(md5(second))
        assert any("resumed" in message for message in messages)
        assert any(command.startswith("REST ") for command in server.commands())
