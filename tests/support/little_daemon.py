"""A daemon for tests: beats, then waits; finishes a piece of work when it is told to stop.

``python -m tests.support.little_daemon DIRECTORY [-c FILE]``; LITTLE_WORK in the environment says what it works at.
"""

import asyncio
import os
import sys
from pathlib import Path

from terapix.daemon import Daemon, command
from terapix.errors import TerapixError


class Lost(TerapixError):
    """What the work may fail with."""


def main(directory: Path, argv: list[str]) -> int:
    async def work(daemon: Daemon) -> None:
        (directory / "endpoint").write_text(str(daemon.endpoint))
        match os.environ.get("LITTLE_WORK"):
            case "fails":
                raise Lost("frame 979412p is lost: fetch it again")
            case "breaks":
                raise ZeroDivisionError("by nothing")
            case "hangs":
                await daemon.ready("hangs")
                await asyncio.Event().wait()
        changed = asyncio.Event()
        daemon.on_reload.append(lambda _: changed.set())
        await daemon.ready(f"looks every {daemon.settings.snooppix.poll:g} s")
        while not daemon.stopping.is_set():
            changed.clear()
            await daemon.beat(f"looks every {daemon.settings.snooppix.poll:g} s", frames=3, page="http://127.0.0.1:1/")
            waiters = [asyncio.ensure_future(event.wait()) for event in (daemon.stopping, changed)]
            await asyncio.wait(waiters, return_when=asyncio.FIRST_COMPLETED)
            for waiter in waiters:
                waiter.cancel()
        await asyncio.sleep(0)
        (directory / "finished").touch()

    return command("snooppix", work, argv)


if __name__ == "__main__":
    raise SystemExit(main(Path(sys.argv[1]), sys.argv[2:]))
