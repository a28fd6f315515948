"""Named steps of the work, at which a test may kill the process.

Every point where something durable has just happened, or is about to, calls
`reached`. In normal running this costs one look into an empty set. Where the
environment holds ``TERAPIX_DIE_AT=NAME,NAME`` the process kills itself there, as
a power cut would, once a name: the directory ``TERAPIX_DIE_ONCE`` remembers.
"""

import os
import signal
from pathlib import Path
from typing import Final

STEPS: Final = (
    "fetch.claimed",
    "fetch.first-bytes",
    "fetch.half",
    "fetch.downloaded",
    "fetch.verified",
    "fetch.renamed",
    "fetch.recorded",
    "move.promised",
    "move.claimed",
    "move.half",
    "move.copied",
    "move.renamed",
    "move.recorded",
    "job.created",
    "job.claimed",
    "job.half",
    "job.written",
    "job.renamed",
    "job.recorded",
    "sources.half",
    "sources.written",
    "sources.renamed",
    "sources.recorded",
)
"""All names, in the order in which a frame passes them."""

WAY_BACK: Final = (
    "publish.staged",
    "publish.recorded",
    "publish.placed",
    "publish.offered",
    "put.started",
    "put.appended",
    "put.committed",
    "acknowledge.sent",
    "acknowledge.recorded",
)
"""All names, in the order in which a product passes them on its way back to the archive, where it is read or put."""

BETWEEN_HOSTS: Final = (
    "bring.asked",
    "bring.half",
    "bring.written",
    "bring.renamed",
    "bring.told",
)
"""All names, in the order in which a file passes them that one host's agent fetches from another's."""

KEEPING: Final = (
    "scrub.recorded",
    "scrub.set-aside",
    "scrub.brought",
    "retention.recorded",
)
"""All names, in the order in which a file passes them that is not what it was, or may go."""

_armed = frozenset(filter(None, os.environ.get("TERAPIX_DIE_AT", "").split(",")))


def reached(step: str) -> None:
    """Say that `step` was reached; the process ends here if a test armed this step."""
    if step not in _armed:
        return
    known = STEPS + WAY_BACK + BETWEEN_HOSTS + KEEPING
    if step not in known:
        raise ValueError(f"TERAPIX_DIE_AT={step}: no such step; steps are {', '.join(known)}")
    try:
        (Path(os.environ["TERAPIX_DIE_ONCE"]) / step).touch(exist_ok=False)
    except FileExistsError:
        return
    os.kill(os.getpid(), signal.SIGKILL)
