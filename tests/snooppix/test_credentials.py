"""Each credential is shown to whom it is for, renewed once, paused when it is refused, and never told to others."""

import asyncio
import base64
import logging
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import trustme
from yarl import URL

from dbclient.schema import Level
from snooppix.credentials import Certificate, Credential, confidential, loopback, private
from snooppix.errors import ArchiveError
from snooppix.standing import Standing
from snooppix.validity import CertificateBroken, not_after
from terapix.metrics import Metrics
from tests.support.origin import SECRET, Origin, bearer_is, server_side, serving, status, wire_to, written


async def test_a_token_is_read_again_when_its_file_changes(tmp_path: Path) -> None:
    path = written(tmp_path / "token", "old\n")
    async with serving(Origin(judge=bearer_is("old", "new"))) as origin, wire_to(origin, path) as wire:
        await status(wire, f"{origin.address}/file")
        written(path, "newer\n")
        written(path, "new\n")
        await status(wire, f"{origin.address}/file")

    assert [asked["Authorization"] for asked in origin.asked] == ["Bearer old", "Bearer new"]


async def test_a_token_that_is_refused_is_paused_until_its_file_changes(tmp_path: Path) -> None:
    path = written(tmp_path / "token", "stale")
    async with serving(Origin(judge=bearer_is("fresh"))) as origin, wire_to(origin, path) as wire:
        address = f"{origin.address}/file"
        assert await status(wire, address) == 401
        assert wire.credential.paused
        assert "status 401" in (wire.credential.refused or "")
        assert await status(wire, address) == 401
        written(path, "fresh")
        assert await status(wire, address) == 200
        assert not wire.credential.paused

    assert [asked.get("Authorization") for asked in origin.asked] == ["Bearer stale", None, None, "Bearer fresh"]


async def test_a_file_whose_address_ran_out_says_nothing_of_the_token(tmp_path: Path) -> None:
    path = written(tmp_path / "token", SECRET)
    async with serving(Origin(judge=lambda _: False)) as origin, wire_to(origin, path) as wire:
        async with wire.ask("GET", f"{origin.address}/file", pauses=False) as response:
            assert response.status == 401
        assert not wire.credential.paused
    assert len(origin.asked) == 1


async def test_an_operator_has_a_paused_token_tried_again(tmp_path: Path) -> None:
    path = written(tmp_path / "token", "good")
    welcome: list[bool] = []
    async with serving(Origin(judge=lambda _: bool(welcome))) as origin, wire_to(origin, path) as wire:
        await status(wire, f"{origin.address}/file")
        welcome.append(True)
        assert wire.credential.paused
        wire.credential.resume()
        assert await status(wire, f"{origin.address}/file") == 200


@pytest.mark.parametrize("sign_in", ["bearer", "basic", "cookie"])
async def test_no_secret_follows_a_redirect_to_another_origin(sign_in: str, tmp_path: Path) -> None:
    netrc = f"machine localhost login wilma password {SECRET}\n"
    path = written(tmp_path / "credential", SECRET if sign_in == "bearer" else netrc)
    async with (
        serving(Origin()) as mirror,
        serving(Origin(redirect=f"{mirror.address}/file", cookie="abc")) as origin,
        wire_to(origin, path, sign_in) as wire,
    ):
        assert await status(wire, f"{origin.address}/moved") == 200

    shown = {"Authorization", "Cookie"}
    assert shown & origin.asked[0].keys()
    assert not shown & mirror.asked[0].keys()


async def test_within_one_origin_a_redirect_keeps_the_credential(tmp_path: Path) -> None:
    path = written(tmp_path / "token", SECRET)
    async with serving(Origin(redirect="/file")) as origin, wire_to(origin, path) as wire:
        await status(wire, f"{origin.address}/moved")
    assert [asked["Authorization"] for asked in origin.asked] == [f"Bearer {SECRET}"] * 2


async def test_name_and_password_of_a_netrc_are_basic(tmp_path: Path) -> None:
    path = written(tmp_path / "netrc", f"machine localhost login wilma password {SECRET}\n")
    async with serving(Origin()) as origin, wire_to(origin, path, "basic") as wire:
        await status(wire, f"{origin.address}/file")
    scheme, text = origin.asked[0]["Authorization"].split()
    assert (scheme, base64.b64decode(text).decode()) == ("Basic", f"wilma:{SECRET}")


@pytest.mark.parametrize("login", ["ivo://cadc.nrc.ca/gms", ""])
async def test_a_login_gives_a_cookie_that_is_renewed_once(login: str, tmp_path: Path) -> None:
    path = written(tmp_path / "netrc", f"machine localhost login wilma password {SECRET}\n")
    async with serving(Origin(cookie="first")) as origin:
        origin.judge = lambda request: request.headers.get("Cookie") == f'CADC_SSO="{origin.cookie}"'
        async with wire_to(origin, path, "cookie", login=login or f"{origin.address}/login") as wire:
            assert await status(wire, f"{origin.address}/file") == 200
            origin.cookie = "second"
            wire.credential._got = float("-inf")  # type: ignore[attr-defined] # seconds have passed
            assert await status(wire, f"{origin.address}/file") == 200
            assert await status(wire, f"{origin.address}/file") == 200
    assert origin.logins == 2
    assert not wire.credential.paused


async def test_a_login_that_is_refused_is_not_tried_again(tmp_path: Path) -> None:
    path = written(tmp_path / "netrc", "machine localhost login wilma password wrong\n")
    async with serving(Origin()) as origin, wire_to(origin, path, "cookie") as wire:
        for _ in range(3):
            await status(wire, f"{origin.address}/file")
    assert origin.logins == 1
    assert "refuses name or password" in (wire.credential.refused or "")


async def test_four_who_are_refused_at_once_sign_in_once(tmp_path: Path) -> None:
    path = written(tmp_path / "netrc", f"machine localhost login wilma password {SECRET}\n")
    async with serving(Origin(cookie="abc")) as origin, wire_to(origin, path, "cookie") as wire:
        assert await asyncio.gather(*(status(wire, f"{origin.address}/file") for _ in range(4))) == [200] * 4
    assert origin.logins == 1


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


def certificate(authority: trustme.CA, path: Path, name: str, *, ends: datetime | None = None) -> Path:
    issued = authority.issue_cert(f"{name}.example", common_name=name, not_after=ends)
    issued.private_key_and_cert_chain_pem.write_to_path(str(path))
    path.chmod(0o600)
    return path


async def test_a_certificate_is_shown_and_a_new_one_in_its_place_too(authority: trustme.CA, tmp_path: Path) -> None:
    authority.cert_pem.write_to_path(str(tmp_path / "authority.pem"))
    path = certificate(authority, tmp_path / "proxy.pem", "wilma")
    tls = server_side(authority, wants_certificate=True)
    async with (
        serving(Origin(), tls=tls) as origin,
        wire_to(origin, path, "certificate", authority=tmp_path / "authority.pem") as wire,
    ):
        assert await status(wire, f"{origin.address}/file") == 200
        certificate(authority, path, "betty")
        assert await status(wire, f"{origin.address}/file") == 200
    assert origin.peers == ["wilma", "betty"]


async def test_a_refused_certificate_is_not_shown_any_more(authority: trustme.CA, tmp_path: Path) -> None:
    authority.cert_pem.write_to_path(str(tmp_path / "authority.pem"))
    path = certificate(authority, tmp_path / "proxy.pem", "wilma")
    tls = server_side(authority, wants_certificate=True)
    async with (
        serving(Origin(judge=lambda _: False), tls=tls) as origin,
        wire_to(origin, path, "certificate", authority=tmp_path / "authority.pem") as wire,
    ):
        assert await status(wire, f"{origin.address}/file") == 401
        assert wire.credential.paused
        assert await status(wire, f"{origin.address}/file") == 401
    assert origin.peers == ["wilma"]


async def test_a_server_that_nobody_vouches_for_is_not_told_the_token(authority: trustme.CA, tmp_path: Path) -> None:
    path = written(tmp_path / "token", SECRET)
    async with serving(Origin(), tls=server_side(authority)) as origin, wire_to(origin, path) as wire:
        with pytest.raises(Exception, match="certificate verify failed"):
            await status(wire, f"{origin.address}/file")
    assert origin.asked == []


@pytest.mark.parametrize(
    ("address", "safe"),
    [
        ("https://archive.org/x", True),
        ("http://archive.org/x", False),
        ("http://127.0.0.1:8080/x", True),
        ("http://[::1]/x", True),
        ("http://localhost/x", True),
        ("http://localhost.example/x", False),
        ("ftp://127.0.0.1/x", False),
    ],
)
async def test_a_secret_goes_by_https_or_stays_on_this_host(address: str, *, safe: bool, tmp_path: Path) -> None:
    assert confidential(URL(address)) is safe
    wire = wire_to(Origin(address="http://localhost:1"), written(tmp_path / "token", SECRET))
    shown = await wire.credential.headers(URL(address), session=None)  # type: ignore[arg-type]
    assert bool(shown) is safe


def test_loopback_is_this_host_alone() -> None:
    assert [loopback(host) for host in ("localhost", "127.8.9.1", "::1", "10.0.0.1", "example.org", "")] == [
        True, True, True, False, False, False,
    ]  # fmt: skip


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o660])
def test_a_file_that_others_can_read_is_refused(mode: int, tmp_path: Path) -> None:
    path = written(tmp_path / "token", SECRET)
    path.chmod(mode)
    with pytest.raises(ArchiveError, match="chmod 600"):
        private(path)


async def test_what_is_no_token_or_no_netrc_is_said_and_not_shown(tmp_path: Path) -> None:
    origin = Origin(address="http://localhost:1")
    two_lines = written(tmp_path / "token", f"{SECRET}\n{SECRET}\n")
    with pytest.raises(ArchiveError, match="holds no token") as problem:
        await wire_to(origin, two_lines).credential.headers(URL("http://localhost"), session=None)  # type: ignore[arg-type]
    assert SECRET not in str(problem.value)
    bad = written(tmp_path / "netrc", f"maschine localhost {SECRET}\n")
    with pytest.raises(ArchiveError, match="line 1") as problem:
        wire_to(origin, bad, "basic").credential.account("localhost")
    assert SECRET not in str(problem.value)


async def test_no_secret_is_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    path = written(tmp_path / "netrc", f"machine localhost login wilma password {SECRET}\n")
    async with serving(Origin(cookie="c00kie", judge=lambda _: False)) as origin:
        for sign_in in ("cookie", "basic"):
            async with wire_to(origin, path, sign_in) as wire:
                await status(wire, f"{origin.address}/file")
                assert SECRET not in repr(wire.credential.__dict__.get("refused"))
    assert SECRET not in caplog.text
    assert "c00kie" not in caplog.text


@pytest.mark.parametrize("days", [400, 30, 2, -1])
def test_the_end_of_a_certificate_agrees_with_who_issued_it(days: int, authority: trustme.CA, tmp_path: Path) -> None:
    from cryptography import x509

    ends = datetime.now(UTC).replace(microsecond=0) + timedelta(days=days)
    path = certificate(authority, tmp_path / "proxy.pem", "wilma", ends=ends)
    text = path.read_text()
    issued = x509.load_pem_x509_certificate(text[text.index("-----BEGIN CERT") :].encode())
    assert not_after(text) == issued.not_valid_after_utc == ends
    assert Certificate(path).days_left(ends - timedelta(days=3)) == 3


def test_of_a_chain_the_first_end_counts(authority: trustme.CA, tmp_path: Path) -> None:
    soon, late = (datetime(2030, 1, day, tzinfo=UTC) for day in (1, 2))
    texts = [
        certificate(authority, tmp_path / f"{number}.pem", "wilma", ends=end).read_text()
        for number, end in enumerate((late, soon))
    ]
    assert not_after("".join(texts)) == soon


@pytest.mark.parametrize("text", ["", "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n", "\x00" * 100])
def test_what_is_no_certificate_is_said(text: str, tmp_path: Path) -> None:
    with pytest.raises(CertificateBroken):
        not_after(text)
    assert Certificate(written(tmp_path / "proxy.pem", text)).days_left(datetime.now(UTC)) is None


def test_the_end_of_a_certificate_is_told_five_times(authority: trustme.CA, tmp_path: Path) -> None:
    ends = datetime(2030, 1, 31, tzinfo=UTC)
    standing = Standing(Certificate(certificate(authority, tmp_path / "proxy.pem", "wilma", ends=ends)))
    told = {
        left: [(event.kind, event.level) for event in standing.look(ends - timedelta(days=left))]
        for left in (20, 14, 13.5, 8, 7, 3, 2, 1, 0.5, 0, -1)
    }
    warned = [("credential-ends", Level.WARNING)]
    assert {left for left, events in told.items() if events == warned} == {14, 7, 3, 1}
    assert {left for left, events in told.items() if events == [("credential-over", Level.ERROR)]} == {0}
    assert standing.figures == {
        "credential_kind": "certificate",
        "credential_days_left": -1.0,
        "credential_refused": None,
    }
    metrics = Metrics()
    standing.measure(metrics)
    assert b"terapix_credential_days_left -1.0" in metrics.text()


def test_after_a_start_only_what_holds_now_is_told(authority: trustme.CA, tmp_path: Path) -> None:
    ends = datetime(2030, 1, 31, tzinfo=UTC)
    path = certificate(authority, tmp_path / "proxy.pem", "wilma", ends=ends)
    [told] = Standing(Certificate(path)).look(ends - timedelta(days=2))
    assert told.message == f"the certificate in {path} ends in 2.0 days: renew it"


def test_a_pause_is_told_once_and_so_is_its_end(tmp_path: Path) -> None:
    credential = Credential(written(tmp_path / "token", "abc"))
    standing, now = Standing(credential), datetime(2030, 1, 1, tzinfo=UTC)
    assert standing.look(now) == []
    credential.refuse("archive.org does not accept it (status 401)")
    [paused] = standing.look(now)
    assert (paused.kind, paused.level) == ("credential-refused", Level.ERROR)
    assert "what is public still comes" in paused.message
    assert standing.look(now) == []
    written(tmp_path / "token", "another")
    assert [told.kind for told in standing.look(now)] == ["credential-resumed"]
