"""``/help``: how to do what the pages show, a page a task."""

from typing import Final

from aiohttp import web

from spica.web.console import console_of, render
from spica.web.gate import Access, access

TOPICS: Final = {
    "configure": "configure transfers",
    "free-disk": "free disk space",
    "transfer": "transfer a file or a run",
    "modes": "run, pause and resume a mode",
    "rules": "write rules of automatic transfers",
    "history": "read the history of transfers",
    "reload": "force a file to be reloaded into the database",
    "why": "find out why a frame is where it is",
    "statistics": "count what came and what was made of it",
}
"""Name of each page below templates/help, and what it tells how to do."""


@access(Access.READER)
async def index(request: web.Request) -> web.Response:
    """``/help``"""
    return render(request, "help.html", topic=None, title="How to", topics=list(TOPICS.items()))


@access(Access.READER)
async def topic(request: web.Request) -> web.Response:
    """``/help/{topic}``"""
    name = request.match_info["topic"]
    if name not in TOPICS:
        raise web.HTTPNotFound(text=f"There is no help on {name}; there is on: {', '.join(TOPICS)}.")
    settings = console_of(request).settings
    title = f"How to {TOPICS[name]}"
    return render(request, "help.html", topic=name, title=title, topics=list(TOPICS.items()), settings=settings)
