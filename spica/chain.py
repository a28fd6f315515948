"""The chain at a glance: how many frames have come how far, and what needs a person."""

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy.ext.asyncio import AsyncSession

from dbclient.records import DaemonRecord, NodeRecord, NodeRoom
from dbclient.schema import FrameState, JobState, NodeState
from dbclient.stages import SOURCES
from dbclient.stores import Frames, Jobs, Nodes
from terapix.instruments import load_instrument
from terapix.quantities import counted
from terapix.sections import Settings

SILENT = timedelta(seconds=90)
"""A daemon that has not beaten for so long is taken for dead: three of its longest waits."""
OPEN_JOBS = (JobState.DUE, JobState.RUNNING, JobState.FAILED)
"""Jobs that are told of; those that are done are as many as frames that are weighted."""

PASSED = (
    ("spotted", tuple(FrameState)),
    ("fetched", (FrameState.FETCHED, FrameState.VALID, FrameState.PLACED, FrameState.WEIGHTED)),
    ("valid", (FrameState.VALID, FrameState.PLACED, FrameState.WEIGHTED)),
    ("placed", (FrameState.PLACED, FrameState.WEIGHTED)),
    ("weighted", (FrameState.WEIGHTED,)),
    ("rejected", (FrameState.REJECTED,)),
    ("failed", (FrameState.FAILED,)),
)
"""Steps of the chain, with the states in which a frame has passed them."""


@dataclass(frozen=True, slots=True)
class Step:
    name: str
    count: int
    """Frames that have come this far (or, for rejected and failed, that are there)."""
    share: float
    """Of all spotted frames, 0 to 1."""


@dataclass(frozen=True, slots=True)
class NodeBar:
    id: int
    name: str
    directory: str
    state: NodeState
    reason: str | None
    capacity: int
    used: int
    """Bytes held."""
    leased: int
    """Bytes promised."""
    free: int
    """Bytes still to be had, before promises and reserve."""
    reserve: int
    frames: int
    """Exposures held."""
    seen_at: datetime | None


@dataclass(frozen=True, slots=True)
class Summary:
    """What the overview, the command line and the demo show."""

    sentence: str
    chain: tuple[Step, ...]
    states: dict[FrameState, int]
    nodes: tuple[NodeBar, ...]
    daemons: tuple[DaemonRecord, ...]
    jobs: dict[JobState, int]
    warnings: tuple[str, ...]

    unweighted: str | None = None
    """Why no maps are made, where the camera's frames do not allow it: then a placed frame has come to its end."""

    uncatalogued: int = 0
    """Weighted frames that lack catalogue and PSF and will get them: those whose job has failed do not count."""

    @property
    def finished(self) -> bool:
        """True when every frame is weighted and catalogued, rejected or failed; or placed, where nothing is made."""
        if self.uncatalogued:
            return False
        settled = {FrameState.WEIGHTED, FrameState.REJECTED, FrameState.FAILED, FrameState.SUPERSEDED}
        settled |= {FrameState.PLACED} if self.unweighted else set()
        return bool(self.states) and all(state in settled for state, count in self.states.items() if count)


async def summarise(session: AsyncSession, *, now: datetime, settings: Settings) -> Summary:
    """Count the chain and say in a sentence how it goes."""
    states, unweighted = await Frames().counts(session), _unweighted(settings.snooppix.instrument)
    total = sum(states.values())
    chain = []
    lacking, given_up = await Jobs().uncatalogued(session) if _catalogues(settings) else (0, 0)
    for name, passed in PASSED:
        count = sum(states.get(state, 0) for state in passed)
        chain.append(Step(name, count, count / total if total else 0.0))
        if name == "weighted" and _catalogues(settings):
            count = max(count - lacking, 0)
            chain.append(Step("catalogued", count, count / total if total else 0.0))
    rooms = {room.name: room for room in await Nodes().room(session, runs=False)}
    nodes = bars(await Nodes().all(session), rooms)
    daemons = tuple(await Nodes().daemons(session))
    warnings = (
        *_ill_archive(daemons),
        *_resting(daemons),
        *_ill_nodes(nodes),
        *_silent(daemons, now),
        *_ill_frames(states, given_up),
    )
    return Summary(
        sentence=_sentence(
            states, total, warnings, looked=bool(daemons), poll=settings.snooppix.poll, unweighted=unweighted
        ),
        chain=tuple(chain),
        states=states,
        nodes=nodes,
        daemons=daemons,
        jobs=await Jobs().counts(session, *OPEN_JOBS),
        warnings=warnings,
        unweighted=unweighted,
        uncatalogued=lacking - given_up,
    )


def _catalogues(settings: Settings) -> bool:
    """Whether weighted frames get catalogues."""
    return SOURCES in settings.processing.stages and _unweighted(settings.snooppix.instrument) is None


def bars(nodes: Sequence[NodeRecord], rooms: Mapping[str, NodeRoom]) -> tuple[NodeBar, ...]:
    """Give what is drawn of each node."""
    return tuple(_bar(node, rooms.get(node.name)) for node in nodes)


@functools.lru_cache
def _unweighted(instrument: str) -> str | None:
    return load_instrument(instrument).unweighted


def _bar(node: NodeRecord, room: NodeRoom | None) -> NodeBar:
    return NodeBar(
        id=node.id,
        name=node.name,
        directory=node.directory,
        state=node.state,
        reason=node.reason,
        capacity=node.capacity,
        used=node.used,
        leased=room.leased if room else 0,
        free=node.free,
        reserve=node.reserve,
        frames=room.frames if room else 0,
        seen_at=node.seen_at,
    )


def _ill_archive(daemons: tuple[DaemonRecord, ...]) -> list[str]:
    return [
        f"the archive does not answer {daemon.name}: {daemon.status}"
        for daemon in daemons
        if (daemon.figures or {}).get("archive_answers") is False
    ]


def _resting(daemons: tuple[DaemonRecord, ...]) -> list[str]:
    """Tell of daemons that were asked to rest: a rest that is forgotten looks like a quiet night."""
    return [f"{daemon.name} {daemon.status}" for daemon in daemons if (daemon.figures or {}).get("wish_seen") == "rest"]


def _ill_nodes(nodes: tuple[NodeBar, ...]) -> list[str]:
    return [
        f"{node.name} is {node.state.value}: {node.reason or 'no reason given'}"
        for node in nodes
        if node.state in {NodeState.DOWN, NodeState.MISSING}
    ]


def _silent(daemons: tuple[DaemonRecord, ...], now: datetime) -> list[str]:
    return [
        f"{daemon.name} has been silent since {daemon.beat_at:%H:%M:%S} UTC"
        for daemon in daemons
        if now - daemon.beat_at > SILENT
    ]


def _ill_frames(states: dict[FrameState, int], given_up: int) -> list[str]:
    failed = states.get(FrameState.FAILED, 0)
    told = [f"{counted(failed, 'frame')} failed: terapix frames --state failed shows why"] if failed else []
    if given_up:
        told.append(f"{counted(given_up, 'weighted frame')} got no catalogue: terapix why FRAME tells why")
    return told


def _sentence(
    states: dict[FrameState, int],
    total: int,
    warnings: tuple[str, ...],
    *,
    looked: bool,
    poll: float,
    unweighted: str | None,
) -> str:
    if not total:
        return (
            f"No frame has been spotted yet; snooppix looks every {poll:.0f} seconds."
            if looked
            else "No daemon has run yet: terapix up starts them, terapix demo shows a night."
        )
    weighted, end = states.get(FrameState.WEIGHTED, 0), "weighted"
    if unweighted:
        weighted, end = weighted + states.get(FrameState.PLACED, 0), "placed"
    aside = states.get(FrameState.REJECTED, 0) + states.get(FrameState.FAILED, 0)
    waiting = total - weighted - aside - states.get(FrameState.SUPERSEDED, 0)
    begin = "Something needs you" if warnings else "All is well"
    way = f"{counted(waiting, 'frame')} on the way" if waiting else "none on the way"
    why = f" ({unweighted})" if unweighted else ""
    return (
        f"{begin}: {weighted} of {counted(total, 'frame')} {end}{why}, {way}{f', {aside} set aside' if aside else ''}."
    )
