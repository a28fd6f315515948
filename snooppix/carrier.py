"""What the fetcher asks of whoever brings a file, over whatever protocol."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Final, Protocol

from yarl import URL

from snooppix.errors import FetchError, NoRoom, NotStored, Unreachable
from terapix.identity import Digest

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


@dataclass(frozen=True, slots=True)
class Arrived:
    """A part that is whole and verified."""

    size: int
    digest: Digest


class Carrier(Protocol):
    """Brings files over one protocol."""

    async def fetch(self, wanted: Wanted, sources: Sequence[str], progress: Progress) -> Arrived:
        """Fetch a file from the first source that gives it whole, into a complete and verified part.

        Raises
        ------
        FetchError
            What the last source did.
        """


Carriers = Mapping[str, Carrier]
"""By scheme of the address: http, https, ftp, ftps."""


def told(headers: Mapping[str, str]) -> dict[str, str]:
    """Keep of a server's headers what may be kept."""
    return {name: text for name, text in headers.items() if not any(word in name.lower() for word in SECRET)}


async def carry(carriers: Carriers, wanted: Wanted, sources: Sequence[str], progress: Progress) -> Arrived:
    """Let the carriers of the sources' protocols try in order; neighbours of one protocol go to it together.

    Raises
    ------
    FetchError
        What the last one did.
    """
    problem: FetchError = NotStored(wanted.name, "the archive", "it is listed and not stored at any site yet")
    for scheme, alike in groupby(sources, key=lambda source: URL(source).scheme):
        group = list(alike)
        if scheme not in carriers:
            problem = Unreachable(wanted.name, URL(group[0]).host or group[0], f"nobody here speaks {scheme}")
            continue
        try:
            return await carriers[scheme].fetch(wanted, group, progress)
        except NoRoom:
            raise
        except FetchError as found:
            problem = found
    raise problem
