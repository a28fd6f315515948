"""Who has signed in once brings the next file too, as long as the server and the last file leave it in order."""

import contextlib
import hashlib
from collections.abc import AsyncIterator
from pathlib import Path, PurePosixPath

import pytest
from aioftp.server import Connection

from snooppix.carrier import Progress, Wanted
from snooppix.credentials import Credential
from snooppix.ftp.carrier import FtpDownloader
from snooppix.ftp.control import Refused
from snooppix.ftp.door import Door
from snooppix.standin.ftp import FtpTwin
from snooppix.standin.kinds import Dropped
from terapix.identity import Digest
from terapix.sections import ArchiveSection, SnooppixSection
from tests.support.archive import small_fits
from tests.support.patience import PATIENCE

FILES = {name: small_fits(name) + bytes(100_000) for name in ("979412p", "979413p", "979414p")}


class Counted(FtpTwin):
    """Counts who comes."""

    came = 0

    async def greeting(self, connection: Connection, rest: str | PurePosixPath) -> bool:
        self.came += 1
        return await super().greeting(connection, rest)

    async def hang_up(self) -> None:
        """End all connections, as a server does with those that idle too long."""
        for connection in self.connections.values():
            connection.command_connection.close()


@contextlib.asynccontextmanager
async def door_to(place: Path, *, keep: float = 60.0) -> AsyncIterator[tuple[Counted, Door]]:
    for name, content in FILES.items():
        (place / f"{name}.fits.fz").write_bytes(content)
    async with Counted(place) as twin:
        assert twin.url
        section = ArchiveSection(kind="ftp", address=twin.url, ftp_security="none")
        door = Door(section, SnooppixSection(connect_timeout=5.0, read_timeout=PATIENCE), Credential(), keep=keep)
        yield twin, door
        await door.close()


async def fetch(door: Door, name: str, place: Path) -> None:
    digest = Digest("md5", hashlib.md5(FILES[name], usedforsecurity=False).hexdigest())
    wanted = Wanted(name, place / f"{name}.part", len(FILES[name]), digest)
    await FtpDownloader(door).fetch(wanted, door.address(f"{name}.fits.fz"), Progress())
    assert wanted.part.read_bytes() == FILES[name]


@pytest.mark.parametrize(("keep", "came"), [(60.0, 1), (0.0, 3)])
async def test_one_file_after_the_other_comes_over_one_connection(keep: float, came: int, tmp_path: Path) -> None:
    async with door_to(tmp_path, keep=keep) as (twin, door):
        for name in FILES:
            await fetch(door, name, tmp_path)
        assert twin.came == came


async def test_files_at_once_have_a_connection_each(tmp_path: Path) -> None:
    async with door_to(tmp_path) as (twin, door):
        async with door.session(), door.session():
            pass
        assert twin.came == 2
        async with door.session(), door.session():
            pass
        assert twin.came == 2


async def test_a_server_that_hung_up_meanwhile_is_called_again(tmp_path: Path) -> None:
    async with door_to(tmp_path) as (twin, door):
        await fetch(door, "979412p", tmp_path)
        await twin.hang_up()
        await fetch(door, "979413p", tmp_path)
        assert twin.came == 2


async def test_what_broke_off_is_not_used_again(tmp_path: Path) -> None:
    async with door_to(tmp_path) as (twin, door):
        twin.faults.add(Dropped(after=50_000))
        await fetch(door, "979412p", tmp_path)
        assert twin.came == 2
        with pytest.raises(Refused):
            async with door.session() as session:
                await session.size("/nowhere")
        assert twin.came == 2
        await fetch(door, "979413p", tmp_path)
        assert twin.came == 3


async def test_leave_is_taken_when_nobody_comes(tmp_path: Path) -> None:
    async with door_to(tmp_path, keep=0.01) as (twin, door):
        async with door.session():
            pass
        gone = [connection._dispatcher for connection in twin.connections.values()]
        for dispatcher in gone:
            await dispatcher
        async with door.session():
            pass
        assert twin.came == 2
