"""What the fetcher asks of whoever brings a file, over whatever protocol."""

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final, Protocol, Self

from yarl import URL

from snooppix.breaker import Breakers, Rest
from snooppix.errors import Busy, FetchError, NoRoom, NotStored, Resting, Unreachable
from terapix.identity import Digest
from terapix.part import Bound

SECRET: Final = ("cookie", "auth", "token", "location", "x-vo-")
"""Parts of names of headers that say who asks, or let others ask in our name: they are not kept."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be fetched."""

    name: str
    """Frame or calibration, for messages."""
    part: Path
    size: int | None
    digest: Digest | None
    """As the archive lists it; none if it lists none, then the server's own is believed."""
    mirrors: tuple[str, ...] = ()
    """Other addresses of the same bytes, of which damaged ones may be had instead."""
    fits: bool = True
    """Whether anything but a FITS file is refused from its first bytes on."""


@dataclass(slots=True)
class Progress:
    """How far a download has come; written by the download, read by whoever shows it."""

    done: int = 0
    total: int | None = None
    host: str = ""
    interruptions: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    """What the server said of the file, without cookies and tokens."""
    connections: int = 1
    """Connections that it comes over at present."""
    repaired: int = 0
    """Bytes that were fetched a second time because the first ones were damaged."""


class Proof(enum.StrEnum):
    """By what a file that came was known to be whole and right, before its pixels were looked at; in words."""

    LISTED = "digest verified as known beforehand"  #: the listing told it
    OFFERED = "digest verified as the server told it, for none is listed"
    SIZE = "size verified, for neither listing nor server tells a digest"
    NONE = "neither digest nor size verified, for none was told"

    @classmethod
    def of(cls, wanted: "Wanted", bound: Bound | None) -> Self:
        """Tell by what a file that is whole was verified: what was known of it, and what the server said."""
        if wanted.digest is not None:
            return cls.LISTED
        if bound is not None and bound.digest:
            return cls.OFFERED
        told = wanted.size is not None or (bound is not None and bound.total >= 0)
        return cls.SIZE if told else cls.NONE


@dataclass(frozen=True, slots=True)
class Arrived:
    """A part that is whole and verified."""

    size: int
    digest: Digest
    """Of the bytes that came."""
    proof: Proof = field(default=Proof.LISTED, compare=False)


class Carrier(Protocol):
    """Brings files over one protocol."""

    async def fetch(self, wanted: Wanted, source: str, progress: Progress) -> Arrived:
        """Fetch a file from one address into a complete and verified part.

        Raises
        ------
        FetchError
            What its host did.
        """


Carriers = Mapping[str, Carrier]
"""By scheme of the address: http, https, ftp, ftps."""


def told(headers: Mapping[str, str]) -> dict[str, str]:
    """Keep of a server's headers what may be kept."""
    return {name: text for name, text in headers.items() if not any(word in name.lower() for word in SECRET)}


def host_of(address: str) -> str:
    """Name a host as breakers and limits know it, with its port where that is not the usual one."""
    url = URL(address)
    if not url.host:
        return address
    return url.host if url.is_default_port() else f"{url.host}:{url.port}"


async def carry(
    carriers: Carriers, breakers: Breakers, wanted: Wanted, sources: Sequence[str], progress: Progress
) -> Arrived:
    """Ask the sources in order, each by the carrier of its protocol; hosts that rest are passed over.

    Raises
    ------
    FetchError
        What the last one did; `Resting` if none was asked.
    """
    problem: FetchError | None = None
    rests: list[Rest] = []
    for source in sources:
        host = host_of(source)
        carrier = carriers.get(URL(source).scheme)
        if carrier is None:
            problem = Unreachable(wanted.name, host, f"nobody here speaks {URL(source).scheme}")
            continue
        if (rest := await breakers.ask(host)) is not None:
            rests.append(rest)
            continue
        others = tuple(other for other in sources if other != source and breakers.resting(host_of(other)) is None)
        try:
            arrived = await carrier.fetch(replace(wanted, mirrors=others), source, progress)
        except NoRoom:
            raise
        except FetchError as found:
            problem = found
            await tell(breakers, host, found)
        else:
            await breakers.answered(host)
            return arrived
        finally:
            breakers.let_go(host)
    if problem is None and rests:
        first = min(rests, key=lambda rest: rest.until)
        raise Resting(wanted.name, first.host, str(first), until=first.until)
    raise problem or NotStored(wanted.name, "the archive", "it is listed and not stored at any site yet")


async def tell(breakers: Breakers, host: str, problem: FetchError) -> None:
    """Tell the breaker of a host what its failure means: a host that answers about one file is well."""
    match problem:
        case Busy() if problem.retry_after is not None:
            await breakers.asked_to_rest(host, problem.why, problem.retry_after)
        case Unreachable() | Busy():
            await breakers.failed(host, problem.why)
        case _:
            await breakers.answered(host)
