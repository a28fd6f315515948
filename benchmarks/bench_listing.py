"""A listing of one million rows: first poll into SQLite, a poll with nothing new, and the full difference.

The listing is served by a process of its own that has its pages ready, so that
our side alone is measured: wall and CPU seconds, and the largest resident size.
"""

import asyncio
import os
import re
import resource
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import parse_qs

from figures import Row, command_line

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from dbclient.database import Database
from snooppix.cadc import Cadc
from snooppix.difference import Differ
from snooppix.files import Files
from snooppix.listing import COLUMNS
from snooppix.reception import Reception, Receptions
from snooppix.watcher import Watcher
from snooppix.wire import Wire
from terapix.clock import SystemClock
from terapix.journal import open_journal
from terapix.sections import ArchiveSection, JournalSection, SnooppixSection

ROWS = int(os.environ.get("LISTING_ROWS", "1000000"))
PAGE = 50_000
FIRST = 1_000_000
BEGIN = datetime(2008, 1, 1, tzinfo=UTC)
STEP = timedelta(seconds=3)
"""Between two changes: a look back of an hour lists 1200 rows again."""
LOOK_BACK = 3600.0
HEAD = (
    '<?xml version="1.0" encoding="UTF-8"?>\n<VOTABLE version="1.3"><RESOURCE type="results">'
    '<INFO name="QUERY_STATUS" value="OK"/><TABLE>'
    + "".join(f'<FIELD name="{name}" datatype="char" arraysize="*"/>' for name in COLUMNS)
    + "<DATA><TABLEDATA>\n"
)
TAIL = "</TABLEDATA></DATA></TABLE>{}</RESOURCE></VOTABLE>\n"
OVERFLOW = '<INFO name="QUERY_STATUS" value="OVERFLOW"/>'


def stamp(number: int) -> str:
    return (BEGIN + number * STEP).isoformat(timespec="milliseconds")[:23]


def row(number: int) -> str:
    """Write one row as the archive does."""
    name, at = f"{FIRST + number}p", stamp(number)
    run = f"{8 + number // 20_000:02d}AC{number // 1800 % 100:02d}"
    cells = (
        *(str(FIRST + number), run, "Marla Geha", f"D{number % 4}", "132.43", "63.575", at, name, "2", "08Am03"),
        *("2009-08-31T00:00:00.000", "2.0", at[:19], "r.MP9601", f"{54_555 + number / 28_800:.7f}", "468.332"),
        *(f"cadc:CFHT/{name}.fits.fz", str(310_000_000 + number), f"md5:{number:032x}"),
    )
    return f"<TR>{''.join(f'<TD>{cell}</TD>' for cell in cells)}</TR>\n"


def serve(port: int) -> None:
    """Answer queries from memory, each page from behind the row that the query names."""
    rows = [row(number).encode() for number in range(ROWS)]
    pages = {start: b"".join(rows[start : start + PAGE]) for start in range(0, ROWS, PAGE)}

    def answer(query: str) -> bytes:
        begin = 0
        if behind := re.search(r"a\.uri>'cadc:CFHT/(\d+)p", query):
            begin = int(behind[1]) - FIRST + 1
        elif mark := re.search(r"maxLastModified>='([^']+)'", query):
            begin = max(0, int((datetime.fromisoformat(mark[1] + "+00:00") - BEGIN) / STEP))
        body = pages[begin] if begin in pages else b"".join(rows[begin : begin + PAGE])
        more = begin + PAGE < ROWS
        return HEAD.encode() + body + TAIL.format(OVERFLOW if more else "").encode()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                length = int(re.search(rb"(?i)content-length: (\d+)", head)[1])  # type: ignore[index]
                form = parse_qs((await reader.readexactly(length)).decode())
                body = answer(form["QUERY"][0])
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/x-votable+xml\r\n")
                writer.write(f"Content-Length: {len(body)}\r\n\r\n".encode())
                writer.write(body)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    async def forever() -> None:
        server = await asyncio.start_server(talk, "127.0.0.1", port)
        print(server.sockets[0].getsockname()[1], flush=True)
        await server.serve_forever()

    asyncio.run(forever())


def cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def peak() -> float:
    """Largest resident size so far, MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


async def follow(port: int, root: Path) -> list[Row]:
    database = await Database.open(f"sqlite+aiosqlite:///{root / 'terapix.sqlite'}", create=True)
    section, clock = ArchiveSection(address=f"http://127.0.0.1:{port}/tap"), SystemClock()
    disk = Reception(root / "reception", reserve=0)
    disk.prepare()
    rows: list[Row] = []

    def note(part: str, begun: tuple[float, float], said: str, goal: str) -> None:
        wall, used = time.perf_counter() - begun[0], cpu() - begun[1]
        given = f"listing of {ROWS} rows in pages of {PAGE}, SQLite"
        rows.append(Row(part=part, input=given, ours=wall, ours_cpu=used, agreement=said, goal=goal))

    async with Wire(section, SnooppixSection()) as wire:
        archive = Cadc(wire, section, page=PAGE, clock=clock)
        watcher = Watcher(database, archive, look_back=LOOK_BACK, clock=clock)
        begun = time.perf_counter(), cpu()
        seen = await watcher.look()
        note("first poll", begun, f"{seen.new} frames in the database; peak {peak():.0f} MB", "10 s and 300 MB")
        begun = time.perf_counter(), cpu()
        seen = await watcher.look()
        note("poll with nothing new", begun, f"{seen.known} rows listed again, {seen.new} new", "50 ms of CPU")
        differ = Differ(database, archive, watcher, Files(database, Receptions(disk), clock=clock), clock=clock)
        begun = time.perf_counter(), cpu()
        found = await differ.compare(asked_by="benchmark")
        differing = sum(getattr(found, name) for name in ("missed", "changed", "withdrawn", "lost", "strange"))
        said = f"{found.listed} listed, {differing} differ; peak {peak():.0f} MB"
        note("full difference", begun, said, "60 s")
    disk.release()
    await database.close()
    return rows


def measure() -> list[Row]:
    open_journal(JournalSection(level="warning"), daemon="bench")
    server = subprocess.Popen([sys.executable, __file__, "--serve", "0"], stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None
        port = int(server.stdout.readline())
        with tempfile.TemporaryDirectory() as directory:
            return asyncio.run(follow(port, Path(directory)))
    finally:
        server.terminate()
        server.wait()


if __name__ == "__main__":
    if sys.argv[1:2] == ["--serve"]:
        serve(int(sys.argv[2]))
    else:
        command_line(measure)
