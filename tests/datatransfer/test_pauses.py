"""One transfer is paused and resumed: its room and what has come of it are kept, over restarts too."""

import shutil
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from datatransfer import depots
from datatransfer.copying import AHEAD, PIECE
from datatransfer.errors import Stopped
from datatransfer.mover import Carried
from dbclient.records import TransferRecord
from dbclient.schema import FrameState, TransferState
from dbclient.stores import Chronicles, Events, Frames, Leases, Pauses, Transfers
from spica.story import tell
from tests.support.site import MB, Site, open_site

CONTENT = bytes(range(256)) * ((AHEAD + 4) * PIECE // 256) + b"end"


@pytest.fixture
def far() -> Iterator[Path]:
    """Directory on another file system than the reception."""
    shm = Path("/dev/shm")
    if not shm.is_dir():
        pytest.skip("no second file system: /dev/shm is missing")
    place = shm / f"terapix-{uuid4().hex}"
    place.mkdir()
    yield place
    shutil.rmtree(place)


@pytest.fixture
async def away(tmp_path: Path, far: Path) -> AsyncIterator[Site]:
    """A site whose only node is on another file system."""
    opened = await open_site(
        tmp_path, nodes_are=[{"name": "node1", "directory": str(far), "capacity": 100 * MB, "reserve": 0}]
    )
    yield opened
    await opened.coordinator.close()
    await opened.database.close()


async def transfer_of(site: Site, name: str = "979412p") -> TransferRecord:
    frame = await site.frame(name)
    async with site.database.read() as session:
        [held] = await Transfers().open_of_frame(session, frame.id)
    return held


async def promised(site: Site) -> None:
    """Have what is due promised room, and nothing moved."""
    await site.coordinator.start()
    await site.coordinator.roster.look()
    await site.coordinator.assignment.pass_()


async def pause(site: Site, because: str = "its disk is being looked at") -> bool:
    held = await transfer_of(site)
    async with site.database.write() as session:
        return await Pauses().pause(session, held, because=because, by="ann", now=site.clock.now())


async def resume(site: Site) -> bool:
    held = await transfer_of(site)
    async with site.database.write() as session:
        return await Pauses().resume(session, held, by="bob", now=site.clock.now())


def stop_at_first_progress(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Have each copy be told to stop after its first piece; give the bytes that were told."""
    told: list[int] = []
    real = depots.carry

    def carry(haul: depots.Haul, *, stop: threading.Event, **more: object) -> Carried:
        def progress(done: int) -> None:
            more["progress"](done)  # type: ignore[operator]
            told.append(done)
            stop.set()

        return real(haul, stop=stop, **(more | {"progress": progress}))  # type: ignore[arg-type]

    monkeypatch.setattr(depots, "carry", carry)
    return told


async def test_what_is_paused_before_it_moves_waits_until_it_is_resumed(site: Site) -> None:
    await site.valid("979412p")
    await site.valid("979413p")
    await promised(site)

    assert await pause(site)
    assert not await pause(site)
    said = await site.settle()

    assert "1 paused" in said
    assert (await site.frame("979412p")).state is FrameState.VALID
    assert (await site.frame("979413p")).state is FrameState.PLACED
    assert await site.open_things() == (2, 1)
    assert await resume(site)
    assert not await resume(site)
    await site.settle()
    assert (await site.frame("979412p")).state is FrameState.PLACED


async def test_what_moves_is_stopped_by_the_next_pass(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    await site.valid("979412p")
    begun = threading.Event()

    def carry(haul: depots.Haul, *, stop: threading.Event, **_: object) -> Carried:
        begun.set()
        assert stop.wait(60.0), "nobody told the move to stop"
        raise Stopped

    monkeypatch.setattr(depots, "carry", carry)
    await site.coordinator.start()
    await site.coordinator.pass_()

    await pause(site)
    await site.coordinator.pass_()
    await site.coordinator.moves.settled()

    held = await transfer_of(site)
    assert begun.is_set()
    assert (held.state, held.paused_by, held.paused_because) == (
        TransferState.PROMISED,
        "ann",
        "its disk is being looked at",
    )
    assert len(await leases(site)) == 1


async def leases(site: Site) -> list[int]:
    async with site.database.read() as session:
        return [lease.frame_bytes for lease in await Leases().open(session)]


async def test_a_resumed_copy_goes_on_behind_its_part_after_a_restart(
    away: Site, far: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    frame = await away.valid("979412p", content=CONTENT)
    with monkeypatch.context() as stopping:
        stop_at_first_progress(stopping)
        await away.settle(passes=1)
    await pause(away)
    part = far / "frames/08AC14/979412p.fits.fz.part"
    held = await transfer_of(away)
    assert held.kept == held.bytes_done == part.stat().st_size > 0

    away.restarted()
    await away.settle()  # its sweep spares the part
    assert part.stat().st_size == held.kept
    assert await leases(away) == [len(CONTENT)]
    source = away.settings.reception / "from_CADC/headervalid/979412p.fits.fz"
    with source.open("r+b") as file:
        file.write(b"other bytes")  # if it began anew, its digest would not be the verified one

    await resume(away)
    await away.settle(passes=1)

    assert (away.directory("node1") / far / "frames/08AC14/979412p.fits.fz").read_bytes() == CONTENT
    assert (await away.frame("979412p")).state is FrameState.PLACED
    assert not part.exists()
    async with away.database.read() as session:
        told = [e.message for e in await Events().of_frame(session, frame.id) if e.kind in {"paused", "resumed"}]
    assert told == [
        "ann pauses 979412p on its way to node1: its disk is being looked at",
        "bob lets 979412p go on to node1",
    ]


async def test_a_part_that_was_changed_meanwhile_is_copied_again(
    away: Site, far: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await away.valid("979412p", content=CONTENT)
    with monkeypatch.context() as stopping:
        stop_at_first_progress(stopping)
        await away.settle(passes=1)
    with (far / "frames/08AC14/979412p.fits.fz.part").open("r+b") as file:
        file.write(b"other bytes")

    await away.settle()

    assert (far / "frames/08AC14/979412p.fits.fz").read_bytes() == CONTENT
    assert (await away.frame("979412p")).attempts == 0


async def test_a_coordinator_that_is_stopped_goes_on_behind_the_part_too(
    away: Site, far: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await away.valid("979412p", content=CONTENT)
    with monkeypatch.context() as stopping:
        told = stop_at_first_progress(stopping)
        await away.settle(passes=1)
    away.restarted()
    told.clear()
    begins: list[int] = []
    real = depots.carry

    def carry(haul: depots.Haul, **more: object) -> Carried:
        begins.append(haul.kept)
        return real(haul, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(depots, "carry", carry)
    await away.settle()

    assert begins[0] >= PIECE
    assert (far / "frames/08AC14/979412p.fits.fz").read_bytes() == CONTENT


async def test_a_paused_transfer_of_a_frame_that_is_needed_no_more_is_withdrawn(site: Site) -> None:
    frame = await site.valid("979412p")
    await promised(site)
    await pause(site)
    async with site.database.write() as session:
        await Frames().advance(
            session,
            frame.id,
            FrameState.SUPERSEDED,
            now=site.clock.now(),
            source="test",
            message="is superseded",
        )

    await site.settle()

    assert await site.open_things() == (0, 0)


async def test_the_story_tells_who_paused_it_and_why(site: Site) -> None:
    frame = await site.valid("979412p")
    await promised(site)
    await pause(site)

    async with site.database.read() as session:
        story = tell(await Chronicles().of(session, frame), now=site.clock.now())

    node = (await transfer_of(site)).node
    assert any(
        line == f"ann paused it on its way to {node} at 2003-12-20 23:00, 0 B so far: its disk is being looked at. "
        "Its room is kept."
        for line in story
    ), story
