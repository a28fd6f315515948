"""The station: the process of one node that joins the scheduler and works off what it is sent."""

import argparse
import asyncio
import ctypes
import os
import signal
from collections.abc import Sequence
from pathlib import Path

from distributed import Worker

from dbclient.stages import SOURCES, STAGES
from spica.pipeline.access import KEY, Access
from spica.pipeline.engine import calm, configure
from spica.pipeline.stages import warm, warm_sources
from spica.pipeline.worker import idle, stopping
from terapix.journal import logger, open_journal
from terapix.sections import JournalSection

log = logger("spica.station")

FINISHING = 7.0
"""Seconds that a running job has to be given back; a stage looks up after each CCD, about half a second."""
DIES_WITH_PARENT = 1
"""PR_SET_PDEATHSIG of Linux' prctl."""


async def serve(*, scheduler: str, node: str, directory: Path, access: Access, host: str = "") -> None:
    """Join the scheduler and work until told to end, or until the scheduler is gone.

    Parameters
    ----------
    host : address of ours at which the scheduler reaches us; empty: the scheduler's own
    """
    configure(access)
    loop = asyncio.get_running_loop()
    end = asyncio.Event()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, end.set)
    async with Worker(
        scheduler,
        name=node,
        nthreads=1,
        dashboard=False,
        dashboard_address="127.0.0.1:0",
        host=f"{access.scheme}://{host}" if host else scheduler.rsplit(":", 1)[0],
        memory_limit=0,
        local_directory=str(directory),
    ) as worker:
        calm(worker)
        log.info("worker has joined", node=node, pid=os.getpid())
        ended = [asyncio.ensure_future(end.wait()), asyncio.ensure_future(worker.finished())]
        await asyncio.wait(ended, return_when=asyncio.FIRST_COMPLETED)
        log.info("worker is asked to stop", node=node)
        stopping.set()
        await asyncio.to_thread(idle.wait, FINISHING)
        for waiter in ended:
            waiter.cancel()


def main(argv: Sequence[str] | None = None) -> int:
    """Run a worker: ``python -m spica.pipeline.station --scheduler ADDRESS --node NAME --directory DIR``."""
    parser = argparse.ArgumentParser(prog="spica-station", description="TERAPIX worker of one node")
    parser.add_argument("--scheduler", required=True, metavar="ADDRESS")
    parser.add_argument("--node", required=True, metavar="NAME")
    parser.add_argument("--directory", required=True, type=Path, metavar="DIR", help="for Dask's own small files")
    parser.add_argument("--journal", default="info:auto", metavar="LEVEL:STYLE", help="what is logged, and how")
    parser.add_argument("--stages", nargs="*", default=STAGES, metavar="STAGE", help="what is wanted of frames")
    parser.add_argument("--parent", type=int, metavar="PID", help="end when this process, which started us, ends")
    arguments = parser.parse_args(argv)
    if arguments.parent:
        _die_with(arguments.parent)
    level, _, style = arguments.journal.partition(":")
    open_journal(JournalSection.model_validate({"level": level, "style": style}), daemon=f"worker:{arguments.node}")
    key = os.environ.pop(KEY, "")
    if not key:
        parser.error(f"{KEY} does not hold the key of the scheduler's channel")
    warm(arguments.directory.parent)
    if SOURCES in arguments.stages:
        warm_sources(arguments.directory.parent)
    access = Access.read(key)
    asyncio.run(serve(scheduler=arguments.scheduler, node=arguments.node, directory=arguments.directory, access=access))
    return 0


def _die_with(parent: int) -> None:
    """End this process as soon as its parent has ended, however that came."""
    libc = ctypes.CDLL(None, use_errno=True)
    if hasattr(libc, "prctl"):
        libc.prctl(DIES_WITH_PARENT, signal.SIGKILL)
    if os.getppid() != parent:
        raise SystemExit(0)


if __name__ == "__main__":
    raise SystemExit(main())
