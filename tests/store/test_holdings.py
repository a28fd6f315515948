"""What nodes hold, lose, find again and may let go, on both databases."""

from datetime import timedelta

from dbclient.database import Database
from dbclient.records import NewProduct
from dbclient.schema import AuditState, Discrepancy, FrameState, JobState, ProductState, ReplicaState
from dbclient.stores import (
    Accounting,
    Audits,
    Fate,
    Frames,
    Holding,
    Holdings,
    Jobs,
    NewFinding,
    Nodes,
    Products,
    Publications,
    Replicas,
    Retirees,
    Returns,
    Sort,
    Stocks,
)
from dbclient.stores.publications import Registration
from tests.support.night import GB, NOW, bring, md5

LATER = NOW + timedelta(days=1)


async def nodes(database: Database) -> dict[str, int]:
    async with database.write() as session:
        return {
            name: await Nodes().upsert(session, name=name, directory=f"/{name}", capacity=100 * GB, reserve=0, now=NOW)
            for name in ("node1", "node2")
        }


async def weighted(database: Database, name: str, node_id: int) -> tuple[int, int]:
    """Have a weighted frame on a node; give the rows of frame and job."""
    async with database.write() as session:
        frame = await bring(session, name, FrameState.PLACED)
        await Replicas().hold(
            session, frame_id=frame.id, node_id=node_id, path=f"frames/{name}", size=1000, digest=md5(name[5]), now=NOW
        )
        job = await Jobs().create(session, frame_id=frame.id, node_id=node_id, stage="weight", recipe="r", now=NOW)
        assert job is not None
        assert await Jobs().claim(session, job, worker="node1:host:1", token="t", now=NOW)
        product = NewProduct("weight", f"products/{name}_weight", 500, md5("a"), {})
        assert await Jobs().finish(session, job, "t", products=[product], summary={}, now=NOW, source="test")
    return frame.id, job


async def held(database: Database, node_id: int) -> dict[Sort, Holding]:
    async with database.read() as session:
        return {holding.sort: holding for holding in await Holdings().of_node(session, node_id)}


async def test_what_was_read_longest_ago_comes_first_whatever_it_is_of(database: Database) -> None:
    ids = await nodes(database)
    await weighted(database, "979412p", ids["node1"])
    both = await held(database, ids["node1"])
    async with database.write() as session:
        assert await Holdings().verify(session, both[Sort.REPLICA], now=LATER)
    async with database.read() as session:
        due = await Holdings().unread(session, ids["node1"], since=LATER + timedelta(1), limit=5)
        progress = await Holdings().progress(session, ids["node1"], since=LATER)
    assert [holding.sort for holding in due] == [Sort.PRODUCT, Sort.REPLICA]
    assert (progress.files, progress.bytes, progress.due, progress.due_bytes) == (2, 1500, 1, 500)
    assert progress.oldest == NOW


async def test_a_file_is_lost_once_and_found_again_once(database: Database) -> None:
    ids = await nodes(database)
    await weighted(database, "979412p", ids["node1"])
    for holding in (await held(database, ids["node1"])).values():
        async with database.write() as session:
            assert await Holdings().lose(session, holding, Fate.DAMAGED)
            assert not await Holdings().lose(session, holding, Fate.GONE)
            assert not await Holdings().verify(session, holding, now=LATER)
            assert await Holdings().lose(session, holding, Fate.GONE, was="damaged")
        async with database.write() as session:
            assert await Holdings().find_again(session, holding, now=LATER)
            assert not await Holdings().find_again(session, holding, now=LATER)
    async with database.read() as session:
        assert await Stocks().bytes(session) == {ids["node1"]: 1500}


async def test_of_a_missing_node_nothing_is_held_and_only_what_nobody_else_has_is_asked_for(database: Database) -> None:
    ids = await nodes(database)
    alone, _ = await weighted(database, "979412p", ids["node1"])
    twice, _ = await weighted(database, "979413p", ids["node1"])
    async with database.write() as session:
        await Replicas().hold(
            session, frame_id=twice, node_id=ids["node2"], path="frames/x", size=1000, digest=md5("3"), now=NOW
        )
        assert await Holdings().put_away(session, ids["node1"]) == 4
    async with database.read() as session:
        asked = await Holdings().bereaved(session, ids["node1"], behind=0, limit=10)
        away = await Holdings().away(session, ids["node1"], limit=3)
        sums = await Stocks().bytes(session)
        [again] = await Returns().bereft(session)
    assert [holding.frame_id for holding in asked] == [alone]
    assert [holding.sort for holding in away] == [Sort.PRODUCT, Sort.PRODUCT, Sort.REPLICA]
    assert sums == {ids["node2"]: 1000}
    assert (again.frame_id, again.node_id, again.lost) == (twice, ids["node2"], 1)


async def test_due_jobs_follow_their_frame_from_a_missing_node(database: Database) -> None:
    ids = await nodes(database)
    frame, job = await weighted(database, "979412p", ids["node1"])
    async with database.write() as session:
        await Jobs().lost(session, job, reason="test", now=NOW, source="test")
        await Replicas().hold(
            session, frame_id=frame, node_id=ids["node2"], path="frames/x", size=1000, digest=md5("2"), now=NOW
        )
        await Jobs().leave(session, ids["node1"])
    async with database.read() as session:
        moved = await Jobs().get(session, job)
    assert (moved.state, moved.node_id) == (JobState.DUE, ids["node2"])


async def test_a_frame_that_was_placed_again_tells_what_of_its_job_is_left(database: Database) -> None:
    ids = await nodes(database)
    frame, job = await weighted(database, "979412p", ids["node1"])
    async with database.write() as session:
        await Frames().advance(session, frame, FrameState.PLACED, now=NOW, source="test", message="again")
    async with database.read() as session:
        [whole] = await Returns().placed(session, stage="weight", recipe="r")
        assert await Returns().placed(session, stage="weight", recipe="other") == []
    assert (whole.job_id, whole.node_id, whole.lost) == (job, ids["node1"], 0)


async def test_what_the_archive_has_acknowledged_may_go_and_is_not_missed(database: Database) -> None:
    ids = await nodes(database)
    frame, _ = await weighted(database, "979412p", ids["node1"])
    product = (await held(database, ids["node1"]))[Sort.PRODUCT]
    wanted = Registration(
        name="979412p_weight.fits.fz", kind="weight", source="/x", digest=product.digest, product_id=product.id
    )
    async with database.write() as session:
        row = await Publications().register(session, wanted, now=NOW, source="test")
        await Publications().offer(session, row.id, path="to_CADC/x", now=NOW, source="test")
        assert await Retirees().acknowledged(session, ids["node1"]) == []
        assert await Holdings().laid_out(session, product) == [(None, "to_CADC/x")]
        await Publications().acknowledge(session, row.id, by="cadc", now=LATER, source="test")
        [retiree] = await Retirees().acknowledged(session, ids["node1"], row=product.id)
        assert await Holdings().lose(session, product, Fate.AWAY)
    assert (retiree.since, [one.where for one in retiree.survivors]) == (LATER, ["the archive"])
    async with database.read() as session:
        assert await Returns().bereft(session) == []
        assert [one.state for one in await Products().of_frame(session, frame)] == [ProductState.AWAY]


async def test_the_audit_asks_page_by_page_and_keeps_its_report(database: Database) -> None:
    ids = await nodes(database)
    frame, _ = await weighted(database, "979412p", ids["node1"])
    accounting = Accounting()
    async with database.read() as session:
        [holding] = await accounting.page(session, ids["node1"], Sort.REPLICA, behind=0, limit=10, runid=None)
        assert await accounting.page(session, ids["node1"], Sort.PRODUCT, behind=0, limit=10, runid="03BQ99") == []
        assert await accounting.at(session, ids["node1"], holding.path) == [(holding, "held")]
        assert not await accounting.in_hand(session, frame)
        assert await accounting.unheld(session, runid=None, behind=0, limit=10) == []
        assert await accounting.withdrawn(session, runid=None, behind=0, limit=10) == []
        assert await accounting.received(session, runid=None, behind=0, limit=10) == []
    async with database.write() as session:
        await Replicas().mark(session, holding.id, ReplicaState.GONE)
        number = await Audits().begin(session, asked_by="anna", node=None, runid=None, repair=False, now=NOW)
        [bare] = await accounting.unheld(session, runid=None, behind=0, limit=10)
        evidence = {"files_there_were": bare.rows}
        finding = NewFinding(
            kind=Discrepancy.NO_FILE,
            node_id=None,
            frame_id=bare.frame_id,
            path=None,
            evidence=evidence,
            action="fetched",
            done=True,
        )
        await Audits().note(session, number, [finding])
        report = await Audits().end(session, number, AuditState.DONE, now=LATER, files=1, bytes_=1000)
    assert (report.found, report.repaired, report.files) == (1, 1, 1)
    async with database.read() as session:
        assert await Audits().latest(session, whole=True) == report
        assert await Audits().counts(session, number) == {Discrepancy.NO_FILE: 1}
        [kept] = await Audits().findings(session, number, kind=Discrepancy.NO_FILE)
    assert (kept.frame, kept.evidence) == ("979412p", {"files_there_were": 1})
