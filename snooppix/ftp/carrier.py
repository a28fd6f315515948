"""Brings files over FTP from the one server that is followed."""

import asyncio
from concurrent.futures import ThreadPoolExecutor

from yarl import URL

from snooppix.carrier import Arrived, Progress, Wanted
from snooppix.download import THREADS, disk_failure, expected_of, verify
from snooppix.errors import Unreachable, UnsafeAddress
from snooppix.ftp.door import Door
from snooppix.ftp.transfer import Transfer
from snooppix.segments import Growth
from snooppix.writer import Writer
from terapix.clock import Clock, SystemClock
from terapix.part import Part


class FtpDownloader:
    """Fetches files through one door, within its limits.

    Parameters
    ----------
    door : the way to the server
    growth : when a large file comes over several connections; none: over one
    clock : rates
    """

    def __init__(self, door: Door, *, growth: Growth | None = None, clock: Clock | None = None) -> None:
        self.door = door
        self.growth = growth or Growth()
        self.clock = clock or SystemClock()
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="part")

    async def fetch(self, wanted: Wanted, source: str, progress: Progress) -> Arrived:
        """Fetch a file; afterwards the part is complete and verified.

        Raises
        ------
        FetchError
            What the server did; the part of a damaged file is kept beside as ``.bad``.
        """
        progress.host = URL(source).host or ""
        try:
            path = self.door.path(source)
        except UnsafeAddress as problem:
            raise Unreachable(wanted.name, progress.host, str(problem)) from problem
        algorithm = wanted.digest.algorithm if wanted.digest else "md5"
        part = await asyncio.to_thread(Part.open, wanted.part, algorithm=algorithm)
        async with Writer(part, progress, threads=self._threads) as writer:
            transfer = Transfer(
                self.door, path, wanted, part, progress, growth=self.growth, clock=self.clock, threads=self._threads
            )
            try:
                await transfer.complete(writer)
                expected = expected_of(wanted, part)
                if part.complete and expected is not None and part.digest != expected:
                    await transfer.mend(expected, source)
                return await asyncio.to_thread(verify, wanted, part, progress)
            except OSError as problem:
                raise disk_failure(problem, wanted, part) from problem
