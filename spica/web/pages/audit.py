"""``/nodes/audit``: does everything lie where the database says, and what may go."""

from dataclasses import dataclass

from aiohttp import web

from datatransfer.discrepancies import CASES
from dbclient.findings import AuditRecord
from dbclient.schema import Discrepancy, NodeState, RequestKind
from dbclient.stores import Audits, Events, Nodes, Requests
from spica.web.console import console_of, render
from spica.web.gate import Access, access
from spica.web.pages.actions import readback
from terapix.quantities import counted, in_words

SHOWN = 200
"""Findings on the page; `terapix audit --last` gives more."""
ASKED = (RequestKind.AUDIT, RequestKind.CLEAR)


@dataclass(frozen=True, slots=True)
class Found:
    """One way to differ, and how often it was found."""

    kind: Discrepancy
    count: int
    evidence: str
    action: str
    """What a repair does."""


@access(Access.READER)
async def audit(request: web.Request) -> web.Response:
    """``/nodes/audit``: the last audit, and forms that ask for another and for room."""
    console = console_of(request)
    async with console.database.read() as session:
        last = await Audits().latest(session)
        counts = await Audits().counts(session, last.id) if last else {}
        findings = await Audits().findings(session, last.id, limit=SHOWN) if last else []
        nodes = [node.name for node in await Nodes().all(session) if node.state is not NodeState.REMOVED]
        waiting = await Requests().open(session, *ASKED)
        asked = await readback(session, request)
        newest = await Events().newest_id(session)
    found = [Found(kind, counts[kind], CASES[kind].evidence, CASES[kind].action) for kind in CASES if kind in counts]
    return render(
        request,
        "audit.html",
        sentence=sentence(last),
        well=last is not None and last.found == last.repaired,
        last=last,
        found=found,
        findings=findings,
        shown=SHOWN,
        nodes=nodes,
        waiting=waiting,
        readback=asked,
        newest=newest,
    )


def sentence(last: AuditRecord | None) -> str:
    """Answer the page's question."""
    if last is None:
        return "No audit was completed yet."
    scope = "".join(f" of {word} {name}" for word, name in (("node", last.node), ("run", last.runid)) if name)
    compared = f"{counted(last.files, 'file')} ({in_words(last.bytes)}){scope} were compared"
    if not last.found:
        return f"{compared}: database, disks and archive agree."
    rest = last.found - last.repaired
    done = f", {last.repaired} put right" if last.repair else ""
    return f"{compared}: {last.found} found that differ{done}{f', {rest} as they were' if rest else ''}."
