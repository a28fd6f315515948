"""The audit: database against disks against archive. It reports, and repairs only if it is told to.

What can differ, by what it is known and what is done stands in one table
(`datatransfer.discrepancies`). Everything is looked at twice before it is said,
for files are moved, made and fetched meanwhile. The report is kept in the database.
"""

import threading
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final

from datatransfer.depots import Depots
from datatransfer.discrepancies import CASES
from datatransfer.disks import Ill
from datatransfer.errors import MoveError
from datatransfer.losses import Losses
from datatransfer.reception_audit import ReceptionAudit
from datatransfer.scrub import Scrub
from datatransfer.untracked import Untracked
from dbclient.database import Database
from dbclient.findings import AuditRecord
from dbclient.records import NodeRecord
from dbclient.schema import AuditState, DifferenceState, Discrepancy, Level, NodeState, RequestKind, RequestState
from dbclient.stores import (
    Accounting,
    Audits,
    Differences,
    Events,
    Frames,
    Holding,
    Holdings,
    NewFinding,
    Nodes,
    Requests,
    Returns,
    Sort,
)
from terapix.clock import Clock
from terapix.errors import TerapixError
from terapix.journal import logger
from terapix.sections import Settings

log = logger("datatransfer.audit")

PAGE: Final = 1000
"""Rows that are compared at once, and written down in one transaction."""
LATELY: Final = timedelta(days=7)
"""Age of the comparison with the archive above which nothing is known of the archive."""
KIND: Final = "audit"
"""Of the events."""


class NoSuchNode(TerapixError):
    """An audit of a node that is not there."""

    def __init__(self, name: str, known: Sequence[str]) -> None:
        super().__init__(f"there is no node {name!r} to be audited; nodes are: {', '.join(known) or 'none'}")


@dataclass(slots=True)
class Count:
    """What was compared so far."""

    files: int = 0
    bytes: int = 0
    findings: list[NewFinding] = field(default_factory=list)
    """Not written down yet."""


class Audit:
    """Compares database, disks and archive."""

    def __init__(self, database: Database, settings: Settings, clock: Clock, depots: Depots, *, source: str) -> None:
        self._database = database
        self._clock = clock
        self._depots = depots
        self._source = source
        self._losses = Losses(clock, source=source)
        self._scrub = Scrub(database, clock, depots, source=source)
        self._untracked = Untracked(database, clock, depots, source=source)
        self._reception = ReceptionAudit(database, settings, clock, depots, source=source)

    async def run(
        self,
        *,
        asked_by: str,
        node: str | None = None,
        runid: str | None = None,
        repair: bool = False,
        stop: threading.Event | None = None,
        progress: Callable[[int], None] = lambda _: None,
    ) -> AuditRecord:
        """Compare everything, or one node, or one run; what was found is in the database, and the counts are given.

        Parameters
        ----------
        asked_by : operator, or ``clock``
        repair : act on what is found
        progress : told the files compared so far

        Raises
        ------
        NoSuchNode
        """
        stop = stop or threading.Event()
        async with self._database.read() as session:
            nodes = [one for one in await Nodes().all(session) if one.state is not NodeState.REMOVED]
        wanted = [one for one in nodes if node in {None, one.name}]
        if node is not None and not wanted:
            raise NoSuchNode(node, [one.name for one in nodes])
        async with self._database.write() as session:
            number = await Audits().begin(
                session, asked_by=asked_by, node=node, runid=runid, repair=repair, now=self._clock.now()
            )
        count = Count()
        try:
            for one in wanted:
                async for finding in self._of_node(one, count, runid=runid, repair=repair, stop=stop):
                    await self._keep(number, count, finding)
                    progress(count.files)
            if node is None:
                async for finding in self._beside_nodes(count, runid=runid, repair=repair):
                    await self._keep(number, count, finding)
        except BaseException as problem:
            await self._end(number, count, AuditState.FAILED, str(problem) or "it was stopped")
            raise
        return await self._end(number, count, AuditState.DONE, None)

    async def _of_node(
        self, node: NodeRecord, count: Count, *, runid: str | None, repair: bool, stop: threading.Event
    ) -> AsyncIterator[NewFinding]:
        """Compare one node's disk with the database, both ways."""
        depot = self._depots.of_node(node)
        try:
            if not node.state.answers or isinstance(await self._depots.disk(depot), Ill):
                yield await self._silent(node)
                return
            listed = await self._depots.listing(depot)
            async for holding in self._held(node, runid):
                count.files += 1
                count.bytes += holding.size
                if listed.pop(holding.path, None) != holding.size and (
                    found := await self._differs(node, holding, repair=repair, stop=stop)
                ):
                    yield found
            if runid is not None:
                listed = {path: size for path, size in listed.items() if path.split("/")[1] == runid}
            async for found in self._untracked.of_node(node, listed, repair=repair, stop=stop):
                yield found
        except MoveError as problem:
            log.warning("node could not be compared to the end", node=node.name, why=str(problem))
            yield await self._silent(node)

    async def _held(self, node: NodeRecord, runid: str | None) -> AsyncIterator[Holding]:
        for sort in Sort:
            behind = 0
            while True:
                async with self._database.read() as session:
                    page = await Accounting().page(session, node.id, sort, behind=behind, limit=PAGE, runid=runid)
                for holding in page:
                    yield holding
                if len(page) < PAGE:
                    break
                behind = page[-1].id

    async def _silent(self, node: NodeRecord) -> NewFinding:
        async with self._database.read() as session:
            held = len(await Holdings().of_node(session, node.id))
        disk = await self._depots.disk(self._depots.of_node(node))
        why = disk.reason if isinstance(disk, Ill) else node.reason or f"it is {node.state.value}"
        evidence = {"state": node.state.value, "files": held, "why": why}
        return _finding(Discrepancy.NODE_SILENT, evidence, node_id=node.id)

    async def _differs(
        self, node: NodeRecord, holding: Holding, *, repair: bool, stop: threading.Event
    ) -> NewFinding | None:
        """Look a second time at a file that is not as it should be; it may have been moved on meanwhile."""
        there = (await self._depots.sizes(self._depots.of_node(node), [holding.path]))[holding.path]
        async with self._database.read() as session:
            rows = await Accounting().at(session, node.id, holding.path)
            in_hand = await Accounting().in_hand(session, holding.frame_id)
        if there == holding.size or in_hand or not any(row == holding and state == "held" for row, state in rows):
            return None
        kind = Discrepancy.OTHER_SIZE
        if there is None:
            kind = Discrepancy.FILE_GONE if holding.sort is Sort.REPLICA else Discrepancy.PRODUCT_GONE
        evidence: dict[str, Any] = {
            "bytes": holding.size,
            "found_bytes": there,
            "digest": holding.digest,
            "verified_at": holding.verified_at.isoformat(),
        }
        if not repair:
            return _finding(kind, evidence, node_id=node.id, frame_id=holding.frame_id, path=holding.path)
        found = await self._scrub.read(node, holding, stop=stop)
        if found is None:
            return None
        return _finding(
            kind,
            evidence | {"aside": found.aside},
            node_id=node.id,
            frame_id=holding.frame_id,
            path=holding.path,
            action=f"{found.frame} {found.remedy}",
            done=True,
        )

    async def _beside_nodes(self, count: Count, *, runid: str | None, repair: bool) -> AsyncIterator[NewFinding]:
        """Compare what is not on any node: frames without files, the reception, and the archive."""
        async for found in self._unheld(runid=runid, repair=repair):
            yield found
        async with self._database.read() as session:
            bereft = await Returns().bereft(session)
        for one in bereft:
            yield _finding(Discrepancy.NO_PRODUCT, {"lost": one.lost}, node_id=one.node_id, frame_id=one.frame_id)
        behind = 0
        while True:
            async with self._database.read() as session:
                page = await Accounting().withdrawn(session, runid=runid, behind=behind, limit=PAGE)
            for frame in page:
                evidence = {"withdrawn_at": frame.withdrawn_at.isoformat() if frame.withdrawn_at else None}
                yield _finding(Discrepancy.WITHDRAWN, evidence, frame_id=frame.frame_id)
            if len(page) < PAGE:
                break
            behind = page[-1].frame_id
        async for found in self._reception.compare(count, runid=runid, repair=repair):
            yield found
        archive = await self._archive(repair=repair) if runid is None else None
        if archive:
            yield archive

    async def _unheld(self, *, runid: str | None, repair: bool) -> AsyncIterator[NewFinding]:
        behind = 0
        while True:
            async with self._database.read() as session:
                page = await Accounting().unheld(session, runid=runid, behind=behind, limit=PAGE)
            for frame in page:
                if frame.withdrawn_at is not None:
                    evidence = {"withdrawn_at": frame.withdrawn_at.isoformat(), "files_there_were": frame.rows}
                    yield _finding(Discrepancy.WITHDRAWN_LOST, evidence, frame_id=frame.frame_id)
                    continue
                evidence = {"files_there_were": frame.rows}
                done = repair and await self._fetch(frame.frame_id)
                yield _finding(Discrepancy.NO_FILE, evidence, frame_id=frame.frame_id, done=done)
            if len(page) < PAGE:
                return
            behind = page[-1].frame_id

    async def _fetch(self, frame_id: int) -> bool:
        """Ask for a frame again if it is still held nowhere."""
        async with self._database.write() as session:
            again = await Accounting().unheld(session, runid=None, behind=frame_id - 1, limit=1)
            if not again or again[0].frame_id != frame_id:
                return False
            frame = await Frames().get(session, frame_id)
            await self._losses.fetch(session, frame, "no node holds its file")
        return True

    async def _archive(self, *, repair: bool) -> NewFinding | None:
        """Say when archive and database were compared last, if that is long ago."""
        async with self._database.read() as session:
            latest = await Differences().latest(session, state=DifferenceState.DONE, limit=1)
        ended = latest[0].ended_at if latest else None
        if ended is not None and self._clock.now() - ended < LATELY:
            return None
        evidence = {"compared_at": ended.isoformat() if ended else None}
        if not repair:
            return _finding(Discrepancy.ARCHIVE_UNKNOWN, evidence)
        async with self._database.write() as session:
            asked = [r for r in await Requests().open(session, RequestKind.DIFFERENCE) if r.state is RequestState.OPEN]
            if not asked:
                await Requests().ask(session, RequestKind.DIFFERENCE, {}, by=self._source[:60], now=self._clock.now())
        return _finding(Discrepancy.ARCHIVE_UNKNOWN, evidence, done=True)

    async def _keep(self, number: int, count: Count, finding: NewFinding) -> None:
        count.findings.append(finding)
        if len(count.findings) >= PAGE:
            await self._note(number, count)

    async def _note(self, number: int, count: Count) -> None:
        findings, count.findings = count.findings, []
        async with self._database.write() as session:
            await Audits().note(session, number, findings)

    async def _end(self, number: int, count: Count, state: AuditState, reason: str | None) -> AuditRecord:
        await self._note(number, count)
        async with self._database.write() as session:
            ended = await Audits().end(
                session, number, state, now=self._clock.now(), files=count.files, bytes_=count.bytes, reason=reason
            )
            kinds = {kind.value: many for kind, many in (await Audits().counts(session, number)).items()}
            said = ", ".join(f"{many} {kind}" for kind, many in sorted(kinds.items())) or "everything agrees"
            if ended.repaired:
                said += f"; {ended.repaired} put right"
            await Events().append(
                session,
                source=self._source,
                kind=KIND,
                level=Level.WARNING if kinds or reason else Level.INFO,
                message=f"audit of {count.files} files: {said}" + (f"; it broke off: {reason}" if reason else ""),
                data={"audit": number, **kinds},
                now=self._clock.now(),
            )
        log.info("audit", files=count.files, found=ended.found, repaired=ended.repaired, state=state.value)
        return ended


def _finding(
    kind: Discrepancy,
    evidence: dict[str, Any],
    *,
    node_id: int | None = None,
    frame_id: int | None = None,
    path: str | None = None,
    action: str | None = None,
    done: bool = False,
) -> NewFinding:
    """Make a finding, with the action of the table unless another was taken."""
    return NewFinding(
        kind=kind,
        node_id=node_id,
        frame_id=frame_id,
        path=path,
        evidence=evidence,
        action=action or CASES[kind].action,
        done=done,
    )
