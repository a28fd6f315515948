"""Placement decides purely: these laws hold for every night."""

from hypothesis import given
from hypothesis import strategies as st

from datatransfer.growth import Need
from datatransfer.placement import Plan, Policy, Refusal, Room, Wanted, place

GB = 10**9
POLICIES = st.sampled_from(["together", "most-room", "balance"])


def wanted(number: int, size: int, *, runid: str | None = "08AC14", **more: object) -> Wanted:
    return Wanted(number, f"{number}p", runid, Need(size, 0, 0), **{"group": runid} | more)


def room(name: str, available: int, *, capacity: int | None = None, accepts: bool = True, **more: object) -> Room:
    number = int("".join(filter(str.isdigit, name)) or 0)
    fields = {"disk": f"disk of {name}"} | more
    return Room(number, name, accepts, available, capacity or max(available, 1), **fields)


def put(
    items: list[Wanted], rooms: list[Room], policy: Policy = "together", disks: dict[str, int] | None = None
) -> Plan:
    return place(items, rooms, disks or {}, policy)


ITEMS = st.lists(
    st.builds(
        lambda number, size, products, runid, flat: Wanted(
            number, f"{number}p", runid, Need(size, products, 7), ((flat, 50),) if flat else (), group=runid
        ),
        st.integers(1, 10**6),
        st.integers(0, 400),
        st.integers(0, 300),
        st.sampled_from(["08AC14", "08AF05", None]),
        st.sampled_from(["flat.r", "flat.g", None]),
    ),
    max_size=25,
    unique_by=lambda item: item.frame_id,
)
ROOMS = st.lists(
    st.builds(
        lambda number, available, accepts, disk: room(
            f"node{number}", available, accepts=accepts, capacity=5000, disk=disk
        ),
        st.integers(1, 99),
        st.integers(-100, 3000),
        st.booleans(),
        st.sampled_from(["sda", "sdb", "sdc"]),
    ),
    max_size=6,
    unique_by=lambda r: r.name,
)
DISKS = st.fixed_dictionaries({name: st.integers(-100, 4000) for name in ("sda", "sdb", "sdc")})


@given(ITEMS, ROOMS, DISKS, POLICIES)
def test_no_byte_is_promised_twice(
    items: list[Wanted], rooms: list[Room], disks: dict[str, int], policy: Policy
) -> None:
    plan = place(items, rooms, disks, policy)

    by_name = {r.name: r for r in rooms}
    on_node: dict[str, int] = {}
    on_disk: dict[str, int] = {}
    brought: set[tuple[str, str]] = set()
    for promise in plan.promises:
        lacking = {(promise.node, name): size for name, size in promise.wanted.calibrations} | {}
        cost = promise.wanted.need.total + sum(size for key, size in lacking.items() if key not in brought)
        brought |= set(lacking)
        on_node[promise.node] = on_node.get(promise.node, 0) + cost
        disk = by_name[promise.node].disk
        on_disk[disk] = on_disk.get(disk, 0) + cost
    assert all(promised <= by_name[name].available for name, promised in on_node.items())
    assert all(promised <= disks[name] for name, promised in on_disk.items())
    assert all(by_name[promise.node].accepts for promise in plan.promises)


@given(ITEMS, ROOMS, DISKS, POLICIES)
def test_every_frame_is_promised_or_refused_with_a_reason(
    items: list[Wanted], rooms: list[Room], disks: dict[str, int], policy: Policy
) -> None:
    plan = place(items, rooms, disks, policy)

    promised = [promise.wanted for promise in plan.promises]
    refused = [refusal.wanted for refusal in plan.refused]
    assert sorted(i.frame_id for i in promised + refused) == sorted(i.frame_id for i in items)
    assert [i for i in items if i in promised] == promised
    assert all(refusal.missing > 0 or refusal.node is None for refusal in plan.refused)


@given(ITEMS, ROOMS, DISKS, POLICIES, st.integers(0, 25))
def test_an_impossible_frame_changes_nothing_for_the_others(
    items: list[Wanted], rooms: list[Room], disks: dict[str, int], policy: Policy, where: int
) -> None:
    giant = wanted(10**7, 10**9)

    plan = place([*items[:where], giant, *items[where:]], rooms, disks, policy)

    assert plan.promises == place(items, rooms, disks, policy).promises
    assert giant in [refusal.wanted for refusal in plan.refused]


@given(ITEMS, ROOMS, DISKS, POLICIES)
def test_a_frame_is_refused_only_when_no_node_could_have_taken_it(
    items: list[Wanted], rooms: list[Room], disks: dict[str, int], policy: Policy
) -> None:
    for count in range(len(items)):
        before = place(items[:count], rooms, disks, policy)
        if items[count] in [refusal.wanted for refusal in place(items[: count + 1], rooms, disks, policy).refused]:
            total = items[count].need.total + sum(size for _, size in items[count].calibrations)
            assert all(left < total for left in before.left.values())


def test_order_is_priority() -> None:
    plan = put([wanted(1, 60), wanted(2, 60)], [room("node1", 100)])

    assert [promise.wanted.frame_id for promise in plan.promises] == [1]
    assert [refusal.wanted.frame_id for refusal in plan.refused] == [2]


def test_a_run_stays_together_while_there_is_room() -> None:
    rooms = [room("node1", 250, groups={"08AC14": 3}), room("node2", 900)]

    plan = put([wanted(n, 100) for n in range(4)], rooms)

    assert [promise.node for promise in plan.promises] == ["node1", "node1", "node2", "node2"]
    assert plan.promises[0].why == "has other frames of 08AC14"


def test_most_room_and_balance_differ_where_nodes_differ_in_size() -> None:
    rooms = [room("node1", 500, capacity=1000), room("node2", 400, capacity=400)]

    assert put([wanted(1, 10)], rooms, "most-room").promises[0].node == "node1"
    assert put([wanted(1, 10)], rooms, "balance").promises[0].node == "node2"


def test_a_pinned_frame_goes_there_or_waits() -> None:
    rooms = [room("node1", 900), room("node2", 50)]

    plan = put([wanted(1, 40, pinned="node2"), wanted(2, 40, pinned="node2"), wanted(3, 1, pinned="node3")], rooms)

    assert [(p.wanted.frame_id, p.node, p.why) for p in plan.promises] == [(1, "node2", "asked for by an operator")]
    assert [refusal.sentence for refusal in plan.refused] == [
        "needs 40 B, room on node2 is 10 B: 30 B are missing",
        "needs 1 B, but node3 takes no frames now",
    ]


def test_a_node_that_has_just_refused_a_frame_is_avoided() -> None:
    rooms = [room("node1", 900), room("node2", 100)]

    assert put([wanted(1, 40, avoid=frozenset({"node1"}))], rooms).promises[0].node == "node2"


def test_nodes_on_one_disk_share_its_bytes() -> None:
    rooms = [room("node1", 1000, disk="sda"), room("node2", 1000, disk="sda")]

    plan = put([wanted(n, 400, runid=None) for n in range(3)], rooms, "most-room", {"sda": 900})

    assert len(plan.promises) == 2


def test_calibrations_count_once_a_node() -> None:
    flat = (("08Am03.flat.r.36.02", 300),)
    rooms = [room("node1", 700, calibrations=frozenset({"2003A.mask.0.36.02"}))]

    plan = put([wanted(1, 200, calibrations=flat), wanted(2, 200, calibrations=flat), wanted(3, 1)], rooms)

    assert [promise.wanted.frame_id for promise in plan.promises] == [1, 2]
    assert plan.left == {"node1": 0}


def test_a_refusal_says_what_is_missing() -> None:
    plan = put([wanted(1, 31 * GB // 10)], [room("node1", 12 * GB // 10), room("node2", GB)])

    assert [r.sentence for r in plan.refused] == ["needs 3.1 GB, largest room is 1.2 GB on node1: 1.9 GB are missing"]
    shy = put([wanted(1, 5, avoid=frozenset({"node1"}))], [room("node1", 9)])
    assert shy.refused[0].sentence == "needs 5 B; node1 could not take it and will be asked again in some minutes"
    assert put([wanted(1, 5)], []).refused[0].sentence == "needs 5 B, but no node takes frames now"
    assert Refusal(wanted(1, 5), 5, 2, "node1").missing == 3
