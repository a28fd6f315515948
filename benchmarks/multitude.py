"""A database of ten million frames, made by the database itself: what placement and pages are measured on.

Frames came in runs of 2000. One in ten is still on one of the nodes, with its job and its two maps; of the others the
node knows that they were there. The newest run is verified at reception and waits to be placed.
"""

import asyncio
import os
import sqlite3
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import asyncpg

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from dbclient import migration

FRAMES = int(os.environ.get("MULTITUDE", "10000000"))
NODES = 20
RUN = 2000
"""Frames of a run."""
HELD = 10
"""One frame in so many is still on its node."""
GB = 10**9
TABLES = ("frames", "replicas", "jobs", "products")
NEEDS = (
    '{"frame": 310000000, "unpacked": 706000000, "weight": 423600000, "flag": 105900000, "scratch": 529500000}'  # bytes
)
SUMS = tuple(
    f"INSERT INTO stocks (node_id, kind, files, bytes) SELECT node_id, '{kind}', count(*), sum(size) "
    f"FROM {table} WHERE state = 'held' GROUP BY node_id"
    for table, kind in (("replicas", "replica"), ("products", "product"))
)
"""What the triggers would have kept, which are off while rows come by the million."""
NUMBERS = {
    "sqlite": "(WITH RECURSIVE count(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM count WHERE n < {last}) "
    "SELECT n FROM count) AS numbers",
    "postgresql": "generate_series(1, {last}) AS numbers(n)",
}
RUNID = {"sqlite": "printf('R%05d', (n - 1) / {run})", "postgresql": "'R' || lpad(((n - 1) / {run})::text, 5, '0')"}
MD5 = "'md5:0123456789abcdef0123456789abcdef'"


def statements(kind: str, frames: int) -> Iterator[str]:
    """Give the statements that fill a database, in order."""
    text = "CAST(n AS TEXT)"
    yes = "1" if kind == "sqlite" else "true"
    stamp = "'2008-03-30 06:23:00.000000'" if kind == "sqlite" else "timestamptz '2008-03-30 06:23:00+00'"
    runid = RUNID[kind].format(run=RUN)
    here = NUMBERS[kind].format(last=frames)
    waits = f"n > {frames - RUN}"
    for node in range(1, NODES + 1):
        yield (
            "INSERT INTO nodes (id, name, directory, state, capacity, used, free, reserve, seen_at) VALUES "
            f"({node}, 'node{node:02d}', '/data/node{node:02d}', 'up', {200_000 * GB}, {50_000 * GB}, "
            f"{150_000 * GB if node % 4 else 20 * GB}, {GB}, {stamp})"
        )
    band = "CASE n % 5 WHEN 0 THEN 'u' WHEN 1 THEN 'g' WHEN 2 THEN 'r' WHEN 3 THEN 'i' ELSE 'z' END || '.MP9601'"
    yield (
        "INSERT INTO frames (id, name, generation, current, kind, state, attempts, priority, uri, size, wire_digest, "
        "path, runid, object, filter, exposure_time, ra, dec, ccds, flat, mask, needs, spotted_at, weighted_at) "
        f"SELECT n, {text} || 'p', 1, {yes}, 'object', CASE WHEN {waits} THEN 'valid' ELSE 'weighted' END, 0, 0, "
        f"'cadc:CFHT/' || {text} || 'p.fits.fz', 310000000, {MD5}, "
        f"CASE WHEN {waits} THEN 'from_CADC/headervalid/' || {text} || 'p.fits.fz' END, {runid}, "
        f"'W' || CAST(n / 50 % 400 AS TEXT), {band}, 300.0, 10.0, 20.0, 36, '08Am03.flat.r.36.02', "
        f"'2003A.mask.0.36.02', '{NEEDS}', {stamp}, CASE WHEN {waits} THEN NULL ELSE {stamp} END FROM {here}"
    )
    for number, (name, sort) in enumerate((("08Am03.flat.r.36.02", "flat"), ("2003A.mask.0.36.02", "mask")), 1):
        yield (
            "INSERT INTO frames (id, name, generation, current, kind, state, attempts, priority, uri, size, spotted_at)"
            f" VALUES ({frames + number}, '{name}', 1, {yes}, '{sort}', 'valid', 0, 0, 'cadc:x', {GB}, {stamp})"
        )
        yield (
            "INSERT INTO replicas (frame_id, node_id, path, size, digest, state, verified_at) "
            f"SELECT {frames + number}, n, 'calibrations/{name}', {GB}, {MD5}, 'held', {stamp} "
            f"FROM {NUMBERS[kind].format(last=NODES)}"
        )
    node = f"1 + (n - 1) / {RUN} % {NODES}"
    placed = NUMBERS[kind].format(last=frames - RUN)
    held = f"n % {HELD} = 0"
    yield (
        "INSERT INTO replicas (frame_id, node_id, path, size, digest, state, verified_at) "
        f"SELECT n, {node}, 'frames/' || {runid} || '/' || {text} || 'p.fits.fz', 310000000, {MD5}, "
        f"CASE WHEN {held} THEN 'held' ELSE 'gone' END, {stamp} FROM {placed}"
    )
    yield (
        "INSERT INTO jobs (id, frame_id, node_id, stage, recipe, state, attempts, done_share, created_at, started_at, "
        f"ended_at) SELECT n, n, {node}, 'weight', 'r1', 'done', 1, 1.0, {stamp}, {stamp}, {stamp} "
        f"FROM {placed} WHERE {held}"
    )
    for sort, size in (("weight", 330_000_000), ("flag", 8_000_000)):
        yield (
            "INSERT INTO products (frame_id, job_id, node_id, stage, kind, state, path, size, digest, provenance, "
            f"verified_at, created_at) SELECT n, n, {node}, 'weight', '{sort}', 'held', "
            f"'products/' || {runid} || '/' || {text} || 'p_{sort}.fits.fz', {size}, {MD5}, '{{}}', {stamp}, {stamp} "
            f"FROM {placed} WHERE {held}"
        )


def into_sqlite(path: Path, frames: int = FRAMES) -> str:
    """Make the database in a file; give its address."""
    url = f"sqlite+aiosqlite:///{path}"
    asyncio.run(migration.upgrade(url))
    line = sqlite3.connect(path, isolation_level=None)
    hooks = line.execute(
        f"SELECT name, sql FROM sqlite_master WHERE type = 'trigger' AND tbl_name IN ({','.join('?' * len(TABLES))})",
        TABLES,
    ).fetchall()
    for pragma in ("journal_mode=OFF", "synchronous=OFF", "cache_size=-500000", "foreign_keys=OFF"):
        line.execute(f"PRAGMA {pragma}")
    indices = line.execute(
        "SELECT name, sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL "
        f"AND tbl_name IN ({','.join('?' * len(TABLES))})",
        TABLES,
    ).fetchall()
    line.execute("BEGIN")
    for sort, things in (("INDEX", indices), ("TRIGGER", hooks)):
        for name, _ in things:
            line.execute(f"DROP {sort} {name}")
    for statement in (*statements("sqlite", frames), *SUMS):
        line.execute(statement)
    for _, made in (*indices, *hooks):
        line.execute(made)
    line.execute("COMMIT")
    line.execute("PRAGMA journal_mode=WAL")
    line.close()
    return url


async def into_postgresql(url: str, frames: int = FRAMES) -> None:
    """Fill an empty database of a PostgreSQL server."""
    await migration.upgrade(url)
    line = await asyncpg.connect(url.replace("+asyncpg", ""))
    try:
        await line.execute("SET maintenance_work_mem = '1GB'; SET session_replication_role = replica")
        indices = await line.fetch(
            "SELECT indexname, indexdef FROM pg_indexes WHERE tablename = ANY($1) AND indexname LIKE 'ix%'", TABLES
        )
        for index in indices:
            await line.execute(f"DROP INDEX {index['indexname']}")
        for statement in (*statements("postgresql", frames), *SUMS):
            await line.execute(statement)
        for index in indices:
            await line.execute(index["indexdef"])
        for table in ("frames", "nodes", "jobs"):
            await line.execute(f"SELECT setval(pg_get_serial_sequence('{table}', 'id'), max(id)) FROM {table}")
        for table in (*TABLES, "nodes"):
            await line.execute(f"VACUUM ANALYZE {table}")
    finally:
        await line.close()


@contextmanager
def told(what: str) -> Iterator[None]:
    """Say on the way how long something takes."""
    begin = time.perf_counter()
    yield
    print(f"{what}: {time.perf_counter() - begin:.1f} s", file=sys.stderr, flush=True)
