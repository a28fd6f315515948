"""The story of a frame in sentences, from what the database remembers of it."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from dbclient.records import EventRecord, FrameRecord, JobRecord
from dbclient.schema import FrameState, JobState, Level

NEXT = {
    FrameState.SPOTTED: "It waits to be fetched from the archive.",
    FrameState.FETCHED: "It is on the reception disk; its header and pixels are being verified.",
    FrameState.VALID: "It is verified and waits for room on a node.",
    FrameState.PLACED: "It is on its node and waits for its weight and flag maps.",
    FrameState.WEIGHTED: "Its weight and flag maps are registered: nothing is left to do.",
    FrameState.REJECTED: "It was set aside in from_CADC/rejected/ with a note that says why: "
    "terapix snooppix retry {name} fetches it again, terapix snooppix accept {name} --because … takes it all the same.",
    FrameState.FAILED: "All tries are used up: terapix retry {name} tries again.",
    FrameState.SUPERSEDED: "A newer processing of it has taken its place.",
}

TRIED = frozenset({FrameState.SPOTTED, FrameState.FETCHED})
"""States in which a frame with a reason, and no later moment, is taken up at the next pass."""


def tell(frame: FrameRecord, jobs: Sequence[JobRecord], events: Sequence[EventRecord], *, now: datetime) -> list[str]:
    """Give the story of a frame: what it is, where it stands and why, then its history."""
    story = [_what(frame), _where(frame, now)]
    story += [_job(job) for job in jobs if job.state in {JobState.RUNNING, JobState.FAILED}]
    if not any(event.kind in {"spotted", "reprocessed"} for event in events):  # it came with many others
        story.append(f"{frame.spotted_at:%Y-%m-%d %H:%M:%S}  {frame.name} spotted at the archive, with many others")
    story += [f"{event.at:%Y-%m-%d %H:%M:%S}  {_mark(event.level)}{event.message}" for event in events]
    return story


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


def _where(frame: FrameRecord, now: datetime) -> str:
    then = NEXT[frame.state].format(name=frame.name)
    if frame.state is FrameState.PLACED and frame.reason and frame.flat is None and frame.mask is None:
        return f"It is on its node, and nothing is left to do: {frame.reason.rstrip('.')}."
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
