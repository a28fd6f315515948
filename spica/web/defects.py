"""Defects of a frame as its page tells them: how many pixels of each kind, on which CCD."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dbclient.records import JobRecord
from dbclient.schema import JobState
from terapix.flags import FLAGS, Flag

LARGEST_SIDE = 1000
"""Pixels of a mosaic across one of its pictures; more than any camera needs."""


@dataclass(frozen=True, slots=True)
class Row:
    """One CCD."""

    index: int
    name: str
    counts: tuple[int, ...]
    """Pixels of each flag, in the order of `Defects.flags`."""


@dataclass(frozen=True, slots=True)
class Defects:
    """Pixels of each flag on each CCD, as the stage counted them."""

    flags: tuple[Flag, ...]
    """Those that occur, most pixels first."""
    rows: tuple[Row, ...]
    pixels: int
    """Illuminated pixels of the whole frame."""
    side: int
    """Pixels of the mosaic across one of the pictures."""
    notes: tuple[str, ...]
    """What the frame's headers lacked."""

    @property
    def totals(self) -> tuple[int, ...]:
        return tuple(sum(row.counts[place] for row in self.rows) for place in range(len(self.flags)))

    def sorted_by(self, name: str) -> tuple[Row, ...]:
        """Rows with most pixels of a flag first; in the order of the frame for any other name."""
        for place, flag in enumerate(self.flags):
            if flag.name == name:
                return tuple(sorted(self.rows, key=lambda row: (-row.counts[place], row.index)))
        return self.rows


def defects_of(jobs: Sequence[JobRecord]) -> Defects | None:
    """Give what the newest finished job counted; None where no job did, as those of older software."""
    done = [job for job in jobs if job.state is JobState.DONE and job.summary and "counts" in job.summary]
    newest = max(done, key=lambda job: (job.ended_at is not None, job.ended_at, job.id), default=None)
    if newest is None or newest.summary is None:
        return None
    try:
        return _read(newest.summary)
    except (KeyError, TypeError, ValueError, IndexError):  # a row that other software wrote
        return None


def _read(summary: Mapping[str, Any]) -> Defects:
    names = [str(name) for name in summary["names"]]
    counts = {flag: [int(count) for count in summary["counts"].get(flag.name, ())] for flag in FLAGS}
    found = sorted((flag for flag in FLAGS if sum(counts[flag])), key=lambda flag: -sum(counts[flag]))
    rows = tuple(Row(index, name, tuple(counts[flag][index] for flag in found)) for index, name in enumerate(names))
    side = int(summary["side"])
    if not 0 < side <= LARGEST_SIDE:
        raise ValueError(f"a side of {side}")
    return Defects(tuple(found), rows, int(summary["pixels"]), side, tuple(str(n) for n in summary.get("notes", ())))
