"""Where the archive stores a file, asked as long as the service that knows does not rest."""

from collections.abc import Sequence

from dbclient.records import FrameRecord
from snooppix.archive import Archive
from snooppix.breaker import Breakers
from snooppix.carrier import host_of
from snooppix.errors import ArchiveSilent, NotAdmitted, NotAllowed, NotSignedIn, Resting


class Locator:
    """Asks an archive for the addresses of files."""

    def __init__(self, archive: Archive, breakers: Breakers) -> None:
        self.archive = archive
        self.breakers = breakers

    async def locate(self, frame: FrameRecord) -> list[str]:
        """Ask where a file lies, unless the service that knows rests."""
        service = f"the locator of {self.archive.name}"
        rest = await self.breakers.ask(service)
        if rest is not None:
            raise Resting(frame.name, service, str(rest), until=rest.until)
        try:
            sources = await self.archive.locate(frame.uri)
        except ArchiveSilent as problem:
            if problem.refuses:
                await self.breakers.answered(service)
            elif problem.retry_after is not None:
                await self.breakers.asked_to_rest(service, str(problem), problem.retry_after)
            else:
                await self.breakers.failed(service, str(problem))
            raise
        except NotAdmitted as problem:
            await self.breakers.answered(service)
            raise (NotSignedIn if problem.status == 401 else NotAllowed)(frame.name, service, str(problem)) from problem
        finally:
            self.breakers.let_go(service)
        await self.breakers.answered(service)
        return sources

    async def hosts(self, frame: FrameRecord) -> list[str]:
        """Name the hosts at which a file lies."""
        return [host_of(source) for source in await self.locate(frame)]

    def refuse_resting(self, frame: FrameRecord, hosts: Sequence[str]) -> None:
        """Begin nothing where every host rests."""
        rests = [rest for host in hosts if (rest := self.breakers.resting(host)) is not None]
        if rests and len(rests) == len(hosts):
            first = min(rests, key=lambda rest: rest.until)
            raise Resting(frame.name, first.host, str(first), until=first.until)
