"""Urgent transfers go first, and whatever is sent by a higher lane, nothing waits for ever."""

import random
from datetime import UTC, datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from datatransfer.lanes import AGEING, in_order
from dbclient.records import TransferRecord
from dbclient.schema import TransferKind, TransferMode, TransferState

BEGIN = datetime(2003, 12, 20, 23, 0, tzinfo=UTC)


def promised(number: int, *, priority: int = 0, at: float = 0.0) -> TransferRecord:
    return TransferRecord(
        id=number,
        frame_id=number,
        node_id=1,
        kind=TransferKind.MOVE,
        state=TransferState.PROMISED,
        source="from_CADC",
        origin_id=None,
        mode=TransferMode.AUTOMATIC,
        priority=priority,
        bytes_total=1,
        bytes_done=0,
        rate=None,
        reason=None,
        headers=None,
        created_at=BEGIN + timedelta(seconds=at),
        started_at=None,
        paused_at=None,
        paused_by=None,
        paused_because=None,
        kept=None,
        ended_at=None,
        frame=str(number),
        node="node1",
    )


def test_an_operators_order_passes_by_what_was_promised_before() -> None:
    waiting = [promised(1), promised(2, priority=5, at=60), promised(3, priority=100, at=120)]
    assert [transfer.id for transfer in in_order(waiting)] == [3, 2, 1]


def test_what_has_waited_long_goes_before_an_order_of_this_moment() -> None:
    waited = 100 * AGEING
    assert [t.id for t in in_order([promised(2, priority=100, at=waited + 1), promised(1)])] == [1, 2]


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 2**32), st.integers(1, 30), st.integers(1, 3))
def test_nothing_starves_however_many_urgent_transfers_come(seed: int, ahead: int, each: int) -> None:
    """One transfer ends every minute, and `each` more of a higher lane are promised meanwhile, for ever."""
    chance = random.Random(seed)
    patient = promised(1)
    waiting, number, now = [patient], 1, 0.0
    bound = 2 * each * (ahead * AGEING / 60.0 + 1)
    begun = 0
    while patient in waiting:
        for _ in range(each):
            number += 1
            waiting.append(promised(number, priority=chance.randint(1, ahead), at=now + chance.random()))
        waiting.remove(in_order(waiting)[0])
        begun += 1
        now += 60.0
        assert begun <= bound


@given(st.lists(st.tuples(st.integers(-10, 100), st.floats(0, 1e6)), max_size=20), st.randoms())
def test_the_order_of_those_that_wait_never_changes(facts: list[tuple[int, float]], chance: random.Random) -> None:
    waiting = [promised(number, priority=priority, at=at) for number, (priority, at) in enumerate(facts)]
    shuffled = waiting[:]
    chance.shuffle(shuffled)
    assert in_order(shuffled) == in_order(waiting)
