"""Jobs: once per frame, stage and recipe; claimed by one; ended only by who holds the claim."""

import asyncio

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from dbclient.database import Database
from dbclient.schema import FrameState, JobState, ProductState
from dbclient.stores import Events, Frames, Jobs, Leases, Products
from tests.support.night import MAPS, NOW, bring, job, later, node, placed, sight

LEASE = 60.0


async def wanted(session, recipe="r1") -> list[str]:
    return [frame.name for frame, _ in await Jobs().wanted(session, stage="weight", recipe=recipe)]


async def run(session, number, *, products=MAPS, token="t", at=NOW) -> bool:
    await Jobs().claim(session, number, worker="w", token=token, now=at)
    return await Jobs().finish(session, number, token, products=products, summary={"seconds": 3}, now=at, source="w")


async def test_placed_exposures_without_a_job_are_wanted(database):
    async with database.write() as session:
        here = await node(session)
        await bring(session, "1p", FrameState.PLACED)
        await bring(session, "2p", FrameState.VALID)
        await placed(session, "3p", node_id=here)
        urgent = await placed(session, "4p", node_id=here)
        await Frames().describe(session, urgent.id, priority=100)
        await placed(session, "flat", node_id=here, kind="flat")
        assert await wanted(session) == ["4p", "3p"]
        await job(session, urgent, node_id=here)
        assert await wanted(session) == ["3p"]
        (frame, on) = (await Jobs().wanted(session, stage="weight", recipe="r1"))[0]
        assert (frame.name, on.id, on.name) == ("3p", here, "node1")


async def test_a_job_is_made_once(database):
    async with database.write() as session:
        here = await node(session)
        row = await placed(session, node_id=here)
        await job(session, row, node_id=here)
        again = await Jobs().create(session, frame_id=row.id, node_id=here, stage="weight", recipe="r1", now=NOW)
        assert again is None
        assert len(await Jobs().of_frame(session, row.id)) == 1


async def test_a_finished_job_leaves_products_a_settled_lease_and_a_weighted_frame(database):
    async with database.write() as session:
        here = await node(session)
        row = await placed(session, node_id=here)
        number = await job(session, row, node_id=here)
        assert await run(session, number, at=later(5))
        held = await Jobs().get(session, number)
        assert (held.state, held.done_share, held.summary, held.frame, held.node) == (
            JobState.DONE, 1.0, {"seconds": 3}, "979412p", "node1",
        )  # fmt: skip
        products = await Products().of_frame(session, row.id)
        assert [(p.kind, p.size, p.state, p.job_id) for p in products] == [
            ("weight", 200, ProductState.HELD, number),
            ("flag", 50, ProductState.HELD, number),
        ]
        assert (await Frames().get(session, row.id)).weighted_at == later(5)
        assert await Leases().open(session) == []
        assert await wanted(session) == []


async def test_a_claim_ends_a_wait_and_only_its_token_ends_the_job(database):
    async with database.write() as session:
        here = await node(session)
        row = await placed(session, node_id=here)
        number = await job(session, row, node_id=here)
        await Jobs().claim(session, number, worker="w1", token="a", now=NOW)
        await Jobs().fail(session, number, "a", reason="disk full", retry_at=later(60), now=NOW, source="w1")
        waiting = await Frames().get(session, row.id)
        assert (waiting.reason, waiting.retry_at) == ("weight is tried again: disk full", later(60))
        assert await Jobs().due(session, now=later(59), limit=9) == []
        assert not await Jobs().claim(session, number, worker="w2", token="b", now=later(59))
        assert [j.id for j in await Jobs().due(session, now=later(60), limit=9)] == [number]
        assert await Jobs().claim(session, number, worker="w2", token="b", now=later(60))
        assert (await Frames().get(session, row.id)).reason is None
        assert not await Jobs().beat(session, number, "a", share=0.5, now=later(61))
        assert not await Jobs().finish(session, number, "a", products=MAPS, summary={}, now=NOW, source="w1")
        assert not await Jobs().fail(session, number, "a", reason="x", retry_at=None, now=NOW, source="w1")
        assert await Jobs().beat(session, number, "b", share=0.5, now=later(61))
        held = await Jobs().get(session, number)
        assert (held.attempts, held.done_share, held.worker, held.beat_at) == (2, 0.5, "w2", later(61))


async def test_a_silent_worker_loses_its_job(database):
    async with database.write() as session:
        here = await node(session)
        number = await job(session, await placed(session, node_id=here), node_id=here)
        await Jobs().claim(session, number, worker="w1", token="a", now=NOW)
        assert await Jobs().stale(session, before=NOW) == []
        assert [j.id for j in await Jobs().stale(session, before=later(1))] == [number]
        assert not await Jobs().claim(session, number, worker="w2", token="b", now=later(60), lease=LEASE)
        assert not await Jobs().claim(session, number, worker="w2", token="b", now=later(99))
        assert await Jobs().claim(session, number, worker="w2", token="b", now=later(61), lease=LEASE)
        assert not await Jobs().beat(session, number, "a", share=0.9, now=later(62))


async def test_a_lost_job_is_due_again_and_its_products_are_replaced(database):
    async with database.write() as session:
        here = await node(session)
        row = await placed(session, node_id=here)
        number = await job(session, row, node_id=here)
        await run(session, number)
        await Jobs().lost(session, number, reason="weight map is gone", now=NOW, source="spica")
        await Frames().advance(session, row.id, FrameState.PLACED, now=NOW, source="spica", message="due again")
        assert (await Jobs().get(session, number)).reason == "weight map is gone"
        assert await run(session, number, token="u")
        assert [p.kind for p in await Products().of_frame(session, row.id)] == ["weight", "flag"]
        assert (await Events().latest(session, limit=1))[0].kind == "weighted"


async def test_another_recipe_is_another_job_and_its_products_take_the_place(database):
    async with database.write() as session:
        here = await node(session)
        row = await placed(session, node_id=here)
        await run(session, await job(session, row, node_id=here))
        assert await wanted(session, "r1") == []
        assert await wanted(session, "r2") == ["979412p"]
        second = await job(session, row, node_id=here, recipe="r2")
        await run(session, second)
        products = await Products().of_frame(session, row.id)
        assert {(p.job_id == second, p.state) for p in products} == {
            (True, ProductState.HELD),
            (False, ProductState.SUPERSEDED),
        }
        assert await wanted(session, "r1") == []


async def test_jobs_are_counted_by_state(database):
    async with database.write() as session:
        here = await node(session)
        numbers = [await job(session, await placed(session, f"{n}p", node_id=here), node_id=here) for n in range(3)]
        await Jobs().claim(session, numbers[0], worker="w", token="t", now=NOW)
        assert await Jobs().counts(session) == {JobState.DUE: 2, JobState.RUNNING: 1}
        assert [j.id for j in await Jobs().in_state(session, JobState.RUNNING)] == numbers[:1]
        assert [j.id for j in await Jobs().due(session, now=NOW, node_id=here, limit=1)] == numbers[1:2]
        assert await Jobs().due(session, now=NOW, node_id=here + 1, limit=1) == []


async def test_of_many_workers_that_claim_at_once_one_has_it(database, database_url):
    other = await Database.open(database_url)
    async with database.write() as session:
        here = await node(session)
        number = await job(session, await placed(session, node_id=here), node_id=here)

    async def claim(opened: Database, worker: str) -> bool:
        async with opened.write() as session:
            return await Jobs().claim(session, number, worker=worker, token=worker, now=NOW, lease=LEASE)

    async with asyncio.timeout(60):
        got = await asyncio.gather(*(claim((database, other)[n % 2], f"w{n}") for n in range(8)))
    await other.close()
    assert got.count(True) == 1
    async with database.read() as session:
        held = await Jobs().get(session, number)
    assert (held.worker, held.attempts) == (f"w{got.index(True)}", 1)


async def test_of_many_dispatchers_that_make_a_job_at_once_one_does(database, database_url):
    other = await Database.open(database_url)
    async with database.write() as session:
        here = await node(session)
        row = await placed(session, node_id=here)

    async def create(opened: Database) -> int | None:
        async with opened.write() as session:
            return await Jobs().create(session, frame_id=row.id, node_id=here, stage="weight", recipe="r", now=NOW)

    async with asyncio.timeout(60):
        made = await asyncio.gather(*(create(opened) for opened in (database, other) * 3))
    await other.close()
    assert sum(number is not None for number in made) == 1


class Workers(RuleBasedStateMachine):
    """Workers that claim, fall silent, finish and fail in any order: a job ends once, by who held it last."""

    url = ""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.database = self.runner.run(Database.open(self.url))
        self.clock = 0.0
        self.holder: str | None = None
        self.beaten = 0.0
        self.ended = False
        self.tokens = 0

    @initialize()
    def begin(self) -> None:
        self.runner.run(self._begin())

    async def _begin(self) -> None:
        async with self.database.write() as session:
            here = await node(session)
            self.name = f"{await Events().newest_id(session)}p"
            row = await placed(session, self.name, node_id=here)
            self.frame, self.job = row.id, await job(session, row, node_id=here)

    @rule(seconds=st.sampled_from([1.0, 30.0, 61.0]))
    def time_passes(self, seconds: float) -> None:
        self.clock += seconds

    @rule()
    def claim(self) -> None:
        self.tokens += 1
        token = f"t{self.tokens}"
        free = not self.ended and (self.holder is None or self.clock - self.beaten > LEASE)
        got = self._do(lambda s: Jobs().claim(s, self.job, worker="w", token=token, now=self.at, lease=LEASE))
        assert got is free
        if got:
            self.holder, self.beaten = token, self.clock

    @rule(ago=st.integers(0, 3))
    def beat(self, ago: int) -> None:
        token = f"t{self.tokens - ago}"
        got = self._do(lambda s: Jobs().beat(s, self.job, token, share=0.5, now=self.at))
        assert got is (token == self.holder)
        if got:
            self.beaten = self.clock

    @rule(ago=st.integers(0, 3), again=st.booleans())
    def fail(self, ago: int, again: bool) -> None:
        token = f"t{self.tokens - ago}"
        if not again:
            return
        got = self._do(lambda s: Jobs().fail(s, self.job, token, reason="x", retry_at=self.at, now=self.at, source="w"))
        assert got is (token == self.holder)
        if got:
            self.holder = None

    @rule(ago=st.integers(0, 3))
    def finish(self, ago: int) -> None:
        token = f"t{self.tokens - ago}"
        got = self._do(lambda s: Jobs().finish(s, self.job, token, products=MAPS, summary={}, now=self.at, source="w"))
        assert got is (token == self.holder)
        if got:
            self.holder, self.ended = None, True

    @invariant()
    def products_are_there_once_it_ended(self) -> None:
        if hasattr(self, "job"):
            held = self._do(lambda s: Products().of_frame(s, self.frame))
            assert len(held) == (len(MAPS) if self.ended else 0)

    @property
    def at(self):
        return later(self.clock)

    def _do(self, work):
        async def unit():
            async with self.database.write() as session:
                return await work(session)

        return self.runner.run(unit())

    def teardown(self) -> None:
        self.runner.run(self.database.close())
        self.runner.close()


def test_whatever_workers_do_a_job_ends_once(database_url):
    machine = type("Workers", (Workers,), {"url": database_url})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=8, stateful_step_count=15, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )


async def test_a_job_of_a_frame_that_is_gone_backwards_still_ends(database):
    async with database.write() as session:
        here = await node(session)
        row = await placed(session, node_id=here)
        number = await job(session, row, node_id=here)
        await Jobs().claim(session, number, worker="w", token="t", now=NOW)
        await Frames().advance(session, row.id, FrameState.SPOTTED, now=NOW, source="t", message="lost")
        assert await Jobs().finish(session, number, "t", products=MAPS, summary={}, now=NOW, source="w")
        assert (await Frames().get(session, row.id)).state is FrameState.SPOTTED
        assert (await sight(session)).state is FrameState.SPOTTED
