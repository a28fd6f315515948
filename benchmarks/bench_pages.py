"""Pages over a large database: a million frames in SQLite, ten million in PostgreSQL where it is installed.

The rows are made by the database itself, as a survey of twenty years would have
left them. Each page is asked for by a client in this process, with nothing kept
from the time before; what counts is the CPU of the console and, for PostgreSQL,
the wall time, since the server works in processes of its own.
"""

import asyncio
import contextlib
import os
import resource
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from aiohttp.test_utils import TestClient, TestServer
from figures import Row, command_line
from sqlalchemy import text

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from dbclient.database import Database
from dbclient.migration import upgrade
from dbclient.stores import Tallies
from spica.web.app import build
from spica.web.console import CONSOLE
from terapix.clock import SetClock
from terapix.journal import open_journal
from terapix.sections import JournalSection, Settings
from tests.support.databases import binaries, cluster

FRAMES = {"sqlite": int(os.environ.get("PAGES_SQLITE", "1000000")),
          "postgresql": int(os.environ.get("PAGES_POSTGRESQL", "10000000"))}  # fmt: skip
GOALS = {"sqlite": 0.100, "postgresql": 0.050}
"""Seconds for a page."""
NOW = datetime(2026, 11, 24, 6, 23, 10, tzinfo=UTC)
RUNS, NODES, YEARS = 1000, 20, 20
TIMES = int(os.environ.get("PAGES_TIMES", "7"))
PAGES = (
    "/", "/frames", "/frames?run=R500", "/frames?state=failed", "/frames?node=node3", "/frames/1000500p", "/runs",
    "/nodes", "/history", "/statistics", "/statistics?by=filter", "/statistics?by=node", "/statistics?by=month",
    "/statistics?by=run&since=2026-01-01", "/transfer", "/snooppix", "/snooppix/runs/R500",
    "/snooppix/lists/arrived",
)  # fmt: skip
WORDS = {"sqlite": {"n": "n.n", "numbers": "(WITH RECURSIVE c(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM c "
                    "WHERE n < {last}) SELECT n FROM c) AS n",
                    "moment": "strftime('%Y-%m-%d %H:%M:%f000', 1164349390 + {n} * {step}, 'unixepoch')",
                    "true": "1"},
         "postgresql": {"n": "n", "numbers": "generate_series(0, {last}) AS n",
                        "moment": "to_timestamp(1164349390 + {n} * {step})", "true": "true"}}  # fmt: skip


def statements(kind: str, frames: int) -> list[str]:
    """Write what fills the tables: frames, where they lie, how they came, and what was made of them."""
    words = WORDS[kind]
    step = YEARS * 365.25 * 86400 / frames
    n = words["n"]
    numbers = words["numbers"].format(last=frames - 1)
    at = words["moment"].format(n=n, step=step)
    state = f"CASE {n} % 1000 WHEN 1 THEN 'failed' WHEN 2 THEN 'rejected' WHEN 3 THEN 'valid' ELSE 'weighted' END"
    band = f"CASE {n} / 7 % 5 WHEN 0 THEN 'u.MP9301' WHEN 1 THEN 'g.MP9401' WHEN 2 THEN 'r.MP9601' WHEN 3 THEN 'i.MP9702' ELSE 'z.MP9801' END"  # noqa: E501 - one expression
    held = f"{n} % 1000 > 3"
    run = f"'R' || ({n} * {RUNS} / {frames} / 8 * 8 + {n} / 11 % 8)"
    return [
        "INSERT INTO frames (id, name, generation, current, cause, kind, state, attempts, priority, uri, size, "
        "wire_digest, runid, object, filter, exposure_time, airmass, ccds, spotted_at, fetched_at, valid_at, placed_at, "
        f"weighted_at) SELECT {n} + 1, ({n} + 1000000) || 'p', 1, {words['true']}, 'new', 'object', {state}, 0, 0, "
        f"'cadc:CFHT/' || ({n} + 1000000) || 'p.fits.fz', 300000000 + {n} % 1000, 'md5:' || {n}, {run}, 'D' || {n} % 4, "
        f"{band}, 300, 1.2, 36, {at}, {at}, {at}, {at}, CASE WHEN {held} THEN {at} END FROM {numbers}",
        "INSERT INTO replicas (frame_id, node_id, path, size, digest, state, verified_at) "
        f"SELECT {n} + 1, 1 + {n} / 1800 % {NODES}, 'frames/' || {n}, 300000000, 'md5:' || {n}, 'held', {at} "
        f"FROM {numbers} WHERE {held}",
        "INSERT INTO transfers (frame_id, node_id, kind, state, source, bytes_total, bytes_done, rate, created_at, "
        "started_at, ended_at) SELECT "
        f"{n} / 2 + 1, CASE {n} % 2 WHEN 1 THEN 1 + {n} / 3600 % {NODES} END, CASE {n} % 2 WHEN 1 THEN 'move' ELSE 'fetch' END, "
        f"'done', 'archive', 300000000, 300000000, 1e8, {at2(words, step)}, {at2(words, step)}, {at2(words, step)} "
        f"FROM {words['numbers'].format(last=2 * frames - 1)}",
        "INSERT INTO jobs (frame_id, node_id, stage, recipe, state, attempts, done_share, created_at, started_at, "
        f"ended_at) SELECT {n} + 1, 1 + {n} / 1800 % {NODES}, 'weight', 'r1', 'done', 1, 1.0, {at}, {at}, {at} "
        f"FROM {numbers} WHERE {held}",
        "INSERT INTO events (at, source, kind, level, message, frame_id) "
        f"SELECT {at}, 'spica', 'weighted', 'info', ({n} + 1000000) || 'p is weighted', {n} + 1 FROM {numbers}",
    ]  # fmt: skip


def at2(words: dict[str, str], step: float) -> str:
    return words["moment"].format(n=words["n"], step=step / 2)


async def fill(database: Database, kind: str, frames: int) -> None:
    """Make the rows, and fold their sums."""
    async with database.write() as session:
        for number in range(1, NODES + 1):
            values = {"id": number, "name": f"node{number}"}
            await session.execute(
                text(
                    "INSERT INTO nodes (id, name, directory, state, capacity, used, free, reserve) VALUES "
                    "(:id, :name, '/data', 'up', 400000000000000, 200000000000000, 190000000000000, 1000000000)"
                ),
                values,
            )
    for statement in statements(kind, frames):
        begun = time.perf_counter()
        async with database.write() as session:
            await (await session.connection()).exec_driver_sql(statement)
        print(f"  {statement.split()[2]}: {time.perf_counter() - begun:.1f} s", file=sys.stderr, flush=True)
    begun, more = time.perf_counter(), True
    while more:
        async with database.write() as session:
            more = (await Tallies().fold(session)).more
    print(f"  folded: {time.perf_counter() - begun:.1f} s", file=sys.stderr, flush=True)


@contextlib.asynccontextmanager
async def filled(kind: str, directory: Path, programs: Path | None) -> AsyncIterator[Database]:
    """Give a database with its rows."""
    with contextlib.ExitStack() as stack:
        url = f"sqlite+aiosqlite:///{directory / 'terapix.sqlite'}"
        if kind == "postgresql":
            assert programs
            server = await asyncio.to_thread(stack.enter_context, cluster(programs))
            await server.command("CREATE DATABASE pages")
            url = server.url("pages")
        await upgrade(url)
        database = await Database.open(url)
        try:
            await fill(database, kind, FRAMES[kind])
            if kind == "postgresql":
                await server.command("VACUUM (ANALYZE)", "pages")
            yield database
        finally:
            await database.close()


def cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


async def ask(client: TestClient[Any, Any], page: str) -> tuple[float, float]:
    """Ask for a page that nothing is kept of; give wall and CPU seconds, the least of some times."""
    found = []
    for _ in range(TIMES):
        client.app[CONSOLE].kept.forget()  # type: ignore[union-attr]
        begun = time.perf_counter(), cpu()
        async with client.get(page) as answer:
            said = await answer.text()
            assert answer.status == 200, (page, answer.status, said)
        found.append((time.perf_counter() - begun[0], cpu() - begun[1]))
    return min(wall for wall, _ in found), min(used for _, used in found)


async def look(kind: str, programs: Path | None) -> list[Row]:
    rows = []
    with tempfile.TemporaryDirectory() as directory:
        settings = Settings.model_validate({"paths": {"directory": directory}})
        async with filled(kind, Path(directory), programs) as database:
            app = build(database, settings, SetClock(NOW))
            async with TestClient(TestServer(app)) as client:
                for page in PAGES:
                    wall, used = await ask(client, page)
                    goal = f"{GOALS[kind] * 1000:.0f} ms"
                    given = f"{FRAMES[kind]:,} frames, {kind}"
                    rows.append(Row(part=f"page {page}", input=given, ours=wall, ours_cpu=used, goal=goal))
                    print(f"  {page}: {wall * 1000:.0f} ms ({used * 1000:.0f} ms CPU)", file=sys.stderr, flush=True)
    return rows


def measure() -> list[Row]:
    open_journal(JournalSection(level="warning"), daemon="bench")
    with contextlib.suppress(AttributeError):
        programs = binaries(SimpleNamespace())  # type: ignore[arg-type]
    kinds = [kind for kind in FRAMES if FRAMES[kind]]
    return [row for kind in kinds for row in asyncio.run(look(kind, programs))]


if __name__ == "__main__":
    command_line(measure)
