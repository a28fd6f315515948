"""Placement of a large run on many nodes, alone and among ten million frames.

Among ten million frames, a whole pass is measured: what waits is looked up, rooms are
taken from database and disks, nodes are chosen, and leases, transfers and events are
written. What it wrote is undone before the next one. PLACEMENT=sqlite measures
some of it only, MULTITUDE=1000000 makes fewer frames.
"""

import asyncio
import contextlib
import os
import random
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from figures import Row, command_line
from multitude import FRAMES as AMONG
from multitude import into_postgresql, into_sqlite, told

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from datatransfer import disks
from datatransfer.assignment import AT_ONCE, Assignment
from datatransfer.depots import Depots
from datatransfer.growth import Need
from datatransfer.nodes import Roster
from datatransfer.placement import Plan, Room, Wanted, place
from dbclient.database import Database
from terapix.clock import SystemClock
from terapix.journal import open_journal
from terapix.sections import JournalSection, Settings
from tests.support.databases import BINARIES, cluster

FRAMES = 2000
NODES = 20
GB = 10**9
FILE = 500_000_000
"""Bytes of the file that is moved: one MegaCam frame, compressed."""


def placement() -> Row:
    """2000 frames of 40 runs on 20 nodes whose room suffices for nine in ten."""
    chance = random.Random(2003)
    wanted = [
        Wanted(
            number,
            f"{number}p",
            f"08AC{number % 40:02d}",
            Need(300_000_000, 450_000_000, chance.randrange(600_000_000, 800_000_000)),
            ((f"08Am0{number % 3}.flat.r.36.02", 200_000_000), ("2003A.mask.0.36.02", 5_000_000)),
        )
        for number in range(FRAMES)
    ]
    share = int(0.9 * sum(item.need.total for item in wanted) / NODES)
    rooms = [Room(n, f"node{n}", True, share, 2 * share, f"disk{n}") for n in range(NODES)]
    begin = time.perf_counter()
    plan = place(wanted, rooms, {}, "together")
    seconds = time.perf_counter() - begin
    agreement = f"{len(plan.promises)} placed, {len(plan.refused)} refused with a reason, none overdrawn"
    if min(plan.left.values()) < 0 or len(plan.promises) + len(plan.refused) != FRAMES:
        agreement = "WRONG: a node is overdrawn"
    return Row(part="placement", input=f"{FRAMES} frames, {NODES} nodes", ours=seconds, goal="1 s", agreement=agreement)


class Undone(Exception):
    """Takes back what a pass has written."""


class Rehearsal(Assignment):
    """Makes passes whose transaction never commits."""

    plan_made: Plan

    async def rehearse(self) -> tuple[float, float]:
        """Make a pass; give its wall and CPU seconds."""
        begin, used = time.perf_counter(), time.process_time()
        with contextlib.suppress(Undone):
            async with self._database.write() as session:
                self.plan_made = await self.promise_due(session)
                raise Undone
        return time.perf_counter() - begin, time.process_time() - used


async def among(url: str, directory: Path) -> tuple[float, float, Plan]:
    """Measure passes over a large database: least wall and CPU seconds of five, and what was decided."""
    settings = Settings.model_validate(
        {
            "paths": {"directory": str(directory)},
            "nodes": [
                {"name": f"node{n:02d}", "directory": f"nodes/node{n:02d}", "capacity": 200_000 * GB}
                for n in range(1, NODES + 1)
            ],
        }
    )
    database, clock = await Database.open(url), SystemClock()
    roster = Roster(database, settings, clock, Depots(settings, clock), source="bench")
    rehearsal = Rehearsal(database, settings, clock, roster, source="bench")
    try:
        await roster.register()
        await roster.look()
        passes = [await rehearsal.rehearse() for _ in range(5)]
    finally:
        await database.close()
    return min(wall for wall, _ in passes), min(cpu for _, cpu in passes), rehearsal.plan_made


def roomy(directory: Path, *_: object, **__: object) -> disks.Disk:
    """Play the disk of a node: one in four has room for a few frames only."""
    free = 20 * GB if int(directory.name.removeprefix("node")) % 4 == 0 else 4000 * GB
    return disks.Disk(free, 100_000 * GB, directory.name)


@contextlib.contextmanager
def filled(kind: str) -> Iterator[str]:
    """Give the address of a database of ten million frames."""
    with tempfile.TemporaryDirectory(prefix="terapix-multitude-") as made, told(f"{kind} made and measured"):
        if kind == "sqlite":
            yield into_sqlite(Path(made) / "terapix.sqlite")
            return
        with cluster(next(Path(place) for place in BINARIES if Path(place, "initdb").exists())) as server:
            asyncio.run(server.command("CREATE DATABASE multitude"))
            asyncio.run(into_postgresql(server.url("multitude")))
            yield server.url("multitude")


def placement_among(kind: str, url: str) -> Row:
    """A whole pass of the coordinator on a database of ten million frames."""
    real, disks.measure = disks.measure, roomy
    try:
        with tempfile.TemporaryDirectory() as directory:
            wall, cpu, plan = asyncio.run(among(url, Path(directory)))
    finally:
        disks.measure = real
    right = len(plan.promises) == AT_ONCE and min(plan.left.values()) >= 0
    return Row(
        part=f"placement among frames, {kind}",
        input=f"{AT_ONCE} frames of {AMONG / 1e6:g} million, {NODES} nodes",
        ours=wall,
        ours_cpu=cpu,
        goal="1 s",
        agreement=f"{len(plan.promises)} promised, written, none overdrawn" if right else "WRONG",
    )


def measure() -> list[Row]:
    open_journal(JournalSection(level="error"), daemon="bench")
    chosen = os.environ.get("PLACEMENT", "sqlite postgresql").split()
    rows = [placement()]
    for kind in ("sqlite", "postgresql"):
        if kind in chosen:
            with contextlib.ExitStack() as stack:
                url = os.environ.get(f"MULTITUDE_{kind.upper()}") or stack.enter_context(filled(kind))
                rows.append(placement_among(kind, url))
    return rows


if __name__ == "__main__":
    command_line(measure)
