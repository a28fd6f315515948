"""The engine: Dask's scheduler in this process, and one worker process a node, named after it.

Dask only brings an order to the node where the frame lies. It holds no truth:
what is done is what the database says is done, so any part of this may die.
"""

import asyncio
import contextlib
import logging
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dask
from distributed import Client, Scheduler

from spica.pipeline.access import KEY, Access
from spica.pipeline.channel import open_channel
from spica.pipeline.orders import Order, Outcome, carry_out
from terapix.journal import logger
from terapix.retry import Backoff
from terapix.sections import Settings

log = logger("spica.engine")

RESTART = Backoff(first=0.2, factor=2.0, ceiling=30.0, attempts=1_000_000)
"""A worker that dies at once is not restarted in a tight loop."""
STEADY = 60.0
"""Seconds after which a worker counts as steady and its next death starts the backoff anew."""
FINISHING = 12.0
"""Seconds that a stopping worker has to give its job back and to see its own processes off."""
CHORES = frozenset({"keep-alive"})
"""What an idle Dask server has to do regularly. All else serves spilling, stealing, profiles and figures that we have
elsewhere; a worker that dies is noticed by its connection. Without it a scheduler and two idle workers take 0.05 % of
a core, and 9 % with Dask's own settings (the whole host: benchmarks/bench_night.py)."""
QUIET = {
    "distributed.admin.tick.interval": "20s",
    "distributed.admin.tick.limit": "10m",
    "distributed.admin.tick.cycle": "60s",
    "distributed.admin.system-monitor.interval": "60s",
    "distributed.admin.system-monitor.disk": False,
    "distributed.admin.system-monitor.host-cpu": False,
    "distributed.admin.system-monitor.gil.enabled": False,
    "distributed.worker.profile.enabled": False,
    "distributed.worker.memory.monitor-interval": "60s",
    "distributed.worker.daemon": False,
    "distributed.worker.use-file-locking": False,
    "distributed.worker.http.routes": [],
    "distributed.scheduler.http.routes": [],
    "distributed.scheduler.work-stealing": False,
    "distributed.scheduler.active-memory-manager.start": False,
    "distributed.scheduler.allowed-failures": 0,
    "distributed.scheduler.worker-ttl": None,
    "distributed.client.heartbeat": "60s",
    "distributed.client.scheduler-info-interval": "60s",
}
"""Settings of Dask under which nothing runs often while nothing is to be done."""


def configure(access: Access) -> None:
    """Set Dask up in this process: quiet, and with the keyed channel or with TLS."""
    dask.config.set({**QUIET, **access.dask})
    if access.key:
        open_channel(access.key)
    logging.getLogger("distributed").setLevel(logging.ERROR)


def calm(server: Any) -> None:
    """Stop the repeated chores of a Dask server that we have no use for."""
    for name, chore in server.periodic_callbacks.items():
        if name not in CHORES:
            chore.stop()


@dataclass(slots=True)
class Hand:
    """The worker of one node."""

    node: str
    keeper: "asyncio.Task[None]"
    process: asyncio.subprocess.Process | None = None


class Engine:
    """Brings orders to the nodes' workers."""

    def __init__(
        self,
        settings: Settings,
        *,
        died: Callable[[str, int], Awaitable[None]],
        ended: Callable[[Order, Outcome], Awaitable[None]],
    ) -> None:
        self._settings = settings
        self._died = died
        """Told the node and process number of a worker that ended."""
        self._ended = ended
        """Told how an order has ended."""
        self._hands: dict[str, Hand] = {}
        self._pending: dict[int, tuple[str, asyncio.Task[None]]] = {}
        """By job: its node, and the task that follows its order."""
        self._access = Access.of(settings)
        self._exits = contextlib.AsyncExitStack()
        self._stopping = asyncio.Event()
        self._scheduler: Any = None
        self._client: Any = None

    async def start(self) -> None:
        """Open the scheduler."""
        configure(self._access)
        self._scheduler = await self._exits.enter_async_context(
            Scheduler(
                dashboard=False,
                dashboard_address="127.0.0.1:0",
                host=f"{self._access.scheme}://{self._settings.spica.scheduler_host}",
                port=self._settings.spica.scheduler_port,
            )
        )
        calm(self._scheduler)
        self._client = await self._exits.enter_async_context(
            Client(self._scheduler.address, asynchronous=True, set_as_default=False)
        )

    @property
    def address(self) -> str:
        """Where workers join."""
        return str(self._scheduler.address)

    @property
    def busy(self) -> frozenset[int]:
        """Jobs whose orders have not ended."""
        return frozenset(self._pending)

    @property
    def workers(self) -> frozenset[str]:
        """Names of the nodes whose worker has joined."""
        return frozenset(str(worker.name) for worker in self._scheduler.workers.values())

    def staff(self, nodes: Collection[str]) -> None:
        """Keep one worker running for each of `nodes`, and none for others."""
        if not self._settings.spica.local_workers:
            return
        for node in nodes:
            if node not in self._hands:
                hand = self._hands[node] = Hand(node, keeper=None)  # type: ignore[arg-type]  # set in the next line
                hand.keeper = asyncio.create_task(self._keep(hand), name=f"worker of {node}")
        for node in set(self._hands) - set(nodes):
            hand = self._hands.pop(node)
            hand.keeper.cancel()

    def submit(self, order: Order) -> None:
        """Send an order to its node; it waits there for its turn, and for the worker if that is not up yet."""
        if order.job in self._pending:
            return
        future = self._client.submit(
            carry_out,
            order,
            key=f"{order.stage}-{order.job}-{os.urandom(4).hex()}",
            workers=[order.node],
            allow_other_workers=False,
            pure=False,
            retries=0,
        )
        follower = asyncio.create_task(self._follow(order, future), name=f"job {order.job}")
        self._pending[order.job] = (order.node, follower)

    def _forget(self, node: str) -> None:
        """Take back the orders of a node: they died with its worker."""
        for job, (where, follower) in list(self._pending.items()):
            if where == node:
                del self._pending[job]
                follower.cancel()

    async def _follow(self, order: Order, future: Any) -> None:
        try:
            outcome = await future
        except asyncio.CancelledError:
            future.release()
            raise
        except Exception as problem:  # noqa: BLE001 - whatever a worker dies of, the database knows what is due
            outcome = None
            log.warning("order was lost with its worker", job=order.job, node=order.node, problem=repr(problem))
        if self._pending.get(order.job, ("", None))[1] is asyncio.current_task():
            del self._pending[order.job]
        if outcome is not None:
            await self._ended(order, outcome)

    async def close(self) -> None:
        """End everything: jobs that run are given back to the database."""
        self._stopping.set()
        followers = [follower for _, follower in self._pending.values()]
        for follower in followers:
            follower.cancel()
        await asyncio.gather(*followers, return_exceptions=True)
        hands = list(self._hands.values())
        for hand in hands:
            _signal(hand.process, signal.SIGTERM)
        if hands:
            await asyncio.wait([hand.keeper for hand in hands], timeout=FINISHING)
        for hand in hands:
            hand.keeper.cancel()
        await asyncio.gather(*(hand.keeper for hand in hands), return_exceptions=True)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(FINISHING):
                await self._exits.aclose()

    async def _keep(self, hand: Hand) -> None:
        """Run a node's worker, again and again."""
        loop = asyncio.get_running_loop()
        deaths = 0
        while not self._stopping.is_set():
            started = loop.time()
            hand.process = await self._spawn(hand.node)
            pid = hand.process.pid
            try:
                code = await hand.process.wait()
            except asyncio.CancelledError:
                _signal(hand.process, signal.SIGKILL)
                await hand.process.wait()
                raise
            finally:
                _end_group(pid)
            self._forget(hand.node)
            await self._died(hand.node, pid)
            if self._stopping.is_set():
                return
            deaths = 1 if loop.time() - started > STEADY else deaths + 1
            delay = RESTART.delay(deaths)
            log.warning("worker died and is started again", node=hand.node, code=code, delay=delay)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), delay)

    async def _spawn(self, node: str) -> asyncio.subprocess.Process:
        cache = self._settings.at(self._settings.paths.cache)
        place = cache / "dask" / node
        await asyncio.to_thread(place.mkdir, parents=True, exist_ok=True)
        environment = {"NUMBA_CACHE_DIR": str(cache / "numba"), **os.environ, KEY: self._access.written}
        return await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "spica.pipeline.station"),
            *("--scheduler", self.address, "--node", node, "--directory", str(place)),
            *("--parent", str(os.getpid()), "--stages", *self._settings.processing.stages),
            *("--journal", f"{self._settings.journal.level}:{self._settings.journal.style}"),
            stdin=asyncio.subprocess.DEVNULL,
            env=environment,
            cwd=Path.cwd(),
            start_new_session=True,  # its pool ends with it: the whole group is killed
        )


def _signal(process: asyncio.subprocess.Process | None, number: signal.Signals) -> None:
    if process and process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(number)


def _end_group(pid: int) -> None:
    """Kill what a dead worker has left behind."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)


__all__ = ["Engine", "Order", "Outcome", "calm", "configure"]
