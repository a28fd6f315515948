"""A mover that died at any step, its half work done by hand here: the next one finishes it, exactly once."""

from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from dbclient.schema import FrameState, ReplicaState, TransferState
from dbclient.stores import Events, Frames, Leases, Replicas, Transfers
from tests.support.site import Site

NAME = "979412p"
CONTENT = b"pixels" * 1000


async def promised(site: Site) -> Path:
    """Room is promised; give the final name."""
    await site.coordinator.start()
    await site.coordinator.roster.look()
    await site.coordinator.assignment.pass_()
    async with site.database.read() as session:
        [transfer] = await Transfers().promised(session)
    return site.directory(str(transfer.node)) / "frames" / "08AC14" / f"{NAME}.fits.fz"


async def claimed(site: Site) -> Path:
    target = await promised(site)
    async with site.database.write() as session:
        [transfer] = await Transfers().promised(session)
        await Transfers().start(session, transfer.id, now=site.clock.now())
    target.parent.mkdir(parents=True)
    return target


async def half(site: Site) -> Path:
    target = await claimed(site)
    target.with_name(f"{target.name}.part").write_bytes(CONTENT[:2000])
    return target


async def copied(site: Site) -> Path:
    target = await claimed(site)
    target.with_name(f"{target.name}.part").write_bytes(CONTENT)
    return target


async def renamed(site: Site) -> Path:
    target = await claimed(site)
    target.write_bytes(CONTENT)
    return target


async def renamed_away(site: Site) -> Path:
    target = await renamed(site)
    (site.settings.reception / "from_CADC" / "headervalid" / target.name).unlink()
    return target


async def recorded(site: Site) -> Path:
    target = await promised(site)
    source = site.settings.reception / "from_CADC" / "headervalid" / target.name
    await site.coordinator.moves.pass_()
    await site.coordinator.moves.settled()
    source.write_bytes(CONTENT)
    return target


@pytest.mark.parametrize("die", [promised, claimed, half, copied, renamed, renamed_away, recorded])
async def test_a_mover_that_died_is_finished_by_the_next(site: Site, die: Callable[[Site], Awaitable[Path]]) -> None:
    frame = await site.valid(NAME, content=CONTENT)
    target = await die(site)

    site.restarted()
    await site.settle()

    [(node, replica)] = await site.replicas(NAME)
    assert site.directory(node) / replica.path == target
    assert target.read_bytes() == CONTENT
    assert site.files("node1") + site.files("node2") == [replica.path]
    assert site.reception() == []
    assert (await site.frame(NAME)).state is FrameState.PLACED
    assert await site.open_things() == (1, 0)
    async with site.database.read() as session:
        placed = [event for event in await Events().of_frame(session, frame.id) if event.kind == "placed"]
    assert len(placed) == 1


async def test_a_stopped_mover_leaves_the_move_promised(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    await site.valid(NAME, content=CONTENT)
    await promised(site)
    site.coordinator.moves._stop.set()
    async with site.database.read() as session:
        [transfer] = await Transfers().promised(session)
    errand = await site.coordinator.moves._claim(transfer)
    assert errand is not None
    monkeypatch.setattr("datatransfer.mover.os.link", _no_links)
    await site.coordinator.moves._run(errand)

    async with site.database.read() as session:
        assert [t.state for t in await Transfers().promised(session)] == [TransferState.PROMISED]
    assert site.files("node1") + site.files("node2") == []

    monkeypatch.undo()
    site.restarted()
    await site.settle()
    assert (await site.frame(NAME)).state is FrameState.PLACED


def _no_links(*_: object, **__: object) -> None:
    raise OSError(18, "Invalid cross-device link")


async def test_a_lease_without_a_purpose_is_ended(site: Site) -> None:
    frame = await site.valid(NAME, content=CONTENT)
    await site.settle()
    now = site.clock.now()
    async with site.database.write() as session:
        await Frames().advance(session, frame.id, FrameState.WEIGHTED, now=now, source="test", message="weighted")
    site.restarted()
    await site.settle(passes=1)
    assert (await site.open_things())[0] == 1, "its catalogue is to be made yet"
    async with site.database.write() as session:
        await Frames().describe(session, frame.id, catalogued_at=now)

    site.restarted()
    await site.settle(passes=1)

    assert await site.open_things() == (0, 0)


async def test_a_lease_of_a_placed_frame_is_kept(site: Site) -> None:
    await site.valid(NAME, content=CONTENT)
    await site.settle()

    site.restarted()
    await site.settle(passes=1)

    async with site.database.read() as session:
        [lease] = await Leases().open(session)
    assert lease.frame_bytes == 0
    assert lease.product_bytes > 0


async def test_a_file_at_reception_is_kept_while_its_replica_is_not_whole(site: Site) -> None:
    target = await _placed_with_source(site)
    target.write_bytes(b"cut short")

    site.restarted()
    await site.settle(passes=1)

    assert site.reception() == [target.name]


async def test_files_that_nobody_knows_are_left_alone(site: Site) -> None:
    target = await _placed_with_source(site)
    room = site.settings.reception / "from_CADC" / "headervalid"
    (room / "somebody's notes.txt").write_text("mine")
    (target.parent / "979999p.fits.fz").write_bytes(b"untracked")

    site.restarted()
    await site.settle(passes=1)

    assert site.reception() == ["somebody's notes.txt"]
    assert (target.parent / "979999p.fits.fz").exists()


async def test_what_was_moved_on_to_another_node_is_cleared_from_the_first(site: Site) -> None:
    await site.valid(NAME, content=CONTENT)
    await site.settle()
    [(node, replica)] = await site.replicas(NAME)
    other = "node2" if node == "node1" else "node1"
    second = site.directory(other) / replica.path
    second.parent.mkdir(parents=True)
    second.write_bytes(CONTENT)
    now = site.clock.now()
    other_id = (await site.node(other)).id
    async with site.database.write() as session:
        await Replicas().mark(session, replica.id, ReplicaState.GONE)
        await Replicas().hold(
            session, frame_id=replica.frame_id, node_id=other_id, path=replica.path, size=replica.size,
            digest=replica.digest, now=now,
        )  # fmt: skip

    site.restarted()
    await site.settle(passes=1)

    assert site.files(node) == []
    assert site.files(other) == [replica.path]


async def _placed_with_source(site: Site) -> Path:
    """A frame on its node whose source was not removed."""
    await site.valid(NAME, content=CONTENT)
    return await recorded(site)
