"""Orders of operators: a run to a node at once, a node to be drained or emptied, copies, a more even filling."""

from sqlalchemy.ext.asyncio import AsyncSession

from datatransfer import relocations
from datatransfer.assignment import Assignment, Way
from datatransfer.preview import PRIORITY, Candidates, candidates, in_sentence
from dbclient.database import Database
from dbclient.records import RequestRecord
from dbclient.schema import NodeState, RequestKind, RequestState, TransferMode, TransferState
from dbclient.stores import Inventory, Leases, Nodes, Requests, Transfers
from terapix.clock import Clock
from terapix.journal import logger
from terapix.steps import reached

log = logger("datatransfer.orders")

AT_ONCE = (RequestKind.DRAIN, RequestKind.UNDRAIN)
"""What is obeyed in every pass, whatever the modes do."""
KINDS = (RequestKind.TRANSFER, *relocations.KINDS)
"""What immediate mode carries out."""
AGAIN = 5.0
"""Seconds between two looks at least at an order that goes on."""
Answer = tuple[RequestState, str]


class Orders:
    """Acts on the requests that concern nodes and runs."""

    def __init__(self, database: Database, clock: Clock, assignment: Assignment) -> None:
        self._database = database
        self._clock = clock
        self._assignment = assignment
        self._nodes = Nodes()
        self._relocations = relocations.Relocations(assignment, clock)
        self._look_at: dict[int, float] = {}
        """When (monotonic) an order that goes on is looked at again."""

    async def obey(self) -> int:
        """Act on requests that concern the nodes themselves."""
        return await self._act_on(*AT_ONCE)

    async def pass_(self) -> int:
        """Carry out every open order, each in a transaction of its own; return how many there were."""
        return await self._act_on(*KINDS)

    async def _act_on(self, *kinds: RequestKind) -> int:
        async with self._database.read() as session:
            requests = await Requests().open(session, *kinds)
        done = 0
        for request in requests:
            if self._look_at.get(request.id, 0.0) <= self._clock.monotonic():
                done += await self._carry_out(request.id)
        return done

    async def _carry_out(self, number: int) -> bool:
        """Act on a request that is still open; tell whether something came of it."""
        async with self._database.write() as session:
            request = await Requests().get(session, number)
            if request.state is not RequestState.OPEN:
                return False
            state, answer = await self._act(session, request)
            goes_on = state is RequestState.OPEN
            if goes_on:
                told = await Requests().note(session, number, answer)
            else:
                await Requests().answer(session, number, state, answer, now=self._clock.now())
        reached("move.promised")
        if goes_on:
            self._look_at[number] = self._clock.monotonic() + AGAIN
            return told
        self._look_at.pop(number, None)
        log.info("request answered", request=request.kind.value, state=state.value, answer=answer)
        return True

    async def _act(self, session: AsyncSession, request: RequestRecord) -> Answer:
        if request.kind in relocations.KINDS:
            return await self._relocations.act(session, request)
        name = str(request.arguments.get("node") or "")
        node = await self._nodes.named(session, name)
        if node is None:
            return RequestState.REFUSED, await relocations.unknown(session, name)
        source = f"operator:{request.asked_by}"
        match request.kind:
            case RequestKind.TRANSFER:
                return await self._transfer(session, request, node.name)
            case RequestKind.DRAIN:
                return await self._set(session, node.name, NodeState.DRAINING, node.state, source)
            case _:
                return await self._set(session, node.name, NodeState.UP, node.state, source)

    async def _set(self, session: AsyncSession, name: str, to: NodeState, state: NodeState, source: str) -> Answer:
        if not state.answers:
            return (
                RequestState.REFUSED,
                f"{name} is {state.value}; it can be drained or taken into use when it is back.",
            )
        if state is to:
            return RequestState.DONE, f"{name} is {to.value} already."
        reason = "drained by an operator" if to is NodeState.DRAINING else None
        await self._nodes.set_state(session, name, to, reason=reason, now=self._clock.now(), source=source)
        what = "takes nothing new and keeps what it has" if to is NodeState.DRAINING else "takes frames again"
        return RequestState.DONE, f"{name} {what}."

    async def _transfer(self, session: AsyncSession, request: RequestRecord, node: str) -> Answer:
        """Promise the run's frames to the node, here and now; what is promised elsewhere is withdrawn first."""
        runid = str(request.arguments.get("runid") or "")
        filter_ = request.arguments.get("filter")
        await self._assignment.hold(session)
        found = await candidates(session, runid=runid, node=node, filter_=str(filter_) if filter_ else None)
        if not found.count:
            where = f" in {filter_}" if filter_ else ""
            return RequestState.REFUSED, f"No frame of run {runid}{where} is here."
        await self._withdraw(session, found, node)
        plan = await self._assignment.plan(session, found.movable, node=node)
        paths = {frame.id: frame.path for frame in found.movable}
        ways = {
            number: Way(
                path or found.where.get(number, "a node"),
                mode=TransferMode.IMMEDIATE,
                priority=PRIORITY,
                origin_id=found.origins.get(number),
            )
            for number, path in paths.items()
        }
        await self._assignment.promise(session, plan.promises, ways)
        sentence = in_sentence(plan, found, runid=runid, node=node, filter_=str(filter_) if filter_ else None)
        done = bool(plan.promises) or not plan.refused
        return (RequestState.DONE if done else RequestState.REFUSED), sentence

    async def _withdraw(self, session: AsyncSession, found: Candidates, node: str) -> None:
        movable = {frame.id for frame in found.movable}
        if not movable & set(await Inventory().open_moves(session)):
            return
        now = self._clock.now()
        for transfer in await Transfers().promised(session):
            if transfer.frame_id in movable and transfer.node_id is not None:
                await Transfers().end(
                    session, transfer.id, TransferState.FAILED, now=now, reason=f"an operator wants it on {node}"
                )
                await Leases().settle(session, transfer.frame_id, transfer.node_id, frame=True, products=True, now=now)
