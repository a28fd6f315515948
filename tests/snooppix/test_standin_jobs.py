"""Queries that run by themselves go through the phases of UWS, are told, waited for and forgotten."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import aiohttp
import pytest
from defusedxml.ElementTree import fromstring

from snooppix.protocol.async_tap import most_rows
from snooppix.protocol.uws import Job, Jobs, NoJob, Phase, Result
from snooppix.standin.kinds import Overflow, QueryError, SyncElsewhere
from snooppix.standin.site import Access
from terapix.clock import SetClock
from tests.support.archive import ServedArchive

UWS = "{http://www.ivoa.net/xml/UWS/v1.0}"
QUERY = "SELECT uri FROM caom2.Artifact ORDER BY uri"
NOW = datetime(2026, 11, 25, tzinfo=UTC)


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as client:
        yield client


class Argus:
    """The query service, asked without following what it redirects to."""

    def __init__(self, archive: ServedArchive, session: aiohttp.ClientSession) -> None:
        self.root = f"{archive.address}/argus"
        self.session = session

    async def ask(self, method: str, path: str, *, token: str = "", **form: str) -> tuple[int, str, str]:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        address = path if path.startswith("http") else f"{self.root}/{path}"
        async with self.session.request(
            method, address, data=form or None, headers=headers, allow_redirects=False
        ) as answer:
            return answer.status, answer.headers.get("Location", ""), await answer.text()

    async def create(self, *, token: str = "", **form: str) -> str:
        status, place, _ = await self.ask("POST", "async", token=token, **form)
        assert status == 303
        return place

    async def wait(self, job: str) -> str:
        _, _, text = await self.ask("GET", f"{job}?WAIT=30")
        return fromstring(text).findtext(f"{UWS}phase")


@pytest.fixture
def argus(served_archive: ServedArchive, session: aiohttp.ClientSession) -> Argus:
    for name in ("979412p", "979413p", "979414p"):
        served_archive.offer(name, ccds=1)
    return Argus(served_archive, session)


async def test_a_job_is_made_runs_and_has_a_result(argus: Argus) -> None:
    job = await argus.create(QUERY=QUERY, LANG="ADQL", FORMAT="csv")
    assert (await argus.ask("GET", f"{job}/phase"))[2] == "PENDING"
    assert (await argus.ask("GET", f"{job}/results/result"))[0] == 404
    assert (await argus.ask("POST", job, MAXREC="2"))[:2] == (303, job)
    assert (await argus.ask("POST", f"{job}/phase", PHASE="RUN"))[:2] == (303, job)
    assert await argus.wait(job) == "COMPLETED"
    document = fromstring((await argus.ask("GET", job))[2])
    given = {one.get("id"): one.text for one in document.iter(f"{UWS}parameter")}
    assert given == {"QUERY": QUERY, "LANG": "ADQL", "FORMAT": "csv", "MAXREC": "2"}
    href = next(document.iter(f"{UWS}result")).get("{http://www.w3.org/1999/xlink}href")
    assert (await argus.ask("GET", href))[2].splitlines() == ["uri", *(f"cadc:CFHT/97941{n}p.fits.fz" for n in (2, 3))]
    assert (await argus.ask("POST", job, MAXREC="3"))[0] == 403
    for part in ("executionduration", "destruction", "quote", "owner", "parameters", "results"):
        assert (await argus.ask("GET", f"{job}/{part}"))[0] == 200
    assert (await argus.ask("GET", f"{job}/error"))[0] == 404


async def test_a_result_keeps_to_maxrec_and_to_the_room_of_a_result(
    argus: Argus, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def result(**form: str) -> str:
        job = await argus.create(QUERY=QUERY, PHASE="RUN", **form)
        assert await argus.wait(job) == "COMPLETED"
        return (await argus.ask("GET", f"{job}/results/result"))[2]

    assert 'value="OVERFLOW"' in await result(MAXREC="2")
    assert 'value="OVERFLOW"' not in await result(MAXREC="3")
    none = await result(MAXREC="0")
    assert ("<TR>" in none, 'value="OVERFLOW"' in none) == (False, True)
    assert most_rows(16, "text/csv") == (128 << 20) // (16 * 26)
    monkeypatch.setattr("snooppix.protocol.async_tap.LARGEST", 2 * 26)
    assert (await result(FORMAT="csv")).count("\n") == 3
    assert (await result()).count("<TR>") == 0
    assert 'value="OVERFLOW"' in await result()


async def test_a_job_that_fails_on_order_is_in_error_with_its_document(
    argus: Argus, served_archive: ServedArchive
) -> None:
    served_archive.faults.add(QueryError(message="the disks <burn>"))
    job = await argus.create(QUERY=QUERY, PHASE="RUN")
    assert await argus.wait(job) == "ERROR"
    _, _, text = await argus.ask("GET", f"{job}/error")
    info = next(fromstring(text).iter("{http://www.ivoa.net/xml/VOTable/v1.3}INFO"))
    assert (info.get("name"), info.get("value"), info.text) == ("QUERY_STATUS", "ERROR", "the disks <burn>")
    assert (await argus.ask("GET", f"{job}/results/result"))[0] == 404
    assert (await argus.ask("POST", f"{job}/phase", PHASE="ABORT"))[0] == 303
    assert (await argus.ask("GET", f"{job}/phase"))[2] == "ERROR"  # what is over stays as it ended


async def test_a_job_that_runs_is_aborted_and_parameters_have_an_end() -> None:
    jobs = Jobs(clock=SetClock(NOW))
    begun, ended = asyncio.Event(), asyncio.Event()

    async def work(_: Job) -> Result:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()
        raise AssertionError

    job = jobs.create({}, owner="", visible_at=None)
    jobs.run(job, work)
    await begun.wait()
    assert job.phase is Phase.EXECUTING
    jobs.abort(job)
    await ended.wait()
    assert (job.phase, job.ended, job.result) == (Phase.ABORTED, NOW, None)
    with pytest.raises(NoJob, match="more than 120000 characters"):
        jobs.create({"QUERY": "x" * 120_001}, owner="", visible_at=None)


async def test_a_bad_query_ends_in_an_error_document(argus: Argus) -> None:
    for form, reason in (({"QUERY": "SELECT x FROM caom2.Plane"}, "no such column: x"), ({"DEST": "vos:x"}, "DEST")):
        job = await argus.create(**{"QUERY": QUERY, "PHASE": "RUN", **form})
        assert await argus.wait(job) == "ERROR"
        assert reason in (await argus.ask("GET", f"{job}/error"))[2]
        assert reason in (await argus.ask("GET", job))[2]


@pytest.mark.parametrize("way", ["DELETE", "ACTION"])
async def test_a_job_is_aborted_and_forgotten(argus: Argus, way: str) -> None:
    job = await argus.create(QUERY=QUERY)
    await argus.ask("POST", f"{job}/phase", PHASE="ABORT")
    assert (await argus.ask("GET", f"{job}/phase"))[2] == "ABORTED"
    assert job.rsplit("/", 1)[-1] in (await argus.ask("GET", "async?PHASE=ABORTED"))[2]
    status, _, _ = await (argus.ask("DELETE", job) if way == "DELETE" else argus.ask("POST", job, ACTION="DELETE"))
    assert status == 303
    assert (await argus.ask("GET", job))[0] == 404


async def test_times_can_be_shortened_and_nonsense_is_refused(argus: Argus) -> None:
    job = await argus.create(QUERY=QUERY)
    await argus.ask("POST", f"{job}/executionduration", EXECUTIONDURATION="5")
    assert (await argus.ask("GET", f"{job}/executionduration"))[2] == "5"
    for form in ({"EXECUTIONDURATION": "x"}, {"DESTRUCTION": "tomorrow"}, {"PHASE": "SLEEP"}):
        assert (await argus.ask("POST", job, **form))[0] == 400
    assert (await argus.ask("GET", f"{job}?WAIT=x"))[0] == 400
    await argus.ask("POST", f"{job}/destruction", DESTRUCTION="2000-01-01T00:00:00Z")
    assert (await argus.ask("GET", job))[0] == 404


async def test_a_job_is_its_owners_alone(tmp_path: Path, session: aiohttp.ClientSession) -> None:
    archive = ServedArchive(tmp_path, clock=SetClock(NOW), access=Access({"one": None, "two": None}))
    async with archive.standin:
        argus = Argus(archive, session)
        job = await argus.create(token="one", QUERY=QUERY)
        assert (await argus.ask("GET", f"{job}/owner", token="one"))[2] == "one"
        assert [(await argus.ask("GET", job, token=token))[0] for token in ("two", "")] == [403, 403]
        assert (await argus.ask("POST", "async", token="forged", QUERY=QUERY))[0] == 401


async def test_the_store_of_jobs_is_bounded() -> None:
    clock = SetClock(NOW)
    jobs = Jobs(clock=clock, most=3, room=10)
    ready = asyncio.Event()

    async def work(_: Job) -> Result:
        await ready.wait()
        return Result(b"123456", "text/csv")

    made = [jobs.create({}, owner="", visible_at=None) for _ in range(3)]
    with pytest.raises(NoJob, match="3 jobs are under way"):
        jobs.create({}, owner="", visible_at=None)
    for job in made[:2]:
        jobs.run(job, work)
    ready.set()
    await asyncio.gather(*(jobs.wait(job, "", 5) for job in made[:2]))
    for job in made[:2]:
        await jobs.wait(job, "EXECUTING", 5)
    assert [job.phase for job in made] == [Phase.COMPLETED, Phase.COMPLETED, Phase.PENDING]
    assert jobs.owned("") == [made[2], made[1]]  # 12 bytes of results: the older made room
    clock.advance(timedelta(days=8).total_seconds())
    assert jobs.owned("") == []


async def test_a_job_that_runs_too_long_is_ended() -> None:
    jobs = Jobs(clock=SetClock(NOW))

    async def work(_: Job) -> Result:
        raise TimeoutError

    job = jobs.create({}, owner="", visible_at=None)
    jobs.run(job, work)
    await jobs.wait(job, "", 5)
    await jobs.wait(job, "EXECUTING", 5)
    assert job.phase is Phase.ABORTED
    assert "longer than 600 s" in job.error


async def test_a_query_may_be_answered_elsewhere_and_cut_off(served_archive: ServedArchive, argus: Argus) -> None:
    served_archive.faults.add(SyncElsewhere())
    status, place, _ = await argus.ask("POST", "sync", QUERY=QUERY, FORMAT="csv")
    assert status == 303
    assert len((await argus.ask("GET", place))[2].splitlines()) == 4
    served_archive.faults.add(Overflow(rows=1, times=2))
    assert 'value="OVERFLOW"' in (await argus.ask("POST", "sync", QUERY=QUERY))[2]
    assert len((await argus.ask("POST", "sync", QUERY=QUERY, FORMAT="csv"))[2].splitlines()) == 2
