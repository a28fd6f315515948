"""Loops that run beside each other until they are asked to stop."""

import asyncio
import contextlib
from typing import Final

GRACE: Final = 5.0
"""Seconds that what goes on has to end by itself once the daemon is asked to stop."""


async def pause(stopping: asyncio.Event, seconds: float) -> None:
    """Wait so long, or until it is time to stop."""
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(stopping.wait(), seconds)


async def first(*events: asyncio.Event, timeout: float | None = None) -> None:
    """Wait for the first of some events, or for the time-out."""
    waits = [asyncio.ensure_future(event.wait()) for event in events]
    try:
        await asyncio.wait(waits, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()


async def until_stopped(loops: list[asyncio.Task[None]], stopping: asyncio.Event) -> None:
    """Wait until the loops have ended as asked; if one fails, the others end with it and its error is ours."""
    asked = asyncio.create_task(stopping.wait())
    try:
        await asyncio.wait([*loops, asked], return_when=asyncio.FIRST_COMPLETED)
        if stopping.is_set():
            await asyncio.wait(loops, timeout=GRACE)
    finally:
        for task in (*loops, asked):
            task.cancel()
        ended = await asyncio.gather(*loops, return_exceptions=True)
    for problem in ended:
        if isinstance(problem, Exception):
            raise problem
