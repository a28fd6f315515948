"""Traffic: which links are in use, whether one move more may begin, and how fast each may go at this hour."""

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from datatransfer.depots import Depots, Freight
from datatransfer.errors import MoveError
from datatransfer.links import RECEPTION, Link, obstacle, rates
from datatransfer.nodes import Roster
from dbclient.records import TransferRecord
from terapix.clock import Clock
from terapix.hosts import LinkSection
from terapix.journal import logger

log = logger("datatransfer.traffic")

AGAIN: Final = 60.0
"""Seconds after which an agent is told its rates again: it may have been started anew."""
Roots = tuple[str, str]
"""From which root, and to which."""


@dataclass(frozen=True, slots=True)
class _Way:
    """A move that goes on between hosts."""

    link: Link
    address: str
    """Agent that fetches."""
    roots: Roots


class Traffic:
    """Keeps to the limits of links."""

    def __init__(self, depots: Depots, roster: Roster, clock: Clock, *, limits: tuple[LinkSection, ...]) -> None:
        self._depots = depots
        self._roster = roster
        self._clock = clock
        self._limits = limits
        self._ways: dict[int, _Way] = {}
        self._told: dict[str, tuple[Mapping[Roots, int], float]] = {}
        """By agent: the rates that it was told, and when (monotonic) it is to be told them again."""

    def link_of(self, transfer: TransferRecord, names: Mapping[int, str]) -> Link | None:
        """Give the link that a transfer takes; none if it stays on this host.

        Parameters
        ----------
        names : of nodes, by row
        """
        source = names.get(transfer.origin_id, "") if transfer.origin_id else RECEPTION
        depots = [self._roster.depot(name) for name in (source, transfer.node or "") if name != RECEPTION]
        far = any(depot is not None and depot.address for depot in depots)
        return Link(source, transfer.node or "") if far else None

    def is_full(self, link: Link | None) -> bool:
        """Tell whether as many moves go over a link, or over those that share its limit, as may."""
        if link is None or not self._limits:
            return False
        going = [way.link for way in self._ways.values()]
        return obstacle(self._limits, going, link, self._clock.now()) is not None

    async def begin(self, transfer: int, link: Link | None, freight: Freight) -> None:
        """Take note that a move begins; the agents are told before it does how fast it may go."""
        if link is not None and self._limits:
            address = freight.target.address or self._depots.own
            self._ways[transfer] = _Way(link, address, (freight.source.root, freight.target.root))
            await self.look()

    def end(self, transfer: int, *, broken: bool = False) -> None:
        """Take note that a move has ended; after a break its agent is told the rates again."""
        way = self._ways.pop(transfer, None)
        if way is not None and broken:
            self._told.pop(way.address, None)

    async def look(self) -> None:
        """Tell agents the rates of their links, where these are others than they know."""
        if not self._limits:
            return
        wanted = self._wanted()
        now = self._clock.monotonic()
        for address in sorted({*wanted, *self._told}):
            mine = wanted.get(address, {})
            told, again = self._told.get(address, ({}, now))
            if mine == told and (now < again or not mine):
                continue
            try:
                await self._depots.pace(address, mine)
            except MoveError as problem:
                log.warning("an agent could not be told its rates", address=address, problem=str(problem))
            else:
                self._told[address] = (mine, now + AGAIN)

    def _wanted(self) -> dict[str, dict[Roots, int]]:
        """Give the rate of each pair of roots by the agent that fetches; what has no limit is not named."""
        shared = rates(self._limits, [way.link for way in self._ways.values()], self._clock.now())
        moves = Counter(way.link for way in self._ways.values())
        found: dict[str, dict[Roots, int]] = defaultdict(dict)
        for way, count in Counter(self._ways.values()).items():
            rate = shared[way.link] * count // moves[way.link]
            if shared[way.link]:
                found[way.address][way.roots] = max(1, rate)
        return dict(found)
