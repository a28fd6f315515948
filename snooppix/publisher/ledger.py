"""The ledger: what is to be published is entered, what followers say of it is judged, and both are events."""

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from dbclient.database import Database
from dbclient.records import PublicationRecord, ReceiptRecord
from dbclient.schema import Level, PublicationState
from dbclient.stores import Events, Publications, Receipts
from dbclient.stores.publications import Registration
from snooppix.publisher.acknowledgement import Acknowledgement, Judgement, Outcome, judge, standing
from snooppix.publisher.names import MAPS, NoPublishedName, Sort, map_name
from terapix.clock import Clock
from terapix.errors import TerapixError
from terapix.journal import logger

log = logger("publisher")

SOURCE: Final = "publisher"
REFUSED: Final = "acknowledgement-refused"
REGISTERED: Final = "it is registered again"
LOST: Final = "it was not on its shelf, or not whole"
ANEW: Final = 60.0
"""Seconds between two comparisons of all products with the ledger."""
UNIT: Final = 100
"""Entries a transaction, so that others may write in between."""


class OldContent(TerapixError):
    """The bytes are those of a generation that a newer one has replaced."""

    def __init__(self, name: str, *, old: int, newest: int) -> None:
        super().__init__(
            f"this file is generation {old} of {name}, and generation {newest} has replaced it: "
            "an older file is never published again"
        )


class UnknownKind(TerapixError):
    """publisher.kinds names what has no published name."""

    def __init__(self, kinds: Sequence[str]) -> None:
        super().__init__(
            f"publisher.kinds: {', '.join(kinds)} cannot be published as they are made: "
            f"only {' and '.join(sorted(MAPS))} can"
        )


def sorts_of(kinds: Sequence[str]) -> tuple[Sort, ...]:
    """Read publisher.kinds.

    Raises
    ------
    UnknownKind
    """
    wrong = [kind for kind in kinds if kind not in MAPS]
    if wrong:
        raise UnknownKind(wrong)
    return tuple(Sort(kind) for kind in kinds)


class Ledger:
    """Enters and judges; each call is a transaction of its own."""

    def __init__(
        self,
        database: Database,
        *,
        clock: Clock,
        floors: Mapping[str, int] | None = None,
        awaited: Callable[[], Collection[str]] = frozenset,
    ) -> None:
        self.database = database
        self.clock = clock
        self.floors = dict(floors or {})
        """Generations that names have reached, as the shelf's manifest tells."""
        self.awaited = awaited
        """Followers without whom nothing is safe; empty: whoever acknowledges."""
        self._judging = asyncio.Lock()
        """Two followers that acknowledge at the same moment must see each other's receipts."""
        self._behind = 0
        """Number of the newest product that was looked at."""
        self._compared = float("-inf")
        self._warned: set[tuple[str, int, str]] = set()

    async def enter_wanted(self, sorts: Sequence[Sort]) -> int:
        """Enter every product of these sorts that is held and not in the ledger; return how many were.

        Between two comparisons of everything only what was made since is looked at.
        """
        entered, behind = 0, 0
        now = self.clock.monotonic()
        if now - self._compared < ANEW:
            behind = self._behind
        else:
            self._compared = now
        while sorts:
            async with self.database.read() as session:
                found = await Publications().unpublished(session, kinds=sorts, limit=UNIT, behind=behind)
            if not found:
                break
            behind = found[-1].product_id
            self._behind = max(self._behind, behind)
            async with self.database.write() as session:
                for product in found:
                    try:
                        name = map_name(product.frame, Sort(product.kind))
                    except NoPublishedName as problem:
                        log.debug("product has no published name", why=str(problem))
                        continue
                    wanted = Registration(
                        name=name,
                        kind=product.kind,
                        source=product.source,
                        digest=product.digest,
                        product_id=product.product_id,
                        frame_id=product.frame_id,
                        runid=product.runid,
                    )
                    await self._enter(session, wanted)
                    entered += 1
        return entered

    async def enter_by_hand(self, wanted: Registration) -> PublicationRecord:
        """Enter one file.

        Raises
        ------
        OldContent
            If it is the file of an older generation: such a file was once put back on-line by hand, and it took months
            to clear.
        """
        async with self.database.write() as session:
            known = await Publications().generations(session, wanted.name)
            for older in known[1:]:
                if older.wire_digest == wanted.digest != known[0].wire_digest:
                    raise OldContent(wanted.name, old=older.generation, newest=known[0].generation)
            row = await self._enter(session, wanted)
            if row.state is PublicationState.FAILED:  # who held something else is asked, or sent the file, once more
                await Receipts().withdraw_wrong(session, row.id)
                await Publications().lay_out_again(
                    session, row, reason=REGISTERED, path=wanted.source, now=self.clock.now(), source=SOURCE
                )
            return await Publications().get(session, row.id)

    async def _enter(self, session: Any, wanted: Registration) -> PublicationRecord:
        return await Publications().register(
            session, wanted, floor=self.floors.get(wanted.name, 0), now=self.clock.now(), source=SOURCE
        )

    async def outdated(self, publication: PublicationRecord) -> bool:
        """Take out of the listing what the manifest knows a newer generation of: an older ledger was put back."""
        reached = self.floors.get(publication.name, 0)
        if publication.generation >= reached:
            return False
        async with self.database.write() as session:
            await Publications().outdate(session, publication.id, reached=reached, now=self.clock.now(), source=SOURCE)
        log.error("an older generation is not published", file=publication.name, newest=reached)
        return True

    async def lost(self, publication: PublicationRecord) -> bool:
        """Let what is offered and not whole on its shelf be laid out again."""
        if publication.state is not PublicationState.OFFERED:
            return False
        async with self.database.write() as session:
            return await Publications().lay_out_again(
                session, publication, reason=LOST, now=self.clock.now(), source=SOURCE
            )

    async def judge(self, told: Acknowledgement, *, by: str) -> Judgement:
        """Take an acknowledgement in. Doing it twice does no harm."""
        now = self.clock.now()
        async with self._judging, self.database.write() as session:
            newest = await Publications().newest(session, told.name)
            judgement = judge(told, newest)
            if newest is not None:
                await self._note(session, newest, told, judgement, by)
            elif self._first(told, by):
                message = f"acknowledgement refused: {judgement.sentence} ({by})"
                await Events().append(
                    session, source=SOURCE, kind=REFUSED, message=message, level=Level.WARNING, now=now
                )
        log.info("acknowledgement", file=told.name, generation=told.generation, by=by, outcome=judgement.outcome.name)
        return judgement

    async def _note(
        self, session: Any, newest: PublicationRecord, told: Acknowledgement, judgement: Judgement, by: str
    ) -> None:
        now = self.clock.now()
        match judgement.outcome:
            case Outcome.SAFE | Outcome.DIFFERS:
                agrees = judgement.outcome is Outcome.SAFE
                if await Receipts().note(
                    session, newest.id, follower=by, agrees=agrees, wire=told.wire, pixels=told.pixels, now=now
                ):
                    receipts = (await Receipts().of(session, [newest.id]))[newest.id]
                    await self._settle(session, newest, receipts, "" if agrees else f"{judgement.sentence} ({by})")
            case _ if self._first(told, by):
                message = f"acknowledgement refused: {judgement.sentence} ({by})"
                await Publications().tell(session, newest.id, REFUSED, message, now=now, source=SOURCE)

    async def _settle(
        self, session: Any, row: PublicationRecord, receipts: Sequence[ReceiptRecord], reason: str = ""
    ) -> None:
        """Bring a publication to the state that its receipts give it."""
        state, said = standing(receipts, self.awaited())
        now = self.clock.now()
        if state is PublicationState.ACKNOWLEDGED:
            await Publications().acknowledge(session, row.id, by=said[:60], now=now, source=SOURCE)
        elif state is PublicationState.FAILED:
            await Publications().fail(session, row.id, reason=reason or said, now=now, source=SOURCE)
        elif row.reason != said:
            await Publications().half_way(session, row.id, reason=said, now=now, source=SOURCE)

    async def settle(self) -> None:
        """Look again at what some followers have and others have not: who is awaited may have changed."""
        async with self._judging, self.database.write() as session:
            for row, receipts in await Receipts().unsettled(session):
                if standing(receipts, self.awaited())[0] is not row.state:
                    await self._settle(session, row, receipts)

    def _first(self, told: Acknowledgement, by: str) -> bool:
        """Whether this was not told before in this life: a follower may repeat itself for ever."""
        key = (told.name, told.generation, by)
        if key in self._warned or len(self._warned) >= 10_000:
            return False
        self._warned.add(key)
        return True


def entry(
    publication: PublicationRecord, receipts: Sequence[ReceiptRecord] = (), *, follower: str = ""
) -> dict[str, Any]:
    """Give a row of the ledger as both sides exchange it: as it stands for a follower, where one is named."""
    own = next((receipt for receipt in receipts if receipt.follower == follower and receipt.agrees), None)
    acknowledged = publication.acknowledged_at if not follower or not receipts else own.told_at if own else None
    return {
        "name": publication.name,
        "generation": publication.generation,
        "kind": publication.kind,
        "state": publication.state.value,
        "size": publication.size,
        "wire_digest": publication.wire_digest,
        "pixel_digest": publication.pixel_digest,
        "runid": publication.runid,
        "offered_at": _moment(publication.offered_at),
        "acknowledged_at": _moment(acknowledged),
        "acknowledged_by": publication.acknowledged_by,
        "received_by": [receipt.follower for receipt in receipts if receipt.agrees],
        "deleted_at": _moment(publication.deleted_at),
        "reason": publication.reason,
    }


def manifest(offered: Sequence[PublicationRecord], floors: Mapping[str, int]) -> list[dict[str, Any]]:
    """Give the lines of the manifest.

    Where the ledger was lost, or an older one was put back, the generations
    that names had reached stand there as ``reached``, so that they are not given again.
    """
    lines = []
    for publication in offered:
        told = entry(publication)
        line = {
            key: told[key] for key in ("name", "generation", "kind", "size", "wire_digest", "pixel_digest", "runid")
        }
        reached = floors.get(publication.name, 0)
        lines.append(line | {"reached": reached} if reached > publication.generation else line)
    known = {publication.name for publication in offered}
    lines += [{"name": name, "reached": number} for name, number in sorted(floors.items()) if name not in known]
    return lines


def source_of(path: Path) -> str:
    """Give the source of a file registered by hand, as the ledger keeps it."""
    return str(path.absolute())


def _moment(value: Any) -> str | None:
    return value.isoformat() if value is not None else None
