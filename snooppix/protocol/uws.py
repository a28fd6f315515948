"""Queries that run by themselves (UWS 1.1): the jobs, their phases and how they are told."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import Enum
from itertools import count

from snooppix.protocol.sealing import stamp
from snooppix.protocol.votable import xml
from terapix.clock import Clock
from terapix.errors import TerapixError
from terapix.journal import logger

log = logger("snooppix.protocol")

MOST = 1000
"""Jobs that are kept; the oldest that has ended makes room."""
ROOM = 128 << 20
"""Bytes of results that are kept; the oldest results make room, with their jobs."""
LONGEST_PARAMETERS = 120_000
"""Characters of the parameters of a job; a query may have 100 000."""
LIFETIME = timedelta(days=7)
DURATION = 600
"""Seconds that a job may run."""
LONGEST_WAIT = 60.0
"""Seconds that a caller may wait for a change of phase."""
_SPACES = (
    'xmlns:uws="http://www.ivoa.net/xml/UWS/v1.0" xmlns:xlink="http://www.w3.org/1999/xlink" '
    'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"'
)


class Phase(Enum):
    """Where a job is."""

    PENDING = "PENDING"  #: made, and may still be changed
    QUEUED = "QUEUED"  #: to be run
    EXECUTING = "EXECUTING"  #: runs
    COMPLETED = "COMPLETED"  #: has a result
    ERROR = "ERROR"  #: has an error document
    ABORTED = "ABORTED"  #: was ended by its owner, or ran too long

    @property
    def over(self) -> bool:
        """Nothing happens to it any more."""
        return self in {Phase.COMPLETED, Phase.ERROR, Phase.ABORTED}


class NoJob(TerapixError):
    """There is no such job, or no room for one more, or it is too late to change it; `status` is what HTTP says."""

    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.status = status


@dataclass(frozen=True, slots=True)
class Result:
    """What a job found."""

    body: bytes
    media: str


@dataclass(slots=True)
class Job:
    """One query."""

    id: str
    parameters: dict[str, str]
    owner: str
    visible_at: str | None
    """Time before which descriptions must have been released to be seen by its owner."""
    created: datetime
    destruction: datetime
    duration: int = DURATION
    phase: Phase = Phase.PENDING
    started: datetime | None = None
    ended: datetime | None = None
    error: str = ""
    result: Result | None = None
    task: asyncio.Task[None] | None = None
    changed: asyncio.Event = field(default_factory=asyncio.Event)


Work = Callable[[Job], Awaitable[Result]]


class Jobs:
    """All jobs of a service."""

    def __init__(self, *, clock: Clock, most: int = MOST, room: int = ROOM) -> None:
        self._clock = clock
        self._most = most
        self._room = room
        self._numbers = count(1)
        self._jobs: dict[str, Job] = {}

    def create(self, parameters: dict[str, str], *, owner: str, visible_at: str | None) -> Job:
        """Make a job, pending.

        Raises
        ------
        NoJob
            There is no room, as none has ended; or its parameters are too long to be kept.
        """
        self._sweep()
        if sum(map(len, parameters.values())) > LONGEST_PARAMETERS:
            raise NoJob(413, f"the parameters have more than {LONGEST_PARAMETERS} characters")
        if len(self._jobs) >= self._most:
            oldest = next((job for job in self._jobs.values() if job.phase.over), None)
            if oldest is None:
                raise NoJob(503, f"{self._most} jobs are under way: try later")
            self.remove(oldest)
        now = self._clock.now()
        number = f"{next(self._numbers):06d}"
        job = self._jobs[number] = Job(number, parameters, owner, visible_at, now, now + LIFETIME)
        return job

    def find(self, number: str) -> Job:
        """Return a job.

        Raises
        ------
        NoJob
            There is none of this number, or its time has come.
        """
        self._sweep()
        if number not in self._jobs:
            raise NoJob(404, f"no job {number}")
        return self._jobs[number]

    def owned(self, owner: str) -> list[Job]:
        """List somebody's jobs, the newest first."""
        self._sweep()
        return [job for job in reversed(self._jobs.values()) if job.owner == owner]

    def run(self, job: Job, work: Work) -> None:
        """Let a pending job run; a second time changes nothing."""
        if job.phase is Phase.PENDING:
            self._enter(job, Phase.QUEUED)
            job.task = asyncio.get_running_loop().create_task(self._run(job, work))

    def abort(self, job: Job) -> None:
        """End a job."""
        if not job.phase.over:
            self._enter(job, Phase.ABORTED)
            if job.task is not None:
                job.task.cancel()

    def remove(self, job: Job) -> None:
        """End a job and forget it."""
        self.abort(job)
        self._jobs.pop(job.id, None)

    def close(self) -> None:
        """End all jobs."""
        for job in list(self._jobs.values()):
            self.remove(job)

    async def wait(self, job: Job, phase: str, seconds: float) -> None:
        """Wait until a job has left a phase (by default the one it is in), if that may be soon."""
        loop = asyncio.get_running_loop()
        end = loop.time() + min(seconds if seconds >= 0 else LONGEST_WAIT, LONGEST_WAIT)
        while job.phase.value == (phase or job.phase.value) and not job.phase.over and job.phase is not Phase.PENDING:
            before, job.changed = job.phase, asyncio.Event()
            try:
                await asyncio.wait_for(job.changed.wait(), end - loop.time())
            except TimeoutError:
                return
            if not phase and job.phase is not before:
                return

    async def _run(self, job: Job, work: Work) -> None:
        self._enter(job, Phase.EXECUTING)
        try:
            async with asyncio.timeout(job.duration or None):
                job.result = await work(job)
        except TimeoutError:
            job.error = f"the job ran longer than {job.duration} s"
            self._enter(job, Phase.ABORTED)
        except TerapixError as problem:
            job.error = str(problem)
            self._enter(job, Phase.ERROR)
        except Exception:
            log.exception("query failed", job=job.id)
            job.error = "this went wrong here; the log says why"
            self._enter(job, Phase.ERROR)
        else:
            self._enter(job, Phase.COMPLETED)
            self._make_room()

    def _enter(self, job: Job, phase: Phase) -> None:
        job.phase = phase
        if phase is Phase.EXECUTING:
            job.started = self._clock.now()
        elif phase.over:
            job.ended = self._clock.now()
        job.changed.set()

    def _make_room(self) -> None:
        held = [job for job in self._jobs.values() if job.result is not None]
        size = sum(len(job.result.body) for job in held if job.result is not None)
        for job in held[:-1]:
            if size <= self._room:
                break
            size -= len(job.result.body) if job.result is not None else 0
            self.remove(job)

    def _sweep(self) -> None:
        now = self._clock.now()
        for job in [job for job in self._jobs.values() if job.destruction <= now]:
            self.remove(job)


def document(job: Job, base: str) -> str:
    """Write what is known of a job; `base` is the address of the list of jobs."""
    found = f"{base}/{job.id}/results/result"
    message = f"<uws:message>{xml(job.error)}</uws:message>"
    summary = f'<uws:errorSummary type="fatal" hasDetail="true">{message}</uws:errorSummary>'
    return (
        f'<?xml version="1.0" encoding="UTF-8"?>\n<uws:job {_SPACES} version="1.1"><uws:jobId>{job.id}</uws:jobId>'
        f"<uws:ownerId{_text(job.owner, 'uws:ownerId')}<uws:phase>{job.phase.value}</uws:phase>"
        f"<uws:quote{_time(job.created + timedelta(seconds=job.duration), 'uws:quote')}"
        f"<uws:creationTime{_time(job.created, 'uws:creationTime')}"
        f"<uws:startTime{_time(job.started, 'uws:startTime')}<uws:endTime{_time(job.ended, 'uws:endTime')}"
        f"<uws:executionDuration>{job.duration}</uws:executionDuration>"
        f"<uws:destruction{_time(job.destruction, 'uws:destruction')}{parameters(job)}{results(job, found)}"
        f"{summary if job.error else ''}</uws:job>\n"
    )


def parameters(job: Job, *, alone: bool = False) -> str:
    """Write the parameters of a job."""
    each = "".join(
        f'<uws:parameter id="{xml(key)}">{xml(text)}</uws:parameter>'
        for key, text in job.parameters.items()
        if key != "PHASE"
    )
    return f"<uws:parameters{f' {_SPACES}' if alone else ''}>{each}</uws:parameters>"


def results(job: Job, address: str, *, alone: bool = False) -> str:
    """Write where the result of a job is, once there is one."""
    each = f'<uws:result id="result" xlink:type="simple" xlink:href="{xml(address)}"/>' if job.result else ""
    return f"<uws:results{f' {_SPACES}' if alone else ''}>{each}</uws:results>"


def listing(jobs: list[Job], base: str) -> str:
    """Write a list of jobs."""
    each = "".join(
        f'<uws:jobref id="{job.id}" xlink:href="{xml(base)}/{job.id}"><uws:phase>{job.phase.value}</uws:phase>'
        f"<uws:creationTime{_time(job.created, 'uws:creationTime')}</uws:jobref>"
        for job in jobs
    )
    return f'<?xml version="1.0" encoding="UTF-8"?>\n<uws:jobs {_SPACES} version="1.1">{each}</uws:jobs>\n'


def _text(text: str, element: str) -> str:
    return f">{xml(text)}</{element}>" if text else ' xsi:nil="true"/>'


def _time(moment: datetime | None, element: str) -> str:
    return _text(f"{stamp(moment)}Z" if moment is not None else "", element)
