"""Receipts: what each follower says that it holds of a publication."""

from collections import defaultdict
from collections.abc import Collection
from datetime import datetime

from sqlalchemy import delete, select
from sqlalchemy.ext.asyncio import AsyncSession

from dbclient.records import PublicationRecord, ReceiptRecord, record
from dbclient.schema import Publication, PublicationState, Receipt
from dbclient.stores.insertion import insert_unless_there


class Receipts:
    """One row a follower and publication: what it said last."""

    async def note(
        self,
        session: AsyncSession,
        publication_id: int,
        *,
        follower: str,
        agrees: bool,
        wire: str | None,
        pixels: str | None,
        now: datetime,
    ) -> bool:
        """Note what a follower says; False where it has said the very same before."""
        said = {"agrees": agrees, "wire_digest": wire, "pixel_digest": pixels}
        number = await insert_unless_there(
            session, Receipt, publication_id=publication_id, follower=follower, told_at=now, **said
        )
        if number is not None:
            return True
        found = select(Receipt).where(Receipt.publication_id == publication_id, Receipt.follower == follower)
        row = (await session.scalars(found)).one()
        if {key: getattr(row, key) for key in said} == said:
            return False
        row.agrees, row.wire_digest, row.pixel_digest, row.told_at = agrees, wire, pixels, now
        return True

    async def withdraw_wrong(self, session: AsyncSession, publication_id: int) -> None:
        """Forget what does not agree: the followers are asked once more."""
        wrong = delete(Receipt).where(Receipt.publication_id == publication_id, Receipt.agrees.is_(False))
        await session.execute(wrong)

    async def of(self, session: AsyncSession, publications: Collection[int]) -> dict[int, list[ReceiptRecord]]:
        """Give the receipts of some publications, by their numbers."""
        found: dict[int, list[ReceiptRecord]] = defaultdict(list)
        query = select(Receipt).where(Receipt.publication_id.in_(publications)).order_by(Receipt.follower)
        for row in await session.scalars(query):
            found[row.publication_id].append(record(ReceiptRecord, row))
        return found

    async def unsettled(self, session: AsyncSession) -> list[tuple[PublicationRecord, list[ReceiptRecord]]]:
        """Give what followers have receipts for, and not all agree that they hold it."""
        waiting = Publication.state.in_((PublicationState.OFFERED, PublicationState.FAILED))
        query = (
            select(Publication, Receipt)
            .join(Receipt, Receipt.publication_id == Publication.id)
            .where(waiting)
            .order_by(Publication.id, Receipt.follower)
        )
        rows: dict[int, tuple[PublicationRecord, list[ReceiptRecord]]] = {}
        for publication, receipt in (await session.execute(query)).all():
            item = rows.setdefault(publication.id, (record(PublicationRecord, publication), []))
            item[1].append(record(ReceiptRecord, receipt))
        return list(rows.values())
