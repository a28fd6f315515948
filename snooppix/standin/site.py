"""What all handlers of the stand-in share: files, catalogue, faults, clock, and who may read what."""

import asyncio
import os
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from aiohttp import web

from snooppix.protocol.sealing import stamp
from snooppix.standin.catalogue import Catalogue
from snooppix.standin.faults import Faults, Listed
from snooppix.standin.inventory import Inventory, StoredFile
from terapix.clock import Clock

CHALLENGES = (
    "Bearer",
    'ivoa_bearer standard_id="ivo://ivoa.net/sso#tls-with-password", access_url="{base}/login"',
    'ivoa_x509 standard_id="ivo://ivoa.net/sso#BasicAA", access_url="{base}/login"',
)
"""What a refusal says of how to authenticate."""


class Verdict(Enum):
    """Whether a caller may read pixels."""

    ALLOWED = "allowed"
    UNKNOWN = "unknown"  #: no credential, or none that is known: 401
    FORBIDDEN = "forbidden"  #: known, and not of this proposal: 403


@dataclass(frozen=True, slots=True)
class Access:
    """Who may read what before it is public; without it the stand-in gives everything to everyone."""

    tokens: Mapping[str, frozenset[str] | None]
    """For each bearer token the RUNIDs whose pixels it opens; None: all."""

    def knows(self, token: str) -> bool:
        """Whether a token is one of ours."""
        return token in self.tokens

    def judge(self, token: str, *, run: str | None, public: bool) -> Verdict:
        """Decide on the pixels of a run; a credential that is not known is refused even where none is needed."""
        if token and not self.knows(token):
            return Verdict.UNKNOWN
        if public:
            return Verdict.ALLOWED
        if not token:
            return Verdict.UNKNOWN
        runs = self.tokens[token]
        return Verdict.ALLOWED if runs is None or run in runs else Verdict.FORBIDDEN


class Site:
    """The archive behind the handlers."""

    def __init__(self, directory: Path, *, faults: Faults, clock: Clock, access: Access | None) -> None:
        self.inventory = Inventory(directory, clock=clock)
        self.faults = faults
        self.catalogue = Catalogue(self.inventory, faults)
        self.clock = clock
        self.access = access
        self.closing = asyncio.Event()
        """Set when the stand-in ends, so that stalled answers end too."""

    def now(self) -> str:
        """Time as the catalogue writes it."""
        return stamp(self.clock.now())

    async def find(self, uri: str) -> StoredFile | None:
        """Return the file of a URI as it is now."""
        file = self._listed(uri)
        if file is None or _changed(file):
            await asyncio.to_thread(self.catalogue.refresh)
            file = self._listed(uri)
        return file

    def _listed(self, uri: str) -> StoredFile | None:
        if (file := self.inventory.find(uri)) is not None:
            return file
        for other in self.inventory.files:
            fault = self.faults.peek(Listed, other.name)
            if fault and fault.uri == uri:
                return other
        return None

    def judge(self, request: web.Request, file: StoredFile) -> Verdict:
        """Decide whether a caller may read a file now."""
        if self.access is None:
            return Verdict.ALLOWED
        row = self.catalogue.described(file)
        run = row["proposal_id"] if row else None
        public = row is None or (row["dataRelease"] or "") <= self.now()
        return self.access.judge(token(request), run=run, public=public)

    def visible_at(self, request: web.Request) -> str | None:
        """Time at which descriptions must be public for this caller; None: the caller sees all."""
        if self.access is None or self.access.knows(token(request)):
            return None
        return self.now()


SITE = web.AppKey("site", Site)


def token(request: web.Request) -> str:
    """Bearer token of a request; empty if there is none."""
    scheme, _, text = request.headers.get("Authorization", "").partition(" ")
    return text.strip() if scheme.lower() == "bearer" else ""


def base(request: web.Request) -> str:
    """Address under which the caller reached us."""
    return f"{request.scheme}://{request.host}"


def refuse(request: web.Request, verdict: Verdict) -> web.Response:
    """Answer a caller who may not read: 401 with challenges, or 403."""
    if verdict is Verdict.FORBIDDEN:
        return web.Response(status=403, text="permission denied: not yet public\n")
    answer = web.Response(status=401, text="permission denied: authenticate first\n")
    for challenge in CHALLENGES:
        answer.headers.add("WWW-Authenticate", challenge.format(base=base(request)))
    return answer


def _changed(file: StoredFile) -> bool:
    try:
        found = os.stat(file.path)  # noqa: PTH116 - of one name, beside scandir's results
    except OSError:
        return True
    return (found.st_size, found.st_mtime_ns, found.st_ino) != file.signature
