"""The automatic pipeline: every placed frame is due under the settings' recipe."""

import asyncio
import os

from dbclient import stages
from dbclient.database import Database
from dbclient.records import JobRecord, NodeRecord
from dbclient.schema import NodeState
from dbclient.stores import Jobs, Nodes
from spica.pipeline.dispatcher import STAGE, Dispatcher
from spica.pipeline.engine import Engine
from spica.pipeline.marks import Marks
from spica.pipeline.orders import Order, Outcome
from spica.pipeline.recovery import Recovery
from spica.pipeline.stages import digests
from terapix.clock import Clock
from terapix.errors import TerapixError
from terapix.instruments import load_instrument
from terapix.journal import logger
from terapix.sections import Settings

log = logger("spica.pipeline")

SOURCE = "spica"
AT_ONCE = 64
"""Jobs that are handed to the engine ahead of their turn."""
CHECK_EVERY = 600.0
"""Seconds between two looks whether products still lie where they were registered."""


class Pipeline:
    """One pass of everything: jobs wanted against jobs made, jobs due against jobs in hand."""

    def __init__(self, database: Database, settings: Settings, clock: Clock) -> None:
        self._database = database
        self._settings = settings
        self._clock = clock
        self._recipes: dict[str, str] = {}
        """Digests of the stages that are wanted."""
        self._closing = False
        self._check_at = clock.monotonic()
        section = settings.processing
        catalogues = [settings.at(path) for path in section.star_catalogues]
        self._marks = Marks(str(settings.at(section.masks)), catalogues, clock)
        self.recovery = Recovery(database, clock, lease=settings.processing.lease, source=SOURCE)
        unweighted = load_instrument(settings.snooppix.instrument).unweighted
        self.dispatcher = Dispatcher(database, clock, source=SOURCE, unweighted=unweighted)
        self.engine = Engine(settings, died=self._died, ended=self._ended)

    async def start(self) -> None:
        """Open the engine; workers join on their own time."""
        self._recipes = await asyncio.to_thread(digests, self._settings.processing)
        for stage, recipe in self._recipes.items():
            await self.dispatcher.retire(recipe, stage=stage)
        await self.engine.start()

    async def pass_(self) -> str:
        """Compare and act; return what there is to say."""
        async with self._database.read() as session:
            nodes = [node for node in await Nodes().all(session) if node.state is not NodeState.REMOVED]
        at_work = {node.id: node for node in nodes if node.state.answers}
        here = [node for node in nodes if node.address in {None, self._settings.agent.own}]
        self.engine.staff([node.name for node in here])
        await self.recovery.pass_()
        await self.recovery.take_up(stage=STAGE, recipe=self._recipes[STAGE])
        check = self._clock.monotonic() >= self._check_at
        if await asyncio.to_thread(self._marks.look) or check:
            await self.recovery.follow(self._marks, stage=STAGE)
        if check:
            await self.recovery.check_products(here)
            await self.recovery.remake()
            self._check_at = self._clock.monotonic() + CHECK_EVERY
        _, waiting = await self.dispatcher.pass_(self._recipes[STAGE])
        for stage in set(self._recipes) - {STAGE}:
            await self.dispatcher.follow_up(stage, self._recipes[stage], weights=self._recipes[STAGE])
        await self._submit_due()
        said = [_jobs(len(self.engine.busy))]
        if waiting:
            said.append(f"{waiting} waiting for calibrations or their node")
        absent = sorted({node.name for node in at_work.values()} - self.engine.workers)
        if absent:
            said.append(f"the worker of {' and '.join(absent)} has not joined yet")
        return ", ".join(said)

    async def _submit_due(self) -> None:
        """Hand every job that is due to the engine, where its node answers."""
        async with self._database.read() as session:
            nodes = {node.id: node for node in await Nodes().all(session) if node.state.answers}
            limit = AT_ONCE + len(self.engine.busy)
            due = await Jobs().due(session, now=self._clock.now(), limit=limit, wanted=list(self._recipes))
        for job in due:
            node = nodes.get(job.node_id)
            if node:
                self.engine.submit(self._order(job, node))

    async def _ended(self, order: Order, outcome: Outcome) -> None:
        """Hand out again at once what a worker has given back."""
        log.debug("order ended", job=order.job, node=order.node, outcome=outcome.value)
        if outcome is Outcome.DONE or self._closing:
            return
        try:
            await self._submit_due()
        except TerapixError as problem:
            log.warning("due jobs could not be looked up; the next pass does", problem=str(problem))

    async def close(self) -> None:
        """End the engine; what runs is given back."""
        self._closing = True
        await self.engine.close()
        await self.recovery.pass_()

    def _order(self, job: JobRecord, node: NodeRecord) -> Order:
        section = self._settings.processing
        return Order(
            job=job.id,
            stage=job.stage,
            node=node.name,
            directory=node.directory,
            url=self._settings.database_url,
            recipe=section.recipe if job.stage == STAGE else section.sources_recipe,
            workers=section.workers or len(os.sched_getaffinity(0)),
            lease=section.lease,
            attempts=section.attempts,
            masks=str(self._settings.at(section.masks)),
            star_catalogues=tuple(str(self._settings.at(path)) for path in section.star_catalogues),
            weight_recipe=section.recipe if stages.READS[job.stage] else "",
            after=tuple(stage for stage in self._recipes if job.stage == STAGE and stage != STAGE),
        )

    async def _died(self, node: str, pid: int) -> None:
        """Take up at once what a worker leaves behind that has just died."""
        log.debug("worker ended", node=node, pid=pid)
        await self.recovery.pass_()


def _jobs(count: int) -> str:
    return "1 job in hand" if count == 1 else f"{count} jobs in hand"
