"""The console as one application: its routes, its guards, and the watcher that keeps its pages fresh."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

from aiohttp import web

from dbclient.database import Database
from spica.accounts import Sessions
from spica.web.console import CONSOLE, Console, console_of, make_templates, read_assets
from spica.web.gate import Access, access, gate, problems
from spica.web.live import Live
from spica.web.pages import (
    actions,
    api,
    audit,
    configuration,
    daemonlog,
    entrance,
    frame,
    frames,
    lists,
    overview,
    pixels,
    queue,
    snooppix,
    statistics,
    traffic,
    transfer,
)
from spica.web.pages import help as help_pages
from spica.web.pages.daemonlog import LOGGED
from spica.web.policy import HEADERS
from terapix.clock import Clock
from terapix.http import guard
from terapix.instruments import load_instrument
from terapix.logfile import stamp
from terapix.sections import Settings

LARGEST_FORM = 64 * 1024
"""Bytes of a form."""


def build(database: Database, settings: Settings, clock: Clock, *, config: Path | None = None) -> web.Application:
    """Make the console.

    Parameters
    ----------
    database : open already
    settings : of which spica.reading says whether reading needs the operator's session
    clock : what "now" is on the pages
    config : file of the settings, over which operators' versions are laid
    """
    assets = read_assets()
    console = Console(
        database=database,
        settings=settings,
        clock=clock,
        sessions=Sessions(database, clock, longest=settings.spica.session),
        live=Live(),
        instrument=load_instrument(settings.snooppix.instrument),
        assets=assets,
        templates=make_templates(assets),
        config=config,
    )
    app = web.Application(
        middlewares=[guard(names=frozenset({settings.spica.host}), headers=HEADERS), problems, gate],
        client_max_size=LARGEST_FORM,
    )
    app[CONSOLE] = console
    app.add_routes(routes())
    app.cleanup_ctx.append(_watch)
    app.on_shutdown.append(_stop)
    return app


def routes() -> list[web.RouteDef]:
    """List every address of the console."""
    name = r"{name:[A-Za-z0-9][A-Za-z0-9._+-]{0,79}}"
    return [
        web.get("/", overview.overview),
        web.get("/frames", frames.frames),
        web.get(f"/frames/{name}", frame.frame),
        web.get(f"/frames/{name}/pixels/{{generation:\\d{{1,9}}}}", pixels.pixels),
        web.get(f"/frames/{name}/cutout/{{generation:\\d{{1,9}}}}", pixels.cutout),
        web.get(r"/products/{number:\d{1,18}}", frame.product),
        web.get("/runs", lists.runs),
        web.get("/nodes", lists.nodes),
        web.get("/nodes/audit", audit.audit),
        web.get("/history", lists.history),
        web.get("/statistics", statistics.statistics),
        web.get("/statistics.csv", statistics.as_table),
        web.get("/transfer", transfer.transfer),
        web.post("/transfer/modes", transfer.set_mode),
        web.post("/transfer/orders", transfer.withdraw),
        web.post("/transfer/queue", queue.set_pause),
        web.post("/transfer/rules", transfer.set_rule),
        web.get("/transfer/history", traffic.history),
        web.get("/transfer/history.csv", traffic.history_table),
        web.get("/flow", traffic.flow),
        web.get("/filters", traffic.filters),
        web.get("/help", help_pages.index),
        web.get("/help/{topic:[a-z-]{1,20}}", help_pages.topic),
        web.get("/snooppix", snooppix.snooppix),
        web.post("/snooppix/control", snooppix.control),
        web.get(r"/snooppix/lists/{what:[a-z]{1,20}}", snooppix.whole_list),
        web.get("/snooppix/runs/{runid:[^/]{1,60}}", snooppix.run),
        web.get("/snooppix/log", daemonlog.log),
        web.get("/snooppix/configuration", configuration.page),
        web.post("/snooppix/configuration", configuration.edit),
        web.get("/events", api.live),
        web.get("/login", entrance.login_page),
        web.post("/login", entrance.login),
        web.post("/logout", entrance.logout),
        web.post("/theme", entrance.theme),
        web.post(r"/actions/{kind:[a-z]{1,20}}", actions.act),
        web.get("/api/v1/summary", api.summary),
        web.get("/api/v1/frames", api.frames),
        web.get(f"/api/v1/frames/{name}", api.frame),
        web.get("/api/v1/nodes", api.nodes),
        web.get("/api/v1/runs", api.runs),
        web.get("/api/v1/snooppix", api.snooppix),
        web.get("/api/v1/transfers", traffic.history_document),
        web.get("/api/v1/statistics", statistics.as_document),
        web.get("/api/v1/events", api.events),
        web.get("/static/{path:[a-z0-9./-]{1,80}}", static),
        web.get("/favicon.ico", favicon),
    ]


@access(Access.ANYBODY)
async def static(request: web.Request) -> web.Response:
    """``/static/…``: one of the files read at the start, and nothing else."""
    asset = console_of(request).assets.get(request.match_info["path"])
    if asset is None:
        raise web.HTTPNotFound
    dated = request.query.get("v") == asset.version
    keep = "public, max-age=31536000, immutable" if dated else "no-cache"
    charset = "utf-8" if asset.content_type.startswith("text/") else None
    return web.Response(
        body=asset.body, content_type=asset.content_type, charset=charset, headers={"Cache-Control": keep}
    )


@access(Access.ANYBODY)
async def favicon(request: web.Request) -> web.Response:
    """``/favicon.ico``: asked for by browsers that look nowhere else."""
    asset = console_of(request).assets["icon.svg"]
    return web.Response(body=asset.body, content_type=asset.content_type, headers={"Cache-Control": "max-age=86400"})


async def _watch(app: web.Application) -> AsyncIterator[None]:
    """Watch the database while the console runs."""
    console = app[CONSOLE]
    watchers = [
        asyncio.create_task(console.live.watch(console.database)),
        asyncio.create_task(console.live.watch_logs(lambda: tuple(stamp(console.logs, name) for name in LOGGED))),
    ]
    yield
    console.live.stop()
    for watcher in watchers:
        watcher.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await watcher


async def _stop(app: web.Application) -> None:
    """End the open streams, which would hold the shutdown up."""
    app[CONSOLE].live.stop()
