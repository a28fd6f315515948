"""A job is claimed by one worker, recorded in one transaction, and given back or failed with its reason otherwise."""

import asyncio
import errno
import threading
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from dbclient.records import JobRecord, NewProduct
from dbclient.schema import FrameKind, FrameState, JobState
from dbclient.stores import Jobs, Products
from spica.pipeline import worker
from spica.pipeline.marks import marked_by_hand
from spica.pipeline.orders import Order, Outcome
from spica.pipeline.recovery import Recovery
from spica.pipeline.stages import Inputs, Made, Stage
from spica.pipeline.worker import (
    LOST,
    Attempt,
    ClaimLost,
    InputGone,
    again,
    in_words,
)
from terapix.clock import Clock, SetClock, SystemClock
from terapix.errors import TerapixError
from tests.support.site import Site, open_site

FLAT = "08Am03.flat.r.36.02"
NOW = datetime(2003, 12, 20, tzinfo=UTC)


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    opened = await open_site(tmp_path)
    yield opened
    await opened.coordinator.close()
    await opened.database.close()


async def ordered(site: Site) -> Order:
    """A frame on its node, and the order of its job."""
    await site.valid(FLAT, kind=FrameKind.FLAT, content=b"flat" * 100)
    frame = await site.valid("979412p", flat=FLAT)
    await site.settle()
    [(node, replica)] = await site.replicas("979412p")
    async with site.database.write() as session:
        number = await Jobs().create(
            session, frame_id=frame.id, node_id=replica.node_id, stage="weight", recipe="r", now=site.clock.now()
        )
    assert number is not None
    return Order(
        job=number,
        stage="weight",
        node=node,
        directory=str(site.directory(node)),
        url=site.settings.database_url,
        recipe="weight",
        workers=1,
        lease=0.2,
        attempts=2,
    )


def test_what_people_marked_is_found_by_name_and_run_and_by_nothing_hostile(tmp_path: Path) -> None:
    for name in ("979412p", "08AC14", ""):
        (tmp_path / f"{name}.reg").write_text("")
    (tmp_path.parent / "x.reg").write_text("")
    (tmp_path / "08AC14.hot.fits.fz").write_bytes(b"")

    def found(runid: str | None) -> list[str]:
        regions, hot = marked_by_hand(str(tmp_path), "979412p", runid)
        return [path.name for path in (*regions, *([hot] if hot else []))]

    assert found("08AC14") == ["979412p.reg", "08AC14.reg", "08AC14.hot.fits.fz"]
    assert found("../x") == found(None) == ["979412p.reg"]
    assert found("09BF01") == ["979412p.reg"]
    assert marked_by_hand("", "979412p", None) == ((), None)


def make(order: Order, inputs: Inputs, progress: Callable[[float], None]) -> Made:
    """A stage that writes one small product."""
    path = inputs.into / f"{inputs.frame.name}_weight.fits.fz"
    path.write_bytes(inputs.path.read_bytes()[:10])
    progress(1.0)
    facts = dict(inputs.provenance)
    return Made((NewProduct("weight", str(path), 10, "md5:x", facts),), {"ccds": 36})


async def run(order: Order, stage: Stage = make, clock: Clock | None = None) -> Outcome:
    return await Attempt(order, stage, clock or SystemClock()).run()


async def job(site: Site, order: Order) -> JobRecord:
    async with site.database.read() as session:
        return await Jobs().get(session, order.job)


async def test_a_job_that_goes_well_is_recorded_with_its_products(site: Site) -> None:
    order = await ordered(site)

    assert await run(order) is Outcome.DONE

    frame = await site.frame("979412p")
    flat = await site.frame(FLAT)
    async with site.database.read() as session:
        [product] = await Products().of_frame(session, frame.id)
    assert frame.state is FrameState.WEIGHTED
    assert (await job(site, order)).state is JobState.DONE
    assert (await job(site, order)).summary == {"ccds": 36, "seconds": (await job(site, order)).summary["seconds"]}
    assert product.path == "products/08AC14/979412p_weight.fits.fz"
    assert product.provenance == {"frame": frame.wire_digest, "flat": flat.wire_digest, "generation": "1"}
    assert await site.open_things() == (0, 0)


async def test_an_order_is_carried_out_once(site: Site) -> None:
    order = await ordered(site)

    outcomes = await asyncio.gather(run(order), run(order))

    assert sorted(outcomes) == [Outcome.DONE, Outcome.NOT_OURS]
    assert await run(order) is Outcome.NOT_OURS
    assert (await job(site, order)).attempts == 1


async def test_a_worker_that_lost_its_claim_records_nothing(site: Site) -> None:
    order = await ordered(site)
    taken = threading.Event()

    async def take_away() -> None:
        while (await job(site, order)).state is not JobState.RUNNING:
            await asyncio.sleep(0.01)
        async with site.database.write() as session:
            await Jobs().lost(session, order.job, reason="silent", now=site.clock.now(), source="test")
        taken.set()

    def slow(order: Order, inputs: Inputs, progress: Callable[[float], None]) -> Made:
        taken.wait(10)
        for _ in range(1000):
            progress(0.5)
            threading.Event().wait(0.01)
        return make(order, inputs, progress)

    outcome, _ = await asyncio.gather(run(order, slow), take_away())

    assert outcome is Outcome.NOT_OURS
    assert (await job(site, order)).state is JobState.DUE
    assert await run(order) is Outcome.DONE


async def test_a_beating_worker_tells_its_progress(site: Site) -> None:
    order = await ordered(site)
    seen: list[float] = []

    def watched(order: Order, inputs: Inputs, progress: Callable[[float], None]) -> Made:
        progress(0.25)
        while not seen:
            threading.Event().wait(0.01)
        return make(order, inputs, progress)

    async def watch() -> None:
        while not seen:
            if (share := (await job(site, order)).done_share) > 0:
                seen.append(share)
            await asyncio.sleep(0.01)

    outcome, _ = await asyncio.gather(run(order, watched), watch())
    assert (outcome, seen) == (Outcome.DONE, [0.25])


async def test_a_stopping_worker_gives_its_job_back(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    order = await ordered(site)
    monkeypatch.setattr(worker, "stopping", threading.Event())
    worker.stopping.set()

    assert await run(order) is Outcome.GIVEN_BACK

    held = await job(site, order)
    assert held.state is JobState.DUE
    assert held.claim is None


async def test_a_stage_that_fails_is_tried_again_and_then_fails_with_its_reason(site: Site) -> None:
    order = await ordered(site)

    def broken(order: Order, inputs: Inputs, progress: Callable[[float], None]) -> Made:
        raise ValueError("no pixels")

    assert await run(order, broken) is Outcome.FAILED
    held = await job(site, order)
    assert (held.state, held.reason) == (JobState.DUE, "ValueError: no pixels")
    assert held.retry_at is not None
    assert await run(order, broken) is Outcome.NOT_OURS

    assert await run(order, broken, SetClock(held.retry_at)) is Outcome.FAILED
    assert (await job(site, order)).state is JobState.FAILED
    frame = await site.frame("979412p")
    assert (frame.state, frame.reason) == (FrameState.FAILED, "weight: ValueError: no pixels")


async def test_a_frame_that_is_gone_from_its_node_is_told(site: Site) -> None:
    order = await ordered(site)
    [(_, replica)] = await site.replicas("979412p")
    (Path(order.directory) / replica.path).unlink()

    assert await run(order) is Outcome.FAILED

    assert f"979412p is not on {order.node}" in str((await job(site, order)).reason)


async def test_a_job_that_went_to_another_node_with_its_frame_is_not_taken(site: Site) -> None:
    order = await ordered(site)
    other = await site.node("node2" if order.node == "node1" else "node1")
    frame = await site.frame("979412p")
    async with site.database.write() as session:
        await Jobs().rehome(session, frame.id, other.id)

    assert await run(order) is Outcome.NOT_OURS

    assert (await job(site, order)).state is JobState.DUE


async def test_a_full_disk_is_told_in_words_and_tried_again(site: Site) -> None:
    order = await ordered(site)

    def full(order: Order, inputs: Inputs, progress: Callable[[float], None]) -> Made:
        raise OSError(errno.ENOSPC, "No space left on device")

    assert await run(order, full) is Outcome.FAILED

    held = await job(site, order)
    assert (held.state, held.reason) == (JobState.DUE, "the disk of its node is full")


async def test_a_job_whose_worker_died_is_due_again(site: Site) -> None:
    order = await ordered(site)
    recovery = Recovery(site.database, site.clock, lease=60, source="spica")
    async with site.database.write() as session:
        dead = f"{order.node}:{recovery._host}:{2**22 + 1}"
        assert await Jobs().claim(session, order.job, worker=dead, token="t", now=site.clock.now())

    assert await recovery.pass_() == 1
    assert (await job(site, order)).state is JobState.DUE
    assert await recovery.pass_() == 0


async def test_a_job_whose_worker_is_silent_is_due_again_after_the_lease(site: Site) -> None:
    order = await ordered(site)
    recovery = Recovery(site.database, site.clock, lease=60, source="spica")
    async with site.database.write() as session:
        assert await Jobs().claim(session, order.job, worker="node1:elsewhere:7", token="t", now=site.clock.now())

    site.clock.advance(59)
    assert await recovery.pass_() == 0
    site.clock.advance(2)
    assert await recovery.pass_() == 1


async def test_a_product_that_is_gone_is_made_again(site: Site) -> None:
    order = await ordered(site)
    recovery = Recovery(site.database, site.clock, lease=60, source="spica")
    await run(order)
    nodes = [await site.node(order.node)]
    assert await recovery.check_products(nodes) == 0
    product = Path(order.directory) / "products/08AC14/979412p_weight.fits.fz"
    product.unlink()

    assert await recovery.check_products(nodes) == 1

    assert (await site.frame("979412p")).state is FrameState.PLACED
    assert await run(order) is Outcome.DONE
    assert product.exists()
    assert (await site.frame("979412p")).state is FrameState.WEIGHTED


@pytest.mark.parametrize(
    ("problem", "attempts", "tried"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), 50, True),
        (OSError(errno.EIO, "Input/output error"), 1, True),
        (OSError(errno.EIO, "Input/output error"), 3, False),
        (InputGone("gone"), 5, True),
        (InputGone("gone"), LOST, False),
        (TerapixError("a damaged file"), 1, False),
        (ClaimLost("never asked"), 1, False),
    ],
)
def test_which_failures_are_tried_again(problem: Exception, attempts: int, tried: bool) -> None:
    assert (again(problem, attempts=attempts, allowed=3, now=NOW) is not None) is tried


def test_failures_are_told_in_words() -> None:
    assert in_words(TerapixError("979412p[3]: no DATASUM; fetch it again")) == "979412p[3]: no DATASUM; fetch it again"
    assert in_words(MemoryError()) == "its node has not enough memory"
    assert in_words(KeyError("FILTER")) == "KeyError: 'FILTER'"
