"""The query service, asynchronous: jobs by the rules of UWS 1.1, as argus has them."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

from aiohttp import web

from snooppix.protocol.asking import asked, parameters, written
from snooppix.protocol.votable import error
from snooppix.standin.access import Verdict
from snooppix.standin.jobs import Job, NoJob, Phase, Result, document, listing
from snooppix.standin.jobs import parameters as parameters_of
from snooppix.standin.jobs import results as results_of
from snooppix.standin.site import NOBODY, SITE, Site, base, refuse
from snooppix.standin.tap import find

XML = "text/xml"
TEXT = "text/plain"
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


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
    return f"{base(request)}/argus/async"


def _owner(request: web.Request) -> str:
    user = request.app[SITE].caller(request)
    return user.name if user is not None else ""


def _to(address: str) -> web.Response:
    return web.Response(status=303, headers={"Location": address})


def _told(answer: Callable[[web.Request, Site, Job], Awaitable[web.StreamResponse]]) -> Handler:
    """Find the job for a handler, if it is the caller's."""

    async def handler(request: web.Request) -> web.StreamResponse:
        site = request.app[SITE]
        try:
            job = site.jobs.find(request.match_info["job"])
            if job.owner != _owner(request):
                return refuse(request, Verdict.FORBIDDEN, why="this job is somebody else's")
            return await answer(request, site, job)
        except NoJob as problem:
            return web.Response(status=problem.status, text=f"{problem}\n")

    return handler


async def _all(request: web.Request) -> web.Response:
    jobs = request.app[SITE].jobs.owned(_owner(request))
    phases = {text.upper() for text in request.query.getall("PHASE", [])}
    jobs = [job for job in jobs if not phases or job.phase.value in phases]
    last = request.query.get("LAST", "")
    return web.Response(
        text=listing(jobs[: int(last)] if last.isdecimal() else jobs, _list_address(request)), content_type=XML
    )


async def _create(request: web.Request) -> web.StreamResponse:
    site = request.app[SITE]
    if site.caller(request) is NOBODY:
        return refuse(request, Verdict.UNKNOWN)
    given = await parameters(request)
    try:
        job = site.jobs.create(given, owner=_owner(request), visible_at=site.visible_at(request))
    except NoJob as problem:
        return web.Response(status=problem.status, text=f"{problem}\n", headers={"Retry-After": "10"})
    if given.get("PHASE", "").upper() == "RUN":
        site.jobs.run(job, _work(site))
    return _to(f"{_list_address(request)}/{job.id}")


def _work(site: Site) -> Callable[[Job], Awaitable[Result]]:
    async def work(job: Job) -> Result:
        wanted = asked(job.parameters)
        if "DEST" in job.parameters:
            raise NoJob(400, "DEST: results are kept here alone, there is no VOSpace at the stand-in")
        answer = await find(site, wanted, visible_at=job.visible_at)
        return Result(await asyncio.to_thread(written, answer, wanted), wanted.media)

    return work


@_told
async def _show(request: web.Request, site: Site, job: Job) -> web.Response:
    if wait := request.query.get("WAIT", ""):
        try:
            seconds = float(wait)
        except ValueError:
            raise NoJob(400, f"WAIT={wait} is no number of seconds") from None
        await site.jobs.wait(job, request.query.get("PHASE", "").upper(), seconds)
    return web.Response(text=document(job, _list_address(request)), content_type=XML)


@_told
async def _change(request: web.Request, site: Site, job: Job) -> web.Response:
    given = await parameters(request)
    address = _list_address(request)
    part = request.match_info.get("part")
    if given.get("ACTION", "").upper() == "DELETE":
        site.jobs.remove(job)
        return _to(address)
    if "PHASE" in given:
        wish = given["PHASE"].upper()
        if wish == "RUN":
            site.jobs.run(job, _work(site))
        elif wish == "ABORT":
            site.jobs.abort(job)
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
async def _delete(request: web.Request, site: Site, job: Job) -> web.Response:
    site.jobs.remove(job)
    return _to(_list_address(request))


@_told
async def _part(request: web.Request, _: Site, job: Job) -> web.Response:
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
async def _result(_: web.Request, __: Site, job: Job) -> web.Response:
    if job.result is None:
        raise NoJob(404, f"job {job.id} is {job.phase.value}: it has no result")
    return web.Response(body=job.result.body, content_type=job.result.media)


def _moment(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError:
        raise NoJob(400, f"DESTRUCTION={text} is no time") from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
