"""A site for tests against DaCHS: it lists thirty exposures, and the stand-in stores the files of three."""

import asyncio
import contextlib
import hashlib
import threading
from collections.abc import AsyncIterator, Coroutine, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

import pytest
from aiohttp import web

from snooppix.archive import Archive
from snooppix.archives import archive_of
from snooppix.names import Names
from snooppix.wire import Wire
from terapix.clock import SystemClock
from terapix.sections import Settings
from terapix.settings import load
from tests.dachs.centre import DataCentre
from tests.support.archive import ServedArchive

T = TypeVar("T")

FETCHED = ("979400p", "979401p", "979402p")
"""Frames whose files are served; all others are rows only."""
NUMBERS = range(979400, 979430)
STAMP = datetime(2008, 8, 5, 1, 2, 3, 795123, tzinfo=UTC)
"""To the microsecond, as PostgreSQL keeps stamps; ten exposures share each."""
FOREIGN = "c4d_130101_010203_ooi_g_v1"
"""A frame of another observatory, whose products are not called as their files are."""
RELEASES = {979403: datetime(2009, 8, 31, tzinfo=UTC), 979404: datetime(2009, 8, 31, 0, 0, 0, 500_000, tzinfo=UTC)}


class Loop:
    """An event loop in a thread, for servers that outlive one test."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self.thread.start()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(30)

    def close(self) -> None:
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join()
        self.loop.close()


@dataclass(slots=True)
class Site:
    """DaCHS that lists, and the stand-in that stores."""

    centre: DataCentre
    files: ServedArchive
    registry: str
    loop: Loop


@pytest.fixture(scope="module")
def site(data_centre: DataCentre, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    loop = Loop()
    directory = tmp_path_factory.mktemp("files")
    files = ServedArchive(directory, clock=SystemClock())
    loop.run(files.standin.start("127.0.0.1", 0))
    for name in FETCHED:
        files.offer(name, seed=int(name[:-1]))
    data_centre.resource("caom2", **caom_rows(directory))
    data_centre.resource("obs", frames=obscore_rows(directory, files.address))
    runner, registry = loop.run(_registry(data_centre, files))
    yield Site(data_centre, files, registry, loop)
    loop.run(runner.cleanup())
    loop.run(files.standin.close())
    loop.close()


async def _registry(centre: DataCentre, files: ServedArchive) -> tuple[web.AppRunner, str]:
    """Serve a registry in which DaCHS is the table access service, and the stand-in the locator."""
    lines = (
        f"ivo://terapix.test/tap = {centre.capabilities}",
        f"ivo://cadc.nrc.ca/global/raven = {files.address}/raven/capabilities",
    )

    async def answer(_: web.Request) -> web.Response:
        return web.Response(text="\n".join(lines))

    app = web.Application()
    app.router.add_get("/reg/resource-caps", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    server = web.TCPSite(runner, "127.0.0.1", 0)
    await server.start()
    return runner, f"http://127.0.0.1:{runner.addresses[0][1]}/reg/resource-caps"


def file_of(directory: Path, name: str) -> tuple[int, str]:
    """Size and digest of a frame's file, or of one that is not there."""
    path = directory / f"{name}.fits.fz"
    content = path.read_bytes() if path.exists() else name.encode()
    return len(content), f"md5:{hashlib.md5(content, usedforsecurity=False).hexdigest()}"


def changed(number: int) -> datetime:
    return STAMP + timedelta(hours=(number - NUMBERS[0]) // 10)


def caom_rows(directory: Path) -> dict[str, list[dict[str, Any]]]:
    observations, planes, artifacts = [], [], []
    for number in NUMBERS:
        stamp = changed(number).strftime("%Y-%m-%dT%H:%M:%S.%f")
        stamps = {"lastModified": stamp, "maxLastModified": stamp}
        observations.append(
            {
                "obsID": f"o{number}",
                "collection": "CFHT",
                "observationID": str(number),
                "type": "OBJECT",
                "intent": "science",
                "metaRelease": "2008-04-01T00:00:00",
                "proposal_id": "08AC14" if number % 2 else "08A_14",
                "proposal_pi": "Marla Geha",
                "target_name": "UrsaMajII_4",
                "targetPosition_coordinates_cval1": 359.5 if number % 3 else 0.5,
                "targetPosition_coordinates_cval2": 63.1,
                "instrument_name": "MegaPrime",
                **stamps,
            }
        )
        for letter, level in (("o", 1), ("p", 2)):
            size, digest = file_of(directory, f"{number}{letter}")
            release = RELEASES.get(number)
            planes.append(
                {
                    "obsID": f"o{number}",
                    "planeID": f"{number}{letter}",
                    "publisherID": f"ivo://terapix.test/CFHT?{number}/{number}{letter}",
                    "productID": f"{number}{letter}",
                    "metaRelease": "2008-04-01T00:00:00",
                    "dataRelease": release.strftime("%Y-%m-%dT%H:%M:%S.%f") if release else "",
                    "calibrationLevel": level,
                    "provenance_version": "2.0",
                    "provenance_runID": "08Am03",
                    "provenance_lastExecuted": "2008-08-04T22:44:54" if letter == "p" else "",
                    "energy_bandpassName": "r.MP9601",
                    "time_bounds_lower": 54555.25 + (number - NUMBERS[0]) / 1000,
                    "time_exposure": 468.332,
                    **stamps,
                }
            )
            artifacts.append(
                {
                    "uri": f"cadc:CFHT/{number}{letter}.fits.fz",
                    "planeID": f"{number}{letter}",
                    "productType": "science",
                    "releaseType": "data",
                    "contentType": "application/fits",
                    "contentLength": size,
                    "contentChecksum": digest,
                    **stamps,
                }
            )
    observations.append(
        observations[-1]
        | {"obsID": "decam", "collection": "NOAO", "instrument_name": "decam", "observationID": "c4d_130101_010203"}
    )
    planes.append(planes[-1] | {"obsID": "decam", "planeID": "decam", "productID": "ooi_g_v1"})
    artifacts.append(artifacts[-1] | {"uri": f"noao:NOAO/{FOREIGN}.fits.fz", "planeID": "decam"})
    return {"Observation": observations, "Plane": planes, "Artifact": artifacts}


def obscore_rows(directory: Path, files: str) -> list[dict[str, Any]]:
    rows = []
    for number in NUMBERS:
        for letter, level in (("o", 1), ("p", 2)):
            name = f"{number}{letter}"
            collection = "CFHT" if number % 2 else "cfht"  # in capitals and in small letters: a dictionary mixes them
            links = number == NUMBERS[1]
            address = f"{files}/raven/files/cadc:CFHT/{name}.fits.fz"
            release = RELEASES.get(number)
            rows.append(
                {
                    "did": f"ivo://terapix.test/{collection}?{number}/{name}",
                    "obsid": str(number),
                    "collection": "CFHT",
                    "instrument": "MegaPrime",
                    "url": f"{files}/caom2ops/datalink?ID=ivo://cadc.nrc.ca/CFHT?{number}/{name}" if links else address,
                    "mime": "application/x-votable+xml;content=datalink" if links else "image/fits",
                    "kilobytes": file_of(directory, name)[0] // 1024,
                    "target": "UrsaMajII_4",
                    "ra": 359.5 if number % 3 else 0.5,
                    "dec": 63.1,
                    "begin": 54555.25 + (number - NUMBERS[0]) / 1000,
                    "exposure": 468.332,
                    "calib": level,
                    "release": release.strftime("%Y-%m-%dT%H:%M:%S.%f") if release else "",
                    "programme": "08AC14",
                }
            )
    rows.append(rows[-1] | {"url": f"{files}/preview.jpg", "mime": "image/jpeg"})
    return rows


def settings_for(site: Site, directory: Path, kind: str, **sections: dict[str, Any]) -> Settings:
    archive: dict[str, Any] = {"kind": kind, "hosts": ["127.0.0.1"]}
    if kind == "caom2":
        archive |= {"registry": site.registry, "tap": "ivo://terapix.test/tap"}
    else:
        archive |= {"address": site.centre.tap}
    snooppix = {"poll": 0.2, "reserve": 0, "read_timeout": 10.0, "page": 7} | sections.pop("snooppix", {})
    overrides = {
        "paths": {"directory": str(directory)},
        "archive": archive | sections.pop("archive", {}),
        "snooppix": snooppix,
        **sections,
    }
    return load(environment={}, overrides=overrides).settings


@contextlib.asynccontextmanager
async def client(
    site: Site, kind: str, tmp_path: Path, *, names: Names | None = None, **sections: dict[str, Any]
) -> AsyncIterator[Archive]:
    settings = settings_for(site, tmp_path, kind, **sections)
    async with Wire(settings.archive, settings.snooppix) as wire:
        yield archive_of(settings, wire, names=names or Names(), clock=SystemClock())
