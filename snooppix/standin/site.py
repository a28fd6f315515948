"""What all handlers of the stand-in share: files, catalogue, faults, clock, and who may read what."""

import asyncio
import os
import shutil
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from urllib.parse import quote

from aiohttp import web

from snooppix.protocol.sealing import stamp
from snooppix.protocol.uws import Jobs
from snooppix.standin.access import Access, User, Verdict, basic_of, common_name_of, token_of
from snooppix.standin.catalogue import Catalogue
from snooppix.standin.faults import Faults
from snooppix.standin.inventory import Inventory, StoredFile
from snooppix.standin.kinds import ClockSkew, Expired, Listed, Renewed, Withdrawn
from snooppix.standin.tickets import Tickets
from snooppix.standin.uploads import Uploads
from terapix.clock import Clock

CHALLENGES = (
    "Bearer",
    'ivoa_bearer standard_id="ivo://ivoa.net/sso#tls-with-password", access_url="{base}/gms/login"',
    'ivoa_x509 standard_id="ivo://ivoa.net/sso#BasicAA", access_url="{base}/gms/login"',
)
"""What a refusal says of how to authenticate."""
ADDRESS_LIFETIME = 3600.0
"""Seconds for which a pre-authorised address is good."""
LOGIN_LIFETIME = 172_800.0
"""Seconds for which a token of the login service is good."""
LOGIN = "login"
"""First word of a ticket that says who somebody is; those of pre-authorised addresses begin with get or put."""
USER: web.RequestKey[User | None] = web.RequestKey("user", User)
"""Key under which a request keeps who the caller is."""
NOBODY = User("")
"""A caller with a credential that is not known."""


class Site:
    """The archive behind the handlers."""

    def __init__(
        self, directory: Path, *, faults: Faults, clock: Clock, access: Access | None, uploads: Uploads | None = None
    ) -> None:
        self.inventory = Inventory(directory, clock=clock)
        self.faults = faults
        self.catalogue = Catalogue(self.inventory, faults, now=self.now)
        self.clock = clock
        self.access = access
        self.uploads = uploads if uploads is not None else Uploads(directory, clock=clock)
        self.tickets = Tickets(clock=clock)
        self.jobs = Jobs(clock=clock)
        self.mirrors: list[int] = []
        """Port of each storage site but the first."""
        self.closing = asyncio.Event()
        """Set when the stand-in ends, so that stalled answers end too."""

    def time(self) -> datetime:
        """Time by the archive's clock, which may be wrong on order."""
        skew = self.faults.peek(ClockSkew, "")
        return self.clock.now() + timedelta(seconds=skew.seconds if skew else 0.0)

    def now(self) -> str:
        """Time as the catalogue writes it."""
        return stamp(self.clock.now())

    async def find(self, uri: str) -> StoredFile | None:
        """Return the file of a URI as it is now; its time by the archive's clock."""
        file = self._listed(uri)
        if file is None or _changed(file):
            await asyncio.to_thread(self.catalogue.refresh, each=file is not None)
            file = self._listed(uri)
        if file is None or self.faults.peek(Withdrawn, file.name):
            return None
        skew = self.faults.peek(ClockSkew, file.name)
        return replace(file, modified=file.modified + timedelta(seconds=skew.seconds)) if skew else file

    def _listed(self, uri: str) -> StoredFile | None:
        if (file := self.inventory.find(uri)) is not None:
            return file
        for other in self.inventory.files:
            fault = self.faults.peek(Listed, other.name)
            if fault and fault.uri == uri:
                return other
        return None

    def caller(self, request: web.Request) -> User | None:
        """Tell who a caller is: None without a credential, `NOBODY` with one that is not known."""
        if self.access is None:
            return None
        if USER not in request:
            request[USER] = self._known(request, self.access)
        return request[USER]

    def _known(self, request: web.Request, access: Access) -> User | None:
        if given := token_of(request):
            said = self.tickets.read(given)
            signed = access.by_name(said[1]) if said[:1] == (LOGIN,) else None
            return access.by_token(given) or signed or NOBODY
        if (basic := basic_of(request)) is not None:
            # Basic counts at the legacy service alone, as at the real archive
            legacy = request.path.startswith("/data/")
            return (access.by_password(*basic) if legacy else None) or NOBODY
        if common_name := common_name_of(request):
            return access.by_certificate(common_name) or NOBODY
        return None

    def judge(self, request: web.Request, file: StoredFile) -> Verdict:
        """Decide whether a caller may read a file now; a credential that is not known is refused in any case."""
        if self.access is None:
            return Verdict.ALLOWED
        user = self.caller(request)
        if user is NOBODY:
            return Verdict.UNKNOWN
        row = self.catalogue.described(file)
        run = row["proposal_id"] if row else None
        public = row is None or (row["dataRelease"] or "") <= self.now()
        return self.access.judge(user, run=run, public=public)

    def may_write(self, request: web.Request) -> Verdict:
        """Decide whether a caller may put files: only who was given that right."""
        user = self.caller(request)
        if user is None or user is NOBODY:
            return Verdict.UNKNOWN
        return Verdict.ALLOWED if user.write else Verdict.FORBIDDEN

    def visible_at(self, request: web.Request) -> str | None:
        """Time at which descriptions must be public for this caller; None: the caller sees all."""
        if self.access is None or self.caller(request) not in {None, NOBODY}:
            return None
        return self.now()

    def addresses(self, request: web.Request, uri: str, *, verb: str = "get") -> list[str]:
        """Addresses of a file, the best first: of each storage site, pre-authorised where access is restricted."""
        quoted = quote(uri, safe=":/")
        if self.access is not None or self.faults.expects(Expired):
            user = self.caller(request)
            who = user.name if user is not None else ""
            quoted = f"{self.tickets.issue(verb, who, uri, seconds=ADDRESS_LIFETIME)}/{quoted}"
        host = request.url.host or "127.0.0.1"
        shown = f"[{host}]" if ":" in host else host
        others = [f"{request.scheme}://{shown}:{port}/minoc{n}/files" for n, port in enumerate(self.mirrors, 2)]
        return [f"{place}/{quoted}" for place in (f"{base(request)}/minoc/files", *others)]

    def renew(self, file: StoredFile) -> bool:
        """Put another content in place of a file, if that is ordered; blocks."""
        fault = self.faults.take(Renewed, file.name)
        if fault is None:
            return False
        put_in_place(Path(fault.source), file.path)
        self.catalogue.refresh()
        return True


SITE = web.AppKey("site", Site)


def base(request: web.Request) -> str:
    """Address under which the caller reached us."""
    return f"{request.scheme}://{request.host}"


def service_of(request: web.Request) -> str:
    """Name of the service that is asked, as faults know it: the first part of the path."""
    return request.path.split("/")[1]


def refuse(request: web.Request, verdict: Verdict, *, why: str = "not yet public") -> web.Response:
    """Answer a caller who may not: 401 with challenges, or 403."""
    if verdict is Verdict.FORBIDDEN:
        return web.Response(status=403, text=f"permission denied: {why}\n")
    answer = web.Response(status=401, text="permission denied: authenticate first\n")
    for challenge in CHALLENGES:
        answer.headers.add("WWW-Authenticate", challenge.format(base=base(request)))
    return answer


def put_in_place(source: Path, target: Path) -> None:
    """Copy a file over another, in one step for whoever looks."""
    new = target.with_name(f".{target.name}.new")
    shutil.copyfile(source, new)
    new.replace(target)


def _changed(file: StoredFile) -> bool:
    try:
        found = os.stat(file.path)  # noqa: PTH116 - of one name, beside scandir's results
    except OSError:
        return True
    return (found.st_size, found.st_mtime_ns, found.st_ino) != file.signature
