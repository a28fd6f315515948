"""How a daemon obeys its operators: it works or rests as they wish, and takes over the settings they saved.

What it does stands in its heartbeat beside what it was asked (the readback):
``wish_seen``, ``resting_since``, ``reload_seen`` (the request it answered), ``reloaded_at``, ``settings_version``
and ``settings_problem``. Moments of two hosts' clocks are never compared.
"""

from datetime import datetime
from typing import Any

from dbclient.database import Database
from dbclient.records import ConfigurationRecord, ControlRecord
from dbclient.schema import Level, Wish
from dbclient.stores import Configurations, Controls, Events
from terapix.daemon import Daemon
from terapix.journal import logger
from terapix.overlay import Overlay

log = logger("control")


class Control:
    """Asks the database on every pass of a daemon what is wanted of it."""

    def __init__(self, daemon: Daemon, database: Database) -> None:
        self._daemon = daemon
        self._database = database
        self.wish = Wish.RUN
        self._rest: ControlRecord | None = None
        self._reload_seen: datetime | None = None
        self._reloaded_at: datetime = daemon.started_at
        self._hangups = daemon.hangups
        self._version: int | None = None
        self._problem: str | None = None

    @property
    def rests(self) -> bool:
        """True while nothing new is to be begun."""
        return self.wish is Wish.REST

    @property
    def sentence(self) -> str | None:
        """What the status says while the daemon rests."""
        if self._rest is None:
            return None
        return f"rests since {self._rest.changed_at:%Y-%m-%d %H:%M} UTC by {self._rest.changed_by}"

    @property
    def figures(self) -> dict[str, Any]:
        """The readback, for the heartbeat."""
        return {
            "wish_seen": self.wish.value,
            "resting_since": self._rest.changed_at.isoformat() if self._rest else None,
            "reload_seen": self._reload_seen.isoformat() if self._reload_seen else None,
            "reloaded_at": self._reloaded_at.isoformat(),
            "settings_version": self._version,
            "settings_problem": self._problem,
        }

    async def begin(self) -> None:
        """Take over what operators saved before the start, and what they wish; call it once, before the work."""
        async with self._database.read() as session:
            newest = await Configurations().newest(session, self._daemon.name)
            asked = await Controls().of(session, self._daemon.name)
        self._reload_seen = asked.reload_at if asked else None
        if newest is not None:
            await self._take(newest)
        await self._obey(asked)

    async def look(self) -> bool:
        """Obey what was asked since the last pass.

        Returns
        -------
        bool
            Whether settings were read again.
        """
        async with self._database.read() as session:
            asked = await Controls().of(session, self._daemon.name)
            due = self._is_due(asked)
            newest = await Configurations().newest(session, self._daemon.name) if due else None
        await self._obey(asked)
        if due:
            self._hangups = self._daemon.hangups
            self._reload_seen = asked.reload_at if asked else None
            await self._take(newest)
        return due

    def _is_due(self, asked: ControlRecord | None) -> bool:
        by_page = asked is not None and asked.reload_at is not None and asked.reload_at != self._reload_seen
        return by_page or self._daemon.hangups != self._hangups

    async def _obey(self, asked: ControlRecord | None) -> None:
        wish = asked.wish if asked else Wish.RUN
        self._rest = asked if wish is Wish.REST else None
        if wish is self.wish:
            return
        self.wish = wish
        words = {Wish.REST: "rests: it begins nothing new", Wish.RUN: "works again"}[wish]
        await self._tell(f"{wish.value}-obeyed", f"{self._daemon.name} {words}", Level.INFO)

    async def _take(self, newest: ConfigurationRecord | None) -> None:
        """Read the settings again with operators' newest version; a bad one changes nothing."""
        self._reloaded_at = self._daemon.clock.now()
        name = self._daemon.name
        self._problem = self._daemon.reload(Overlay(newest.text, newest.id) if newest else None)
        if self._problem:
            await self._tell("settings-refused", f"{name}: {self._problem}", Level.WARNING)
            return
        self._version = newest.id if newest else None
        whose = f" with version {newest.id}" if newest else ""
        await self._tell("settings-read", f"{name} has read its settings{whose}", Level.INFO)

    async def _tell(self, kind: str, message: str, level: Level) -> None:
        log.info("operators were obeyed", what=message)
        async with self._database.write() as session:
            await Events().append(
                session,
                source=self._daemon.name,
                kind=kind,
                message=message,
                level=level,
                now=self._daemon.clock.now(),
            )
