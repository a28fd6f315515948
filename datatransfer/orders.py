"""Orders of operators: a run to a node at once, a node to be drained."""

from sqlalchemy.ext.asyncio import AsyncSession

from datatransfer.assignment import Assignment, Way
from datatransfer.preview import Candidates, candidates, in_sentence
from dbclient.database import Database
from dbclient.records import RequestRecord
from dbclient.schema import NodeState, RequestKind, RequestState, TransferMode, TransferState
from dbclient.stores import Inventory, Leases, Nodes, Requests, Transfers
from terapix.clock import Clock
from terapix.journal import logger

log = logger("datatransfer.orders")

AT_ONCE = (RequestKind.DRAIN, RequestKind.UNDRAIN)
"""What is obeyed in every pass, whatever the modes do."""
KINDS = (RequestKind.TRANSFER,)
"""What immediate mode carries out."""
PRIORITY = 100
"""Lane of what an operator wants at once."""
Answer = tuple[RequestState, str]


class Orders:
    """Acts on the requests that concern nodes and runs."""

    def __init__(self, database: Database, clock: Clock, assignment: Assignment) -> None:
        self._database = database
        self._clock = clock
        self._assignment = assignment
        self._nodes = Nodes()

    async def obey(self) -> int:
        """Act on requests that concern the nodes themselves."""
        return await self._act_on(*AT_ONCE)

    async def pass_(self) -> int:
        """Carry out every open order, each in a transaction of its own; return how many there were."""
        return await self._act_on(*KINDS)

    async def _act_on(self, *kinds: RequestKind) -> int:
        async with self._database.read() as session:
            requests = await Requests().open(session, *kinds)
        for request in requests:
            async with self._database.write() as session:
                state, answer = await self._act(session, request)
                await Requests().answer(session, request.id, state, answer, now=self._clock.now())
            log.info("request answered", request=request.kind.value, state=state.value, answer=answer)
        return len(requests)

    async def _act(self, session: AsyncSession, request: RequestRecord) -> Answer:
        name = str(request.arguments.get("node") or "")
        node = await self._nodes.named(session, name)
        if node is None:
            known = ", ".join(n.name for n in await self._nodes.all(session)) or "none"
            return RequestState.REFUSED, f"There is no node {name!r}; nodes are: {known}."
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
