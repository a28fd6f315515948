"""What nodes hold and lack, on both databases."""

from datatransfer.rooms import groups_of
from dbclient.database import Database
from dbclient.schema import FrameKind, FrameState, ReplicaState, TransferKind, TransferState
from dbclient.stores import Frames, Inventory, Jobs, Nodes, Replicas, Stocks, Transfers
from tests.support.night import GB, NOW, bring, md5, sight

FLAT, MASK = "08Am03.flat.r.36.02", "2003A.mask.0.36.02"


async def nodes(database: Database) -> dict[str, int]:
    async with database.write() as session:
        return {
            name: await Nodes().upsert(session, name=name, directory=f"/{name}", capacity=100 * GB, reserve=0, now=NOW)
            for name in ("node1", "node2")
        }


async def held(database: Database, name: str, node_id: int, *, flat: str | None = FLAT) -> int:
    async with database.write() as session:
        frame = await bring(session, name, FrameState.PLACED)
        await Frames().describe(session, frame.id, flat=flat, mask=MASK)
        await Replicas().hold(
            session, frame_id=frame.id, node_id=node_id, path=f"frames/{name}", size=1000, digest=md5("1"), now=NOW
        )
    return frame.id


async def calibration(database: Database, name: str, kind: FrameKind, *, node_id: int | None = None) -> int:
    async with database.write() as session:
        frame = await sight(session, name, kind=kind, size=300, runid=None)
        if node_id:
            await Replicas().hold(
                session,
                frame_id=frame.id,
                node_id=node_id,
                path=f"calibrations/{name}",
                size=300,
                digest=md5("1"),
                now=NOW,
            )
    return frame.id


async def test_a_node_lacks_what_its_frames_name_until_it_holds_it(database: Database) -> None:
    ids = await nodes(database)
    await held(database, "979412p", ids["node1"])
    await held(database, "979413p", ids["node1"])
    await calibration(database, FLAT, FrameKind.FLAT, node_id=ids["node1"])

    async with database.read() as session:
        found = await Inventory().calibrations(session)
        owned = await Inventory().calibrations_held(session)
        sums = await Stocks().bytes(session)

    assert [(c.name, c.node_id, c.held, c.state) for c in found] == [
        (FLAT, ids["node1"], True, FrameState.SPOTTED),
        (MASK, ids["node1"], False, None),
    ]
    assert owned == {ids["node1"]: {FLAT}}
    assert sums == {ids["node1"]: 2300}


async def test_a_node_lacks_what_frames_on_their_way_will_name(database: Database) -> None:
    ids = await nodes(database)
    async with database.write() as session:
        frame = await bring(session, "979412p", FrameState.VALID)
        await Frames().describe(session, frame.id, flat=FLAT)
        await Transfers().begin(
            session, frame_id=frame.id, kind=TransferKind.MOVE, source="x", node_id=ids["node2"],
            state=TransferState.PROMISED, now=NOW,
        )  # fmt: skip

    async with database.read() as session:
        assert [(c.name, c.node_id) for c in await Inventory().calibrations(session)] == [(FLAT, ids["node2"])]
        assert await Inventory().open_moves(session) == {frame.id: ids["node2"]}
        assert groups_of(await Inventory().company(session, "run", ["08AC14"]), "run") == {ids["node2"]: {"08AC14": 1}}


async def test_weighted_frames_need_calibrations_only_when_asked(database: Database) -> None:
    ids = await nodes(database)
    frame_id = await held(database, "979412p", ids["node1"])
    async with database.write() as session:
        await Frames().advance(session, frame_id, FrameState.WEIGHTED, now=NOW, source="test", message="weighted")

    async with database.read() as session:
        assert await Inventory().calibrations(session) == []
        assert {c.name for c in await Inventory().calibrations(session, weighted=True)} == {FLAT, MASK}


async def test_what_a_node_has_left_behind(database: Database) -> None:
    ids = await nodes(database)
    frame_id = await held(database, "979412p", ids["node1"])
    async with database.write() as session:
        [replica] = await Replicas().of_frame(session, frame_id)
        await Replicas().mark(session, replica.id, ReplicaState.GONE)

    async with database.read() as session:
        assert [r.frame_id for r in await Inventory().left_behind(session, ids["node1"])] == [frame_id]
        assert await Stocks().bytes(session) == {}


async def test_due_jobs_follow_their_frame_and_give_way_to_another_recipe(database: Database) -> None:
    ids = await nodes(database)
    frame_id = await held(database, "979412p", ids["node1"])
    async with database.write() as session:
        for recipe in ("old", "new"):
            await Jobs().create(
                session, frame_id=frame_id, node_id=ids["node1"], stage="weight", recipe=recipe, now=NOW
            )
        await Jobs().rehome(session, frame_id, ids["node2"])
        assert await Jobs().retire(session, stage="weight", recipe="new", now=NOW) == 1

    async with database.read() as session:
        assert [(j.recipe, j.node, j.state.value) for j in await Jobs().of_frame(session, frame_id)] == [
            ("old", "node2", "superseded"),
            ("new", "node2", "due"),
        ]


async def test_frames_that_are_kept_together_are_counted_on_each_node(database: Database) -> None:
    ids = await nodes(database)
    for number, (target, band, where) in enumerate(
        (
            ("D1", "r.MP9601", "node1"),
            ("d1 ", "g.MP9401", "node1"),
            ("D1", "r.MP9601", "node2"),
            (None, "r.MP9601", "node2"),
        )
    ):
        frame_id = await held(database, f"97941{number}p", ids[where])
        async with database.write() as session:
            await Frames().describe(session, frame_id, object=target, filter=band, ra=149.6, dec=2.2)
    async with database.write() as session:
        old = await Frames().named(session, "979412p")
        assert old is not None
        await Frames().advance(session, old.id, FrameState.WEIGHTED, now=NOW, source="test", message="weighted")

    async with database.read() as session:
        inventory = Inventory()
        by_run = groups_of(await inventory.company(session, "run", ["08AC14", "03AL03"]), "run")
        by_field = groups_of(await inventory.company(session, "field", ["D1", "d1 ", None]), "field")
        by_filter = groups_of(await inventory.company(session, "filter", ["r.MP9601"]), "filter")
    assert by_run == {ids["node1"]: {"08AC14": 2}, ids["node2"]: {"08AC14": 2}}
    assert by_field == {ids["node1"]: {"d1": 2}, ids["node2"]: {"d1": 1, "RA 150 Dec +2": 1}}
    assert by_filter == {ids["node1"]: {"r.MP9601": 1}, ids["node2"]: {"r.MP9601": 1}}
