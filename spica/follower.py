"""How SNOOPPIX does, in a sentence: what was asked of it, what it says it does, and what needs a person."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from dbclient.records import (
    ConfigurationRecord,
    ControlRecord,
    DaemonRecord,
    DifferenceRecord,
    HostRecord,
    TransferRecord,
)
from dbclient.schema import DifferenceState, FrameState, HostState, Wish
from spica.chain import SILENT
from terapix.quantities import counted

NAME: Final = "snooppix"
START: Final = ("systemctl start snooppix", "terapix up")
"""Commands that start a dead daemon: as a service, or by hand."""
OBEYS: Final = timedelta(seconds=60)
"""A daemon that lives obeys within this time; later, somebody should look."""
RESTS: Final = 4
"""Rests of a host in a row from which on it is no passing trouble: a quarter of an hour as the settings come."""
CERTIFICATE: Final = 7.0
"""Days before the end of a credential from which on it is a warning."""


@dataclass(frozen=True, slots=True)
class Warned:
    """Something that needs a person, and where it is shown."""

    text: str
    link: str | None = None
    grave: bool = True
    """Whether a person is needed; what heals by itself is told and not grave."""


@dataclass(frozen=True, slots=True)
class Asked:
    """One thing that was asked of the daemon beside what the daemon says of it."""

    what: str
    asked: str
    by: str | None
    at: datetime | None
    """When it was asked."""
    says: str
    agrees: bool
    since: datetime | None
    """Since when the two differ; none while they agree."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What the database knows, of which the sentence is made."""

    now: datetime
    heart: DaemonRecord | None
    control: ControlRecord | None
    newest: ConfigurationRecord | None
    states: Mapping[FrameState, int] = field(default_factory=dict)
    waiting: int = 0
    moving: Sequence[TransferRecord] = ()
    hosts: Sequence[HostRecord] = ()
    difference: DifferenceRecord | None = None
    """The last full difference."""
    bookmark_looked_at: datetime | None = None
    """When the bookmark says that the last look ended, whatever the daemon remembers."""
    unpublished: int = 0
    """Products that cannot be given back."""

    @property
    def figures(self) -> Mapping[str, Any]:
        return (self.heart.figures or {}) if self.heart else {}

    @property
    def silent(self) -> bool:
        return self.heart is not None and self.now - self.heart.beat_at > SILENT

    @property
    def alive(self) -> bool:
        return self.heart is not None and not self.silent

    @property
    def rests(self) -> bool:
        return bool(self.figures.get("wish_seen") == Wish.REST.value)

    @property
    def looked_at(self) -> datetime | None:
        """When the last whole look ended."""
        return max(filter(None, (self.moment("looked_at"), self.bookmark_looked_at)), default=None)

    @property
    def next_look(self) -> datetime | None:
        """When the next look is due, as the daemon says; none where none is to come."""
        return self.moment("next_look") if self.alive and not self.rests else None

    def moment(self, name: str) -> datetime | None:
        """Give a figure that is a moment; none if it is missing or makes no sense."""
        try:
            found = datetime.fromisoformat(str(self.figures.get(name)))
        except ValueError:
            return None
        return found if found.tzinfo else found.replace(tzinfo=UTC)

    def number(self, name: str) -> float | None:
        found = self.figures.get(name)
        return float(found) if isinstance(found, (int, float)) and not isinstance(found, bool) else None


@dataclass(frozen=True, slots=True)
class Health:
    sentence: str
    well: bool
    warnings: tuple[Warned, ...]
    readback: tuple[Asked, ...]


def judge(facts: Facts) -> Health:
    """Say how SNOOPPIX does."""
    readback = (_work(facts), _settings(facts))
    warnings = tuple(_warnings(facts, readback)) if facts.heart else ()
    well = facts.alive and not any(warning.grave for warning in warnings)
    return Health(_sentence(facts, well=well), well, warnings, readback)


def _sentence(facts: Facts, *, well: bool) -> str:
    if facts.heart is None:
        return "SNOOPPIX does not run, and has not run here yet or was ended as asked."
    if facts.silent:
        age = spoken(facts.now - facts.heart.beat_at)
        return f"SNOOPPIX is silent since {facts.heart.beat_at:%Y-%m-%d %H:%M:%S} UTC, {age}: it died, or its host did."
    if facts.rests:
        by = f" as {facts.control.changed_by} wished" if facts.control else ""
        since = f" since {facts.control.changed_at:%Y-%m-%d %H:%M} UTC" if facts.control else ""
        return f"SNOOPPIX rests{since}{by}: it neither looks nor begins anything new; {_arriving(facts)}."
    looked = facts.looked_at
    look = f"looked {spoken(facts.now - looked)} ago" if looked else "has not had a whole look yet"
    begin = "SNOOPPIX is well" if well else "SNOOPPIX needs you"
    waits = {0: "none waits", 1: "1 waits"}.get(facts.waiting, f"{facts.waiting} wait")
    return f"{begin}: {look}, {_arriving(facts)}, {waits}."


def _arriving(facts: Facts) -> str:
    count = len(facts.moving)
    if not count:
        return "no frame arrives"
    rate = sum(transfer.rate or 0.0 for transfer in facts.moving)
    speed = f" at {rate / 1e3:.0f} kB/s" if rate < 1e6 else f" at {rate / 1e6:.{1 if rate < 1e7 else 0}f} MB/s"
    return f"{count} frame{' arrives' if count == 1 else 's arrive'}{speed if rate else ''}"


def _work(facts: Facts) -> Asked:
    control = facts.control
    wish = control.wish if control else Wish.RUN
    seen = facts.figures.get("wish_seen")
    says = _unheard(facts) or {"run": "it works", "rest": "it rests"}.get(str(seen), "nothing of it")
    agrees = facts.alive and seen == wish.value
    return Asked(
        what="Work",
        asked={Wish.RUN: "to work", Wish.REST: "to rest"}[wish],
        by=control.changed_by if control else None,
        at=control.changed_at if control else None,
        says=says,
        agrees=agrees,
        since=None if agrees or control is None else _differ(facts, control.changed_at),
    )


def _settings(facts: Facts) -> Asked:
    control, newest = facts.control, facts.newest
    held, problem = facts.figures.get("settings_version"), facts.figures.get("settings_problem")
    read = facts.moment("reloaded_at")
    asked = f"version {newest.id}" if newest else "the file alone"
    saved = newest.saved_at if newest else None
    reload = control.reload_at if control else None
    at = max(filter(None, (saved, reload)), default=None)
    has = f"version {held}" if held else "the file alone"
    says = _unheard(facts) or (f"{has}, read {read:%Y-%m-%d %H:%M:%S} UTC" if read else has)
    if problem and facts.alive:
        says += f"; {problem}"
    answered = reload is None or facts.moment("reload_seen") == reload
    agrees = facts.alive and held == (newest.id if newest else None) and answered and not problem
    return Asked(
        what="Settings",
        asked=asked,
        by=newest.saved_by if newest else None,
        at=at,
        says=says,
        agrees=agrees,
        since=None if agrees or at is None else _differ(facts, at),
    )


def _unheard(facts: Facts) -> str | None:
    if facts.heart is None:
        return "nothing: it does not run"
    return "nothing: it is silent" if facts.silent else None


def _differ(facts: Facts, asked: datetime) -> datetime:
    """Since when asked and said differ: since it was asked, or since the daemon fell silent after it."""
    return max(asked, facts.heart.beat_at) if facts.heart and facts.silent else asked


def _warnings(facts: Facts, readback: Sequence[Asked]) -> list[Warned]:
    found = []
    if facts.figures.get("archive_answers") is False and facts.heart:
        found.append(Warned(f"The archive does not answer: {facts.heart.status}"))
    problem = facts.figures.get("settings_problem")
    if problem:
        found.append(Warned(f"Its settings: {problem}", "/snooppix/configuration"))
    elif facts.alive:
        found += [
            Warned(f"{one.what}: it was asked {one.asked} and says {one.says}")
            for one in readback
            if one.since is not None and one.what == "Work" and facts.now - one.since > OBEYS
        ]
    days = facts.number("credential_days_left")
    if days is not None and days < CERTIFICATE:
        kind = facts.figures.get("credential_kind") or "credential"
        left = "has expired" if days <= 0 else f"ends in {days:.1f} days"
        found.append(Warned(f"The archive's {kind} {left}: renew the file that archive.credential names"))
    refused = facts.figures.get("credential_refused")
    if refused:
        found.append(Warned(f"The archive refuses our credential: {refused}"))
    resting = [host for host in facts.hosts if host.state is not HostState.CLOSED]
    if resting:
        names = ", ".join(host.name for host in resting[:3])
        lasting = any(host.rests >= RESTS for host in resting)
        found.append(Warned(f"{counted(len(resting), 'host')} not asked at present: {names}", "#hosts", grave=lasting))
    failed = facts.states.get(FrameState.FAILED, 0)
    if failed:
        found.append(Warned(f"{counted(failed, 'frame')} failed: all tries are used up", "/frames?state=failed"))
    found += _difference(facts.difference)
    if facts.unpublished:
        words = f"{counted(facts.unpublished, 'product')} could not be given back"
        found.append(Warned(words, "/snooppix/lists/publications?state=failed"))
    return found


def _difference(last: DifferenceRecord | None) -> list[Warned]:
    if last is None:
        return []
    if last.state is DifferenceState.FAILED:
        return [Warned(f"The last full difference failed: {last.reason or 'no reason given'}", "#differences")]
    if last.lost:
        return [Warned(f"The last full difference found {counted(last.lost, 'file')} lost from disk", "#differences")]
    return []


def spoken(span: timedelta) -> str:
    """Write a time span with one unit: 2 min."""
    seconds = max(0.0, span.total_seconds())
    for limit, unit, word in ((60, 1, "s"), (3600, 60, "min"), (86400, 3600, "h")):
        if seconds < limit:
            return f"{int(seconds // unit)} {word}"
    return f"{int(seconds // 86400)} d"
