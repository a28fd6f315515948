"""Rooms: what each node and each of its disks can still promise, from what is measured, held and promised. Pure."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from statistics import median
from typing import Any, Final

from datatransfer.placement import Keep, Part, Room, field_of
from dbclient.records import NodeRoom
from dbclient.schema import NodeState
from dbclient.stores.inventory import Calibration, Company
from terapix.hosts import NodeSection

SLOWEST: Final = 0.1
"""Least weight of a node: one slow job is no reason to leave it empty."""
FASTEST: Final = 10.0
"""Largest weight of a node."""


def rooms_of(
    nodes: Sequence[NodeRoom],
    disks: Mapping[str, Sequence[Mapping[str, Any]]],
    *,
    used: Mapping[int, int],
    groups: Mapping[int, Mapping[str, int]],
    calibrations: Iterable[Calibration],
    owned: Mapping[int, Iterable[str]],
    speeds: Mapping[str, float],
) -> tuple[list[Room], dict[str, int]]:
    """Give the room of each node, and the bytes that each disk can still promise.

    Room for calibrations that a node needs and lacks is kept as if it were promised. What is promised on a node that
    does not answer is taken off the disks that it shared with others when it last did.

    Parameters
    ----------
    nodes : with what is promised on each, read before the disks were measured
    disks : of the nodes that answer, by name, as `datatransfer.disks.Disk.described` gives them
    used : bytes held, by node row
    groups : frames held or expected by what they are kept together with, by node row
    calibrations, owned : what nodes need, and the names of what they hold, by node row
    speeds : weight of each node; 1 where it is not told
    """
    coming: dict[int, dict[str, int]] = defaultdict(dict)
    for calibration in calibrations:
        if not calibration.held:
            coming[calibration.node_id][calibration.name] = calibration.size or 0
    rooms: list[Room] = []
    pools: dict[str, int] = {}
    taken: dict[str, int] = defaultdict(int)
    for node in nodes:
        answers = bool(disks.get(node.name))
        lacking = coming.get(node.node_id, {})
        frames, products, scratch = node.promised
        promised = {
            "frames": frames,
            "calibrations": sum(lacking.values()),
            "products": products,
            "scratch": scratch,
        }
        where: dict[Part, str] = {}
        for disk in disks[node.name] if answers else node.disks:
            device = str(disk["device"])
            where |= dict.fromkeys(disk["parts"], device)
            taken[device] += node.reserve + sum(promised[part] for part in disk["parts"])
            if answers:
                pools.setdefault(device, int(disk["free"]))
        if not answers:
            continue
        home = where["frames"]
        kept = sum(promised.values()) + node.reserve
        rooms.append(
            Room(
                node_id=node.node_id,
                name=node.name,
                accepts=node.state is NodeState.UP,
                available=node.capacity - used.get(node.node_id, 0) - kept,
                capacity=node.capacity,
                disk=home,
                groups=groups.get(node.node_id, {}),
                calibrations=frozenset((*lacking, *owned.get(node.node_id, ()))),
                elsewhere={part: device for part, device in where.items() if device != home},
                speed=speeds.get(node.name, 1.0),
            )
        )
    return rooms, {device: free - taken[device] for device, free in pools.items()}


def last_measured(nodes: Iterable[NodeRoom]) -> dict[str, Sequence[Mapping[str, Any]]]:
    """Give the disks of each node as the database has them; of one that told none, one disk with what it has free."""
    whole = ("frames", "calibrations", "products", "scratch")
    return {
        node.name: node.disks or ({"device": node.name, "parts": whole, "free": node.free, "total": node.capacity},)
        for node in nodes
    }


def groups_of(company: Iterable[Company], keep: Keep) -> dict[int, dict[str, int]]:
    """Count the frames of each group on each node, by node row."""
    counts: dict[int, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for each in company:
        name = {"run": each.runid, "filter": each.filter, "field": field_of(each.target, each.ra, each.dec)}[keep]
        if name is not None:
            counts[each.node_id][name] += each.frames
    return {node: dict(groups) for node, groups in counts.items()}


def speeds_of(sections: Iterable[NodeSection], seconds: Mapping[str, float]) -> dict[str, float]:
    """Give the weight of each node: its setting, else how many times faster than the middle one its jobs ran of late.

    Parameters
    ----------
    seconds : mean time of a job on each node that has worked lately
    """
    measured = {name: each for name, each in seconds.items() if each > 0}
    middle = median(measured.values()) if measured else 0.0
    found = {name: middle / each for name, each in measured.items()}
    found |= {section.name: section.speed for section in sections if section.speed > 0}
    return {name: min(FASTEST, max(SLOWEST, speed)) for name, speed in found.items()}
