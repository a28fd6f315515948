"""Retention: what was acknowledged long enough ago goes from to_CADC/; nothing else ever does."""

import asyncio
from datetime import timedelta
from typing import Final

from dbclient.database import Database
from dbclient.records import PublicationRecord
from dbclient.schema import PublicationState
from dbclient.stores import Publications
from snooppix.publisher.ledger import LOST, SOURCE
from snooppix.publisher.shelf import Shelf
from snooppix.publisher.shelves import Shelves
from terapix.clock import Clock
from terapix.journal import logger

log = logger("publisher")

AT_ONCE: Final = 100


async def delete_acknowledged(database: Database, shelves: Shelves, *, keep: float, clock: Clock) -> int:
    """Delete what was acknowledged more than `keep` days ago; return how many files were.

    The ledger is told first: a file that a kill leaves behind is removed by `sweep`.
    """
    now = clock.now()
    async with database.read() as session:
        due = await Publications().deletable(session, before=now - timedelta(days=keep), limit=AT_ONCE)
    gone = 0
    for publication in due:
        async with shelves.moving:  # else the next generation could take the name in between, and go in its place
            async with database.write() as session:
                may_go = await Publications().deleted(session, publication.id, now=now, source=SOURCE)
            if may_go:
                await asyncio.to_thread(shelves.named(publication.disk).remove, publication.name)
                gone += 1
                log.info("acknowledged product deleted", file=publication.name, generation=publication.generation)
    return gone


async def sweep(database: Database, shelves: Shelves) -> list[str]:
    """Remove from the shelves what a killed publisher left; a file that the ledger does not know stays.

    That is: temporary files of no publication that is due, files whose deletion is in the ledger, and files whose
    newest generation lies on another disk.

    Returns
    -------
    list
        Names of what was removed.
    """
    async with database.read() as session:
        rows = await Publications().ledger(session)
    newest = {row.name: row for row in rows}
    due = [row for row in rows if row.state is PublicationState.DUE]
    removed = []
    for shelf in shelves.usable:
        wanted = {shelf.temporary(row.name, row.generation).name for row in due}
        elsewhere = {n for n, row in newest.items() if row.path and shelves.named(row.disk) is not shelf}
        deleted = {n for n, row in newest.items() if row.deleted_at}
        removed += await asyncio.to_thread(_sweep, shelf, wanted, deleted | elsewhere)
    return removed


async def missed(database: Database, shelves: Shelves, *, clock: Clock) -> list[str]:
    """Find what is offered and not on its shelf, or of another size there, and let it be laid out again.

    Returns
    -------
    list
        Names.
    """
    async with database.read() as session:
        rows = [row for row in await Publications().on_shelves(session) if row.state is PublicationState.OFFERED]
    lost = await asyncio.to_thread(lambda: [row for row in rows if not _stands(shelves, row)])
    for row in lost:
        log.warning("an offered file is not on its shelf", file=row.name)
        async with database.write() as session:
            await Publications().lay_out_again(session, row, reason=LOST, now=clock.now(), source=SOURCE)
    return [row.name for row in lost]


def _stands(shelves: Shelves, row: PublicationRecord) -> bool:
    path = shelves.path(row)
    if path is None or shelves.named(row.disk).trouble is not None:
        return True  # its disk is away, and comes back with it
    try:
        return path.stat().st_size == row.size
    except FileNotFoundError:
        return False


def _sweep(shelf: Shelf, wanted: set[str], deleted: set[str]) -> list[str]:
    removed = []
    for path in sorted(shelf.directory.iterdir()):
        if (path.name.startswith(".") and path.name.endswith(".new") and path.name not in wanted) or (
            path.name in deleted
        ):
            path.unlink(missing_ok=True)
            removed.append(path.name)
    return removed
