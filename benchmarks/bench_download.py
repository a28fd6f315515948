"""Verified downloads on loopback: one of 400 MB beside curl and md5sum, eight and 10,000 small ones beside aria2c.

From nginx where it is installed. aria2c checks the digests too and flushes nothing to the disk; ours are flushed.
"""

import asyncio
import contextlib
import hashlib
import os
import resource
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from figures import Row, command_line, timed

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from snooppix.download import Downloader, Progress, Wanted
from snooppix.wire import Wire
from terapix.identity import Digest
from terapix.part import publish
from terapix.sections import ArchiveSection, SnooppixSection

SIZE = 400_000_000
RUNS = 5
EIGHT = 100_000_000
"""Bytes of each of eight files that come at the same time."""
SMALL = 100_000
MANY = 10_000
JOBS = (8, 16)
"""Files at the same time that aria2c is tried with for many small ones; the best counts."""
NGINX = """
worker_processes 1; daemon off; pid {root}/pid; error_log {root}/error.log;
events {{ worker_connections 64; }}
http {{
  access_log off; sendfile on; keepalive_requests 1000000; types {{ application/fits fz; }}
  client_body_temp_path {root}/1; proxy_temp_path {root}/2; fastcgi_temp_path {root}/3;
  uwsgi_temp_path {root}/4; scgi_temp_path {root}/5;
  server {{ listen 127.0.0.1:{port}; root {root}/www; }}
}}
"""


@dataclass(frozen=True, slots=True)
class Offer:
    """What the server has."""

    address: str
    digest: Digest


def offer(root: Path) -> Digest:
    """Write a file that begins as FITS and holds noise, as a compressed frame does."""
    (root / "www").mkdir()
    root.chmod(0o755)  # nginx serves as another user when it is started by root
    digest = hashlib.md5(usedforsecurity=False)
    with (root / "www" / "big.fits.fz").open("wb") as file:
        block = b"SIMPLE  =                    T".ljust(80) + os.urandom(2**20 - 80)
        while (left := SIZE - file.tell()) > 0:
            file.write(block[:left])
            digest.update(block[:left])
            block = os.urandom(2**20)
    return Digest("md5", digest.hexdigest())


@contextlib.contextmanager
def served(root: Path) -> Iterator[tuple[Offer, str]]:
    """Serve the file; give its address and the name of the server."""
    digest = offer(root)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    nginx = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin:/sbin")
    if nginx:
        (root / "nginx.conf").write_text(NGINX.format(root=root, port=port))
        argv = [nginx, "-c", str(root / "nginx.conf"), "-e", str(root / "error.log")]
    else:
        argv = [sys.executable, "-m", "http.server", str(port), "--bind", "127.0.0.1", "-d", str(root / "www")]
    server = subprocess.Popen(argv, stderr=subprocess.DEVNULL)
    try:
        for _ in range(100):
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                break
            time.sleep(0.05)
        yield Offer(f"http://127.0.0.1:{port}/big.fits.fz", digest), "nginx" if nginx else "http.server"
    finally:
        server.terminate()
        server.wait()


async def ours(found: Offer, root: Path, wire: Wire) -> tuple[float, float]:
    """Fetch, verify, and file durably; wall and CPU seconds."""
    part, target = root / "big.0.part", root / "big.fits.fz"
    target.unlink(missing_ok=True)
    os.sync()
    before, begin = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
    await Downloader(wire).fetch(Wanted("big", part, SIZE, found.digest), found.address, Progress())
    await asyncio.to_thread(publish, part, target)
    wall, after = time.perf_counter() - begin, resource.getrusage(resource.RUSAGE_SELF)
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def theirs(found: Offer, root: Path) -> tuple[float, float]:
    target = root / "theirs"
    target.unlink(missing_ok=True)
    os.sync()
    fetch = timed(["curl", "-s", "-o", str(target), found.address], runs=1)
    check = timed(["md5sum", str(target)], runs=1)
    return fetch.wall + check.wall, fetch.cpu + check.cpu


def offer_many(root: Path, address: str, *, count: int, size: int) -> list[Offer]:
    """Write files of noise that begin as FITS."""
    offers = []
    base = address.rsplit("/", 1)[0]
    for index in range(count):
        content = b"SIMPLE  =                    T".ljust(80) + os.urandom(size - 80)
        name = f"{size}-{index:05d}p.fits.fz"
        (root / "www" / name).write_bytes(content)
        offers.append(Offer(f"{base}/{name}", Digest("md5", hashlib.md5(content, usedforsecurity=False).hexdigest())))
    return offers


async def ours_many(offers: list[Offer], root: Path, size: int) -> tuple[float, float]:
    """Fetch, verify and file durably, eight at a time."""
    out = root / "ours"
    out.mkdir()
    os.sync()
    before, begin = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
    queue = iter(offers)
    async with Wire(ArchiveSection(registry=offers[0].address), SnooppixSection(downloads=8)) as wire:
        downloader = Downloader(wire)

        async def work() -> None:
            for found in queue:
                name = found.address.rsplit("/", 1)[1]
                part = out / f"{name}.part"
                await downloader.fetch(Wanted(name, part, size, found.digest), found.address, Progress())
                await asyncio.to_thread(publish, part, out / name)

        await asyncio.gather(*(work() for _ in range(8)))
    wall, after = time.perf_counter() - begin, resource.getrusage(resource.RUSAGE_SELF)
    shutil.rmtree(out)
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def aria2c(offers: list[Offer], root: Path, jobs: int) -> tuple[float, float]:
    """Let aria2c fetch the same and check the same digests."""
    (root / "list").write_text(
        "".join(f"{found.address}\n  checksum=md5={found.digest.hexadecimal}\n" for found in offers)
    )
    out = root / "aria2c"
    os.sync()
    argv = ["aria2c", "-q", f"-j{jobs}", "-x1", "--file-allocation=none", "-d", str(out), "-i", str(root / "list")]
    timing = timed(argv, runs=1)
    shutil.rmtree(out)
    return timing.wall, timing.cpu


def compare_many(root: Path, address: str, *, count: int, size: int, jobs: tuple[int, ...], runs: int) -> Row:
    """Take the least of several runs of each: a machine that is used otherwise only ever adds."""
    offers = offer_many(root, address, count=count, size=size)
    mine, theirs_all = [], []
    for _ in range(runs):
        mine.append(asyncio.run(ours_many(offers, root, size)))
        theirs_all += [(*aria2c(offers, root, number), number) for number in jobs]
    for found in offers:
        (root / "www" / found.address.rsplit("/", 1)[1]).unlink()
    ours_best, peer = min(mine), min(theirs_all)
    return Row(
        part="verified downloads, eight at a time",
        input=f"{count} of {size / 1e6:g} MB from nginx on loopback",
        ours=ours_best[0],
        ours_cpu=ours_best[1],
        peer=f"aria2c -j{peer[2]}",
        peer_seconds=peer[0],
        peer_cpu=peer[1],
        goal="1.11 times faster" if count == 8 else "as fast",
        agreement="digests verified by both; ours flushed to disk and renamed",
    )


async def compare(found: Offer, root: Path, server: str) -> Row:
    ours_all, theirs_all = [], []
    async with Wire(ArchiveSection(registry=found.address), SnooppixSection()) as wire:
        await ours(found, root, wire)
        for _ in range(RUNS):
            ours_all.append(await ours(found, root, wire))
            theirs_all.append(await asyncio.to_thread(theirs, found, root))
    median = [statistics.median(values) for values in (*zip(*ours_all, strict=True), *zip(*theirs_all, strict=True))]
    return Row(
        part="verified download",
        input=f"400 MB from {server} on loopback",
        ours=median[0],
        ours_cpu=median[1],
        peer="curl, then md5sum",
        peer_seconds=median[2],
        peer_cpu=median[3],
        goal="1.25 times faster",
        agreement="digest of the file and of each block verified; ours flushed to disk and renamed",
    )


def measure() -> list[Row]:
    with tempfile.TemporaryDirectory() as directory, served(Path(directory)) as (found, server):
        root = Path(directory)
        rows = [asyncio.run(compare(found, root, server))]
        if shutil.which("aria2c"):
            rows.append(compare_many(root, found.address, count=8, size=EIGHT, jobs=(8,), runs=3))
            rows.append(compare_many(root, found.address, count=MANY, size=SMALL, jobs=JOBS, runs=1))
        return rows


if __name__ == "__main__":
    command_line(measure)
