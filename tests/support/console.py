"""The console in a test: on a database of its own, with a client that behaves like a browser."""

import contextlib
import re
import shutil
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aiohttp import ClientResponse, CookieJar, web
from aiohttp.test_utils import TestClient, TestServer

from dbclient.database import Database
from dbclient.engines import file_of
from spica.accounts import ensure_operator
from spica.web.app import build
from terapix.clock import SetClock
from terapix.sections import Settings
from tests.support.full_night import NOW, Night, seed

_blank: list[tuple[bytes, str]] = []
"""A new database with its operator's password, made by the first test that needs one."""
CSRF = re.compile(r'name="csrf" value="([^"]+)"')


@dataclass(slots=True)
class Page:
    """A running console."""

    client: TestClient[web.Request, web.Application]
    database: Database
    clock: SetClock
    settings: Settings
    password: str
    night: Night | None

    @property
    def address(self) -> str:
        return str(self.client.make_url("/")).rstrip("/")

    async def get(self, path: str, **more: Any) -> ClientResponse:
        return await self.client.get(path, allow_redirects=False, **more)

    async def post(self, path: str, data: dict[str, str], **more: Any) -> ClientResponse:
        """Send a form as our own page would."""
        headers = {"Sec-Fetch-Site": "same-origin", **more.pop("headers", {})}
        return await self.client.post(path, data=data, headers=headers, allow_redirects=False, **more)

    async def text(self, path: str, *, status: int = 200) -> str:
        answer = await self.get(path)
        assert answer.status == status, (path, answer.status, await answer.text())
        return await answer.text()

    async def sign_in(self) -> str:
        """Sign in and give the token that the forms carry."""
        answer = await self.post("/login", {"name": "operator", "password": self.password, "next": "/"})
        assert answer.status == 303, await answer.text()
        return await self.token()

    async def token(self) -> str:
        found = CSRF.search(await self.text("/"))
        assert found
        return found[1]


class Served(TestServer):
    """A server that lets a handler end when its browser has left, as the daemon's does.

    The one of aiohttp's tests cancels it, and a FileResponse cancelled while it opens its file never closes it.
    """

    async def _make_runner(self, **more: Any) -> web.AppRunner:
        return web.AppRunner(self.app, **(more | {"handler_cancellation": False, "shutdown_timeout": 2.0}))


@contextlib.asynccontextmanager
async def console(
    directory: Path, *, seeded: bool = True, held: Path | None = None, **spica: Any
) -> AsyncIterator[Page]:
    """Serve a console; `held` is a database that was filled before, `spica` changes settings of that section."""
    settings = Settings.model_validate({"paths": {"directory": str(directory)}, "spica": spica})
    clock = SetClock(NOW)
    password = await _make(settings)
    if held is not None:
        shutil.copyfile(held, settings.at(Path(held.name)))
    database = await Database.open(settings.database_url)
    try:
        night = await seed(database, directory, now=NOW) if seeded and held is None else None
        app = build(database, settings, clock)
        async with TestClient(Served(app), cookie_jar=CookieJar(unsafe=True)) as client:
            yield Page(client, database, clock, settings, password, night)
    finally:
        await database.close()


async def _make(settings: Settings) -> str:
    """Put a new database in place and give its operator's password."""
    file = file_of(settings.database_url)
    assert file
    if not _blank:
        database = await Database.open(settings.database_url, create=True)
        async with database.write() as session:
            password = await ensure_operator(session, NOW)
        await database.close()
        assert password
        _blank.append((file.read_bytes(), password))
    file.write_bytes(_blank[0][0])
    return _blank[0][1]


def plain(text: str) -> str:
    """Take the tags out and the white space together."""
    return " ".join(re.sub(r"<[^>]+>", " ", text).split())
