"""Files over FTP that come wrong in every way end with the right bytes, or with a clear error."""

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
from snooppix.errors import (
    ArchiveError,
    ArchiveSilent,
    Busy,
    Changed,
    Damaged,
    FetchError,
    ListingRefused,
    NotAllowed,
    NotFits,
    NotSignedIn,
    NotStored,
    Unreachable,
)
from snooppix.ftp.archive import FtpArchive
from snooppix.ftp.carrier import FtpDownloader
from snooppix.ftp.control import Refused
from snooppix.ftp.door import Door, failure
from snooppix.names import Names
from snooppix.standin.ftp import FtpTwin
from snooppix.standin.kinds import Busy as BusyFault
from snooppix.standin.kinds import Dropped, Fault, Flipped, Listed, Missing, Short, Stalled
from snooppix.standin.kinds import Refused as RefusedFault
from terapix.clock import SystemClock
from terapix.identity import Digest
from terapix.sections import ArchiveSection, SelectionSection, SnooppixSection
from tests.support.archive import small_fits
from tests.support.origin import written
from tests.support.patience import PATIENCE

MB = 1024 * 1024
CONTENT = small_fits("979412p") + b"\0" * 5 * MB + os.urandom(MB)
PASSWORD = "yabba dabba"


def md5(content: bytes) -> Digest:
    return Digest("md5", hashlib.md5(content, usedforsecurity=False).hexdigest())


@dataclass(slots=True)
class Bench:
    """One file at a server, and everything to fetch it with."""

    twin: FtpTwin
    door: Door
    part: Path
    progress: Progress = field(default_factory=Progress)

    async def fetch(self, *, listed: bool = True, content: bytes = CONTENT) -> Arrived:
        """Fetch the file, with size and digest as a listing may tell them, or without."""
        size, digest = (len(content), md5(content)) if listed else (None, None)
        wanted = Wanted("979412p", self.part, size, digest)
        return await FtpDownloader(self.door).fetch(wanted, self.door.address("979412p.fits.fz"), self.progress)


@contextlib.asynccontextmanager
async def serving(
    place: Path,
    *,
    credential: Credential | None = None,
    secured: bool = False,
    host: str = "",
    patience: float = PATIENCE,
    **options: object,
) -> AsyncIterator[Bench]:
    directory = place / "served"
    directory.mkdir(exist_ok=True)
    (directory / "979412p.fits.fz").write_bytes(CONTENT)
    os.utime(directory / "979412p.fits.fz", (1e9, 1e9))
    twin = FtpTwin(directory, **options)  # type: ignore[arg-type]
    address = host or await twin.begin()
    section = ArchiveSection(kind="ftp", address=address, ftp_security="explicit" if secured else "none")
    limits = SnooppixSection(connect_timeout=5.0, read_timeout=patience)
    try:
        yield Bench(twin, Door(section, limits, credential or Credential()), place / "979412p.part")
    finally:
        if not host:
            await twin.end()


@pytest.fixture
async def bench(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Bench]:
    """A server and who fetches from it; `param`: seconds of silence after which it cuts."""
    async with serving(tmp_path, patience=getattr(request, "param", PATIENCE)) as found:
        yield found


@pytest.mark.parametrize("listed", [True, False])
async def test_a_whole_file_arrives_verified(*, listed: bool, bench: Bench) -> None:
    assert await bench.fetch(listed=listed) == Arrived(len(CONTENT), md5(CONTENT))
    assert bench.part.read_bytes() == CONTENT
    assert bench.progress.headers == {"SIZE": str(len(CONTENT)), "MDTM": "20010909014640"}


@pytest.mark.parametrize("listed", [True, False])
@pytest.mark.parametrize("cuts", [[MB], [3 * MB], [MB, MB, MB], [-1]])
async def test_a_cut_connection_is_resumed_where_it_ended(cuts: list[int], *, listed: bool, bench: Bench) -> None:
    bench.twin.faults.add(*(Dropped(after=after) for after in cuts))
    await bench.fetch(listed=listed)
    assert bench.part.read_bytes() == CONTENT
    assert bench.progress.interruptions == len(cuts)


@pytest.mark.parametrize("bench", [0.5], indirect=True)
async def test_a_stalled_connection_is_cut_and_resumed(bench: Bench) -> None:
    bench.twin.faults.add(Stalled(after=2 * MB, at="ftp"))
    await bench.fetch()
    assert bench.part.read_bytes() == CONTENT
    assert bench.progress.interruptions >= 1  # a busy machine may be silent for half a second, too


async def test_with_every_byte_here_a_lost_226_does_no_harm(bench: Bench) -> None:
    bench.twin.faults.add(Dropped(after=len(CONTENT)))
    await bench.fetch()
    assert bench.progress.interruptions == 0


async def test_without_a_digest_a_lost_226_is_asked_about(bench: Bench) -> None:
    bench.twin.faults.add(Dropped(after=len(CONTENT)))
    await bench.fetch(listed=False)
    assert bench.progress.interruptions == 1
    assert bench.part.read_bytes() == CONTENT


async def test_a_226_behind_too_few_bytes_is_not_believed(bench: Bench) -> None:
    bench.twin.faults.add(Short(missing=1000))
    await bench.fetch()
    assert bench.part.read_bytes() == CONTENT


async def test_a_byte_that_was_flipped_on_the_way_is_fetched_again(bench: Bench) -> None:
    bench.twin.faults.add(Flipped(byte=3 * MB))
    await bench.fetch()
    assert bench.part.read_bytes() == CONTENT
    assert bench.progress.repaired == 4 * MB


async def test_a_byte_that_is_wrong_each_time_is_damage(bench: Bench) -> None:
    bench.twin.faults.add(Flipped(byte=3 * MB, times=0))
    with pytest.raises(Damaged):
        await bench.fetch()
    assert bench.part.with_suffix(".bad").exists()
    bench.twin.faults.clear()
    await bench.fetch()
    assert bench.part.read_bytes() == CONTENT


async def test_another_size_than_listed_waits_for_the_next_listing(bench: Bench) -> None:
    bench.twin.faults.add(Listed(length=len(CONTENT) + 1))
    with pytest.raises(Changed, match="its next listing decides"):
        await bench.fetch()


async def test_a_file_replaced_between_two_tries_begins_again(bench: Bench) -> None:
    """Same size, no digest: its time alone tells that the part belongs to something else."""
    bench.twin.faults.add(Dropped(after=2 * MB), Dropped(after=0, times=0))
    with pytest.raises(Unreachable):
        await bench.fetch(listed=False)
    assert bench.part.stat().st_size == 2 * MB
    bench.twin.faults.clear()
    other = CONTENT[:-1] + b"?"
    (bench.twin.directory / "979412p.fits.fz").write_bytes(b"SIMPLE  =" + other[9:])
    await bench.fetch(listed=False)
    assert bench.part.read_bytes() == other


async def test_what_is_no_fits_is_kept_as_evidence(bench: Bench) -> None:
    (bench.twin.directory / "979412p.fits.fz").write_bytes(b"%PDF-1.4 what is this")
    with pytest.raises(NotFits) as problem:
        await bench.fetch(listed=False)
    assert problem.value.head.startswith(b"%PDF")


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        (Missing(times=0), NotStored),
        (BusyFault(at="ftp", times=0), Busy),
        (RefusedFault(times=0), Unreachable),
        (Dropped(after=0, times=0), Unreachable),
    ],
)
async def test_what_a_server_will_not_give(fault: Fault, kind: type[FetchError], bench: Bench) -> None:
    bench.twin.faults.add(fault)
    with pytest.raises(kind):
        await bench.fetch()


@pytest.mark.parametrize(
    ("code", "text", "kind"),
    [
        (421, "timeout", Busy),
        (425, "cannot open data connection", Unreachable),
        (426, "connection closed", Unreachable),
        (430, "invalid username or password", NotSignedIn),
        (450, "file unavailable", NotStored),
        (451, "local error", Unreachable),
        (452, "insufficient storage", Unreachable),
        (331, "please give the password", NotSignedIn),
        (332, "need account", NotSignedIn),
        (500, "unknown command", Unreachable),
        (530, "login incorrect", NotSignedIn),
        (530, "sorry, the maximum number of clients is connected", Busy),
        (550, "no such file", NotStored),
        (550, "Permission denied", NotAllowed),
        (553, "name not allowed", NotStored),
    ],
)
def test_each_reply_has_its_class(code: int, text: str, kind: type[FetchError]) -> None:
    found = failure(Refused(code, text), "979412p", "host")
    assert type(found) is kind
    assert str(code) in found.why


async def test_the_address_that_pasv_gives_is_not_followed(tmp_path: Path) -> None:
    async with serving(tmp_path, extended=False, pasv_address="192.0.2.1") as bench:
        await bench.fetch()
    assert bench.part.read_bytes() == CONTENT


async def test_who_has_an_account_signs_in(tmp_path: Path) -> None:
    netrc = written(tmp_path / "netrc", f'machine 127.0.0.1 login wilma password "{PASSWORD}"\n')
    async with serving(tmp_path, accounts={"wilma": PASSWORD}, credential=Passwords(netrc)) as bench:
        await bench.fetch()
    assert bench.part.read_bytes() == CONTENT


async def test_a_refused_password_pauses_it_until_its_file_changes(tmp_path: Path) -> None:
    netrc = written(tmp_path / "netrc", "machine 127.0.0.1 login wilma password wrong\n")
    async with serving(tmp_path, accounts={"wilma": PASSWORD}, credential=Passwords(netrc)) as bench:
        for _ in range(2):
            with pytest.raises(NotSignedIn):
                await bench.fetch()
        assert bench.door.credential.paused
        assert PASSWORD not in str(bench.door.credential.refused)
        written(netrc, f'machine 127.0.0.1 login wilma password "{PASSWORD}"\n')
        await bench.fetch()


async def test_a_password_does_not_go_over_plain_ftp(tmp_path: Path) -> None:
    netrc = written(tmp_path / "netrc", f'machine ftp.example login wilma password "{PASSWORD}"\n')
    async with serving(tmp_path, credential=Passwords(netrc), host="ftp://ftp.example/dir") as bench:
        with pytest.raises(NotSignedIn, match="not sent over plain FTP"):
            await bench.fetch()


def secured() -> tuple[trustme.CA, ssl.SSLContext]:
    authority = trustme.CA()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("localhost").configure_cert(context)
    return authority, context


async def test_ftps_of_the_twin(tmp_path: Path) -> None:
    authority, context = secured()
    authority.cert_pem.write_to_path(str(tmp_path / "authority.pem"))
    trusting = Credential(authority=tmp_path / "authority.pem")
    async with serving(tmp_path, tls=context, secured=True, credential=trusting) as bench:
        bench.twin.faults.add(Dropped(after=2 * MB))
        await bench.fetch()
    assert bench.part.read_bytes() == CONTENT


async def test_a_server_that_demands_tls_is_not_signed_in_to_without(tmp_path: Path) -> None:
    _, context = secured()
    async with serving(tmp_path, tls=context) as bench:
        with pytest.raises(NotSignedIn, match="AUTH TLS"):
            await bench.fetch()


async def test_a_server_without_tls_gets_nothing_where_it_is_demanded(tmp_path: Path) -> None:
    async with serving(tmp_path, secured=True) as bench:
        with pytest.raises(Unreachable, match="504"):
            await bench.fetch()


@pytest.mark.parametrize(
    "uri",
    [
        "ftp://elsewhere/979412p.fits.fz",
        "ftp://127.0.0.1:1/979412p.fits.fz",
        "http://127.0.0.1/979412p.fits.fz",
        "{base}/../../etc/passwd",
        "{base}/%2e%2e/secret",
        "{base}/a%0d%0aDELE%20b",
    ],
)
async def test_an_address_that_leads_elsewhere_is_not_followed(uri: str, bench: Bench) -> None:
    section = ArchiveSection(kind="ftp", address=f"{bench.door.base}/night", ftp_security="none")
    door = Door(section, SnooppixSection(), Credential())
    with pytest.raises(Unreachable, match="is not followed"):
        await FtpDownloader(door).fetch(
            Wanted("979412p", bench.part, None, None), uri.format(base=f"{door.base}"), bench.progress
        )


@pytest.mark.parametrize("address", ["", "http://archive.org", "ftp://", "ftp://wilma:secret@archive.org/dir"])
def test_an_address_that_is_no_directory_of_a_server_is_refused(address: str) -> None:
    with pytest.raises(ArchiveError, match=r"archive\.address"):
        Door(ArchiveSection(kind="ftp", address=address), SnooppixSection(), Credential())


async def test_a_silent_server_and_a_missing_directory_are_told_apart(bench: Bench) -> None:
    def archive(door: Door) -> FtpArchive:
        return FtpArchive(door, selection=SelectionSection(), names=Names(), page=10, clock=SystemClock())

    bench.twin.faults.add(RefusedFault(times=1))
    with pytest.raises(ArchiveSilent):
        await anext(archive(bench.door).since(None))
    section = ArchiveSection(kind="ftp", address=f"{bench.door.base}/nowhere", ftp_security="none")
    elsewhere = Door(section, SnooppixSection(), Credential())
    with pytest.raises(ListingRefused, match="550"):
        await anext(archive(elsewhere).since(None))
