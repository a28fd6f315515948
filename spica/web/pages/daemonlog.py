"""The latest lines that a daemon logged on this host: live, by level and by letters."""

import asyncio
import socket
from typing import Final
from urllib.parse import urlencode

from aiohttp import web

from dbclient.records import DaemonRecord
from dbclient.stores import Events, Nodes
from spica.web.console import Console, console_of, render
from spica.web.gate import Access, access
from terapix.logfile import LEVELS, kept, tail

LOGGED: Final = ("snooppix", "publisher", "datatransfer", "datatransfer-node", "spica")
"""Daemons whose lines can be read: nothing that a browser sends becomes a path."""
UNITS: Final = {"publisher": "snooppix-publish"}
"""Units that are not called as their daemons are."""
SHOWN: Final = 200
"""Lines on the page."""
LONGEST: Final = 80
"""Characters of the letters that are looked for."""


@access(Access.READER)
async def log(request: web.Request) -> web.Response:
    """``/snooppix/log``"""
    console, asked = console_of(request), request.query
    daemon, level = asked.get("daemon") or LOGGED[0], asked.get("level") or "info"
    text, paused = asked.get("text", "").strip()[:LONGEST], asked.get("pause") == "1"
    if daemon not in LOGGED:
        raise web.HTTPBadRequest(text=f"There is no such daemon; they are: {', '.join(LOGGED)}.")
    if level not in LEVELS:
        raise web.HTTPBadRequest(text=f"There is no such level; they are: {', '.join(LEVELS)}.")
    lines = await asyncio.to_thread(tail, console.logs, daemon, level=level, text=text, limit=SHOWN)
    async with console.database.read() as session:
        heart = next((one for one in await Nodes().daemons(session) if one.name.partition(":")[0] == daemon), None)
        newest = await Events().newest_id(session)
    choice = {"daemon": daemon, "level": level, **({"text": text} if text else {})}
    return render(
        request,
        "log.html",
        lines=lines,
        daemon=daemon,
        daemons=LOGGED,
        level=level,
        levels=LEVELS,
        text=text,
        paused=paused,
        toggle=f"/snooppix/log?{urlencode(choice | ({} if paused else {'pause': '1'}))}",
        elsewhere=_elsewhere(console, daemon, heart),
        written=console.settings.journal.level,
        most=SHOWN,
        trigger="never" if paused else "log from:body",
        topics="tick" if paused else "tick,log",
        newest=newest,
    )


def _elsewhere(console: Console, daemon: str, heart: DaemonRecord | None) -> str | None:
    """Say where the lines are, if not here."""
    here = socket.gethostname()
    if heart is not None and heart.host != here:
        unit = UNITS.get(daemon, daemon)
        return f"{daemon} runs on {heart.host}, this page on {here}: journalctl -u {unit} shows its lines there."
    if not console.settings.journal.keep:
        return "No lines are kept: journal.keep is 0. journalctl shows the journal."
    if not kept(console.logs, daemon):
        return f"{daemon} has kept no line in {console.logs} on {here} yet."
    return None
