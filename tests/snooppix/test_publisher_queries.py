"""pyvo, which nobody here wrote, asks the publisher as it asks the stand-in: at once, by jobs, and along links."""

import asyncio
import functools
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
import pyvo
from pyvo.utils.http import create_session

from dbclient.schema import PublicationState
from tests.support.publishing import Press, at_press, publisher_settings

WEIGHT, FLAG = "979412p_weight.fits.fz", "979412p_flag.fits.fz"
URIS = "SELECT uri FROM caom2.Artifact ORDER BY uri"
PLANE = "SELECT publisherID FROM caom2.Plane WHERE productID = '979412p_weight'"
pytestmark = pytest.mark.filterwarnings(  # pyvo closes no connection of a dataset that it read
    "ignore:unclosed:ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"
)
CADC, CDS = "c" * 24, "d" * 24


@pytest.fixture
async def press(tmp_path: Path) -> AsyncIterator[Press]:
    followers = tmp_path / "followers"
    followers.write_text(f"cadc {CADC}\ncds {CDS}\n")
    followers.chmod(0o600)
    async with at_press(publisher_settings(tmp_path / "ours", followers=str(followers))) as press:
        await press.make("979412p", "weight", "flag")
        for name in (WEIGHT, FLAG):
            await press.until(name, lambda row: row.state is PublicationState.OFFERED)
        press.headers["Authorization"] = f"Bearer {CADC}"
        yield press


async def by(token: str, press: Press, ask: Callable[[Any, Any], Any]) -> Any:
    """Let pyvo ask something, as the follower with this token."""

    def asked() -> Any:
        with create_session() as session:
            session.headers["Authorization"] = f"Bearer {token}"
            return ask(pyvo.dal.TAPService(f"{press.publisher.address}/argus", session=session), session)

    return await asyncio.to_thread(asked)


async def test_queries_at_once_and_by_jobs_find_the_same(press: Press) -> None:
    def ask(service: Any, _: Any) -> tuple[list[str], list[str], list[str]]:
        job = service.submit_job(URIS)
        phases = [job.phase]
        job.run().wait(timeout=30)
        phases.append(job.phase)
        found = list(job.fetch_result()["uri"])
        job.delete()
        return list(service.search(URIS)["uri"]), found, phases

    at_once, by_job, phases = await by(CADC, press, ask)
    assert at_once == by_job == [f"terapix:CFHT/{FLAG}", f"terapix:CFHT/{WEIGHT}"]
    assert phases == ["PENDING", "COMPLETED"]


async def test_a_job_that_cannot_be_run_says_why(press: Press) -> None:
    def ask(service: Any, _: Any) -> str:
        with pytest.raises(pyvo.dal.DALQueryError) as problem:
            service.run_async("SELECT nothing FROM caom2.Plane")
        return str(problem.value)

    assert "no such column: nothing" in await by(CADC, press, ask)


async def test_links_lead_to_the_bytes_of_a_product(press: Press) -> None:
    def ask(service: Any, session: Any) -> tuple[list[str], bytes]:
        (plane,) = service.search(PLANE)["publisherID"]
        found = pyvo.dal.adhoc.DatalinkResults.from_result_url(
            f"{press.publisher.address}/caom2ops/datalink?ID={plane}", session=session
        )
        (this,) = found.bysemantics("#this", include_narrower=False)
        return [this["link_authorized"], this.content_type], this.getdataset().read()

    told, content = await by(CADC, press, ask)
    assert content == (press.shelf / WEIGHT).read_bytes()
    assert told == [True, "application/fits"]


async def test_a_plane_that_is_not_here_has_a_link_that_says_so(press: Press) -> None:
    address = f"{press.publisher.address}/caom2ops/datalink"
    async with press.session.get(address, params={"ID": "ivo://x?' OR 1=1"}, headers=press.headers) as answer:
        assert (answer.status, "NotFoundFault" in await answer.text()) == (200, True)
    many = [("ID", "ivo://x?1")] * 501
    async with press.session.post(address, data=many, headers=press.headers) as answer:
        assert (answer.status, "too many" in await answer.text()) == (400, True)


async def test_jobs_are_their_owners_alone(press: Press) -> None:
    address = f"{press.publisher.address}/argus/async"
    theirs = {"Authorization": f"Bearer {CDS}"}
    ask = functools.partial(press.session.post, address, data={"QUERY": URIS}, allow_redirects=False)
    async with ask(headers=press.headers) as answer:
        job = answer.headers["Location"]
    async with press.session.get(job, headers=theirs) as answer:
        assert answer.status == 403
    async with press.session.get(address, headers=theirs) as answer:
        assert "jobref" not in await answer.text()
    async with ask() as answer:
        assert answer.status == 401


async def test_the_registry_names_every_service_that_is_served(press: Press) -> None:
    async with press.session.get(press.registry) as answer:
        lines = [line.split(" = ") for line in (await answer.text()).splitlines() if " = " in line]
    assert {"ivo://cadc.nrc.ca/argus", "ivo://cadc.nrc.ca/caom2ops"} <= {name for name, _ in lines}
    for _, address in lines:
        async with press.session.get(address) as answer:
            assert answer.status == 200
