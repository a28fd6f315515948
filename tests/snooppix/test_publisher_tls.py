"""The publisher speaks TLS with a certificate of its own, or behind a proxy of this host."""

import asyncio
import contextlib
import shutil
import ssl
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import trustme
from aiohttp import ClientConnectorCertificateError, ClientSession

from dbclient.records import EventRecord
from dbclient.schema import Level, PublicationState
from snooppix.publisher.tls import CertificateUnreadable, ServerCertificate
from tests.snooppix.desk import at_work
from tests.snooppix.test_clone import PRODUCT, WEIGHT, acknowledged, clone_settings
from tests.support.host import free_port
from tests.support.publishing import Press, at_press, publisher_settings

TOKEN = "s" * 32


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


def issue(authority: trustme.CA, path: Path) -> Path:
    authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(str(path))
    path.chmod(0o600)
    return path


@contextlib.asynccontextmanager
async def secured(tmp_path: Path, authority: trustme.CA, **publisher: object) -> AsyncIterator[Press]:
    """A publisher that one follower knows, and what the follower needs: its token, and whom it trusts."""
    (tmp_path / "followers").write_text(f"cadc {TOKEN}\n")
    (tmp_path / "token").write_text(TOKEN)
    for name in ("followers", "token"):
        (tmp_path / name).chmod(0o600)
    authority.cert_pem.write_to_path(str(tmp_path / "authority.pem"))
    async with at_press(
        publisher_settings(tmp_path / "ours", followers=str(tmp_path / "followers"), **publisher)
    ) as press:
        yield press


async def follow(tmp_path: Path, address: str) -> None:
    """Let a clone fetch a product by TLS, and acknowledge it."""
    told: dict[str, Any] = {"credential": str(tmp_path / "token"), "authority": str(tmp_path / "authority.pem")}
    async with at_work(clone_settings(tmp_path / "theirs", address, **told)) as clone:
        await acknowledged(clone, PRODUCT)


async def test_a_clone_follows_by_tls_and_acknowledges(tmp_path: Path, authority: trustme.CA) -> None:
    own = issue(authority, tmp_path / "own.pem")
    async with secured(tmp_path, authority, certificate=str(own)) as press:
        await press.make("979412p", "weight")
        assert press.publisher.address is not None
        assert press.publisher.address.startswith("https://")
        await follow(tmp_path, press.publisher.address)
        row = (await press.rows(WEIGHT))[0]
        assert (row.state, row.acknowledged_by) == (PublicationState.ACKNOWLEDGED, "cadc")
        async with ClientSession() as stranger:  # who does not trust our authority is told nothing
            with pytest.raises(ClientConnectorCertificateError):
                await stranger.get(press.registry)


async def test_a_renewed_certificate_is_shown_without_a_new_start(tmp_path: Path, authority: trustme.CA) -> None:
    shown = ServerCertificate(issue(authority, tmp_path / "own.pem"))
    assert not shown.renew()
    issue(authority, tmp_path / "next.pem").rename(shown.path)
    assert shown.renew()
    shown.path.write_text("half a certificate")
    assert not shown.renew()
    assert not shown.renew()
    shown.path.unlink()
    assert not shown.renew()


@pytest.mark.parametrize("harm", ["missing", "open to all", "without a key", "no PEM"])
def test_a_certificate_that_cannot_be_shown_is_refused_at_the_start(
    tmp_path: Path, authority: trustme.CA, harm: str
) -> None:
    path = issue(authority, tmp_path / "own.pem")
    if harm == "missing":
        path.unlink()
    elif harm == "open to all":
        path.chmod(0o644)
    elif harm == "without a key":
        authority.cert_pem.write_to_path(str(path))
    else:
        path.write_text("x")
    with pytest.raises(CertificateUnreadable, match=r"publisher\.certificate"):
        ServerCertificate(path)


PROXY = """daemon off; pid {place}/pid; error_log {place}/error.log;
events {{ }}
http {{
  access_log off;
  client_body_temp_path {place}/body; proxy_temp_path {place}/proxy; fastcgi_temp_path {place}/f;
  uwsgi_temp_path {place}/u; scgi_temp_path {place}/s;
  server {{
    listen 127.0.0.1:{port} ssl;
    ssl_certificate {pem}; ssl_certificate_key {pem};
    location / {{
      proxy_pass {publisher};
      proxy_set_header Host $http_host;
      proxy_set_header X-Forwarded-Proto $scheme;
      proxy_set_header X-Forwarded-For $remote_addr;
      proxy_buffering off;
    }}
  }}
}}
"""


def ending(authority: trustme.CA, path: Path, ends: datetime) -> Path:
    issued = authority.issue_cert("127.0.0.1", not_after=ends)
    issued.private_key_and_cert_chain_pem.write_to_path(str(path))
    path.chmod(0o600)
    return path


def test_people_are_reminded_before_the_certificate_ends(tmp_path: Path, authority: trustme.CA) -> None:
    ends = datetime(2040, 1, 31, tzinfo=UTC)
    own = ServerCertificate(ending(authority, tmp_path / "own.pem", ends))
    told = {left: own.reminder(ends - timedelta(days=left)) for left in (20, 14, 8, 6, 5, 2, 0.5, -1, -2)}
    assert {left: said[0] for left, said in told.items() if said} == {
        14: Level.WARNING,
        6: Level.WARNING,
        2: Level.WARNING,
        0.5: Level.WARNING,
        -1: Level.ERROR,
    }
    assert told[14] == (Level.WARNING, f"our certificate in {own.path} ends in 14.0 days: renew it")
    assert told[-1] == (Level.ERROR, f"our certificate in {own.path} has ended, and followers refuse it: renew it")


async def test_the_publisher_writes_the_reminder_where_people_look(tmp_path: Path, authority: trustme.CA) -> None:
    own = ending(authority, tmp_path / "own.pem", datetime.now(UTC) + timedelta(days=10))
    async with secured(tmp_path, authority, certificate=str(own)) as press:

        async def told() -> list[EventRecord] | None:
            return await press.events("certificate-ends") or None

        events = await press.until_found(told, "a reminder")
    assert [event.level for event in events] == [Level.WARNING]


async def test_a_clone_follows_through_nginx_that_speaks_tls_for_us(
    tmp_path: Path, authority: trustme.CA, pytestconfig: pytest.Config
) -> None:
    if not (nginx := shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")):
        conftest: Any = pytestconfig.pluginmanager.get_plugin(str(pytestconfig.rootpath / "conftest.py"))
        conftest.lacking("nginx", "apt-get install nginx-light")
    own, port = issue(authority, tmp_path / "own.pem"), free_port()
    async with secured(tmp_path, authority) as press:
        await press.make("979412p", "weight")
        config = tmp_path / "nginx.conf"
        config.write_text(PROXY.format(place=tmp_path, port=port, pem=own, publisher=press.publisher.address))
        words = [str(nginx), "-c", str(config), "-e", str(tmp_path / "error.log")]
        proxy = await asyncio.create_subprocess_exec(*words)
        try:
            await follow(tmp_path, f"https://127.0.0.1:{port}")
        finally:
            proxy.terminate()
            await proxy.wait()
        row = (await press.rows(WEIGHT))[0]
        assert (row.state, row.acknowledged_by) == (PublicationState.ACKNOWLEDGED, "cadc")


def test_old_protocols_are_not_spoken(tmp_path: Path, authority: trustme.CA) -> None:
    context = ServerCertificate(issue(authority, tmp_path / "own.pem")).context
    assert context.minimum_version is ssl.TLSVersion.TLSv1_2
