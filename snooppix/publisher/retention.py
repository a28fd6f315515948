"""Retention: what was acknowledged long enough ago goes from to_CADC/; nothing else ever does."""

import asyncio
from datetime import timedelta
from typing import Final

from dbclient.database import Database
from dbclient.stores import Publications
from snooppix.publisher.ledger import SOURCE
from snooppix.publisher.shelf import Shelf
from terapix.clock import Clock
from terapix.journal import logger

log = logger("publisher")

AT_ONCE: Final = 100


async def delete_acknowledged(database: Database, shelf: Shelf, *, keep: float, clock: Clock) -> int:
    """Delete what was acknowledged more than `keep` days ago; return how many files were.

    The ledger is told first: a file that a kill leaves behind is removed by `sweep`.
    """
    now = clock.now()
    async with database.read() as session:
        due = await Publications().deletable(session, before=now - timedelta(days=keep), limit=AT_ONCE)
    for publication in due:
        async with database.write() as session:
            await Publications().deleted(session, publication.id, now=now, source=SOURCE)
        await asyncio.to_thread(shelf.remove, publication.name)
        log.info("acknowledged product deleted", file=publication.name, generation=publication.generation)
    return len(due)


async def sweep(database: Database, shelf: Shelf) -> list[str]:
    """Remove from the shelf what a killed publisher left; a file that the ledger does not know stays.

    That is: temporary files of no publication that is due, and files whose deletion is in the ledger.

    Returns
    -------
    list
        Names of what was removed.
    """
    async with database.read() as session:
        rows = await Publications().ledger(session)
    newest = {row.name: row for row in rows}
    wanted = {shelf.temporary(row.name, row.generation).name for row in rows if row.state.value == "due"}
    return await asyncio.to_thread(_sweep, shelf, wanted, {n for n, row in newest.items() if row.deleted_at})


def _sweep(shelf: Shelf, wanted: set[str], deleted: set[str]) -> list[str]:
    removed = []
    for path in sorted(shelf.directory.iterdir()):
        if (path.name.startswith(".") and path.name.endswith(".new") and path.name not in wanted) or (
            path.name in deleted
        ):
            path.unlink(missing_ok=True)
            removed.append(path.name)
    return removed
