"""The courier: what the coordinator asks of agents, and what it makes of their answers."""

import asyncio
import contextlib
import json
import os
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import aiohttp

from datatransfer.agent.leftovers import Leftover
from datatransfer.agent.line import FILES
from datatransfer.agent.reading import Reading
from datatransfer.agent.receiver import Parcel
from datatransfer.agent.trust import Trust
from datatransfer.errors import LinkBroken, MoveError, NodeUnreachable, rebuilt
from datatransfer.mover import Carried

ANSWER: Final = 5.0
"""Seconds that an agent has to answer what it can answer at once; as a disk has (`datatransfer.disks`)."""
LIVE: Final = 8.0
"""Seconds without a line after which an agent that is at work counts as gone; it says something twice a second."""
LINE: Final = 1 << 20
"""Bytes of a line at most."""


class Silent(MoveError):
    """An agent does not answer, or not as one."""


class Courier:
    """Talks to the agents of all hosts."""

    def __init__(self, trust: Trust) -> None:
        self._trust = trust
        self._held: aiohttp.ClientSession | None = None

    def _session(self) -> aiohttp.ClientSession:
        if self._held is None or self._held.closed:
            connector = aiohttp.TCPConnector(ssl=self._trust.client or False, limit=0, limit_per_host=16)
            self._held = aiohttp.ClientSession(connector=connector, headers=self._trust.headers(), trust_env=False)
        return self._held

    async def close(self) -> None:
        if self._held is not None:
            await self._held.close()

    async def status(self, address: str, *, deadline: float = ANSWER) -> dict[str, Any]:
        """Ask for disks, load and version.

        Raises
        ------
        Silent
        """
        found: dict[str, Any] = await self._ask("GET", address, "/v1/status", deadline=deadline)
        return found

    async def remove(self, address: str, place: str, *, size: int) -> bool:
        """Have a file removed; tell whether it was there."""
        path = f"{FILES}{quote(place)}?size={size}"
        return bool((await self._ask("DELETE", address, path, deadline=2 * ANSWER))["removed"])

    async def set_aside(self, address: str, root: str, path: str, why: Mapping[str, str]) -> str | None:
        """Have a file moved into quarantine; give where it lies then, None if it was not there."""
        body = {"root": root, "path": path, "why": dict(why)}
        found = await self._ask("POST", address, "/v1/set-aside", deadline=2 * ANSWER, body=body)
        kept: str | None = found["kept"]
        return kept

    async def sizes(self, address: str, root: str, paths: Sequence[str]) -> dict[str, int | None]:
        """Ask for the sizes of files; None for what is not there."""
        found: dict[str, int | None] = await self._ask(
            "POST", address, "/v1/sizes", deadline=2 * ANSWER, body={"root": root, "paths": list(paths)}
        )
        return found

    async def keep_parts(self, address: str, root: str, paths: Sequence[str]) -> None:
        """Have what has come of files kept for longer."""
        body = {"root": root, "paths": list(paths)}
        await self._ask("POST", address, "/v1/keep", deadline=2 * ANSWER, body=body)

    async def listing(self, address: str, root: str) -> dict[str, int]:
        """Ask for every file of a root with its size."""
        return {
            str(item["path"]): int(item["size"])
            async for item in self._lines("GET", address, f"/v1/list/{root}", silence=60.0)
        }

    async def leftovers(self, address: str, root: str) -> list[Leftover]:
        """Ask for scratch and what was set aside."""
        lines = self._lines("GET", address, f"/v1/leftovers/{root}", silence=60.0)
        return [Leftover(str(item["path"]), int(item["size"]), float(item["used"])) async for item in lines]

    async def remove_leftover(self, address: str, root: str, leftover: Leftover) -> bool:
        """Have a leftover removed that is as it was listed; tell whether it was there."""
        path = f"/v1/leftovers/{root}"
        return bool((await self._ask("POST", address, path, deadline=2 * ANSWER, body=asdict(leftover)))["removed"])

    async def digests(self, address: str, root: str, paths: Sequence[str]) -> dict[str, str | None]:
        """Have files read again and give their digests; None for what cannot be read."""
        lines = self._lines("POST", address, "/v1/digests", body={"root": root, "paths": list(paths)})
        return {str(item["path"]): item["digest"] async for item in lines if item}

    async def read(self, address: str, root: str, path: str, *, rate: float) -> Reading:
        """Have a file read again at no more than a rate (bytes a second; 0: any)."""
        body = {"root": root, "path": path, "rate": rate}
        async for item in self._lines("POST", address, "/v1/read", body=body):
            if item:
                return Reading(**{**item, "wrong": tuple(item["wrong"])})
        raise Silent(f"{address} ended without telling what {path} reads as")

    async def pace(self, address: str, rates: Mapping[tuple[str, str], int]) -> None:
        """Set how many bytes a second come over each link, from a root to a root; over all others as fast as it goes.

        Raises
        ------
        Silent
        """
        links = [{"from": link[0], "to": link[1], "rate": rate} for link, rate in rates.items()]
        await self._ask("POST", address, "/v1/pace", deadline=ANSWER, body={"links": links})

    async def bring(
        self, address: str, parcels: Sequence[Parcel], *, progress: Callable[[int], None]
    ) -> list[Carried | MoveError]:
        """Have an agent fetch files from another one; give what became of each.

        Raises
        ------
        LinkBroken
            When the agent falls silent; what it has fetched stays there, and asking again goes on with it.
        NodeUnreachable
            When it cannot be reached at all.
        """
        ended: list[Carried | MoveError | None] = [None] * len(parcels)
        body = {
            "files": [
                {
                    "source": parcel.source,
                    "from": parcel.origin,
                    "to": f"{parcel.root}/{parcel.path}",
                    "digest": parcel.digest,
                    "size": parcel.size,
                }
                for parcel in parcels
            ]
        }
        begun = asyncio.Event()
        try:
            async for item in self._lines("POST", address, "/v1/bring", body=body, begun=begun):
                if "done" in item:
                    progress(int(item["done"]))
                for end in item.get("ended", ()):
                    arrived = end["state"] == "arrived"
                    ended[end["file"]] = (
                        Carried(int(end["size"]), str(end["how"])) if arrived else rebuilt(end["problem"])
                    )
        except Silent as problem:
            if begun.is_set():
                raise LinkBroken(address, str(problem)) from problem
            raise NodeUnreachable(Path(address), str(problem)) from problem
        return [LinkBroken(address, "it ended without a word") if what is None else what for what in ended]

    async def _ask(
        self, method: str, address: str, path: str, *, deadline: float, body: Mapping[str, Any] | None = None
    ) -> Any:
        with _worded(address):
            async with (
                asyncio.timeout(deadline),
                self._session().request(method, f"{address}{path}", json=body, allow_redirects=False) as answer,
            ):
                await _accepted(address, answer)
                return await answer.json()

    async def _lines(
        self,
        method: str,
        address: str,
        path: str,
        *,
        body: Mapping[str, Any] | None = None,
        silence: float = LIVE,
        begun: asyncio.Event | None = None,
    ) -> AsyncIterator[dict[str, Any]]:
        """Give the lines of an answer; `begun` is set once the agent has taken the request on."""
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=ANSWER, sock_read=silence)
        with _worded(address):
            async with self._session().request(
                method, f"{address}{path}", json=body, timeout=timeout, allow_redirects=False, read_bufsize=LINE
            ) as answer:
                await _accepted(address, answer)
                if begun is not None:
                    begun.set()
                while True:
                    async with asyncio.timeout(silence):
                        line = await answer.content.readline()
                    if not line:
                        return
                    yield json.loads(line)


async def _accepted(address: str, answer: aiohttp.ClientResponse) -> None:
    if answer.status != HTTPStatus.OK:
        said = (await answer.text())[:200].strip()
        raise Silent(f"{address} answers {answer.status}: {said}")


@contextlib.contextmanager
def _worded(address: str) -> Iterator[None]:
    """Say in words what goes wrong with a connection."""
    try:
        yield
    except TimeoutError as problem:
        raise Silent(f"{address} does not answer") from problem
    except aiohttp.ClientConnectorCertificateError as problem:
        raise Silent(f"{address} is not trusted: {problem.certificate_error}") from problem
    except aiohttp.ClientConnectorError as problem:
        why = os.strerror(problem.os_error.errno) if problem.os_error.errno else str(problem.os_error)
        raise Silent(f"{address} does not answer: {why}") from problem
    except (aiohttp.ClientError, OSError, ValueError) as problem:
        raise Silent(f"{address} does not answer: {str(problem) or type(problem).__name__}") from problem
