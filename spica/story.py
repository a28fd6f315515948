"""The story of a frame in sentences, from what the database remembers of it."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from dbclient.records import (
    EventRecord,
    FrameRecord,
    JobRecord,
    LeaseRecord,
    ProductRecord,
    PublicationRecord,
    ReceiptRecord,
    ReplicaRecord,
    RequestRecord,
    TransferRecord,
)
from dbclient.schema import (
    FrameState,
    JobState,
    Level,
    ProductState,
    PublicationState,
    ReplicaState,
    TransferKind,
    TransferState,
)
from dbclient.stages import SOURCES
from dbclient.stores import Chronicle
from terapix.quantities import in_words

NEXT = {
    FrameState.SPOTTED: "It waits to be fetched from the archive.",
    FrameState.FETCHED: "It is on the reception disk; its header and pixels are being verified.",
    FrameState.VALID: "It is verified and waits for room on a node.",
    FrameState.PLACED: "It is on its node and waits for its weight and flag maps.",
    FrameState.WEIGHTED: "Its weight and flag maps are registered",
    FrameState.REJECTED: "It was set aside in from_CADC/rejected/ with a note that says why: "
    "terapix snooppix retry {name} fetches it again, terapix snooppix accept {name} --because … takes it all the same.",
    FrameState.FAILED: "All tries are used up: terapix retry {name} tries again.",
    FrameState.SUPERSEDED: "A newer processing of it has taken its place.",
}

TRIED = frozenset({FrameState.SPOTTED, FrameState.FETCHED})
"""States in which a frame with a reason, and no later moment, is taken up at the next pass."""


def tell(chronicle: Chronicle, *, now: datetime) -> list[str]:
    """Give the whole story of a frame: what it is, where it stands and why, what is there of it, then its history."""
    return [*standing(chronicle, now=now), *history(chronicle)]


def standing(chronicle: Chronicle, *, now: datetime) -> list[str]:
    """Say what a frame is, where it stands and why, where it lies, what was made of it, and what is under way."""
    frame = chronicle.frame
    story = [_what(frame), _where(chronicle, now)]
    story += _generations(chronicle)
    if frame.withdrawn_at:
        story.append(f"The archive lists it no more since {frame.withdrawn_at:%Y-%m-%d}; what is here is kept.")
    if frame.path:
        story.append(f"Its file lies at reception{f', disk {frame.disk}' if frame.disk else ''}, as {frame.path}.")
    story += [_replica(one, chronicle) for one in chronicle.replicas if one.state is not ReplicaState.GONE]
    story += [_promise(lease, chronicle) for lease in chronicle.leases]
    story += [_transfer(one) for one in chronicle.transfers]
    story += [_job(job) for job in chronicle.jobs if job.state in {JobState.RUNNING, JobState.FAILED}]
    story += _products(chronicle)
    story += [_publication(one, chronicle.receipts.get(one.id, [])) for one in chronicle.publications]
    return story


def history(chronicle: Chronicle) -> list[str]:
    """Tell what happened to a frame, and what operators ordered of its run, in the order of time."""
    frame, told = chronicle.frame, [(event.at, _event(event)) for event in chronicle.events]
    if chronicle.archived is not None and frame.spotted_at <= chronicle.archived:
        where = f"what happened up to here lies in archives: terapix history {frame.name} --archived"
        told.append((min([chronicle.archived, *(event.at for event in chronicle.events[:1])]), where))
    elif not any(event.kind in {"spotted", "reprocessed"} for event in chronicle.events):  # it came with many others
        told.append((frame.spotted_at, f"{frame.name} spotted at the archive, with many others"))
    told += [(order.asked_at, _order(order)) for order in chronicle.orders]
    return [f"{at:%Y-%m-%d %H:%M:%S}  {words}" for at, words in sorted(told, key=lambda one: one[0])]


def _event(event: EventRecord) -> str:
    return f"{_mark(event.level)}{event.message}"


def _order(order: RequestRecord) -> str:
    words = ", ".join(f"{key} {value}" for key, value in order.arguments.items() if value is not None)
    answer = f": {order.answer}" if order.answer else ", which no daemon has answered yet"
    return f"{order.asked_by} ordered: {order.kind.value} {words}{answer}"


def _after_its_maps(chronicle: Chronicle) -> str:
    """Go on in the sentence that says that a frame has its maps."""
    if chronicle.frame.catalogued_at:
        return ", and its catalogue and PSF: nothing is left to do."
    states = {job.state for job in chronicle.jobs if job.stage == SOURCES}
    if states & {JobState.DUE, JobState.RUNNING}:
        return "; it waits for its catalogue and PSF."
    return "; it got no catalogue." if JobState.FAILED in states else "."


def _generations(chronicle: Chronicle) -> list[str]:
    """Tell of the other processings of the same exposure."""
    others = [one for one in chronicle.generations if one.id != chronicle.frame.id]
    if not others:
        return []
    told = ", ".join(f"generation {one.generation} is {one.state.value}" for one in others)
    newest = max(chronicle.generations, key=lambda one: one.generation)
    first = "It is the newest processing" if newest.id == chronicle.frame.id else "A newer processing of it is known"
    return [f"{first}: {told}."]


def _replica(replica: ReplicaRecord, chronicle: Chronicle) -> str:
    node = _node(replica.node_id, chronicle)
    match replica.state:
        case ReplicaState.HELD:
            compared = f"its digest was last compared on {replica.verified_at:%Y-%m-%d %H:%M}"
            return f"It lies on {node} as {replica.path}, {in_words(replica.size)}; {compared}."
        case ReplicaState.DAMAGED:
            return f"Its copy on {node} is damaged and is never used."
        case ReplicaState.AWAY:
            return f"Its copy on {node} does not count while that node is missing."
        case _:
            return f"Its copy on {node} is {replica.state.value}."


def _promise(lease: LeaseRecord, chronicle: Chronicle) -> str:
    parts = {"the file": lease.frame_bytes, "maps": lease.product_bytes, "unpacked pixels": lease.scratch_bytes}
    told = ", ".join(f"{in_words(size)} for {what}" for what, size in parts.items() if size)
    return f"Room is promised to it on {_node(lease.node_id, chronicle)} since {lease.created_at:%H:%M:%S}: {told}."


def _transfer(transfer: TransferRecord) -> str:
    if transfer.kind is TransferKind.FETCH:
        return f"It is being fetched from {transfer.source}, {_through(transfer)}."
    mode = f", {transfer.mode.value}" if transfer.mode else ""
    word = "copied" if transfer.kind is TransferKind.COPY else "moved"
    if transfer.paused_at is not None:
        since = f"{transfer.paused_by} paused it on its way to {transfer.node} at {transfer.paused_at:%Y-%m-%d %H:%M}"
        room = "Its room is kept, and it goes on behind that" if transfer.bytes_done else "Its room is kept"
        return f"{since}, {_through(transfer)}: {(transfer.paused_because or '').rstrip('.')}. {room}."
    if transfer.state is TransferState.PROMISED:
        return f"It waits for its turn to be {word} to {transfer.node}, in lane {transfer.priority}{mode}."
    return f"It is being {word} to {transfer.node}, {_through(transfer)}{mode}."


def _through(transfer: TransferRecord) -> str:
    if not transfer.bytes_total or not transfer.bytes_done:
        return f"{in_words(transfer.bytes_done)} so far"
    return f"{100 * transfer.bytes_done / transfer.bytes_total:.0f} % of {in_words(transfer.bytes_total)}"


def _products(chronicle: Chronicle) -> list[str]:
    """Tell what was made of it and where that lies, a sentence a node."""
    by_node: dict[int, list[ProductRecord]] = {}
    for product in chronicle.products:
        if product.state is ProductState.HELD:
            by_node.setdefault(product.node_id, []).append(product)
    story = []
    for node_id, made in by_node.items():
        named = ", ".join(f"{one.kind} ({in_words(one.size)})" for one in made)
        where = _node(node_id, chronicle).removesuffix(",")
        story.append(f"Made of it on {made[-1].created_at:%Y-%m-%d %H:%M}, on {where}: {named}.")
    lost = [one for one in chronicle.products if one.state in {ProductState.DAMAGED, ProductState.GONE}]
    story += [f"Its {one.kind} on {_node(one.node_id, chronicle)} is {one.state.value}." for one in lost]
    return story


def _publication(one: PublicationRecord, receipts: Sequence[ReceiptRecord]) -> str:
    name = f"{one.name}, generation {one.generation},"
    match one.state:
        case PublicationState.ACKNOWLEDGED:
            told = f"{name} was acknowledged by {one.acknowledged_by} on {one.acknowledged_at:%Y-%m-%d %H:%M}"
        case PublicationState.OFFERED:
            told = f"{name} is offered to the archive since {one.offered_at:%Y-%m-%d %H:%M}, and nobody has it yet"
        case PublicationState.DUE:
            told = f"{name} is to be published"
        case PublicationState.SUPERSEDED:
            told = f"{name} was replaced by a newer one before it was acknowledged"
        case _:
            told = f"{name} could not be published"
    told += f": {one.reason.rstrip('.')}" if one.reason else ""
    told += "".join(
        f"; {each.follower} {'holds' if each.agrees else 'holds another file than'} it" for each in receipts
    )
    return f"{told}{'; its file was removed here' if one.deleted_at else ''}."


def _node(node_id: int, chronicle: Chronicle) -> str:
    found = chronicle.nodes.get(node_id)
    if found is None:
        return "a node that is not known any more"
    return found.name if found.state.answers else f"{found.name}, which is {found.state.value},"


def unknown(name: str, refusals: Sequence[EventRecord]) -> str:
    """Say of a frame that has no row why it has none."""
    if not refusals:
        return f"No frame {name} is known here: the archive has not listed it, or snooppix has not looked yet."
    last = refusals[-1]
    return f"No frame {name} is known here. {last.at:%Y-%m-%d %H:%M:%S}  ! {last.message}."


def _what(frame: FrameRecord) -> str:
    facts = [f"{frame.name}, generation {frame.generation}"]
    if frame.runid:
        facts.append(f"run {frame.runid}")
    if frame.object:
        facts.append(f"object {frame.object}")
    if frame.filter:
        facts.append(f"filter {frame.filter}")
    if frame.exposure_time:
        facts.append(f"{frame.exposure_time:.0f} s")
    return ", ".join(facts) + f": {frame.state.value}."


def _where(chronicle: Chronicle, now: datetime) -> str:
    frame = chronicle.frame
    then = NEXT[frame.state].format(name=frame.name)
    if frame.state is FrameState.PLACED and frame.reason and frame.flat is None and frame.mask is None:
        return f"It is on its node, and nothing is left to do: {frame.reason.rstrip('.')}."
    if frame.state is FrameState.WEIGHTED:
        then += _after_its_maps(chronicle)
    if frame.reason:
        then = f"{then} Why: {frame.reason.rstrip('.')}."
    if frame.retry_at and frame.retry_at > now:
        then += f" The next try is {until(frame.retry_at, now)}."
    elif frame.reason and frame.state in TRIED:
        then += " It is due again now."
    if frame.attempts:
        then += f" Tries so far: {frame.attempts}."
    return then


def until(moment: datetime, now: datetime) -> str:
    """Say when something will be: at a time of today, or on a day, and how long that is from now."""
    wait = moment - now
    seconds = wait.total_seconds()
    if wait >= timedelta(days=2):
        return f"on {moment:%Y-%m-%d} at {moment:%H:%M} UTC, in {wait.days} days"
    if wait >= timedelta(hours=2):
        return f"on {moment:%Y-%m-%d} at {moment:%H:%M} UTC, in {seconds / 3600:.0f} hours"
    if wait >= timedelta(minutes=10):
        return f"at {moment:%H:%M:%S} UTC, in {seconds / 60:.0f} minutes"
    return f"at {moment:%H:%M:%S} UTC, in {seconds:.0f} s"


def _job(job: JobRecord) -> str:
    if job.state is JobState.FAILED:
        return f"Its {job.stage} job failed after {job.attempts} tries: {job.reason}."
    return f"Its {job.stage} job runs on {job.worker}, {100 * job.done_share:.0f} % done."


def _mark(level: Level) -> str:
    return {Level.INFO: "", Level.WARNING: "! ", Level.ERROR: "!! "}[level]
