"""Lanes: in which order promised transfers begin, so that what is urgent goes first and nothing starves. Pure."""

from collections.abc import Iterable
from datetime import timedelta
from typing import Final

from dbclient.records import TransferRecord

AGEING: Final = 60.0
"""Seconds of waiting that count as much as one priority more: an operator's order (100) passes by what waits for less
than 100 minutes."""


def in_order(transfers: Iterable[TransferRecord]) -> list[TransferRecord]:
    """Sort transfers as they are to begin.

    All age alike, so that their order never changes while they wait: each has
    its turn at the moment it was promised, earlier by `AGEING` for each
    priority. Whatever comes later than that moment goes behind it.
    """
    return sorted(transfers, key=lambda t: (t.created_at - timedelta(seconds=AGEING * t.priority), t.id))
