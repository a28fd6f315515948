"""Whether a host is asked at present: a circuit breaker for each, kept in the database.

A host that fails several times in a row rests; then one request probes it, and
its rest doubles while probes fail. A host that asks for a rest gets it. What is
said here of a host holds for every frame, so that a host in trouble is not
asked by ten thousand frames in turn, not even after a restart.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from dbclient.database import Database
from dbclient.records import HostRecord
from dbclient.schema import HostState, Level
from dbclient.stores import Events, Hosts
from terapix.clock import Clock
from terapix.journal import logger

log = logger("breaker")

LONGEST: Final = 3600.0
"""Seconds that a host rests at most, whatever it asks for and however often it failed."""
PROBE: Final = 10.0
"""Seconds after which a frame looks again whether the probe of another one has been answered."""
SOURCE: Final = "snooppix"


@dataclass(frozen=True, slots=True)
class Rules:
    """When a host rests, and how long."""

    failures: int = 5
    """Failures in a row."""
    rest: float = 60.0
    """Seconds of the first rest."""

    def seconds(self, rests: int) -> float:
        """Length of the rest after so many others without a good answer in between."""
        return min(self.rest * 2.0 ** min(rests, 32), max(LONGEST, self.rest))


@dataclass(frozen=True, slots=True)
class Breaker:
    """What is known of a host. Every event gives another one; nothing is asked and no clock is read here."""

    state: HostState = HostState.CLOSED
    failures: int = 0
    rests: int = 0
    reason: str | None = None
    until: datetime | None = None
    answered_at: datetime | None = None
    changed_at: datetime | None = None

    def answered(self, now: datetime) -> "Breaker":
        """The host did what it was asked. What it was asked before its rest began does not end the rest."""
        if self.state is HostState.OPEN and self.until is not None and self.until > now:
            return replace(self, answered_at=now)
        changed = self.changed_at if self.state is HostState.CLOSED else now
        return Breaker(answered_at=now, changed_at=changed)

    def failed(self, why: str, now: datetime, rules: Rules) -> "Breaker":
        """It did not. What a request that began before the rest says does not lengthen the rest."""
        if self.state is HostState.OPEN:
            return self
        failures = self.failures + 1
        if self.state is HostState.CLOSED and failures < rules.failures:
            return replace(self, failures=failures, reason=why)
        until = now + timedelta(seconds=rules.seconds(self.rests))
        return replace(
            self,
            state=HostState.OPEN,
            failures=failures,
            rests=self.rests + 1,
            reason=f"after {failures} failure{'s' if failures > 1 else ''}: {why}",
            until=until,
            changed_at=now,
        )

    def asked_to_rest(self, why: str, seconds: float, now: datetime) -> "Breaker":
        """It answered that it wants to be left alone; of two wishes the longer one holds."""
        until = now + timedelta(seconds=min(max(seconds, 1.0), LONGEST))
        if self.state is HostState.OPEN and self.until is not None and self.until >= until:
            return self
        return replace(self, state=HostState.OPEN, reason=f"as it asked: {why}", until=until, changed_at=now)

    def probed(self, now: datetime) -> "Breaker":
        """Its rest is over, and one request is on its way."""
        if self.state is not HostState.OPEN or (self.until is not None and self.until > now):
            return self
        return replace(self, state=HostState.PROBING, changed_at=now)


@dataclass(frozen=True, slots=True)
class Rest:
    """Why a host is not asked now."""

    host: str
    until: datetime
    why: str

    def __str__(self) -> str:
        return f"{self.host} rests until {self.until:%H:%M} {self.why}; asked next then"


class Breakers:
    """The breakers of all hosts."""

    def __init__(self, database: Database, *, clock: Clock, rules: Rules) -> None:
        self.database = database
        self.clock = clock
        self.rules = rules
        self.hosts: dict[str, Breaker] = {}
        self._probes: set[str] = set()
        """Hosts with a probe on its way."""

    async def load(self) -> None:
        """Take over what an earlier life knew; a probe that it had on its way is made again."""
        async with self.database.read() as session:
            known = await Hosts().all(session)
        for host in known:
            self.hosts[host.name] = _breaker(host)

    def resting(self, host: str) -> Rest | None:
        """Tell whether a host may not be asked now, without asking for anything."""
        breaker, now = self.hosts.get(host), self.clock.now()
        if breaker is None or breaker.state is HostState.CLOSED:
            return None
        if breaker.until is not None and breaker.until > now and breaker.state is HostState.OPEN:
            return Rest(host, breaker.until, breaker.reason or "")
        if host in self._probes:
            return Rest(host, now + timedelta(seconds=PROBE), "while one request probes it")
        return None

    async def ask(self, host: str) -> Rest | None:
        """Take leave to ask a host: none if it is given, and then the outcome must be told; else why not."""
        rest = self.resting(host)
        breaker = self.hosts.get(host)
        if rest is None and breaker is not None and breaker.state is not HostState.CLOSED:
            self._probes.add(host)
            await self._become(host, breaker.probed(self.clock.now()))
        return rest

    async def answered(self, host: str) -> None:
        """Tell that a host did what it was asked."""
        self._probes.discard(host)
        await self._become(host, self.hosts.get(host, Breaker()).answered(self.clock.now()))

    async def failed(self, host: str, why: str) -> None:
        """Tell that it did not."""
        self._probes.discard(host)
        await self._become(host, self.hosts.get(host, Breaker()).failed(why, self.clock.now(), self.rules))

    async def asked_to_rest(self, host: str, why: str, seconds: float) -> None:
        """Tell that it wants to be left alone."""
        self._probes.discard(host)
        await self._become(host, self.hosts.get(host, Breaker()).asked_to_rest(why, seconds, self.clock.now()))

    def let_go(self, host: str) -> None:
        """Tell that the outcome is not known: the request was given up by us."""
        self._probes.discard(host)

    async def _become(self, host: str, after: Breaker) -> None:
        """Keep a breaker; the database and the history hear of it when its state or its rest changes."""
        before = self.hosts.get(host, Breaker())
        self.hosts[host] = after
        if (before.state, before.until) == (after.state, after.until):
            return
        now = self.clock.now()
        kind, message, level = _told(host, after)
        log.info(kind, host=host, reason=after.reason, until=after.until)
        async with self.database.write() as session:
            await Hosts().put(session, _record(host, after, now))
            await Events().append(session, source=SOURCE, kind=kind, message=message, level=level, now=now)


def _told(host: str, breaker: Breaker) -> tuple[str, str, Level]:
    if breaker.state is HostState.OPEN and breaker.until is not None:
        return "host-rests", f"{host} rests until {breaker.until:%H:%M:%S} {breaker.reason}", Level.WARNING
    if breaker.state is HostState.PROBING:
        return "host-probed", f"{host} has rested; one request probes it", Level.INFO
    return "host-answers", f"{host} answers again", Level.INFO


def _breaker(host: HostRecord) -> Breaker:
    return Breaker(host.state, host.failures, host.rests, host.reason, host.until, host.answered_at, host.changed_at)


def _record(name: str, breaker: Breaker, now: datetime) -> HostRecord:
    return HostRecord(
        name=name,
        state=breaker.state,
        failures=breaker.failures,
        rests=breaker.rests,
        reason=breaker.reason,
        until=breaker.until,
        answered_at=breaker.answered_at,
        changed_at=breaker.changed_at or now,
    )
