"""Policies: what is kept together, by whose speed, on which disk; each choice says why."""

import pytest

from datatransfer.growth import Need
from datatransfer.placement import Room, Wanted, field_of, place
from datatransfer.rooms import FASTEST, SLOWEST, last_measured, rooms_of, speeds_of
from dbclient.records import NodeRoom
from dbclient.schema import NodeState
from dbclient.stores.inventory import Calibration
from terapix.hosts import NodeSection


def wanted(number: int, size: int = 10, group: str | None = None, **more: object) -> Wanted:
    return Wanted(number, f"{number}p", None, Need(size, 0, 0), group=group, **more)  # type: ignore[arg-type]


def room(name: str, available: int, **more: object) -> Room:
    return Room(int(name[-1]), name, True, available, 1000, f"disk of {name}", **more)  # type: ignore[arg-type]


def node(name: str = "node1", **more: object) -> NodeRoom:
    facts = {"state": NodeState.UP, "free": 900, "leased": 0, "reserve": 0, "frames": 0, "runs": frozenset()}
    return NodeRoom(**{"node_id": int(name[-1]), "name": name, "capacity": 1000, **facts, **more})  # type: ignore[arg-type]


def test_a_field_goes_where_most_of_it_is():
    rooms = [room("node1", 900), room("node2", 100, groups={"d1": 2}), room("node3", 100, groups={"d1": 7})]

    plan = place([wanted(1, group="d1"), wanted(2, group="d2")], rooms, {}, "together")

    assert [(p.node, p.why) for p in plan.promises] == [
        ("node3", "has other frames of d1"),
        ("node1", "most room"),
    ]


def test_what_begins_together_stays_together_though_other_nodes_have_more_room():
    rooms = [room("node1", 100), room("node2", 99)]

    plan = place([wanted(n, group=band) for n, band in enumerate("rgrgrg")], rooms, {}, "together")

    by_band = {band: {p.node for p in plan.promises if p.wanted.group == band} for band in "rg"}
    assert by_band == {"r": {"node1"}, "g": {"node2"}}


@pytest.mark.parametrize(
    ("target", "ra", "dec", "name"),
    [
        (" D1 ", 36.5, -4.5, "d1"),
        ("", 36.4, -4.4, "RA 36 Dec -4"),
        (None, 149.6, 2.2, "RA 150 Dec +2"),
        (None, None, None, None),
    ],
)
def test_a_field_is_named_by_its_target_or_by_where_it_lies(target, ra, dec, name):
    assert field_of(target, ra, dec) == name


def test_a_frame_may_have_a_policy_of_its_own_and_be_pinned_by_a_rule():
    rooms = [room("node1", 500, groups={"d1": 1}), room("node2", 900)]

    plan = place(
        [wanted(1, group="d1", policy="most-room"), wanted(2, group="d2", pinned="node1", pinned_by="rule 3")],
        rooms,
        {},
        "together",
    )

    assert [(p.node, p.why) for p in plan.promises] == [("node2", "most room"), ("node1", "asked for by rule 3")]


@pytest.mark.parametrize(("policy", "why"), [("most-room", "most room"), ("balance", "least filled")])
def test_a_node_of_twice_the_speed_gets_twice_as_much(policy, why):
    rooms = [room("node1", 1000, speed=2.0), room("node2", 1000)]

    plan = place([wanted(n, 10) for n in range(60)], rooms, {}, policy)

    count = [p.node for p in plan.promises].count("node1")
    assert count == pytest.approx(40 if policy == "balance" else 53, abs=7)
    assert f"{why} for its speed of 2" in {p.why for p in plan.promises}


def test_speed_is_that_of_the_last_jobs_unless_it_is_set():
    sections = [NodeSection(name="node1", directory="/n1", speed=4), NodeSection(name="node2", directory="/n2")]

    speeds = speeds_of(sections, {"node1": 10.0, "node2": 5.0, "node3": 10.0, "node4": 4000.0, "node5": 0.01})

    assert speeds == {"node1": 4.0, "node2": 2.0, "node3": 1.0, "node4": SLOWEST, "node5": FASTEST}
    assert speeds_of([], {}) == {}


DISKS = {
    "node1": (
        {"device": "sda", "parts": ["frames", "calibrations"], "free": 500, "total": 800},
        {"device": "sdb", "parts": ["products", "scratch"], "free": 300, "total": 400},
    )
}
LACKING = Calibration("flat.r", 1, None, None, None, None, None, 50, None, held=False)


def rooms(*nodes: NodeRoom, **more: object):
    facts = {"used": {}, "groups": {}, "calibrations": [LACKING], "owned": {}, "speeds": {}}
    return rooms_of(nodes, DISKS, **{**facts, **more})  # type: ignore[arg-type]


def test_each_part_is_promised_on_the_disk_where_it_will_lie():
    found, pools = rooms(node(promised=(100, 20, 30), reserve=10, leased=150))

    assert pools == {"sda": 500 - 100 - 50 - 10, "sdb": 300 - 50 - 10}
    assert (found[0].disk, found[0].elsewhere) == ("sda", {"products": "sdb", "scratch": "sdb"})
    assert found[0].available == 1000 - 150 - 50 - 10
    assert found[0].calibrations == {"flat.r"}

    items = [Wanted(n, f"{n}p", None, Need(30, 70, 40)) for n in range(4)]
    plan = place(items, found, pools, "most-room")

    assert len(plan.promises) == 2, "the third has room among frames, and none among products"
    assert plan.refused[0].sentence == ("needs 110 B for products, largest room is 20 B on node1: 90 B are missing")


def test_a_full_disk_of_frames_is_named_too():
    found, pools = rooms(node(), calibrations=[])

    plan = place([Wanted(1, "1p", None, Need(600, 0, 0))], found, pools, "most-room")

    assert plan.refused[0].sentence == "needs 600 B for frames, largest room is 500 B on node1: 100 B are missing"


def test_a_node_that_told_no_disks_has_one():
    (disk,) = last_measured([node(free=700)])["node1"]
    assert (disk["free"], disk["total"], disk["parts"][0]) == (700, 1000, "frames")


def test_what_is_promised_on_a_node_that_does_not_answer_still_takes_its_disk():
    whole = {"device": "sda", "parts": ["frames", "calibrations", "products", "scratch"], "free": 500, "total": 800}
    down = node("node2", state=NodeState.DOWN, promised=(100, 50, 0), disks=(whole,))

    found, pools = rooms_of(
        [node(), down], {"node1": (whole,)}, used={}, groups={}, calibrations=[], owned={}, speeds={}
    )

    assert [each.name for each in found] == ["node1"]
    assert pools == {"sda": 350}
