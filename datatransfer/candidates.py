"""Candidates: the frames of a run, by what a transfer of it to one node means for them."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from sqlalchemy.ext.asyncio import AsyncSession

from dbclient.records import FrameRecord
from dbclient.schema import FrameState, TransferKind
from dbclient.stores import Cargo, Cargoes, Frames, Nodes, Transfers

MOST: Final = 100_000
"""Frames of one run that are looked at."""


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
