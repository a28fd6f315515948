"""Servers that lie, break off, or let others speak for them: nothing wrong gets in, and nothing secret gets out."""

import contextlib
import hashlib
import os
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import trustme

from snooppix.carrier import Arrived, Progress, Wanted
from snooppix.credentials import Credential, Passwords
from snooppix.errors import ArchiveError, ArchiveSilent, Changed, FetchError, ListingRefused, Unreachable
from snooppix.ftp.archive import FtpArchive
from snooppix.ftp.carrier import FtpDownloader
from snooppix.ftp.door import Door
from snooppix.names import Names
from terapix.clock import SystemClock
from terapix.identity import Digest
from terapix.sections import ArchiveSection, SelectionSection, SnooppixSection
from tests.support.ftp_server import OddServer
from tests.support.origin import written
from tests.support.patience import PATIENCE

MB = 1024 * 1024
CONTENT = b"SIMPLE  =" + os.urandom(3 * MB)
OTHER = b"SIMPLE  =" + os.urandom(3 * MB)
PATH = "/d/979412p.fits.fz"
LINE = b"type=file;size=3145737;modify=20010909014640; 979412p.fits.fz\r\n"
PASSWORD = "yabba dabba"


def md5(content: bytes) -> Digest:
    return Digest("md5", hashlib.md5(content, usedforsecurity=False).hexdigest())


@dataclass(slots=True)
class Follower:
    """Who fetches a file of a server."""

    door: Door
    part: Path
    progress: Progress = field(default_factory=Progress)

    async def fetch(self, *, digest: Digest | None = None) -> Arrived:
        wanted = Wanted("979412p", self.part, len(CONTENT), digest)
        return await FtpDownloader(self.door).fetch(wanted, self.door.address("979412p.fits.fz"), self.progress)

    async def look(self) -> list[str]:
        archive = FtpArchive(self.door, selection=SelectionSection(), names=Names(), page=9, clock=SystemClock())
        return [seen.name async for batch in archive.since(None) for seen in batch.sightings]


@contextlib.asynccontextmanager
async def following(
    server: OddServer,
    place: Path,
    *,
    credential: Credential | None = None,
    secured: bool = False,
    patience: float = PATIENCE,
) -> AsyncIterator[Follower]:
    server.files.setdefault(PATH, CONTENT)
    server.listings.setdefault("/d", LINE)
    async with server.running():
        section = ArchiveSection(
            kind="ftp", address=f"{server.address}/d", ftp_security="explicit" if secured else "none"
        )
        limits = SnooppixSection(connect_timeout=5.0, read_timeout=patience)
        yield Follower(Door(section, limits, credential or Credential()), place / "a.part")


@dataclass(slots=True)
class Trust:
    """An authority, what it signed, and who believes it."""

    server: ssl.SSLContext
    credential: Credential


@pytest.fixture
def trust(tmp_path: Path) -> Trust:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "authority.pem"))
    netrc = written(tmp_path / "netrc", f'machine localhost login wilma password "{PASSWORD}"\n')
    return Trust(signed(authority), Passwords(netrc, authority=tmp_path / "authority.pem"))


def signed(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("localhost").configure_cert(context)
    return context


async def test_with_tls_all_is_as_without(trust: Trust, tmp_path: Path) -> None:
    server = OddServer(tls=trust.server, host="localhost")
    async with following(server, tmp_path, credential=trust.credential, secured=True) as follower:
        assert await follower.look() == ["979412p"]
        assert await follower.fetch(digest=md5(CONTENT)) == Arrived(len(CONTENT), md5(CONTENT))
    assert server.commands[:4] == ["AUTH TLS", "PBSZ 0", "PROT P", "USER wilma"]


async def test_what_somebody_slips_in_before_tls_begins_counts_for_nothing(trust: Trust, tmp_path: Path) -> None:
    """Replies in the clear behind the 234 would be read as said within TLS."""
    server = OddServer(tls=trust.server, host="localhost", slips=b"200 so be it\r\n200 so be it\r\n230 come in\r\n")
    async with following(server, tmp_path, credential=trust.credential, secured=True) as follower:
        with pytest.raises(Unreachable, match="in the clear"):
            await follower.fetch()
    assert server.commands == ["AUTH TLS"]


@pytest.mark.parametrize(
    "oddity",
    [
        {"refuses": {"AUTH": "502 not here"}},
        {"refuses": {"AUTH": "234 begin"}},
        {"refuses": {"PBSZ": "502 not here"}},
        {"refuses": {"PROT": "536 only in the clear"}},
    ],
)
async def test_nothing_secret_is_said_to_who_will_not_secure_it(
    oddity: dict[str, dict[str, str]], trust: Trust, tmp_path: Path
) -> None:
    server = OddServer(tls=trust.server, host="localhost", **oddity)  # type: ignore[arg-type]
    async with following(server, tmp_path, credential=trust.credential, secured=True) as follower:
        with pytest.raises(Unreachable):
            await follower.fetch()
        with pytest.raises((ListingRefused, ArchiveSilent)):
            await follower.look()
    assert not {"USER", "PASS", "RETR", "MLSD"} & {command.split()[0] for command in server.commands}


async def test_data_that_is_not_secured_is_not_taken(trust: Trust, tmp_path: Path) -> None:
    server = OddServer(tls=trust.server, host="localhost", clear_data=True)
    async with following(server, tmp_path, credential=trust.credential, secured=True) as follower:
        with pytest.raises(Unreachable):
            await follower.fetch()
        with pytest.raises(ArchiveSilent):
            await follower.look()
    assert not follower.part.exists() or follower.part.stat().st_size == 0


async def test_data_of_somebody_else_is_not_taken(trust: Trust, tmp_path: Path) -> None:
    """Who gets hold of the port has no certificate that we trust."""
    server = OddServer(tls=trust.server, host="localhost", data_tls=signed(trustme.CA()))
    async with following(server, tmp_path, credential=trust.credential, secured=True) as follower:
        with pytest.raises(Unreachable, match="not trusted"):
            await follower.fetch()
    assert follower.part.stat().st_size == 0


@pytest.mark.parametrize(
    ("extended", "passive"),
    [
        ("229 here (|1|192.0.2.1|{port}|)", ""),
        ("229 here (|||99999|)", ""),
        ("229 here (|||0|)", ""),
        ("229 here", ""),
        ("", "227 here (192,0,2,1,999,999)"),
        ("", "227 here (192,0,2,1,0,0)"),
        ("", "227 somewhere"),
    ],
)
async def test_a_port_that_is_none_is_an_error_of_the_server(extended: str, passive: str, tmp_path: Path) -> None:
    refuses = {} if extended else {"EPSV": "500 what?"}
    server = OddServer(extended=extended, passive=passive, refuses=refuses)
    async with following(server, tmp_path) as follower:
        with pytest.raises(Unreachable, match="without a port"):
            await follower.fetch()
        with pytest.raises(ListingRefused, match="without a port"):
            await follower.look()


async def test_a_foreign_address_of_pasv_is_not_gone_to(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    gone: list[str] = []
    server = OddServer(passive="227 here (192,0,2,1,{high},{low})", refuses={"EPSV": "500 what?"})
    async with following(server, tmp_path) as follower:
        import asyncio

        loop = asyncio.get_running_loop()
        connect = loop.sock_connect

        async def noted(sock: object, address: tuple[str, int]) -> None:
            gone.append(address[0])
            await connect(sock, address)  # type: ignore[arg-type]

        monkeypatch.setattr(loop, "sock_connect", noted)
        await follower.fetch(digest=md5(CONTENT))
    assert set(gone) == {"127.0.0.1"}


@pytest.mark.parametrize(
    "welcome",
    [
        "220-" + "\r\n220-".join(["we are glad"] * 5000) + "\r\n220 welcome",
        "220" + "x" * 100_000,
        "²²⁰ welcome",
        "",
        "SSH-2.0-OpenSSH_9.2",
    ],
)
async def test_what_is_no_reply_is_an_error_of_the_server(welcome: str, tmp_path: Path) -> None:
    async with following(OddServer(welcome=welcome), tmp_path, patience=0.5) as follower:  # some are silent then
        with pytest.raises(FetchError) as problem:
            await follower.fetch()
        with pytest.raises((ListingRefused, ArchiveSilent)):
            await follower.look()
    assert problem.value.why.isprintable()


async def test_a_welcome_in_another_encoding_and_of_many_lines_is_a_welcome(tmp_path: Path) -> None:
    welcome = "220-" + "\r\n220-".join(["Bienvenue \udce0 tous"] * 100) + "\r\n220 entrez"
    async with following(OddServer(welcome=welcome), tmp_path) as follower:
        assert await follower.look() == ["979412p"]


async def test_what_a_server_says_comes_into_no_log_unescaped(tmp_path: Path) -> None:
    server = OddServer(refuses={"RETR": "550 \x1b[2J\x1b]0;gone\x07 \x00\u202e"})
    async with following(server, tmp_path) as follower:
        with pytest.raises(FetchError) as problem:
            await follower.fetch()
    assert str(problem.value).isprintable()
    assert r"\x1b[2J" in problem.value.why


async def test_a_file_replaced_while_it_is_fetched_is_no_mixture(tmp_path: Path) -> None:
    async with following(OddServer(swaps=(MB, OTHER)), tmp_path) as follower:
        await follower.fetch()
    assert follower.part.read_bytes() == OTHER


async def test_a_file_replaced_while_it_is_fetched_is_not_called_damaged(tmp_path: Path) -> None:
    async with following(OddServer(swaps=(MB, OTHER)), tmp_path) as follower:
        with pytest.raises(Changed, match="replaced while it was fetched"):
            await follower.fetch(digest=md5(CONTENT))
    assert not follower.part.exists()
    assert not follower.part.with_suffix(".bad").exists()


@pytest.mark.parametrize(("digest", "interruptions"), [(md5(CONTENT), 0), (None, 1)])
async def test_a_control_connection_that_ends_first_does_no_harm(
    digest: Digest | None, interruptions: int, tmp_path: Path
) -> None:
    async with following(OddServer(goes_after=MB), tmp_path) as follower:
        await follower.fetch(digest=digest)
    assert follower.part.read_bytes() == CONTENT
    assert follower.progress.interruptions == interruptions


@pytest.mark.parametrize("oddity", [{"refuses": {"REST": "502 not here"}}, {"ignores_rest": True}])
@pytest.mark.parametrize("digest", [md5(CONTENT), None])
async def test_where_the_middle_cannot_be_had_a_cut_file_begins_again(
    digest: Digest | None, oddity: dict[str, object], tmp_path: Path
) -> None:
    server = OddServer(cuts=[2 * MB], **oddity)  # type: ignore[arg-type]
    async with following(server, tmp_path) as follower:
        await follower.fetch(digest=digest)
    assert follower.part.read_bytes() == CONTENT
    assert follower.progress.interruptions == 1


async def test_a_file_that_grows_is_not_whole(tmp_path: Path) -> None:
    """More comes than was announced, since somebody writes."""
    async with following(OddServer(swaps=(MB, CONTENT + b"more")), tmp_path) as follower:
        with pytest.raises((Unreachable, Changed)):
            await follower.fetch()


@pytest.mark.parametrize(
    ("ends", "problem"),
    [("426 cut", ListingRefused), ("451 disk trouble", ListingRefused), ("", ArchiveSilent)],
)
async def test_half_a_listing_is_none(ends: str, problem: type[Exception], tmp_path: Path) -> None:
    async with following(OddServer(ends=ends), tmp_path) as follower:
        with pytest.raises(problem):
            await follower.look()


async def test_a_server_that_grants_one_session_is_left_before_the_next_begins(tmp_path: Path) -> None:
    """It counts a session until it has ended it; who only hangs up is told that there are too many."""
    async with following(OddServer(most=1, lingers=0.05), tmp_path) as follower:
        assert await follower.look() == ["979412p"]
        await follower.fetch(digest=md5(CONTENT))
        assert await follower.look() == ["979412p"]


def test_an_address_that_says_ftps_is_not_followed_in_the_clear() -> None:
    section = ArchiveSection(kind="ftp", address="ftps://ftp.example/dir", ftp_security="none")
    with pytest.raises(ArchiveError, match="begins with ftps"):
        Door(section, SnooppixSection(), Credential())
