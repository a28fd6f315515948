"""Limits of links are kept: as many moves as may, as fast as may, and agents learn of it at once."""

import asyncio
import os
import threading
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest

from datatransfer.agent.courier import Courier, Silent
from datatransfer.agent.pace import Bucket, Pace
from datatransfer.depots import Depot, Depots, Freight
from datatransfer.links import Link
from datatransfer.mover import Carried
from datatransfer.nodes import Roster
from datatransfer.traffic import AGAIN, Roots, Traffic
from dbclient.records import TransferRecord
from terapix.clock import SetClock
from terapix.hosts import LinkSection
from tests.datatransfer.test_lanes import promised
from tests.support.agents import Agent
from tests.support.site import NIGHT

HERE = Depot("reception/reception", Path("/reception"))
FAR = {name: Depot(f"nodes/{name}", Path("/far"), f"http://{name}:8620") for name in ("node2", "node3")}
NEAR = Depot("nodes/node1", Path("/near"))
DAY = LinkSection(source="reception", target="node*", rate=1_000_000, moves=2, begin="08:00", end="23:30")


class Told:
    """Depots that only note what agents were told."""

    own = "http://reception:8620"

    def __init__(self) -> None:
        self.rates: list[tuple[str, dict[Roots, int]]] = []
        self.silent = False

    async def pace(self, address: str, rates: Mapping[Roots, int]) -> None:
        if self.silent:
            raise Silent(f"{address} does not answer")
        self.rates.append((address, dict(rates)))


class Known:
    def depot(self, name: str) -> Depot | None:
        return FAR.get(name) or (NEAR if name == "node1" else None)


def traffic(clock: SetClock, *limits: LinkSection) -> tuple[Traffic, Told]:
    told = Told()
    return Traffic(cast("Depots", told), cast("Roster", Known()), clock, limits=limits), told


def freight(node: str) -> Freight:
    return Freight(HERE, "979412p.fits.fz", FAR[node], "frames/979412p.fits.fz", "md5:0", 1)


def going(node: str, **facts: Any) -> TransferRecord:
    return replace(promised(1), node=node, **facts)


def test_only_what_leaves_this_host_takes_a_link() -> None:
    kept, _ = traffic(SetClock(NIGHT), DAY)
    names = {1: "node1", 2: "node2"}
    assert kept.link_of(promised(1), names) is None
    assert kept.link_of(going("node2"), names) == Link("reception", "node2")
    assert kept.link_of(going("node1", origin_id=2), names) == Link("node2", "node1")
    assert kept.link_of(going("node1", origin_id=1), names) is None


async def test_a_third_move_waits_and_rates_are_shared_by_those_that_go() -> None:
    clock = SetClock(NIGHT)
    kept, told = traffic(clock, DAY)
    two, three = Link("reception", "node2"), Link("reception", "node3")

    await kept.begin(1, two, freight("node2"))
    assert told.rates == [("http://node2:8620", {("reception/reception", "nodes/node2"): 1_000_000})]
    assert not kept.is_full(three)
    await kept.begin(2, three, freight("node3"))
    assert told.rates[1:] == [
        ("http://node2:8620", {("reception/reception", "nodes/node2"): 500_000}),
        ("http://node3:8620", {("reception/reception", "nodes/node3"): 500_000}),
    ]
    assert kept.is_full(two)
    assert not kept.is_full(None)
    kept.end(1)
    assert not kept.is_full(two)


async def test_agents_learn_when_the_hour_is_another_one_and_when_they_did_not_answer() -> None:
    clock = SetClock(NIGHT)
    kept, told = traffic(clock, DAY)
    told.silent = True
    await kept.begin(1, Link("reception", "node2"), freight("node2"))
    told.silent = False
    await kept.look()
    await kept.look()
    assert [rates for _, rates in told.rates] == [{("reception/reception", "nodes/node2"): 1_000_000}]
    clock.advance(AGAIN)
    await kept.look()
    assert len(told.rates) == 2
    clock.advance(1800.0)
    await kept.look()
    assert told.rates[2:] == [("http://node2:8620", {})]


async def test_without_limits_nobody_is_told_anything() -> None:
    kept, told = traffic(SetClock(NIGHT))
    await kept.begin(1, Link("reception", "node2"), freight("node2"))
    await kept.look()
    assert told.rates == []


def test_a_bucket_lets_through_what_its_rate_allows_and_feels_another_rate_at_once() -> None:
    bucket = Bucket(1000)
    assert bucket.draw(250, now=10.0) == 0.0
    assert bucket.draw(1000, now=10.0) == 1.0
    assert bucket.draw(0, now=10.5) == 0.5
    bucket.rate = 5000
    assert bucket.draw(0, now=10.5) == pytest.approx(0.1)
    bucket.rate = 0
    assert bucket.draw(10**9, now=10.5) == 0.0


def test_who_waits_for_a_rate_ends_when_told_to_stop() -> None:
    stop = threading.Event()
    stop.set()
    Pace(Bucket(1), clock=lambda: 0.0).draw(1000, stop)


async def test_a_file_comes_as_slowly_as_its_link_may_and_fast_once_it_may(
    pair: tuple[Agent, Agent, Courier],
) -> None:
    one, two, asked = pair
    content = os.urandom(6 << 20)
    one.put("frames/08AC14/979412p.fits.fz", content)
    link = ("nodes/node1", "nodes/node2")
    await asked.pace(two.address, {link: 200_000})
    done: list[int] = []
    parcel = one.parcel("frames/08AC14/979412p.fits.fz", two)
    bringing = asyncio.create_task(asked.bring(two.address, [parcel], progress=done.append))
    async with asyncio.timeout(60):
        while not done or not done[-1]:
            assert not bringing.done()
            await asyncio.wait({bringing}, timeout=0.05)
    assert done[-1] < len(content) / 2

    await asked.pace(two.address, {link: 0})

    async with asyncio.timeout(60):
        assert await bringing == [Carried(len(content), "brought")]
    assert (two.directory / "frames/08AC14/979412p.fits.fz").read_bytes() == content
