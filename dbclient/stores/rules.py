"""Rules of automatic transfers: rows in an order, each change an event."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from dbclient.errors import NoSuchRow
from dbclient.records import record
from dbclient.rulebook import RuleRecord
from dbclient.schema import Rule
from dbclient.stores.events import Events

PATTERNS = ("runid", "filter", "instrument", "program")
"""Columns that hold a pattern."""


class Rules:
    """Adds, moves and removes rules; their positions are always 1, 2, 3 …"""

    async def all(self, session: AsyncSession) -> list[RuleRecord]:
        """Give all rules in their order."""
        rows = await session.scalars(select(Rule).order_by(Rule.position, Rule.id))
        return [record(RuleRecord, row) for row in rows]

    async def add(
        self, session: AsyncSession, *, by: str, now: datetime, position: int | None = None, **columns: Any
    ) -> RuleRecord:
        """Add a rule, last unless its position is given."""
        rows = await self._locked(session)
        words = {"priority": 0, "policy": None, "node": None, "enabled": True, "comment": ""}
        row = Rule(position=0, changed_by=by, changed_at=now, **(dict.fromkeys(PATTERNS, "*") | words | columns))
        rows.insert(len(rows) if position is None else max(0, position - 1), row)
        session.add(row)
        await self._number(session, rows)
        added = record(RuleRecord, row)
        await self._tell(session, "rule-added", f"adds rule {added.position}: {in_words(added)}", by=by, now=now)
        return added

    async def move(self, session: AsyncSession, position: int, to: int, *, by: str, now: datetime) -> RuleRecord:
        """Put a rule elsewhere in the order.

        Raises
        ------
        NoSuchRow
        """
        rows = await self._locked(session)
        row = rows.pop(self._index(rows, position))
        rows.insert(min(len(rows), max(0, to - 1)), row)
        row.changed_by, row.changed_at = by, now
        await self._number(session, rows)
        moved = record(RuleRecord, row)
        words = f"puts rule {position} in place {moved.position}: {in_words(moved)}"
        await self._tell(session, "rule-moved", words, by=by, now=now)
        return moved

    async def change(
        self, session: AsyncSession, position: int, *, by: str, now: datetime, **columns: Any
    ) -> RuleRecord:
        """Change what a rule says.

        Raises
        ------
        NoSuchRow
        """
        rows = await self._locked(session)
        row = rows[self._index(rows, position)]
        before = in_words(record(RuleRecord, row))
        for name, value in columns.items():
            setattr(row, name, value)
        row.changed_by, row.changed_at = by, now
        await session.flush()
        changed = record(RuleRecord, row)
        words = f"changes rule {position}: {in_words(changed)} (before: {before})"
        await self._tell(session, "rule-changed", words, by=by, now=now)
        return changed

    async def remove(self, session: AsyncSession, position: int, *, by: str, now: datetime) -> RuleRecord:
        """Remove a rule; the event keeps what it said.

        Raises
        ------
        NoSuchRow
        """
        rows = await self._locked(session)
        row = rows.pop(self._index(rows, position))
        gone = record(RuleRecord, row)
        await session.delete(row)
        await self._number(session, rows)
        await self._tell(session, "rule-removed", f"removes rule {position}: {in_words(gone)}", by=by, now=now)
        return gone

    async def _locked(self, session: AsyncSession) -> list[Rule]:
        return list(await session.scalars(select(Rule).order_by(Rule.position, Rule.id).with_for_update()))

    @staticmethod
    def _index(rows: Sequence[Rule], position: int) -> int:
        if not 1 <= position <= len(rows):
            raise NoSuchRow("rule", position)
        return position - 1

    async def _number(self, session: AsyncSession, rows: Sequence[Rule]) -> None:
        for number, row in enumerate(rows, start=1):
            if row.position != number:
                row.position = number
        await session.flush()

    async def _tell(self, session: AsyncSession, kind: str, message: str, *, by: str, now: datetime) -> None:
        await Events().append(session, source=f"operator:{by}"[:60], kind=kind, message=f"{by} {message}", now=now)


def in_words(rule: RuleRecord) -> str:
    """Say a rule in words: ``runid 08A*, filter r.* go to node2 with priority 5``."""
    which = ", ".join(f"{name} {pattern}" for name in PATTERNS if (pattern := getattr(rule, name)) != "*")
    where = "stay at reception" if rule.policy == "hold" else f"go to {rule.node}" if rule.node else "go"
    how = f" by {rule.policy}" if rule.policy and rule.policy != "hold" and not rule.node else ""
    first = f" with priority {rule.priority}" if rule.priority else ""
    return f"{which or 'all frames'} {where}{how}{first}{'' if rule.enabled else ' (off)'}"
