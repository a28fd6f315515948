"""A move lives by events; an illegal one raises."""

import pytest

from datatransfer.lifecycle import (
    Act,
    Broken,
    Claimed,
    Happening,
    IllegalStep,
    Interrupted,
    Recorded,
    Withdrawn,
    advance,
)
from dbclient.schema import TransferState

EVENTS = [Claimed(), Recorded(), Interrupted(), Broken(counts=True), Broken(counts=False), Withdrawn()]


def test_a_move_that_goes_well() -> None:
    state, acts = advance(TransferState.PROMISED, Claimed())
    assert (state, acts) == (TransferState.RUNNING, (Act.CARRY,))

    assert advance(state, Recorded()) == (TransferState.DONE, (Act.DROP_SOURCE,))


def test_an_interrupted_move_keeps_its_room() -> None:
    state, acts = advance(TransferState.RUNNING, Interrupted())

    assert state is TransferState.PROMISED
    assert Act.DROP_LEASE not in acts


def test_a_full_disk_gives_the_room_back_and_counts_no_try() -> None:
    _, acts = advance(TransferState.RUNNING, Broken(counts=False))

    assert Act.DROP_LEASE in acts
    assert Act.COUNT not in acts


@pytest.mark.parametrize("end", [TransferState.DONE, TransferState.FAILED])
@pytest.mark.parametrize("event", EVENTS, ids=repr)
def test_nothing_happens_to_a_move_that_has_ended(end: TransferState, event: Happening) -> None:
    with pytest.raises(IllegalStep, match=end.value):
        advance(end, event)


def test_the_source_is_removed_only_after_the_record() -> None:
    dropping = [
        (state, event)
        for state in TransferState
        for event in EVENTS
        if not _illegal(state, event) and Act.DROP_SOURCE in advance(state, event)[1]
    ]
    assert dropping == [(TransferState.RUNNING, Recorded())]


def _illegal(state: TransferState, event: Happening) -> bool:
    try:
        advance(state, event)
    except IllegalStep:
        return True
    return False
