"""Every way in which database, disks and archive can differ: what shows it, and what is done about it.

The table is the whole of it. An audit finds nothing that is not here, reports
unless it is told to repair, and never deletes: a file that no row accounts for
is adopted or set aside. The same table stands in docs/operators.md; a test compares.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from dbclient.schema import Discrepancy


@dataclass(frozen=True, slots=True)
class Case:
    """One way to differ."""

    evidence: str
    """What shows it, and what is looked at twice before it is said."""
    action: str
    """What --repair does."""
    repairs: bool = True
    """Whether --repair does anything."""


CASES: Final[Mapping[Discrepancy, Case]] = MappingProxyType(
    {
        Discrepancy.FILE_GONE: Case(
            "the row of a frame or calibration says held; the node's disk is there and lists no such file, twice",
            "brought again from the reception or another node, else fetched from the archive",
        ),
        Discrepancy.PRODUCT_GONE: Case(
            "the row of a product says held; the node's disk is there and lists no such file, twice",
            "brought again from what was laid out for the archive, else made again",
        ),
        Discrepancy.OTHER_SIZE: Case(
            "the file has other bytes than its row says, and reads otherwise, twice",
            "set aside in quarantine, then as if it were gone",
        ),
        Discrepancy.KNOWN_FILE: Case(
            "no row says held; the file reads as a frame, calibration or product of ours, by name and digest",
            "adopted: its row says held again; a frame that waits to be fetched is placed",
        ),
        Discrepancy.OTHER_GENERATION: Case(
            "no row says held; the file reads as a generation that was superseded, or as a second one on its node",
            "set aside in quarantine",
        ),
        Discrepancy.STRANGE_FILE: Case(
            "no row says held, and nothing of ours has its name and digest; nothing is on its way under that name",
            "set aside in quarantine",
        ),
        Discrepancy.NO_FILE: Case(
            "a frame counts as placed or weighted; no node that counts holds its file, and the reception has none",
            "fetched again from the archive",
        ),
        Discrepancy.NO_PRODUCT: Case(
            "a frame counts as weighted and is held; a map of it is lost and the archive has not acknowledged it",
            "made again by the pipeline, without being told",
            repairs=False,
        ),
        Discrepancy.LOST_AT_RECEPTION: Case(
            "the row says that the file lies at reception; it is not there or has another size, twice",
            "fetched again from the archive",
        ),
        Discrepancy.STRANGE_AT_RECEPTION: Case(
            "a file at reception has the name of no frame or calibration that we know",
            "set aside in quarantine of the reception disk",
        ),
        Discrepancy.WITHDRAWN: Case(
            "the archive lists the frame no more, and one verified file is left here",
            "kept, and never removed by itself: terapix copy gives it a second place",
            repairs=False,
        ),
        Discrepancy.WITHDRAWN_LOST: Case(
            "the archive lists the frame no more, and no verified file is left here",
            "an operator looks into quarantine and backups: nothing can be fetched",
            repairs=False,
        ),
        Discrepancy.ARCHIVE_UNKNOWN: Case(
            "no full difference of archive and database was completed within a week",
            "SNOOPPIX is asked for one: terapix snooppix difference --now",
        ),
        Discrepancy.NODE_SILENT: Case(
            "the node does not answer, or its disk is not mounted",
            "nothing is said of its files until it is back",
            repairs=False,
        ),
    }
)
