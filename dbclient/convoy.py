"""Convoy: what many tasks have to write goes to the database together, in one write unit.

While one unit is written to the disk, the steps that come meanwhile wait and make the
next one: the more there is to do, the more steps share a commit. A step that fails
takes none of the others along: then all are undone, and each is done by itself.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from sqlalchemy.ext.asyncio import AsyncSession

from dbclient.errors import Busy, Full, Unreachable

T = TypeVar("T")
Step = Callable[[AsyncSession], Awaitable[T]]
"""Calls of stores on the session that it is given; it may be called again after it was undone."""

MOST: Final = 64
"""Steps of one unit: others wait for SQLite's lock as long as it lasts."""
AILING: Final = (Unreachable, Busy, Full)
"""Trouble of the database itself, which each step alone would meet again."""


@dataclass(slots=True, eq=False)
class Load:
    """A step, and what becomes of it."""

    step: Step[Any]
    outcome: asyncio.Future[Any]
    begun: bool = False


class Convoy:
    """Steps that wait for the next unit, and the task that carries them out."""

    def __init__(self, write: Callable[[], AbstractAsyncContextManager[AsyncSession]]) -> None:
        self._write = write
        self._waiting: list[Load] = []
        self._carrier: asyncio.Task[None] | None = None

    async def carry(self, step: Step[T]) -> T:
        """Have a step done and committed; give what it gives, or raise what it raises.

        Who is cancelled takes along a step that has not begun; one that has is seen through first.
        """
        outcome: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        load = Load(step, outcome)
        self._waiting.append(load)
        if self._carrier is None or self._carrier.done():
            self._carrier = asyncio.create_task(self._carry(), name="convoy")
        try:
            return await asyncio.shield(outcome)
        except asyncio.CancelledError:
            if load.begun and not outcome.done():
                await asyncio.wait({outcome})
            if not outcome.cancel() and not outcome.cancelled():
                outcome.exception()  # it is nobody's concern any more
            raise

    async def end(self) -> None:
        """Wait until all that waits is written."""
        while self._carrier is not None and not self._carrier.done():
            await asyncio.wait({self._carrier})

    async def _carry(self) -> None:
        while self._waiting:
            unit, self._waiting = self._waiting[:MOST], self._waiting[MOST:]
            try:
                await self._together([load for load in unit if not load.outcome.done()])
            finally:  # whoever ends this task ends what waits for it
                for load in unit:
                    load.outcome.cancel()

    async def _together(self, unit: list[Load]) -> None:
        for load in unit:
            load.begun = True
        try:
            async with self._write() as session:
                found = [await load.step(session) for load in unit]
        except Exception as problem:  # noqa: BLE001 - it belongs to those whose steps these are
            if len(unit) > 1 and not isinstance(problem, AILING):
                for load in unit:
                    await self._together([load])
                return
            for load in unit:
                if not load.outcome.done():
                    load.outcome.set_exception(problem)
        else:
            for load, result in zip(unit, found, strict=True):
                if not load.outcome.done():
                    load.outcome.set_result(result)
