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
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from aiohttp.test_utils import TestClient, TestServer
from figures import Row, command_line
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

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
BANDS = ("u.MP9301", "g.MP9401", "r.MP9601", "i.MP9702", "z.MP9801")
TIMES = int(os.environ.get("PAGES_TIMES", "7"))
PAGES = (
    "/", "/frames", "/frames?run=R500", "/frames?state=failed", "/frames?node=node3", "/frames/1000500p", "/runs",
    "/nodes", "/history", "/statistics", "/statistics?by=filter", "/statistics?by=node", "/statistics?by=month",
    "/statistics?by=run&since=2026-01-01", "/transfer", "/transfer/history", "/flow", "/filters",
    "/snooppix", "/snooppix/runs/R500", "/snooppix/lists/arrived",
)  # fmt: skip
WORDS = {"sqlite": {"n": "n.n", "numbers": "(WITH RECURSIVE c(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM c "
                    "WHERE n < {last}) SELECT n FROM c) AS n",
                    "moment": "strftime('%Y-%m-%d %H:%M:%f000', 1164349390 + {n} * {step}, 'unixepoch')",
                    "true": "1"},
         "postgresql": {"n": "n", "numbers": "generate_series(CAST(0 AS bigint), {last}) AS n",
                        "moment": "to_timestamp(1164349390 + {n} * {step})", "true": "true"}}  # fmt: skip


def statements(kind: str, frames: int) -> list[str]:
    """Write what fills the tables: frames, where they lie, how they came, and what was made of them."""
    words, n, step = WORDS[kind], WORDS[kind]["n"], YEARS * 365.25 * 86400 / frames
    at, half = (words["moment"].format(n=n, step=length) for length in (step, step / 2))
    bands = " ".join(f"WHEN {number} THEN '{band}'" for number, band in enumerate(BANDS))
    held, node, name = f"{n} % 1000 > 3", f"1 + {n} / 1800 % {NODES}", f"({n} + 1000000) || 'p'"
    frame = {
        "id": f"{n} + 1",
        "name": name,
        "generation": "1",
        "current": words["true"],
        "cause": "'new'",
        "kind": "'object'",
        "attempts": "0",
        "priority": "0",
        "uri": f"'cadc:CFHT/' || {name} || '.fits.fz'",
        "state": f"CASE {n} % 1000 WHEN 1 THEN 'failed' WHEN 2 THEN 'rejected' WHEN 3 THEN 'valid' ELSE 'weighted' END",
        "size": f"300000000 + {n} % 1000",
        "wire_digest": f"'md5:' || {n}",
        "object": f"'D' || {n} % 4",
        "runid": f"'R' || ({n} * {RUNS} / {frames} / 8 * 8 + {n} / 11 % 8)",
        "filter": f"CASE {n} / 7 % 5 {bands} END",
        "exposure_time": "300",
        "airmass": "1.2",
        "ccds": "36",
        "spotted_at": at,
        "fetched_at": at,
        "valid_at": at,
        "placed_at": at,
        "weighted_at": f"CASE WHEN {held} THEN {at} END",
        "catalogued_at": f"CASE WHEN {held} AND {n} % 1000 < 999 THEN {at} END",
    }
    replica = {
        "frame_id": f"{n} + 1",
        "node_id": node,
        "path": f"'frames/' || {n}",
        "size": "300000000",
        "digest": f"'md5:' || {n}",
        "state": "'held'",
        "verified_at": at,
    }
    transfer = {
        "frame_id": f"{n} / 2 + 1",
        "node_id": f"CASE {n} % 2 WHEN 1 THEN 1 + {n} / 3600 % {NODES} END",
        "kind": f"CASE {n} % 2 WHEN 1 THEN 'move' ELSE 'fetch' END",
        "state": "'done'",
        "source": "'archive'",
        "bytes_total": "300000000",
        "bytes_done": "300000000",
        "rate": "1e8",
        "priority": "0",
        "created_at": half,
        "started_at": half,
        "ended_at": half,
    }
    job = {
        "frame_id": f"{n} + 1",
        "node_id": node,
        "stage": "'weight'",
        "recipe": "'r1'",
        "state": "'done'",
        "attempts": "1",
        "done_share": "1.0",
        "created_at": at,
        "started_at": at,
        "ended_at": at,
    }
    event = {
        "at": at,
        "source": "'spica'",
        "kind": "'weighted'",
        "level": "'info'",
        "message": f"{name} || ' is weighted'",
        "frame_id": f"{n} + 1",
    }
    once, twice = (words["numbers"].format(last=many - 1) for many in (frames, 2 * frames))
    return [
        filling("frames", frame, once),
        filling("replicas", replica, f"{once} WHERE {held}"),
        filling("transfers", transfer, twice),
        filling("jobs", job, f"{once} WHERE {held}"),
        filling("events", event, once),
    ]  # fmt: skip


def filling(table: str, values: dict[str, str], numbers: str) -> str:
    return " ".join(
        ("INSERT INTO", table, f"({', '.join(values)})", "SELECT", ", ".join(values.values()), "FROM", numbers)
    )


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
    async with aside(database) as write:
        for statement in statements(kind, frames):
            await timed(statement.split()[2], write(statement))
    async with database.write() as session:
        await timed("sums", sums(session))
        await session.execute(text("DELETE FROM stocks"))
        stock = "SELECT node_id, 'replica', count(*), sum(size) FROM replicas WHERE state = 'held' GROUP BY node_id"
        await session.execute(text(f"INSERT INTO stocks (node_id, kind, files, bytes) {stock}"))


async def sums(session: AsyncSession) -> None:
    """Count what was written while triggers were off, and fold it."""
    await Tallies().mend(session, await Tallies().recount(session))
    while (await Tallies().fold(session)).more:
        pass


async def timed(what: str, work: Awaitable[Any]) -> None:
    begun = time.perf_counter()
    await work
    print(f"  {what}: {time.perf_counter() - begun:.1f} s", file=sys.stderr, flush=True)


@contextlib.asynccontextmanager
async def aside(database: Database) -> AsyncIterator[Callable[[str], Awaitable[None]]]:
    """Give what writes a statement while indexes and triggers are put aside: they are made again at the end."""
    indexes, triggers = [], []
    async with database.write() as session:
        if database.sqlite:
            kept = "SELECT type, name, sql FROM sqlite_master WHERE sql IS NOT NULL AND type IN ('index', 'trigger')"
            kept += " AND tbl_name IN ('frames', 'replicas', 'transfers', 'jobs', 'events', 'products')"
            for what, name, made in (await session.execute(text(kept))).all():
                await session.execute(text(f"DROP {what} {name}"))
                (indexes if what == "index" else triggers).append(made)
        else:
            kept = "SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = 'public' AND indexname LIKE 'ix_%'"
            for name, made in (await session.execute(text(kept))).all():
                await session.execute(text(f"DROP INDEX {name}"))
                indexes.append(made)

    async def write(statement: str) -> None:
        async with database.write() as session:
            line = await session.connection()
            if not database.sqlite:
                await line.exec_driver_sql("SET LOCAL session_replication_role = replica")
            await line.exec_driver_sql(statement)

    yield write
    for made in (*indexes, *triggers):
        await timed(made.split()[2], write(made))


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
