"""A small ObsCore archive for tests: a table in SQLite behind TAP, documents of links, and files."""

import contextlib
import sqlite3
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from xml.sax.saxutils import escape

from aiohttp import web

from snooppix.protocol.adql import translate
from snooppix.protocol.facts import digest_header

STANDARD = {
    "obs_publisher_did": "TEXT",
    "obs_id": "TEXT",
    "obs_collection": "TEXT",
    "instrument_name": "TEXT",
    "target_name": "TEXT",
    "calib_level": "INTEGER",
    "t_min": "REAL",
    "t_exptime": "REAL",
    "s_ra": "REAL",
    "s_dec": "REAL",
    "access_url": "TEXT",
    "access_format": "TEXT",
    "access_estsize": "INTEGER",
}
LINKS = "application/x-votable+xml;content=datalink"


def votable(names: Sequence[str], rows: Sequence[Sequence[Any]], *, overflow: bool = False) -> str:
    """Write a table as TABLEDATA."""
    fields = "".join(f'<FIELD name="{name}" datatype="char" arraysize="*"/>' for name in names)
    body = "".join(
        "<TR>" + "".join(f"<TD>{escape('' if cell is None else str(cell))}</TD>" for cell in row) + "</TR>"
        for row in rows
    )
    end = '<INFO name="QUERY_STATUS" value="OVERFLOW"/>' if overflow else ""
    head = '<VOTABLE><RESOURCE type="results"><INFO name="QUERY_STATUS" value="OK"/>'
    return f"{head}<TABLE>{fields}<DATA><TABLEDATA>{body}</TABLEDATA></DATA></TABLE>{end}</RESOURCE></VOTABLE>"


@dataclass(slots=True)
class ObsCoreServer:
    """The archive; `rows` may be changed at any time."""

    columns: Mapping[str, str]
    rows: list[dict[str, Any]] = field(default_factory=list)
    files: dict[str, bytes] = field(default_factory=dict)
    links: dict[str, str] = field(default_factory=dict)
    """Documents by identity."""
    queries: list[str] = field(default_factory=list)
    """What was asked."""
    digest_of: Callable[[bytes], bytes] | None = None
    """Gives the MD5 that a Digest header tells of a file; none: there is no such header."""
    address: str = ""

    @property
    def tap(self) -> str:
        return f"{self.address}/tap"

    def offer(self, name: str, content: bytes = b"", *, did: str = "", **cells: Any) -> dict[str, Any]:
        """List a file, and store it."""
        self.files[f"{name}.fits.fz"] = content
        row = {
            "obs_publisher_did": did or f"ivo://elsewhere.org/obs?{name}",
            "obs_id": name.rstrip("abcdefghijklmnopqrstuvwxyz"),
            "obs_collection": "CFHT",
            "instrument_name": "MegaPrime",
            "target_name": "UrsaMajII_4",
            "calib_level": 2,
            "t_min": 54555.25,
            "t_exptime": 468.332,
            "s_ra": 132.4,
            "s_dec": 63.6,
            "access_url": f"{self.address}/files/{name}.fits.fz",
            "access_format": "image/fits",
            "access_estsize": 310_000,
            **cells,
        }
        self.rows.append(row)
        return row

    async def sync(self, request: web.Request) -> web.Response:
        form = await request.post()
        self.queries.append(str(form["QUERY"]))
        line = sqlite3.connect(":memory:")
        try:
            line.execute("ATTACH ':memory:' AS ivoa")
            line.execute(f"CREATE TABLE ivoa.obscore ({', '.join(f'{c} {t}' for c, t in self.columns.items())})")
            line.execute("PRAGMA case_sensitive_like = OFF")  # as many servers do
            marks = ",".join("?" * len(self.columns))
            cells = [[row.get(column) for column in self.columns] for row in self.rows]
            line.executemany(f"INSERT INTO ivoa.obscore VALUES ({marks})", cells)
            limit = int(str(form["MAXREC"]))
            found = line.execute(translate(str(form["QUERY"])).sql)
            rows = found.fetchmany(limit + 1)
            names = [entry[0].strip("`") for entry in found.description]
        except sqlite3.Error as problem:
            status = f'<INFO name="QUERY_STATUS" value="ERROR">{escape(str(problem))}</INFO>'
            return web.Response(text=f"<VOTABLE><RESOURCE>{status}</RESOURCE></VOTABLE>")
        finally:
            line.close()
        return web.Response(text=votable(names, rows[:limit], overflow=len(rows) > limit))

    async def document(self, request: web.Request) -> web.Response:
        return web.Response(text=self.links[request.query["ID"]], headers={"Content-Type": LINKS})

    async def file(self, request: web.Request) -> web.Response:
        content = self.files.get(request.match_info["name"])
        if content is None:
            return web.Response(status=404)
        told = {"Digest": digest_header(self.digest_of(content))} if self.digest_of else {}
        return web.Response(body=content, headers=told)


@contextlib.asynccontextmanager
async def served_obscore(**more: str) -> AsyncIterator[ObsCoreServer]:
    """Serve an archive on loopback; `more` are columns beside those that ObsCore demands, with their types."""
    server = ObsCoreServer({**STANDARD, **more})
    app = web.Application()
    app.router.add_post("/tap/sync", server.sync)
    app.router.add_get("/links", server.document)
    app.router.add_get("/files/{name}", server.file)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        server.address = f"http://127.0.0.1:{runner.addresses[0][1]}"
        yield server
    finally:
        await runner.cleanup()
