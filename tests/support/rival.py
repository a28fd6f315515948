"""A coordinator in a process of its own that promises room until nothing fits.

``python -m tests.support.rival URL DIRECTORY``.

It says "ready", waits for a line, and says at the end how many frames it has promised.
"""

import asyncio
import sys
from pathlib import Path

from datatransfer import assignment
from datatransfer.assignment import Assignment
from datatransfer.depots import Depots
from datatransfer.nodes import Roster
from dbclient.database import Database
from dbclient.errors import Busy
from terapix.clock import SystemClock
from terapix.sections import Settings
from tests.support.site import MB, settings_for

CAPACITY = 100 * MB
AT_ONCE = 3
"""Frames of a transaction: many transactions, so that two rivals meet in most of them."""


def settings_of(directory: Path) -> Settings:
    """Give the settings that both rivals have."""
    return settings_for(directory, capacity=CAPACITY)


async def promise(url: str, directory: Path) -> int:
    """Make passes until one promises nothing; give the number of promises."""
    assignment.AT_ONCE = AT_ONCE  # type: ignore[misc]
    settings, clock = settings_of(directory), SystemClock()
    database = await Database.open(url)
    roster = Roster(database, settings, clock, Depots(settings, clock), source="rival")
    rival = Assignment(database, settings, clock, roster, source="rival")
    await roster.register()
    await roster.look()
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    await asyncio.to_thread(sys.stdin.readline)
    promised = 0
    while True:
        try:
            plan = await rival.pass_()
        except Busy:
            continue
        if not plan.promises:
            break
        promised += len(plan.promises)
    await database.close()
    return promised


if __name__ == "__main__":
    sys.stdout.write(f"{asyncio.run(promise(sys.argv[1], Path(sys.argv[2])))}\n")
