"""The query service, asynchronous: jobs by the rules of UWS 1.1, as argus has them."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from aiohttp import web

from snooppix.protocol.asking import Asked, asked, parameters, written
from snooppix.protocol.tables import Answer
from snooppix.protocol.uws import Job, Jobs, NoJob, Phase, Result, document, listing
from snooppix.protocol.uws import parameters as parameters_of
from snooppix.protocol.uws import results as results_of
from snooppix.protocol.votable import error

XML = "text/xml"
LARGEST = 128 << 20
"""Bytes of a result at most."""
BYTES_A_CELL = 26
VOTABLE_GROWS = 2.4
"""The archive reckons so, before it knows the rows."""
TEXT = "text/plain"
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """What the archive whose queries these are brings along."""

    jobs: Jobs
    base: Callable[[web.Request], str]
    """Address under which the caller reached us."""
    owner: Callable[[web.Request], str]
    """Name of the caller; empty for one without a credential."""
    refusal: Callable[[web.Request], web.Response | None]
    """Answer to a caller who may make no jobs; none where he may."""
    visible_at: Callable[[web.Request], str | None]
    """Time at which descriptions must be public for this caller; none: the caller sees all."""
    find: Callable[[Asked, str | None], Awaitable[Answer]]
    """Runs a query on what is visible at a time."""


DESK = web.AppKey("desk", Desk)


def routes() -> list[tuple[str, str, Handler]]:
    """Give method, path and handler of all that can be asked."""
    one = "/argus/async/{job}"
    parts = one + "/{part:phase|executionduration|destruction|quote|owner|parameters|error|results}"
    return [
        ("GET", "/argus{slashes:/+}async", _all),
        ("POST", "/argus{slashes:/+}async", _create),
        ("GET", one, _show),
        ("POST", one, _change),
        ("DELETE", one, _delete),
        ("GET", parts, _part),
        ("POST", parts, _change),
        ("GET", one + "/results/result", _result),
    ]


def _list_address(request: web.Request) -> str:
    return f"{request.app[DESK].base(request)}/argus/async"


def _to(address: str) -> web.Response:
    return web.Response(status=303, headers={"Location": address})


def _told(answer: Callable[[web.Request, Desk, Job], Awaitable[web.StreamResponse]]) -> Handler:
    """Find the job for a handler, if it is the caller's."""

    async def handler(request: web.Request) -> web.StreamResponse:
        desk = request.app[DESK]
        try:
            job = desk.jobs.find(request.match_info["job"])
            if job.owner != desk.owner(request):
                return web.Response(status=403, text="permission denied: this job is somebody else's\n")
            return await answer(request, desk, job)
        except NoJob as problem:
            return web.Response(status=problem.status, text=f"{problem}\n")

    return handler


async def _all(request: web.Request) -> web.Response:
    desk = request.app[DESK]
    jobs = desk.jobs.owned(desk.owner(request))
    phases = {text.upper() for text in request.query.getall("PHASE", [])}
    jobs = [job for job in jobs if not phases or job.phase.value in phases]
    last = request.query.get("LAST", "")
    return web.Response(
        text=listing(jobs[: int(last)] if last.isdecimal() else jobs, _list_address(request)), content_type=XML
    )


async def _create(request: web.Request) -> web.StreamResponse:
    desk = request.app[DESK]
    if (refusal := desk.refusal(request)) is not None:
        return refusal
    given = await parameters(request)
    try:
        job = desk.jobs.create(given, owner=desk.owner(request), visible_at=desk.visible_at(request))
    except NoJob as problem:
        return web.Response(status=problem.status, text=f"{problem}\n", headers={"Retry-After": "10"})
    if given.get("PHASE", "").upper() == "RUN":
        desk.jobs.run(job, _work(desk))
    return _to(f"{_list_address(request)}/{job.id}")


def most_rows(columns: int, media: str) -> int:
    """Give how many rows the result of a job may have, by the archive's own reckoning: fewer as a VOTable."""
    rows = LARGEST / (BYTES_A_CELL * max(1, columns))
    return int(rows / VOTABLE_GROWS if "xml" in media else rows)


def _work(desk: Desk) -> Callable[[Job], Awaitable[Result]]:
    async def work(job: Job) -> Result:
        wanted = asked(job.parameters)
        if "DEST" in job.parameters:
            raise NoJob(400, "DEST: results are kept here alone, there is no VOSpace here")
        answer = await desk.find(wanted, job.visible_at)
        answer = answer.first(most_rows(len(answer.columns), wanted.media))
        return Result(await asyncio.to_thread(written, answer, wanted), wanted.media)

    return work


@_told
async def _show(request: web.Request, desk: Desk, job: Job) -> web.Response:
    if wait := request.query.get("WAIT", ""):
        try:
            seconds = float(wait)
        except ValueError:
            raise NoJob(400, f"WAIT={wait} is no number of seconds") from None
        await desk.jobs.wait(job, request.query.get("PHASE", "").upper(), seconds)
    return web.Response(text=document(job, _list_address(request)), content_type=XML)


@_told
async def _change(request: web.Request, desk: Desk, job: Job) -> web.Response:
    given = await parameters(request)
    address = _list_address(request)
    part = request.match_info.get("part")
    if given.get("ACTION", "").upper() == "DELETE":
        desk.jobs.remove(job)
        return _to(address)
    if "PHASE" in given:
        wish = given["PHASE"].upper()
        if wish == "RUN":
            desk.jobs.run(job, _work(desk))
        elif wish == "ABORT":
            desk.jobs.abort(job)
        else:
            raise NoJob(400, f"PHASE={wish} can not be asked for, only RUN and ABORT")
    elif part == "destruction" or "DESTRUCTION" in given:
        job.destruction = min(_moment(given.get("DESTRUCTION", "")), job.destruction)
    elif part == "executionduration" or "EXECUTIONDURATION" in given:
        seconds = given.get("EXECUTIONDURATION", "")
        if not seconds.isdecimal():
            raise NoJob(400, f"EXECUTIONDURATION={seconds} is no number of seconds")
        job.duration = min(int(seconds), job.duration) or job.duration
    elif job.phase is not Phase.PENDING:
        raise NoJob(403, f"job {job.id} is {job.phase.value}: its parameters can not be changed")
    else:
        job.parameters |= given
    return _to(f"{address}/{job.id}")


@_told
async def _delete(request: web.Request, desk: Desk, job: Job) -> web.Response:
    desk.jobs.remove(job)
    return _to(_list_address(request))


@_told
async def _part(request: web.Request, _: Desk, job: Job) -> web.Response:
    part = request.match_info["part"]
    found = f"{_list_address(request)}/{job.id}/results/result"
    told: dict[str, Callable[[], tuple[str, str]]] = {
        "phase": lambda: (job.phase.value, TEXT),
        "executionduration": lambda: (str(job.duration), TEXT),
        "destruction": lambda: (f"{job.destruction.astimezone(UTC):%Y-%m-%dT%H:%M:%S.000Z}", TEXT),
        "quote": lambda: (f"{job.created.astimezone(UTC):%Y-%m-%dT%H:%M:%S.000Z}", TEXT),
        "owner": lambda: (job.owner, TEXT),
        "parameters": lambda: (parameters_of(job, alone=True), XML),
        "results": lambda: (results_of(job, found, alone=True), XML),
        "error": lambda: (error(job.error), "application/x-votable+xml"),
    }
    if part == "error" and not job.error:
        raise NoJob(404, f"job {job.id} has no error")
    text, media = told[part]()
    return web.Response(text=text, content_type=media)


@_told
async def _result(_: web.Request, __: Desk, job: Job) -> web.Response:
    if job.result is None:
        raise NoJob(404, f"job {job.id} is {job.phase.value}: it has no result")
    return web.Response(body=job.result.body, content_type=job.result.media)


def _moment(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError:
        raise NoJob(400, f"DESTRUCTION={text} is no time") from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
