"""A verified download of 400 MB on loopback, beside curl followed by md5sum; from nginx where it is installed."""

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
from snooppix.part import publish
from snooppix.wire import Wire
from terapix.identity import Digest
from terapix.sections import ArchiveSection, SnooppixSection

SIZE = 400_000_000
RUNS = 5
NGINX = """
worker_processes 1; daemon off; pid {root}/pid; error_log {root}/error.log;
events {{ worker_connections 64; }}
http {{
  access_log off; sendfile on; types {{ application/fits fz; }}
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
    await Downloader(wire).fetch(Wanted("big", part, SIZE, found.digest), [found.address], Progress())
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
        agreement="digest verified; ours flushed to disk and renamed",
    )


def measure() -> list[Row]:
    with tempfile.TemporaryDirectory() as directory, served(Path(directory)) as (found, server):
        return [asyncio.run(compare(found, Path(directory), server))]


if __name__ == "__main__":
    command_line(measure)
