"""SNOOPPIX obeys: it rests and works as wished, and takes over the settings that operators saved."""

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from dbclient.database import Database
from dbclient.records import DaemonRecord
from dbclient.schema import FrameState, Wish
from dbclient.stores import Configurations, Controls, Events, Frames, Nodes
from snooppix import service
from terapix.clock import SystemClock
from terapix.daemon import ENDED, Daemon
from terapix.notify import Notifier
from terapix.settings import load
from tests.snooppix.desk import InThread, small_camera
from tests.support.archive import ServedArchive

SETTINGS = """[paths]
directory = "{directory}"
[archive]
registry = "{registry}"
[snooppix]
poll = 0.2
reserve = 0
"""


@dataclass(slots=True)
class Desk:
    """The daemon as a process has it, and an operator beside it."""

    daemon: Daemon
    database: Database
    config: Path

    async def heart(self) -> DaemonRecord | None:
        async with self.database.read() as session:
            return next(iter(await Nodes().daemons(session)), None)

    async def figure(self, name: str) -> Any:
        heart = await self.heart()
        return (heart.figures or {}).get(name) if heart else None

    async def wish(self, wish: Wish) -> None:
        async with self.database.write() as session:
            await Controls().set_wish(session, "snooppix", wish, by="ann", now=datetime.now(UTC))

    async def save(self, text: str, *, reload: bool = True) -> int:
        now = datetime.now(UTC)
        async with self.database.write() as session:
            newest = await Configurations().newest(session, "snooppix")
            number = await Configurations().save(
                session, "snooppix", text, comment="trial", by="ann", now=now, over=newest.id if newest else None
            )
            if reload:
                await Controls().ask_reload(session, "snooppix", by="ann", now=now)
        return number

    async def until(self, condition: Callable[[], Any]) -> None:
        async with asyncio.timeout(60):
            while not await condition():
                await self.database.changed(timeout=0.2, progress=True)

    async def until_figure(self, name: str, value: Any) -> None:
        async def there() -> bool:
            return bool(await self.figure(name) == value)

        await self.until(there)

    async def complains(self) -> bool:
        return bool(await self.figure("settings_problem"))

    async def frames(self) -> dict[str, FrameState]:
        async with self.database.read() as session:
            return {frame.name: frame.state for frame in await Frames().search(session)}

    async def told(self) -> list[str]:
        async with self.database.read() as session:
            return [event.message for event in await Events().latest(session, limit=100)]


@pytest.fixture
def desk(
    served_archive: ServedArchive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[], contextlib.AbstractAsyncContextManager[Desk]]:
    camera = small_camera()
    monkeypatch.setattr(service, "load_instrument", lambda name: camera if name == "megacam" else _unknown(name))
    monkeypatch.setattr(service, "Verifier", lambda *a, **more: InThread(*a, **more, processes=1))
    config = tmp_path / "terapix.toml"
    config.write_text(SETTINGS.format(directory=tmp_path / "host", registry=served_archive.registry))
    (tmp_path / "host").mkdir()

    @contextlib.asynccontextmanager
    async def at_work() -> AsyncIterator[Desk]:
        loaded = load(config)
        database = await Database.open(loaded.settings.database_url, create=True)
        daemon = Daemon("snooppix", loaded=loaded, status=("127.0.0.1", 0), clock=SystemClock(), notifier=Notifier({}))
        running = asyncio.create_task(daemon.run(service.work))
        try:
            yield Desk(daemon, database, config)
        finally:
            daemon.stopping.set()
            code = await running
            await database.close()
        assert code == ENDED

    return at_work


def _unknown(name: str) -> None:
    raise ValueError(f"there is no instrument {name}")


async def test_at_rest_it_begins_nothing_new_and_says_since_when_and_by_whom(
    desk: Any, served_archive: ServedArchive
) -> None:
    served_archive.offer("979412p")
    async with desk() as at:
        await at.until_figure("wish_seen", "run")
        await at.until(lambda: _valid(at, "979412p"))
        await at.wish(Wish.REST)
        await at.until_figure("wish_seen", "rest")
        served_archive.offer("979413p")
        await asyncio.sleep(0)
        heart = await at.heart()
        assert heart is not None
        assert heart.status.startswith("rests since ")
        assert "by ann; begins nothing new" in heart.status
        looked = at.daemon.report()["figures"]["looked_at"]
        await at.until_figure("wish_seen", "rest")
        assert at.daemon.report()["figures"]["looked_at"] == looked
        assert set(await at.frames()) == {"979412p"}
        await at.wish(Wish.RUN)
        await at.until(lambda: _valid(at, "979413p"))
        told = await at.told()
        assert "snooppix rests: it begins nothing new" in told
        assert "snooppix works again" in told


async def _valid(at: Desk, name: str) -> bool:
    return (await at.frames()).get(name) is FrameState.VALID


async def test_a_version_is_taken_over_when_asked_and_not_before(desk: Any) -> None:
    async with desk() as at:
        await at.until_figure("wish_seen", "run")
        number = await at.save("[snooppix]\ndownloads = 3\n", reload=False)
        assert at.daemon.settings.snooppix.downloads == 4
        async with at.database.write() as session:
            await Controls().ask_reload(session, "snooppix", by="ann", now=datetime.now(UTC))
        await at.until_figure("settings_version", number)
        assert at.daemon.settings.snooppix.downloads == 3
        assert at.daemon.loaded.origins["snooppix.downloads"] == f"version {number} of the console:2"
        asked = await _asked(at)
        assert await at.figure("reload_seen") == asked.reload_at.isoformat()


async def _asked(at: Desk) -> Any:
    async with at.database.read() as session:
        return await Controls().of(session, "snooppix")


@pytest.mark.parametrize("bad", ["[snooppix]\ndownloads = 0\n", '[snooppix]\ninstrument = "nonesuch"\n', "[snoop"])
async def test_a_bad_version_changes_nothing_and_says_so(desk: Any, bad: str) -> None:
    async with desk() as at:
        good = await at.save("[snooppix]\ndownloads = 3\n")
        await at.until_figure("settings_version", good)
        await at.save(bad)
        await at.until(at.complains)
        assert at.daemon.settings.snooppix.downloads == 3
        assert await at.figure("settings_version") == good
        heart = await at.heart()
        assert "the old ones stay" in (heart.status if heart else "")
        best = await at.save("[snooppix]\ndownloads = 5\n")
        await at.until_figure("settings_version", best)
        assert await at.figure("settings_problem") is None


async def test_the_newest_version_holds_from_the_start_and_a_bad_one_leaves_the_file(desk: Any) -> None:
    async with desk() as at:
        good = await at.save("[snooppix]\ndownloads = 3\n", reload=False)
    async with desk() as at:
        await at.until_figure("settings_version", good)
        assert at.daemon.settings.snooppix.downloads == 3
        await at.save("[snooppix]\ndownloads = 0\n", reload=False)
    async with desk() as at:
        await at.until(at.complains)
        assert at.daemon.settings.snooppix.downloads == 4
        assert "the old ones stay" in await at.figure("settings_problem")


async def test_a_hangup_reads_file_and_newest_version(desk: Any) -> None:
    async with desk() as at:
        await at.until_figure("wish_seen", "run")
        number = await at.save("[snooppix]\ndownloads = 3\n", reload=False)
        at.config.write_text(at.config.read_text() + "attempts = 5\n")
        os.kill(os.getpid(), signal.SIGHUP)
        await at.wish(Wish.REST)  # wakes the daemon
        await at.until_figure("settings_version", number)
        section = at.daemon.settings.snooppix
        assert (section.attempts, section.downloads) == (5, 3)
