"""Operators move runs at a word and drain nodes; before that they can look what would happen."""

from typing import Any

from datatransfer.preview import preview_transfer
from dbclient.records import RequestRecord
from dbclient.schema import FrameState, NodeState, RequestKind, RequestState, TransferKind
from dbclient.stores import Frames, Jobs, Requests, Transfers
from tests.support.site import MB, Site


async def ask(site: Site, kind: RequestKind, **arguments: Any) -> RequestRecord:
    async with site.database.write() as session:
        number = await Requests().ask(session, kind, arguments, by="night", now=site.clock.now())
    await site.settle(passes=2)
    async with site.database.read() as session:
        return await Requests().get(session, number)


async def preview(site: Site, **wanted: Any) -> Any:
    await site.coordinator.start()
    await site.coordinator.roster.look()
    async with site.database.read() as session:
        return await preview_transfer(session, **{"filter_": None, "now": site.clock.now()} | wanted)


async def where(site: Site, name: str) -> list[str]:
    return [node for node, _ in await site.replicas(name)]


async def test_a_run_is_moved_to_the_node_that_was_asked_for(site: Site) -> None:
    await site.valid("979412p", filter="r.MP9601")
    await site.valid("979413p", filter="g.MP9401")
    await site.valid("979414p", runid="08AF05")

    answer = await ask(site, RequestKind.TRANSFER, runid="08AC14", node="node2", filter=None)

    assert answer.state is RequestState.DONE
    assert answer.answer is not None
    assert answer.answer.startswith("08AC14 to node2: 2 frames go, 12 kB")
    assert await where(site, "979412p") == await where(site, "979413p") == ["node2"]


async def test_frames_that_lie_on_another_node_are_moved_with_their_lease(site: Site) -> None:
    await site.valid("979412p", filter="r.MP9601")
    await site.valid("979413p", filter="g.MP9401")
    await site.settle()
    [before] = await where(site, "979412p")
    other = "node2" if before == "node1" else "node1"

    answer = await ask(site, RequestKind.TRANSFER, runid="08AC14", node=other, filter="r.MP9601")

    assert "1 frame" in str(answer.answer)
    assert await where(site, "979412p") == [other]
    assert await where(site, "979413p") == [before]
    assert (await site.frame("979412p")).state is FrameState.PLACED
    assert len(site.files(other)) == len(site.files(before)) == 1
    assert await site.open_things() == (2, 0)


async def test_a_due_job_follows_its_frame(site: Site) -> None:
    frame = await site.valid("979412p")
    await site.settle()
    [node] = await where(site, "979412p")
    other = "node2" if node == "node1" else "node1"
    node_id, now = (await site.node(node)).id, site.clock.now()
    async with site.database.write() as session:
        await Jobs().create(session, frame_id=frame.id, node_id=node_id, stage="weight", recipe="r", now=now)

    await ask(site, RequestKind.TRANSFER, runid="08AC14", node=other, filter=None)

    async with site.database.read() as session:
        assert [job.node for job in await Jobs().of_frame(session, frame.id)] == [other]


async def test_a_frame_whose_job_runs_is_not_moved_under_it(site: Site) -> None:
    frame = await site.valid("979412p")
    await site.settle()
    [node] = await where(site, "979412p")
    now = site.clock.now()
    async with site.database.write() as session:
        node_id = (await site.node(node)).id
        job = await Jobs().create(session, frame_id=frame.id, node_id=node_id, stage="weight", recipe="r", now=now)
        assert job is not None
        await Jobs().claim(session, job, worker="w", token="t", now=now)

    answer = await ask(site, RequestKind.TRANSFER, runid="08AC14", node="node1" if node == "node2" else "node2")

    assert "1 frame being moved or weighted now" in str(answer.answer)
    assert await where(site, "979412p") == [node]


async def test_a_weighted_frame_stays_with_its_products(site: Site) -> None:
    frame = await site.valid("979412p")
    await site.settle()
    [node] = await where(site, "979412p")
    async with site.database.write() as session:
        await Frames().advance(
            session, frame.id, FrameState.WEIGHTED, now=site.clock.now(), source="test", message="weighted"
        )

    answer = await ask(site, RequestKind.TRANSFER, runid="08AC14", node="node1" if node == "node2" else "node2")

    assert "staying with their maps" in str(answer.answer)
    assert await where(site, "979412p") == [node]


async def test_what_does_not_fit_is_refused_with_the_bytes_that_are_missing(site: Site) -> None:
    await site.valid("979412p", needs={"frame": 6000, "unpacked": 2, "scratch": 150 * MB})

    answer = await ask(site, RequestKind.TRANSFER, runid="08AC14", node="node1", filter=None)

    assert answer.state is RequestState.REFUSED
    assert "room on node1 is 100 MB: 50 MB are missing" in str(answer.answer)


async def test_a_promise_to_another_node_is_withdrawn_for_the_order(site: Site) -> None:
    await site.valid("979412p")
    await site.coordinator.start()
    await site.coordinator.roster.look()
    await site.coordinator.assignment.pass_()
    async with site.database.read() as session:
        [promised] = await Transfers().promised(session)
    other = "node2" if promised.node == "node1" else "node1"

    await ask(site, RequestKind.TRANSFER, runid="08AC14", node=other, filter=None)

    assert await where(site, "979412p") == [other]
    assert await site.open_things() == (1, 0)
    async with site.database.read() as session:
        history = await Transfers().history(session)
    assert [(t.node, t.state.value, t.kind) for t in history] == [
        (other, "done", TransferKind.MOVE),
        (promised.node, "failed", TransferKind.MOVE),
    ]


async def test_a_drained_node_takes_nothing_new(site: Site) -> None:
    await site.coordinator.start()

    assert (await ask(site, RequestKind.DRAIN, node="node1")).state is RequestState.DONE
    assert (await site.node("node1")).state is NodeState.DRAINING
    await site.valid("979412p")
    await site.settle()
    assert await where(site, "979412p") == ["node2"]

    answer = await ask(site, RequestKind.UNDRAIN, node="node1")
    assert answer.answer == "node1 takes frames again."
    assert (await site.node("node1")).state is NodeState.UP


async def test_a_node_that_drained_drains_on_when_it_is_back(site: Site) -> None:
    await site.coordinator.start()
    await ask(site, RequestKind.DRAIN, node="node1")
    away = site.directory("node1").with_name("away")
    site.directory("node1").rename(away)
    for _ in range(2):
        await site.coordinator.pass_()
    assert (await site.node("node1")).state is NodeState.DOWN
    assert (await ask(site, RequestKind.UNDRAIN, node="node1")).state is RequestState.REFUSED

    away.rename(site.directory("node1"))
    await site.coordinator.pass_()

    assert (await site.node("node1")).state is NodeState.DRAINING


async def test_an_unknown_node_is_refused_with_those_that_are_known(site: Site) -> None:
    answer = await ask(site, RequestKind.TRANSFER, runid="08AC14", node="node9", filter=None)

    assert answer.state is RequestState.REFUSED
    assert answer.answer == "There is no node 'node9'; nodes are: node1, node2."


async def test_a_preview_says_what_the_order_then_does(site: Site) -> None:
    await site.valid("979412p")
    await site.valid("979413p", needs={"frame": 6000, "unpacked": 2, "scratch": 150 * MB})

    shown = await preview(site, runid="08AC14", node="node1")
    answer = await ask(site, RequestKind.TRANSFER, runid="08AC14", node="node1", filter=None)

    assert (shown.frames, shown.moves, shown.fits) == (2, 1, False)
    assert shown.sentence == answer.answer
    assert shown.refused[0].startswith("979413p: needs 150 MB")


async def test_a_preview_changes_nothing(site: Site) -> None:
    await site.valid("979412p")

    shown = await preview(site, runid="08AC14", node="node1")

    assert shown.fits
    assert await site.open_things() == (0, 0)
    assert (await preview(site, runid="03AL03", node="node1")).frames == 0
