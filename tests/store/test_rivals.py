"""Two coordinators, each a process of its own, never promise the same byte, nor one frame, twice."""

import asyncio
import os
import random
import sys
from collections import Counter
from pathlib import Path

import pytest

from dbclient.database import Database
from dbclient.schema import FrameState, TransferState
from dbclient.stores import Frames, Leases, Nodes, Transfers
from tests.support.night import bring
from tests.support.rival import CAPACITY, settings_of
from tests.support.site import MB

PATIENCE = 60.0
ROOT = Path(__file__).resolve().parents[2]


async def rival(url: str, directory: Path) -> asyncio.subprocess.Process:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.support.rival", url, str(directory)),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert process.stdout
    while (await process.stdout.readline()).strip() != b"ready":
        pass
    return process


async def promised_by(process: asyncio.subprocess.Process) -> int:
    said, _ = await process.communicate()
    assert process.returncode == 0
    return int(said.split()[-1])


@pytest.mark.parametrize("seed", [1])
async def test_two_coordinators_promise_no_byte_and_no_frame_twice(
    database: Database, database_url: str, tmp_path: Path, seed: int
) -> None:
    chance = random.Random(seed)
    sizes = [chance.randrange(2 * MB, 9 * MB) for _ in range(60)]
    async with database.write() as session:
        for number, size in enumerate(sizes):
            frame = await bring(session, f"{number}p", FrameState.VALID)
            needs = {"frame": 1000, "unpacked": 0, "weight": 0, "flag": 0, "scratch": size}
            await Frames().describe(session, frame.id, needs=needs)

    async with asyncio.timeout(PATIENCE):
        rivals = await asyncio.gather(*(rival(database_url, tmp_path) for _ in range(2)))
        for each in rivals:
            assert each.stdin
            each.stdin.write(b"go\n")
            await each.stdin.drain()
        counts = await asyncio.gather(*(promised_by(each) for each in rivals))

    async with database.read() as session:
        rooms = await Nodes().room(session)
        leases = await Leases().open(session)
        moves = await Transfers().promised(session)
        waiting = await Frames().search(session, state=FrameState.VALID, limit=1000)
    assert len(settings_of(tmp_path).nodes) == len(rooms) == 2
    assert all(room.leased <= CAPACITY for room in rooms), "a byte was promised twice"
    assert max(Counter(lease.frame_id for lease in leases).values()) == 1
    assert Counter(lease.frame_id for lease in leases) == Counter(move.frame_id for move in moves)
    assert all(move.state is TransferState.PROMISED for move in moves)
    assert sum(counts) == len(leases)
    left = max(CAPACITY - room.leased for room in rooms)
    without = [frame for frame in waiting if frame.id not in {lease.frame_id for lease in leases}]
    assert without
    assert all(frame.needs and frame.needs["scratch"] + 1000 > left for frame in without), "what fits has room"
