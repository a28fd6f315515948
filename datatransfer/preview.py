"""What a transfer would do, in words, before it is done: the same decision as the real one, and nothing is changed."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from sqlalchemy.ext.asyncio import AsyncSession

from datatransfer.assignment import wanted_of
from datatransfer.growth import in_words
from datatransfer.nodes import groups_wanted, speeds_wanted
from datatransfer.placement import Plan, Room, place
from datatransfer.rooms import last_measured, rooms_of
from dbclient.records import FrameRecord
from dbclient.schema import FrameState, TransferKind
from dbclient.stores import Cargo, Cargoes, Frames, Inventory, Nodes, Transfers
from terapix.hosts import DatatransferSection, NodeSection

MOST = 100_000
"""Frames of one run that are looked at."""
NAMED = 3
"""Frames named in a sentence before it says only how many more there are."""


@dataclass(slots=True)
class Candidates:
    """The frames of a run, by what a transfer to one node means for them."""

    movable: list[FrameRecord] = field(default_factory=list)
    """Valid at reception, or placed on another node and not at work."""
    there: list[str] = field(default_factory=list)
    """On the node already."""
    staying: list[str] = field(default_factory=list)
    """Weighted elsewhere: they stay with their products."""
    busy: list[str] = field(default_factory=list)
    """Being moved or weighted at this moment."""
    coming: list[str] = field(default_factory=list)
    """Not verified yet: they will go by the rules of automatic transfers."""
    aside: list[str] = field(default_factory=list)
    """Rejected or failed."""
    where: dict[int, str] = field(default_factory=dict)
    """Node and path of those that are placed elsewhere, by frame row."""
    origins: dict[int, int] = field(default_factory=dict)
    """The row of that node, by frame row."""

    @property
    def count(self) -> int:
        rooms = (self.movable, self.there, self.staying, self.busy, self.coming, self.aside)
        return sum(len(room) for room in rooms)


@dataclass(frozen=True, slots=True)
class Preview:
    """What a transfer would do."""

    runid: str
    node: str
    filter: str | None
    frames: int
    """Frames of the run (and filter) that are known here."""
    moves: int
    """Frames that would be moved."""
    bytes: int
    """Bytes that would be moved."""
    fits: bool
    """True when nothing has to stay behind for want of room."""
    leaves: int
    """Bytes that the node could still promise afterwards."""
    refused: tuple[str, ...]
    """Frame and reason of each one that would have to wait."""
    sentence: str


async def candidates(session: AsyncSession, *, runid: str, node: str, filter_: str | None) -> Candidates:
    """Sort the frames of a run by what a transfer to `node` means for them.

    Parameters
    ----------
    filter_ : a filter, or several with commas between them; none: all
    """
    found = Candidates()
    nodes = {row.id: row.name for row in await Nodes().all(session)}
    running = {t.frame_id for t in await Transfers().running(session, TransferKind.MOVE, TransferKind.COPY)}
    filters = filters_of(filter_)
    bands: list[str | None] = [*filters] or [None]
    lying: dict[int, list[Cargo]] = {}
    for cargo in await Cargoes().of_run(session, runid, filters=filters):
        lying.setdefault(cargo.frame.id, []).append(cargo)
    for band in bands:
        for row in await Frames().search(session, runid=runid, filter=band, limit=MOST, newest=False):
            if row.state in {FrameState.SPOTTED, FrameState.FETCHED}:
                found.coming.append(row.name)
            elif row.state in {FrameState.REJECTED, FrameState.FAILED}:
                found.aside.append(row.name)
            elif row.state is FrameState.SUPERSEDED:
                continue
            elif row.id in running:
                found.busy.append(row.name)
            elif row.state is FrameState.VALID:
                found.movable.append(row)
            else:
                _sort_placed(row, lying.get(row.id, []), found, nodes, node)
    return found


def filters_of(words: str | None) -> list[str]:
    """Give the filters that an operator named, with commas between them."""
    return sorted({word.strip() for word in (words or "").split(",") if word.strip()})


def _sort_placed(
    frame: FrameRecord, held: Sequence[Cargo], found: Candidates, nodes: dict[int, str], node: str
) -> None:
    if any(nodes.get(cargo.replica.node_id) == node for cargo in held):
        found.there.append(frame.name)
    elif frame.state is FrameState.WEIGHTED:
        found.staying.append(frame.name)
    elif any(cargo.works for cargo in held):
        found.busy.append(frame.name)
    elif held:
        found.movable.append(frame)
        found.where[frame.id] = f"{nodes.get(held[0].replica.node_id)}:{held[0].replica.path}"
        found.origins[frame.id] = held[0].replica.node_id


async def preview_transfer(
    session: AsyncSession,
    *,
    runid: str,
    node: str,
    filter_: str | None,
    section: DatatransferSection | None = None,
    sections: Sequence[NodeSection] = (),
) -> Preview:
    """Say what the transfer of a run to a node would do, from what the database knows of rooms."""
    section = section or DatatransferSection()
    found = await candidates(session, runid=runid, node=node, filter_=filter_)
    wanted = await wanted_of(session, found.movable, section, node=node)
    rooms, disks = await rooms_last_measured(session, found.movable, section, sections)
    plan = place(wanted, rooms, disks, section.policy)
    return Preview(
        runid=runid,
        node=node,
        filter=filter_,
        frames=found.count,
        moves=len(plan.promises),
        bytes=sum(promise.wanted.need.frame for promise in plan.promises),
        fits=not plan.refused,
        leaves=max(0, plan.left.get(node, 0)),
        refused=tuple(f"{refusal.wanted.name}: {refusal.sentence}" for refusal in plan.refused),
        sentence=in_sentence(plan, found, runid=runid, node=node, filter_=filter_),
    )


async def rooms_last_measured(
    session: AsyncSession,
    frames: Sequence[FrameRecord],
    section: DatatransferSection,
    sections: Sequence[NodeSection],
) -> tuple[list[Room], dict[str, int]]:
    """Give what each node and each disk can still promise to frames, as its disks were last measured."""
    nodes = await Nodes().room(session, lock=False, runs=False)
    return rooms_of(
        nodes,
        last_measured(nodes),
        used={node.node_id: node.used for node in nodes},
        groups=await groups_wanted(session, frames, section),
        calibrations=await Inventory().calibrations(session),
        owned=await Inventory().calibrations_held(session),
        speeds=await speeds_wanted(session, sections, section),
    )


def in_sentence(plan: Plan, found: Candidates, *, runid: str, node: str, filter_: str | None) -> str:
    """Say a plan in words: what goes, what it leaves, and what stays behind and why."""
    what = f"{runid}{f' in {filter_}' if filter_ else ''} to {node}"
    said: list[str] = []
    if plan.promises:
        size = sum(promise.wanted.need.frame for promise in plan.promises)
        promised = sum(promise.wanted.need.total for promise in plan.promises)
        said.append(
            f"{_frames(len(plan.promises))} go, {in_words(size)}, with room for maps {in_words(promised)}, "
            f"which leaves {in_words(max(0, plan.left.get(node, 0)))}"
        )
    if plan.refused:
        missing = max(refusal.missing for refusal in plan.refused)
        names = _names([refusal.wanted.name for refusal in plan.refused])
        said.append(f"{_frames(len(plan.refused))} cannot go ({names}): the first {plan.refused[0].sentence}")
        if len(plan.refused) > 1 and missing:
            said.append(f"at most {in_words(missing)} are missing for one of them")
    for names_of, sentence in (
        (found.there, "already there"),
        (found.staying, "weighted elsewhere and staying with their maps"),
        (found.busy, "being moved or weighted now"),
        (found.coming, "still on their way here and going by the rules when they come"),
        (found.aside, "rejected or failed"),
    ):
        if names_of:
            said.append(f"{_frames(len(names_of))} {sentence}")
    return f"{what}: {'; '.join(said) or 'no frame of it is here'}."


def _frames(count: int) -> str:
    return f"{count} frame" if count == 1 else f"{count} frames"


def _names(names: Sequence[str]) -> str:
    more = len(names) - NAMED
    return ", ".join(names[:NAMED]) + (f" and {more} more" if more > 0 else "")
