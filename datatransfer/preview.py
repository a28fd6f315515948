"""What a transfer would do, in words, before it is done: the same decision as the real one, and nothing is changed."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncSession

from datatransfer.assignment import ruled, rulings_of, wanted_of
from datatransfer.candidates import Candidates, candidates
from datatransfer.forecast import Forecast, ahead_of, at, forecast, held_back, rate_of
from datatransfer.growth import by_the_rule
from datatransfer.nodes import groups_wanted, speeds_wanted
from datatransfer.placement import Plan, Room, place
from datatransfer.rooms import last_measured, rooms_of
from dbclient.records import FrameRecord
from dbclient.schema import FrameKind, FrameState, TransferKind
from dbclient.stores import Frames, Inventory, Nodes, Transfers
from terapix.hosts import DatatransferSection, NodeSection
from terapix.quantities import counted, in_words

__all__ = ["PRIORITY", "Candidates", "Preview", "candidates", "in_sentence", "preview_transfer"]

PRIORITY = 100
"""Lane of what an operator wants at once."""
WAITING = 2000
"""Frames that wait for room and are looked at to see who is held back: a whole run."""
NAMED = 3
"""Frames named in a sentence before it says only how many more there are."""


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
    """As the order will answer."""
    needed: int
    """Bytes that all that could be moved needs with its products, by the growth measured so far."""
    rule_2003: int
    """Bytes that the rule of 2003, four times their size, would keep for the same frames."""
    ahead: int
    """Bytes that move before."""
    rate: float | None
    """Bytes a second that came through of late; none if nothing was ever moved."""
    done_at: datetime | None
    """When the last would be there; none where nothing would move, or nobody knows how fast."""
    holds_back: tuple[str, ...]
    """Runs that wait and have room now, and would have none for all of their frames afterwards."""
    headline: str
    """``03AL03 into node5: fits, leaves 112 GB, done 04:10, holds back 03AQ97``."""


async def preview_transfer(
    session: AsyncSession,
    *,
    runid: str,
    node: str,
    filter_: str | None,
    now: datetime,
    section: DatatransferSection | None = None,
    sections: Sequence[NodeSection] = (),
) -> Preview:
    """Say what the transfer of a run to a node would do, from what the database knows of rooms."""
    section = section or DatatransferSection()
    found = await candidates(session, runid=runid, node=node, filter_=filter_)
    own = {frame.id for frame in found.movable}
    waiting = [
        frame
        for frame in await Frames().due(
            session, FrameState.VALID, now=now, limit=WAITING + len(own), kinds=(FrameKind.OBJECT,)
        )
        if frame.id not in own
    ]
    moving = [
        *await Transfers().running(session, TransferKind.MOVE, TransferKind.COPY),
        *await Transfers().promised(session),
    ]
    promised = {transfer.frame_id for transfer in moving}
    rulings = await rulings_of(session, [frame for frame in waiting if frame.id not in promised])
    frames = {frame.id: frame for frame in waiting}
    free = [frames[number] for number, ruling in rulings.items() if not ruling.holds]
    others = ruled(await wanted_of(session, free, section), rulings)
    wanted = await wanted_of(session, found.movable, section, node=node)
    kept = [frames[item.frame_id] for item in others if (item.policy or section.policy) == "together"]
    rooms, disks = await rooms_last_measured(session, kept, section, sections)
    plan = place(wanted, rooms, disks, section.policy)
    lost = held_back(
        place(others, rooms, disks, section.policy), place([*wanted, *others], rooms, disks, section.policy)
    )
    size = sum(promise.wanted.need.frame for promise in plan.promises)
    expected = forecast(
        size,
        ahead=ahead_of(moving, own, priority=PRIORITY, now=now),
        rate=rate_of(await Transfers().latest_moves(session), node),
        now=now,
    )
    sizes = [item.need.frame for item in wanted]
    leaves = max(0, plan.left.get(node, 0))
    return Preview(
        runid=runid,
        node=node,
        filter=filter_,
        frames=found.count,
        moves=len(plan.promises),
        bytes=size,
        fits=not plan.refused,
        leaves=leaves,
        refused=tuple(f"{refusal.wanted.name}: {refusal.sentence}" for refusal in plan.refused),
        sentence=in_sentence(plan, found, runid=runid, node=node, filter_=filter_),
        needed=sum(item.need.total for item in wanted),
        rule_2003=by_the_rule(sum(sizes)),
        ahead=expected.ahead,
        rate=expected.rate,
        done_at=expected.done_at,
        holds_back=lost,
        headline=headline(
            plan, runid=runid, node=node, filter_=filter_, leaves=leaves, expected=expected, lost=lost, now=now
        ),
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


def headline(
    plan: Plan,
    *,
    runid: str,
    node: str,
    filter_: str | None,
    leaves: int,
    expected: Forecast,
    lost: Sequence[str],
    now: datetime,
) -> str:
    """Say in one line whether it fits, what it leaves, when it is done and whom it holds back."""
    said: list[str] = []
    count = len(plan.promises) + len(plan.refused)
    if not count:
        said.append("nothing to move")
    elif not plan.refused:
        said.append("fits")
    elif not plan.promises:
        said.append("does not fit")
    else:
        said.append(f"{len(plan.promises)} of {count} frames fit")
    if plan.promises:
        said.append(f"leaves {in_words(leaves)}")
    if expected.done_at:
        said.append(f"done {at(expected.done_at, now)}")
    if lost:
        said.append(f"holds back {_names(lost)}")
    return f"{runid}{f' in {filter_}' if filter_ else ''} into {node}: {', '.join(said)}"


def in_sentence(plan: Plan, found: Candidates, *, runid: str, node: str, filter_: str | None) -> str:
    """Say a plan in words: what goes, what it leaves, and what stays behind and why."""
    what = f"{runid}{f' in {filter_}' if filter_ else ''} to {node}"
    said: list[str] = []
    if plan.promises:
        size = sum(promise.wanted.need.frame for promise in plan.promises)
        promised = sum(promise.wanted.need.total for promise in plan.promises)
        said.append(
            f"{counted(len(plan.promises), 'frame')} go, {in_words(size)}, with room for maps {in_words(promised)}, "
            f"which leaves {in_words(max(0, plan.left.get(node, 0)))}"
        )
    if plan.refused:
        missing = max(refusal.missing for refusal in plan.refused)
        names = _names([refusal.wanted.name for refusal in plan.refused])
        said.append(f"{counted(len(plan.refused), 'frame')} cannot go ({names}): the first {plan.refused[0].sentence}")
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
            said.append(f"{counted(len(names_of), 'frame')} {sentence}")
    return f"{what}: {'; '.join(said) or 'no frame of it is here'}."


def _names(names: Sequence[str]) -> str:
    more = len(names) - NAMED
    return ", ".join(names[:NAMED]) + (f" and {more} more" if more > 0 else "")
