"""The story of a frame in sentences, from what the database remembers of it."""

from collections.abc import Sequence
from datetime import datetime

from dbclient.records import EventRecord, FrameRecord, JobRecord
from dbclient.schema import FrameState, JobState, Level

NEXT = {
    FrameState.SPOTTED: "It waits to be fetched from the archive.",
    FrameState.FETCHED: "It is on the reception disk; its header and pixels are being verified.",
    FrameState.VALID: "It is verified and waits for room on a node.",
    FrameState.PLACED: "It is on its node and waits for its weight and flag maps.",
    FrameState.WEIGHTED: "Its weight and flag maps are registered: nothing is left to do.",
    FrameState.REJECTED: "It was set aside in from_CADC/rejected/ with a note that says why.",
    FrameState.FAILED: "All tries are used up: terapix retry {name} tries again.",
    FrameState.SUPERSEDED: "A newer processing of it has taken its place.",
}


def tell(frame: FrameRecord, jobs: Sequence[JobRecord], events: Sequence[EventRecord], *, now: datetime) -> list[str]:
    """Give the story of a frame: what it is, where it stands and why, then its history."""
    story = [_what(frame), _where(frame, now)]
    story += [_job(job) for job in jobs if job.state in {JobState.RUNNING, JobState.FAILED}]
    story += [f"{event.at:%Y-%m-%d %H:%M:%S}  {_mark(event.level)}{event.message}" for event in events]
    return story


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


def _where(frame: FrameRecord, now: datetime) -> str:
    then = NEXT[frame.state].format(name=frame.name)
    if frame.reason:
        then = f"{then} Why: {frame.reason.rstrip('.')}."
    if frame.retry_at and frame.retry_at > now:
        then += f" The next try is at {frame.retry_at:%H:%M:%S} UTC, in {(frame.retry_at - now).total_seconds():.0f} s."
    if frame.attempts:
        then += f" Tries so far: {frame.attempts}."
    return then


def _job(job: JobRecord) -> str:
    if job.state is JobState.FAILED:
        return f"Its {job.stage} job failed after {job.attempts} tries: {job.reason}."
    return f"Its {job.stage} job runs on {job.worker}, {100 * job.done_share:.0f} % done."


def _mark(level: Level) -> str:
    return {Level.INFO: "", Level.WARNING: "! ", Level.ERROR: "!! "}[level]
