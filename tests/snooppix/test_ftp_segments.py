"""Over FTP too: limits of the host are kept, and a large file comes over as many connections as pay."""

import hashlib
import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from snooppix.bandwidth import Limits
from snooppix.carrier import Arrived, Progress, Wanted
from snooppix.credentials import Credential
from snooppix.ftp.archive import FtpArchive
from snooppix.ftp.carrier import FtpDownloader
from snooppix.ftp.door import Door
from snooppix.names import Names
from snooppix.segments import Growth
from terapix.blocks import BLOCK
from terapix.clock import SystemClock
from terapix.identity import Digest
from terapix.sections import ArchiveSection, LimitSection, SelectionSection, SnooppixSection
from tests.support.ftp_server import OddServer
from tests.support.patience import PATIENCE

CONTENT = b"SIMPLE  =" + os.urandom(9 * BLOCK + 4711)
PATH = "/d/979412p.fits.fz"
EAGER = Growth(most=4, period=0.12, gain=1.05, worth=2 * BLOCK)
DIGEST = Digest("md5", hashlib.md5(CONTENT, usedforsecurity=False).hexdigest())


def door_to(server: OddServer, *limits: LimitSection) -> Door:
    section = ArchiveSection(kind="ftp", address=f"{server.address}/d", ftp_security="none")
    return Door(
        section,
        SnooppixSection(connect_timeout=5.0, read_timeout=PATIENCE),
        Credential(),
        limits=Limits(limits, clock=SystemClock()),
    )


async def fetch(
    part: Path, server: OddServer, *limits: LimitSection, growth: Growth = EAGER, digest: Digest | None = DIGEST
) -> Progress:
    progress = Progress()
    async with server.running():
        door = door_to(server, *limits)
        wanted = Wanted("979412p", part, len(CONTENT), digest)
        arrived = await FtpDownloader(door, growth=growth).fetch(wanted, door.address("979412p.fits.fz"), progress)
    assert arrived == Arrived(len(CONTENT), DIGEST)
    assert part.read_bytes() == CONTENT
    assert not +door.limits.open
    return progress


def rests(server: OddServer) -> list[int]:
    return [int(command.split()[1]) for command in server.commands if command.startswith("REST")]


@pytest.mark.parametrize("digest", [DIGEST, None])
async def test_connections_are_added_while_each_makes_it_faster(digest: Digest | None, tmp_path: Path) -> None:
    server = OddServer(files={PATH: CONTENT}, pause=0.03)
    progress = await fetch(tmp_path / "a.part", server, digest=digest)
    assert server.most_open >= 2
    assert all(offset % BLOCK == 0 for offset in rests(server))
    assert progress.interruptions == 0


async def test_where_they_bring_nothing_it_goes_back_to_one(tmp_path: Path) -> None:
    server = OddServer(files={PATH: CONTENT}, pause=0.006, shared=True)
    await fetch(tmp_path / "a.part", server, growth=Growth(most=4, period=0.15, gain=5.0, worth=2 * BLOCK))
    assert server.most_open == 2


@pytest.mark.parametrize("oddity", [{"refuses": {"REST": "502 not here"}}, {"ignores_rest": True}, {"most": 1}])
async def test_a_server_that_gives_one_stretch_only_is_asked_over_one(
    oddity: dict[str, object], tmp_path: Path
) -> None:
    server = OddServer(files={PATH: CONTENT}, pause=0.01, **oddity)  # type: ignore[arg-type]
    progress = await fetch(tmp_path / "a.part", server)
    assert server.most_open <= 2
    assert progress.interruptions == 0
    assert server.given < 1.5 * len(CONTENT)


async def test_a_file_of_unknown_length_comes_over_one(tmp_path: Path) -> None:
    server = OddServer(files={PATH: CONTENT}, pause=0.01, features=(), refuses={"SIZE": "502 not here"})
    async with server.running():
        door = door_to(server)
        wanted = Wanted("979412p", tmp_path / "a.part", None, None)
        await FtpDownloader(door, growth=EAGER).fetch(wanted, door.address("979412p.fits.fz"), Progress())
    assert (tmp_path / "a.part").read_bytes() == CONTENT
    assert server.most_open == 1


async def test_the_limit_of_the_host_counts_all_connections(tmp_path: Path) -> None:
    server = OddServer(files={PATH: CONTENT}, pause=0.01)
    await fetch(tmp_path / "a.part", server, LimitSection(connections=2))
    assert server.most_open == 2


async def test_bytes_come_at_the_rate_that_the_limits_allow(tmp_path: Path) -> None:
    server, clock = OddServer(files={PATH: CONTENT}), SystemClock()
    begin = clock.monotonic()
    await fetch(tmp_path / "a.part", server, LimitSection(rate=60_000_000))
    assert clock.monotonic() - begin >= 0.8 * (len(CONTENT) / 60_000_000 - 0.25)


async def test_a_listing_counts_as_a_connection_too(tmp_path: Path) -> None:
    line = b"type=file;size=3;modify=20010909014640; 979412p.fits.fz\r\n"
    server = OddServer(files={PATH: CONTENT}, listings={"/d": line})
    async with server.running():
        door = door_to(server, LimitSection(connections=1))
        archive = FtpArchive(door, selection=SelectionSection(), names=Names(), page=10, clock=SystemClock())
        async with door.limits.connection(door.host):
            asked = [door.limits.has_room(door.host)]
        [batch] = [batch async for batch in archive.since(datetime(2001, 1, 1, tzinfo=UTC))]
    assert asked == [False]
    assert len(batch.sightings) == 1
    assert server.most_open == 1
