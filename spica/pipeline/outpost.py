"""The outpost: the worker of a node on another host than the scheduler; joins it as long as both are there.

``terapix up --role node`` runs one for each node of its host, and starts it again when the scheduler was away.
"""

import argparse
import asyncio
import os
from collections.abc import Sequence
from pathlib import Path

from dbclient.stages import SOURCES
from spica.pipeline.access import Access
from terapix.journal import keep_journal
from terapix.settings import load


def main(argv: Sequence[str] | None = None) -> int:
    """Run a worker: ``python -m spica.pipeline.outpost --node NAME -c FILE``."""
    parser = argparse.ArgumentParser(prog="spica-outpost", description="TERAPIX worker of a node on this host")
    parser.add_argument("-c", "--config", type=Path, metavar="FILE", help="settings file (terapix.toml)")
    parser.add_argument("--node", required=True, metavar="NAME")
    arguments = parser.parse_args(argv)
    settings = load(arguments.config).settings
    keep_journal(settings, daemon=f"worker-{arguments.node}")
    cache = settings.at(settings.paths.cache)
    os.environ.setdefault("NUMBA_CACHE_DIR", str(cache / "numba"))
    from spica.pipeline.stages import warm, warm_sources  # noqa: PLC0415 - as above
    from spica.pipeline.station import serve  # noqa: PLC0415 - numba looks for its cache when it is loaded

    access = Access.of(settings)
    place = cache / "dask" / arguments.node
    place.mkdir(parents=True, exist_ok=True)
    warm(place.parent)
    if SOURCES in settings.processing.stages:
        warm_sources(place.parent)
    asyncio.run(
        serve(
            scheduler=f"{access.scheme}://{settings.spica.scheduler}",
            node=arguments.node,
            directory=place,
            access=access,
            host=settings.agent.listen,
        )
    )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
