"""Verified download of 400 MB over FTP from Debian's vsftpd on loopback, beside curl and md5sum; plain and with TLS."""

import asyncio
import hashlib
import os
import resource
import shutil
import sys
import tempfile
import time
from pathlib import Path

from figures import Row, command_line, timed

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from snooppix.carrier import Progress, Wanted
from snooppix.credentials import Credential
from snooppix.ftp.carrier import FtpDownloader
from snooppix.ftp.door import Door
from terapix.identity import Digest
from terapix.part import publish
from terapix.sections import ArchiveSection, SnooppixSection
from tests.support.vsftpd import PROGRAM, Vsftpd, vsftpd

SIZE = 400_000_000
RUNS = 5
NAME = "979412p.fits.fz"


def offer(server: Vsftpd) -> Digest:
    """Write a file that begins as FITS and holds noise, as a compressed frame does."""
    digest = hashlib.md5(usedforsecurity=False)
    with (server.directory / NAME).open("wb") as file:
        block = b"SIMPLE  =                    T".ljust(80) + os.urandom(2**20 - 80)
        while (left := SIZE - file.tell()) > 0:
            file.write(block[:left])
            digest.update(block[:left])
            block = os.urandom(2**20)
    return Digest("md5", digest.hexdigest())


async def ours(server: Vsftpd, digest: Digest, root: Path, *, secured: bool) -> tuple[float, float]:
    """Fetch, verify, and file durably; wall and CPU seconds."""
    security = "explicit" if secured else "none"
    section = ArchiveSection(kind="ftp", address=server.address, ftp_security=security)
    door = Door(section, SnooppixSection(), Credential(authority=server.authority if secured else None))
    part, target = root / "ours.0.part", root / "ours"
    target.unlink(missing_ok=True)
    os.sync()
    before, begin = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
    await FtpDownloader(door).fetch(Wanted("979412p", part, SIZE, digest), door.address(NAME), Progress())
    await asyncio.to_thread(publish, part, target)
    wall, after = time.perf_counter() - begin, resource.getrusage(resource.RUSAGE_SELF)
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def theirs(server: Vsftpd, root: Path, *, secured: bool) -> tuple[float, float]:
    target = root / "theirs"
    target.unlink(missing_ok=True)
    os.sync()
    security = ["--ssl-reqd", "--cacert", str(server.authority)] if secured else []
    address = f"ftp://localhost:{server.port}/{server.directory}/{NAME}"  # //: from the root on
    fetch = timed(["curl", "-s", *security, "-o", str(target), address], runs=1)
    check = timed(["md5sum", str(target)], runs=1)
    return fetch.wall + check.wall, fetch.cpu + check.cpu


def compare(root: Path, *, secured: bool) -> Row:
    """Take turns, and the least of each: a machine that is used otherwise only ever adds."""
    mine, peer = [], []
    with vsftpd(root / ("ftps" if secured else "ftp"), secured=secured) as server:
        digest = offer(server)
        for _ in range(RUNS):
            mine.append(asyncio.run(ours(server, digest, root, secured=secured)))
            peer.append(theirs(server, root, secured=secured))
    best, other = ([min(values) for values in zip(*runs, strict=True)] for runs in (mine, peer))
    return Row(
        part=f"verified download, {'FTPS' if secured else 'FTP'}",
        input="400 MB from vsftpd on loopback",
        ours=best[0],
        ours_cpu=best[1],
        peer="curl, then md5sum",
        peer_seconds=other[0],
        peer_cpu=other[1],
        goal="as fast",
        agreement="digest verified; ours flushed to disk and renamed",
    )


def measure() -> list[Row]:
    if not Path(PROGRAM).exists() or not shutil.which("curl"):
        return []
    with tempfile.TemporaryDirectory() as directory:
        return [compare(Path(directory), secured=secured) for secured in (False, True)]


if __name__ == "__main__":
    command_line(measure)
