"""Relocations: nodes are evacuated and evened out, and runs copied, as operators order.

An evacuation or a copy goes on until nothing is missing: its order stays open,
each run of immediate mode compares what is wanted with what is held, and says
in the order how far it is.
"""

from typing import Final

from sqlalchemy.ext.asyncio import AsyncSession

from datatransfer.assignment import Assignment, Way
from datatransfer.candidates import filters_of
from datatransfer.relocation import Facts, Relocation, copying, evacuation, rebalancing
from dbclient.records import NodeRecord, RequestRecord
from dbclient.schema import NodeState, ReplicaState, RequestKind, RequestState, TransferKind, TransferMode
from dbclient.stores import Cargo, Cargoes, Frames, Inventory, Nodes, Products, Replicas
from terapix.clock import Clock
from terapix.journal import logger
from terapix.quantities import in_words

log = logger("datatransfer.relocations")

KINDS: Final = (RequestKind.COPY, RequestKind.EVACUATE, RequestKind.REBALANCE)
LANES: Final = {RequestKind.COPY: 0, RequestKind.EVACUATE: 10, RequestKind.REBALANCE: -10}
"""Priorities: a node that is to be empty goes before what came, what merely lies uneven goes behind."""
AT_ONCE: Final = 2000
"""Frames that one run of an evacuation or a copy looks at; the next run goes on."""
Answer = tuple[RequestState, str]
"""What came of an order; open: it goes on."""


class Relocations:
    """Carries out orders that concern what lies on nodes."""

    def __init__(self, assignment: Assignment, clock: Clock) -> None:
        self._assignment = assignment
        self._clock = clock

    async def act(self, session: AsyncSession, request: RequestRecord) -> Answer:
        """Do what can be done now for an order, and say how far it is."""
        match request.kind:
            case RequestKind.EVACUATE:
                return await self._evacuate(session, request)
            case RequestKind.COPY:
                return await self._copy(session, request)
            case _:
                return await self._rebalance(session, request)

    async def _evacuate(self, session: AsyncSession, request: RequestRecord) -> Answer:
        node = await Nodes().named(session, str(request.arguments.get("node") or ""))
        if node is None:
            return RequestState.REFUSED, await unknown(session, request.arguments.get("node"))
        if not node.state.answers:
            return RequestState.REFUSED, f"{node.name} is {node.state.value}: what it holds cannot be read."
        if node.state is not NodeState.DRAINING:
            if request.answer:
                return RequestState.REFUSED, f"{node.name} was taken into use again; what had left stays elsewhere."
            who = f"operator:{request.asked_by}"
            now = self._clock.now()
            await Nodes().set_state(
                session, node.name, NodeState.DRAINING, reason="evacuated by an operator", now=now, source=who
            )
        cargoes = await Cargoes().on_node(session, node.id, limit=AT_ONCE)
        if not cargoes:
            return RequestState.DONE, await self._emptied(session, node)
        await self._assignment.hold(session)
        facts = await self._assignment.facts(session, cargoes)
        relocation = evacuation(cargoes, facts, node=node.name)
        await self._promise(session, request.kind, relocation, facts)
        left = await Cargoes().count(session, node.id)
        return RequestState.OPEN, f"{left} frames are to leave {node.name}: {relocation.sentence}."

    async def _emptied(self, session: AsyncSession, node: NodeRecord) -> str:
        """Let go of the calibrations of a node that no frame there needs any more; say what is left."""
        needed = {c.name for c in await Inventory().calibrations(session, weighted=True) if c.node_id == node.id}
        kept = 0
        for replica in await Replicas().on_node(session, node.id):
            frame = await Frames().get(session, replica.frame_id)
            if frame.name in needed or not frame.path:
                kept += 1
                continue
            await Replicas().mark(session, replica.id, ReplicaState.GONE)
        kept += len(await Products().on_node(session, node.id))
        if not kept:
            return f"{node.name} is empty: terapix nodes remove takes it out."
        return f"No frame that is of use lies on {node.name} any more; {kept} files that were superseded do."

    async def _copy(self, session: AsyncSession, request: RequestRecord) -> Answer:
        runid = str(request.arguments.get("runid") or "")
        node = request.arguments.get("node")
        if node and await Nodes().named(session, str(node)) is None:
            return RequestState.REFUSED, await unknown(session, node)
        cargoes = await cargoes_of(session, request)
        if not cargoes:
            return RequestState.REFUSED, f"No frame of {runid} lies on a node."
        replicas = int(request.arguments.get("replicas") or 2)
        await self._assignment.hold(session)
        facts = await self._assignment.facts(session, cargoes)
        relocation = copying(cargoes, facts, replicas=replicas, node=str(node) if node else None)
        await self._promise(session, request.kind, relocation, facts)
        where = f"on {node} as well" if node else f"on {replicas} nodes"
        if relocation.alone and not (relocation.plan.promises or relocation.busy):
            return RequestState.REFUSED, f"{runid} {where}: {relocation.sentence}."
        if not (relocation.plan.promises or relocation.plan.refused or relocation.busy):
            count = relocation.there
            return RequestState.DONE, f"{runid} lies {where}: {count} frames, or all of it that is on nodes."
        return RequestState.OPEN, f"{runid} {where}: {relocation.sentence}."

    async def _rebalance(self, session: AsyncSession, request: RequestRecord) -> Answer:
        most = int(request.arguments.get("most") or 0)
        cargoes = await everywhere(session)
        await self._assignment.hold(session)
        facts = await self._assignment.facts(session, cargoes)
        relocation = rebalancing(cargoes, facts, most=most)
        await self._promise(session, request.kind, relocation, facts)
        return RequestState.DONE, f"Of {in_words(most)} at most: {relocation.sentence}."

    async def _promise(self, session: AsyncSession, kind: RequestKind, relocation: Relocation, facts: Facts) -> None:
        """Write down that room is promised to what goes, and from where it goes."""
        ways = {}
        for number in (promise.wanted.frame_id for promise in relocation.plan.promises):
            replica = relocation.loads[number].cargo.replica
            ways[number] = Way(
                f"{facts.nodes[replica.node_id]}:{replica.path}",
                kind=TransferKind.COPY if kind is RequestKind.COPY else TransferKind.MOVE,
                mode=TransferMode.IMMEDIATE,
                priority=LANES[kind],
                origin_id=replica.node_id,
            )
        await self._assignment.promise(session, relocation.plan.promises, ways)


async def cargoes_of(session: AsyncSession, request: RequestRecord) -> list[Cargo]:
    """Give the frames that an order to copy is about."""
    filters = filters_of(request.arguments.get("filter"))
    return await Cargoes().of_run(session, str(request.arguments.get("runid") or ""), filters=filters)


async def everywhere(session: AsyncSession) -> list[Cargo]:
    """Give what lies on nodes whose files can be read."""
    nodes = [node for node in await Nodes().all(session) if node.state.answers]
    return [cargo for node in nodes for cargo in await Cargoes().on_node(session, node.id)]


async def unknown(session: AsyncSession, name: object) -> str:
    """Say that there is no such node, and which ones there are."""
    known = ", ".join(node.name for node in await Nodes().all(session)) or "none"
    return f"There is no node {name!r}; nodes are: {known}."
