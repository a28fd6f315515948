"""A cluster on paper: nodes with disks, a reception, frames, leases and moves, decided by the real pure functions.

Bytes are counted where they lie. Placement, the life of a move, retention and the judgement of leases are
`datatransfer`'s own; disks, movers, jobs, operators, outages and the archive are played by a random generator.
"""

import random
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

from datatransfer.growth import Need
from datatransfer.leases import judge
from datatransfer.lifecycle import Act, Broken, Claimed, Interrupted, Recorded, Withdrawn, advance
from datatransfer.placement import Plan, Policy, Wanted, place
from datatransfer.retention import Candidate, Ground, decide
from datatransfer.rooms import rooms_of
from dbclient.records import NodeRoom
from dbclient.schema import FrameState, NodeState, TransferState
from dbclient.stores.inventory import Calibration
from terapix.hosts import RetentionSection

PARTS = ("frames", "calibrations", "products", "scratch")
DAWN = datetime(2003, 12, 20, tzinfo=UTC)
RETENTION = RetentionSection(superseded_days=3, acknowledged_days=1)
POLICIES: tuple[Policy, ...] = ("together", "most-room", "balance")


@dataclass(slots=True)
class PaperNode:
    """A node, and the disk on which each part lies."""

    number: int
    disks: dict[str, str]
    capacity: int
    reserve: int
    state: NodeState = NodeState.UP
    flats: set[str] = field(default_factory=set)

    @property
    def name(self) -> str:
        return f"node{self.number}"


@dataclass(slots=True)
class PaperFrame:
    """A frame, and where verified copies of it lie."""

    number: int
    runid: str
    flat: str
    need: Need
    made: int
    """Bytes its products will really take: no more than promised."""
    state: FrameState = FrameState.VALID
    at_reception: bool = True
    copies: set[int] = field(default_factory=set)
    """Nodes that hold it, verified."""
    home: int | None = None
    """Node where it is worked on, and its products lie."""
    arrived_at: datetime = DAWN
    published_at: datetime | None = None
    pinned: str | None = None


@dataclass(slots=True)
class PaperMove:
    """A transfer: its state is `datatransfer.lifecycle`'s."""

    frame: int
    node: int
    origin: int | None
    copy: bool = False
    state: TransferState = TransferState.PROMISED
    written: int = 0


class Cluster:
    """All of it, and what can happen to it."""

    FLAT = 30

    def __init__(self, chance: random.Random) -> None:
        self.chance = chance
        self.sizes = {name: chance.randrange(1500, 8000) for name in ("a", "b", "c", "d", "e", "p")}
        """Bytes of each disk."""
        whole = [dict.fromkeys(PARTS, name) for name in ("a", "b", "c", "c", "d")]
        split = dict.fromkeys(("frames", "calibrations"), "e") | dict.fromkeys(("products", "scratch"), "p")
        self.nodes = {
            number: PaperNode(number, disks, capacity=chance.randrange(1500, 8000), reserve=100)
            for number, disks in enumerate([*whole, split], start=1)
        }
        self.frames: dict[int, PaperFrame] = {}
        self.leases: dict[tuple[int, int], list[int]] = {}
        """Frame, products and scratch promised, by frame and node."""
        self.moves: list[PaperMove] = []
        self.refused: dict[int, set[str]] = {}
        self.now = DAWN
        self.runs = 0
        self.counts: Counter[str] = Counter()

    # what lies where

    def lying(self) -> dict[int, dict[str, int]]:
        """Bytes of ours on each node, by part."""
        found = {
            n.number: dict.fromkeys(PARTS, 0) | {"calibrations": self.FLAT * len(n.flats)} for n in self.nodes.values()
        }
        for frame in self.frames.values():
            for number in frame.copies:
                found[number]["frames"] += frame.need.frame
            if frame.state is FrameState.WEIGHTED and frame.home is not None:
                found[frame.home]["products"] += frame.made
        return found

    def written(self) -> dict[int, int]:
        """Bytes of files that are half there, by node."""
        found = dict.fromkeys(self.nodes, 0)
        for move in self.moves:
            found[move.node] += move.written
        return found

    def free(self) -> dict[str, int]:
        """Bytes that each disk has left, what is half there left out."""
        left = dict(self.sizes)
        for number, parts in self.lying().items():
            for part, size in parts.items():
                left[self.nodes[number].disks[part]] -= size
        return left

    def rooms(self) -> Any:
        """Give what placement is told."""
        promised = dict.fromkeys(self.nodes, (0, 0, 0))
        for (_, number), parts in self.leases.items():
            promised[number] = tuple(a + b for a, b in zip(promised[number], parts, strict=True))  # type: ignore[assignment]
        free = self.free()
        for number, size in self.written().items():
            free[self.nodes[number].disks["frames"]] -= size
        described = {
            node.name: [
                {"device": disk, "parts": [p for p in PARTS if node.disks[p] == disk], "free": free[disk], "total": 0}
                for disk in dict.fromkeys(node.disks.values())
            ]
            for node in self.nodes.values()
        }
        nodes = [
            NodeRoom(
                n.number,
                n.name,
                n.state,
                0,
                sum(promised[n.number]),
                n.reserve,
                0,
                frozenset(),
                n.capacity,
                promised=promised[n.number],
                disks=tuple(described[n.name]),
            )
            for n in self.nodes.values()
        ]
        answering = {n.name: described[n.name] for n in self.nodes.values() if n.state is not NodeState.DOWN}
        used = {number: sum(parts.values()) for number, parts in self.lying().items()}
        groups: dict[int, Counter[str]] = {number: Counter() for number in self.nodes}
        for frame in self.frames.values():
            for number in frame.copies:
                groups[number][frame.runid] += 1
        return rooms_of(
            nodes,
            answering,
            used=used,
            groups=groups,
            calibrations=self._calibrations(),
            owned={n.number: n.flats for n in self.nodes.values()},
            speeds={"node1": 2.0},
        )

    def _calibrations(self) -> list[Calibration]:
        needed = {(f.flat, number) for f in self.frames.values() for number in f.copies if f.state is FrameState.PLACED}
        needed |= {(self.frames[move.frame].flat, move.node) for move in self.open_moves()}
        return [
            Calibration(flat, number, 1, None, None, None, None, self.FLAT, None, flat in self.nodes[number].flats)
            for flat, number in sorted(needed)
        ]

    def open_moves(self) -> list[PaperMove]:
        self.moves = [m for m in self.moves if m.state in {TransferState.PROMISED, TransferState.RUNNING}]
        return self.moves

    # what happens

    def arrive(self) -> None:
        """A run comes in."""
        self.runs += 1
        size, products = self.chance.randrange(20, 120), self.chance.randrange(0, 150)
        for _ in range(self.chance.randrange(1, 10)):
            need = Need(size + self.chance.randrange(9), products, self.chance.randrange(0, 80))
            made = self.chance.randrange(products // 2, products + 1)
            self.counts["arrived"] += 1
            number = self.counts["arrived"]
            self.frames[number] = PaperFrame(
                number, f"run{self.runs}", f"flat{self.runs % 4}", need, made, arrived_at=self.now
            )

    def wanted(self, frame: PaperFrame, *, pinned: str | None = None) -> Wanted:
        return Wanted(
            frame.number, f"{frame.number}p", frame.runid, frame.need, ((frame.flat, self.FLAT),),
            pinned=pinned or frame.pinned, avoid=frozenset(self.refused.get(frame.number, ())), group=frame.runid,
        )  # fmt: skip

    def waiting(self) -> list[PaperFrame]:
        moving = {move.frame for move in self.open_moves()}
        return [f for f in self.frames.values() if f.state is FrameState.VALID and f.number not in moving]

    def assign(self) -> Plan:
        """Place what waits, and promise the room."""
        rooms, disks = self.rooms()
        plan = place([self.wanted(frame) for frame in self.waiting()], rooms, disks, self.chance.choice(POLICIES))
        for promise in plan.promises:
            self._promise(promise.wanted, promise.node_id, origin=None)
        return plan

    def _promise(self, wanted: Wanted, node: int, *, origin: int | None, copy: bool = False) -> None:
        key = (wanted.frame_id, node)
        assert key not in self.leases, "promised twice"
        need = wanted.need
        self.leases[key] = [need.frame, 0, 0] if copy else [need.frame, need.products, need.scratch]
        self.moves.append(PaperMove(wanted.frame_id, node, origin, copy))
        self.counts["promised"] += 1

    def relocate(self, *, copy: bool) -> None:
        """Promise a frame that lies on a node to another one, to move or to copy it."""
        moving = {move.frame for move in self.open_moves()}
        able = [f for f in self.frames.values() if f.state is FrameState.PLACED and f.copies and f.number not in moving]
        if not able:
            return
        frame = self.chance.choice(able)
        target = self.chance.choice([n for n in self.nodes.values() if n.number not in frame.copies] or [self.nodes[1]])
        if target.number in frame.copies or (frame.number, target.number) in self.leases:
            return
        rooms, disks = self.rooms()
        plan = place([self.wanted(frame, pinned=target.name)], rooms, disks, "together")
        for promise in plan.promises:
            self._promise(promise.wanted, promise.node_id, origin=frame.home, copy=copy)
            self.counts["relocated"] += 1

    def step_of_a_move(self) -> None:
        """Something happens to a move."""
        going = self.open_moves()
        if not going:
            return
        move = self.chance.choice(going)
        frame, node = self.frames[move.frame], self.nodes[move.node]
        if node.state is NodeState.DOWN:
            self._after(move, Withdrawn())
        elif move.state is TransferState.PROMISED:
            self._after(move, Claimed())
            move.written = self.chance.randrange(frame.need.frame + 1)
        elif self.chance.random() < 0.1:
            self._after(move, Interrupted())
        elif self.chance.random() < 0.1:
            self.refused.setdefault(frame.number, set()).add(node.name)
            self._after(move, Broken(counts=False))
        else:
            self._after(move, Recorded())

    def _after(self, move: PaperMove, event: Any) -> None:
        move.state, acts = advance(move.state, event)
        frame = self.frames[move.frame]
        self.counts[type(event).__name__] += 1
        if isinstance(event, Recorded):
            self._record(move, frame)
        if Act.DROP_PART in acts or isinstance(event, Recorded):
            move.written = 0
        if Act.DROP_LEASE in acts:
            self.leases.pop((frame.number, move.node))

    def _record(self, move: PaperMove, frame: PaperFrame) -> None:
        """The file is whole: one transaction of replica, frame and lease; the source goes after it."""
        frame.copies.add(move.node)
        self._settle(frame.number, move.node, 0)
        if move.copy:
            return
        if frame.state is FrameState.VALID:
            frame.state, frame.at_reception = FrameState.PLACED, False
        elif move.origin is not None and move.origin != move.node:
            self.leases.pop((frame.number, move.origin), None)
            frame.copies.discard(move.origin)
        frame.home = move.node

    def _settle(self, frame: int, node: int, *parts: int) -> None:
        lease = self.leases.get((frame, node))
        if lease is not None:
            for part in parts:
                lease[part] = 0
            if not any(lease):
                del self.leases[frame, node]

    def bring_a_flat(self) -> None:
        """A calibration that a node lacks is copied."""
        lacking = [c for c in self._calibrations() if not c.held and self.nodes[c.node_id].state is not NodeState.DOWN]
        if lacking:
            chosen = self.chance.choice(lacking)
            self.nodes[chosen.node_id].flats.add(chosen.name)

    def work(self) -> None:
        """A job ends: its products lie on the node."""
        moving = {move.frame for move in self.open_moves() if not move.copy}
        able = [
            f
            for f in self.frames.values()
            if f.state is FrameState.PLACED and f.home in f.copies and f.number not in moving
            and self.nodes[f.home or 0].state is not NodeState.DOWN and f.flat in self.nodes[f.home or 0].flats
        ]  # fmt: skip
        if able:
            frame = self.chance.choice(able)
            frame.state = FrameState.WEIGHTED
            self._settle(frame.number, frame.home or 0, 1, 2)
            self.counts["weighted"] += 1

    def publish(self) -> None:
        """The archive says that it has a frame and its products."""
        able = [f for f in self.frames.values() if f.state is FrameState.WEIGHTED and not f.published_at]
        if able:
            self.chance.choice(able).published_at = self.now

    def retain(self) -> None:
        """Look at each copy of each frame, one after the other, whether it may go, as `datatransfer.retention` says."""
        moving = {move.frame for move in self.open_moves()}
        for frame in list(self.frames.values()):
            for number in sorted(frame.copies):
                others = [self.nodes[other].name for other in sorted(frame.copies - {number})]
                archive = ["the archive"] if frame.published_at else []
                works = number == frame.home and not frame.published_at
                candidate = Candidate(
                    Ground.ACKNOWLEDGED if frame.published_at else Ground.SUPERSEDED_FRAME,
                    self.nodes[number].name,
                    f"frames/{frame.number}p",
                    frame.need.frame,
                    since=frame.published_at or frame.arrived_at,
                    survivors=(*others, *archive),
                    busy=frame.number in moving or works,
                )
                (decision,) = decide([candidate], RETENTION, now=self.now)
                if decision.goes:
                    self.counts["gone"] += 1
                    frame.copies.discard(number)
            if frame.published_at and not frame.copies and not frame.at_reception and frame.number not in moving:
                del self.frames[frame.number]

    def change_a_node(self) -> None:
        """A node goes down, drains, or is back; one in two is always up."""
        node = self.chance.choice(list(self.nodes.values()))
        state = self.chance.choice(list(NodeState)[:3])
        up = [n for n in self.nodes.values() if n.state is NodeState.UP]
        if state is NodeState.UP or len(up) > len(self.nodes) // 2:
            node.state = state

    def forget_grudges(self) -> None:
        self.refused.clear()

    # what always holds

    def check(self) -> None:
        """Raise if a byte is promised twice, a last copy is lost, or a lease has no purpose."""
        promised: Counter[str] = Counter()
        on_node: Counter[int] = Counter()
        for (_, number), parts in self.leases.items():
            node = self.nodes[number]
            on_node[number] += sum(parts)
            for part, size in zip(("frames", "products", "scratch"), parts, strict=True):
                promised[node.disks[part]] += size
        for name, left in self.free().items():
            assert left >= promised[name], f"disk {name} is promised {promised[name] - left} bytes twice"
        for number, parts in self.lying().items():
            taken = on_node[number] + sum(parts.values())
            assert taken <= self.nodes[number].capacity, f"node{number} is promised more than its capacity"
        for frame in self.frames.values():
            assert frame.at_reception or frame.copies or frame.published_at, f"the last copy of {frame.number}p is lost"
        leases = [SimpleNamespace(frame_id=frame, node_id=node) for frame, node in self.leases]
        frames = {n: SimpleNamespace(state=f.state) for n, f in self.frames.items()}
        placed = {f.number: f.home for f in self.frames.values() if f.home is not None}
        moving = {move.frame for move in self.open_moves()}
        assert judge(leases, frames, moving, placed=placed) == ()  # type: ignore[arg-type]

    def check_all_placed(self, plan: Plan) -> None:
        """Raise if something waits that fits somewhere, by looking at every node alone."""
        rooms, disks = self.rooms()
        for refusal in plan.refused:
            for room in rooms:
                if room.accepts and room.name not in refusal.wanted.avoid:
                    alone = place([refusal.wanted], [room], disks, "most-room")
                    assert not alone.promises, f"{refusal.wanted.name} waits, and fits on {room.name}"
