"""Nobody, somebody who may not, and somebody who may: by token, cookie, certificate, or Basic where it counts."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import aiohttp
import pytest
import trustme
from pyvo.dal.adhoc import DatalinkResults

from snooppix.standin.access import Access, AccessUnreadable, User
from snooppix.standin.kinds import Expired
from snooppix.standin.server import StandIn
from terapix.clock import SetClock
from tests.support.archive import ServedArchive, small_fits

NOW = datetime(2008, 12, 1, tzinfo=UTC)
"""Before the frames are released."""
USERS = """
[[user]]
name = "geha"
password = "secret"
token = "t0ken"
certificate = "Marla Geha"
runs = ["08AC14"]

[[user]]
name = "other"
password = "known"
token = "other"
runs = ["08BF99"]
"""
CONTENT = small_fits("979412p", ccds=1)
WANTED = """<vos:transfer xmlns:vos="http://www.ivoa.net/xml/VOSpace/v2.0" version="2.1">
<vos:target>cadc:CFHT/979412p.fits.fz</vos:target><vos:direction>pullFromVoSpace</vos:direction>
<vos:protocol uri="ivo://ivoa.net/vospace/core#httpsget"/></vos:transfer>"""


@pytest.fixture
def access(tmp_path: Path) -> Access:
    (tmp_path / "access.toml").write_text(USERS)
    return Access.read(tmp_path / "access.toml")


@pytest.fixture
async def archive(tmp_path: Path, access: Access) -> AsyncIterator[ServedArchive]:
    served = ServedArchive(tmp_path, clock=SetClock(NOW), access=access)
    served.offer("979412p", content=CONTENT)
    async with served.standin:
        yield served


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as client:
        yield client


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def basic(name: str, password: str) -> dict[str, str]:
    return {"Authorization": aiohttp.encode_basic_auth(name, password)}


async def status(session: aiohttp.ClientSession, address: str, **given: object) -> int:
    async with session.get(address, **given) as answer:
        await answer.read()
        return answer.status


async def located(session: aiohttp.ClientSession, archive: ServedArchive, **headers: str) -> str:
    async with session.post(f"{archive.address}/raven/locate", data=WANTED, headers=headers) as answer:
        return (await answer.text()).partition("<vos:endpoint>")[2].partition("<")[0]


async def test_a_refusal_says_how_to_authenticate_and_success_who_was_known(
    archive: ServedArchive, session: aiohttp.ClientSession
) -> None:
    address = f"{archive.address}/minoc/files/{archive.uri('979412p')}"
    async with session.get(address) as answer:
        assert answer.status == 401
        challenges = answer.headers.getall("WWW-Authenticate")
        assert [text.split(" ")[0] for text in challenges] == ["Bearer", "ivoa_bearer", "ivoa_x509"]
        assert f'access_url="{archive.address}/gms/login"' in challenges[1]
    assert await status(session, address, headers=bearer("other")) == 403
    async with session.get(address, headers=bearer("t0ken")) as answer:
        assert (answer.status, answer.headers["x-vo-authenticated"]) == (200, "geha")


async def test_the_login_service_gives_a_token_that_is_a_cookie_too(archive: ServedArchive) -> None:
    address, login = f"{archive.address}/minoc/files/{archive.uri('979412p')}", f"{archive.address}/gms/login"
    jar = aiohttp.CookieJar(unsafe=True)
    async with aiohttp.ClientSession(cookie_jar=jar) as session:
        async with session.post(login, data={"username": "geha", "password": "wrong"}) as answer:
            assert answer.status == 401
        async with session.post(login, data={"username": "geha", "password": "secret"}) as answer:
            token = await answer.text()
        assert await status(session, address) == 200  # by the cookie
        async with session.get(f"{archive.address}/gms/whoami") as answer:
            assert await answer.text() == "geha\n"
    async with aiohttp.ClientSession() as session:
        assert await status(session, address, headers=bearer(token)) == 200
        assert await status(session, address, headers=bearer(token[:-1] + "x")) == 401
        archive.standin.clock.advance(200_000)
        assert await status(session, address, headers=bearer(token)) == 401


async def test_basic_counts_at_the_service_of_old_alone(archive: ServedArchive, session: aiohttp.ClientSession) -> None:
    address = f"{archive.address}/data/pub/CFHT/979412p.fits.fz"
    async with session.get(address) as answer:
        assert (answer.status, answer.url.path) == (401, "/data/auth/CFHT/979412p.fits.fz")
        assert answer.headers.getall("WWW-Authenticate") == ['Basic realm="Canadian Astronomy Data Centre"']
    for user, expected in ((("geha", "secret"), 200), (("geha", "wrong"), 401), (("other", "known"), 403)):
        assert await status(session, address.replace("pub", "auth"), headers=basic(*user)) == expected
    minoc = f"{archive.address}/minoc/files/{archive.uri('979412p')}"
    assert await status(session, minoc, headers=basic("geha", "secret")) == 401


async def test_a_pre_authorised_address_is_good_for_a_while(
    archive: ServedArchive, session: aiohttp.ClientSession
) -> None:
    assert await located(session, archive) == ""
    place = await located(session, archive, **bearer("t0ken"))
    assert await status(session, place) == 200
    assert await status(session, place.replace("979412p", "979413p")) == 401
    archive.faults.add(Expired())
    assert await status(session, place) == 403
    assert await status(session, place) == 401
    place = await located(session, archive, **bearer("t0ken"))
    assert await status(session, place) == 200
    archive.standin.clock.advance(3601)
    assert await status(session, place) == 401


async def test_links_tell_beforehand_whether_the_caller_may_read(tmp_path: Path) -> None:
    later = SetClock(datetime(2008, 12, 1, tzinfo=UTC))
    archive = ServedArchive(tmp_path, clock=later, access=Access({"reader": None}))
    archive.offer("979412p", content=CONTENT)
    async with archive.standin:
        address = f"{archive.address}/caom2ops/datalink?ID=ivo://cadc.nrc.ca/CFHT?979412/979412p"
        found = await asyncio.to_thread(DatalinkResults.from_result_url, address)
        assert (found["link_auth"][0], found["link_authorized"][0]) == ("optional", False)
        later.advance(365 * 86400)
        found = await asyncio.to_thread(DatalinkResults.from_result_url, address)
        assert found["link_authorized"][0]


async def test_a_client_certificate_is_a_credential_where_https_is_spoken(tmp_path: Path, access: Access) -> None:
    authority = trustme.CA()
    served, shown = authority.issue_cert("localhost"), {}
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    served.configure_cert(server)
    authority.configure_trust(server)
    server.verify_mode = ssl.CERT_OPTIONAL
    for name in ("Marla Geha", "Nobody", ""):
        shown[name] = ssl.create_default_context()
        authority.configure_trust(shown[name])
        if name:
            authority.issue_cert("geha.example.org", common_name=name).configure_cert(shown[name])
    (tmp_path / "archive").mkdir()
    (tmp_path / "archive" / "979412p.fits.fz").write_bytes(CONTENT)
    async with StandIn(tmp_path / "archive", clock=SetClock(NOW), access=access, tls=server) as archive:
        address = archive.address.replace("127.0.0.1", "localhost") + "/minoc/files/cadc:CFHT/979412p.fits.fz"
        found = {}
        for name, context in shown.items():
            async with aiohttp.ClientSession() as session:
                found[name] = await status(session, address, ssl=context)
    assert found == {"Marla Geha": 200, "Nobody": 401, "": 401}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("[[user]]\nnam = 'x'", "user 1 has no 'nam'"),
        ("[[user]]\ntoken = 'x'", "user 1 has no name"),
        ("[[user]]\nname = 'x'\nruns = 'y'", "runs = 'y' is no list"),
        ("[[user]", "access.toml"),
        ("[[users]]\nname = 'x'", r"there is 'users'; each user begins with \[\[user\]\]"),
        ("[user]\nname = 'x'", r"each user begins with \[\[user\]\], in double brackets"),
        ('[[user]]\nname = "a\\nb"', "user 1: name = .* is no plain line"),
    ],
)
def test_users_that_can_not_be_read_say_why(tmp_path: Path, text: str, reason: str) -> None:
    (tmp_path / "access.toml").write_text(text)
    with pytest.raises(AccessUnreadable, match=reason):
        Access.read(tmp_path / "access.toml")


def test_secrets_are_not_shown(access: Access) -> None:
    assert "secret" not in repr(access.users)
    assert access.users[0] == User("geha", "secret", "t0ken", "Marla Geha", frozenset({"08AC14"}))


async def test_a_name_or_a_token_with_spaces_opens_a_pre_authorised_address(
    tmp_path: Path, session: aiohttp.ClientSession
) -> None:
    known = Access({"one two  three": None}, users=(User("Ann of CFHT", password="x y"),))
    served = ServedArchive(tmp_path, clock=SetClock(NOW), access=known)
    served.offer("979412p", content=CONTENT)
    async with served.standin:
        form = {"username": "Ann of CFHT", "password": "x y"}
        async with session.post(f"{served.address}/gms/login", data=form) as answer:
            login = await answer.text()
        places = [await located(session, served, **bearer(token)) for token in ("one two  three", login)]
        assert [await status(session, place) for place in places] == [200, 200]
        # what is signed for one purpose is nothing for another
        ticket = places[1].split("/files/")[1].partition("/")[0]
        assert await status(session, f"{served.address}/gms/whoami", headers=bearer(ticket)) == 401
        assert await status(session, places[1].replace(ticket, login)) == 401


@pytest.mark.parametrize("said", ["Bearer \udcff.\udcff", "Basic \udcff", "Basic ¤", "Bearer a.b", "Basic Og=="])
async def test_a_credential_that_is_no_text_is_one_that_is_not_known(archive: ServedArchive, said: str) -> None:
    host, port = archive.address.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    head = f"GET /gms/whoami HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nAuthorization: {said}\r\n\r\n"
    writer.write(head.encode(errors="surrogateescape"))
    assert (await reader.readline()).startswith(b"HTTP/1.1 401")
    writer.close()
