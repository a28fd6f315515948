"""What goes over links between hosts keeps to their limits, whatever the hour and however many share them."""

from collections import Counter
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datatransfer.links import Link, concerns, limit_of, obstacle, rates
from terapix.hosts import LinkSection
from terapix.hours import Limit, changes_at, holds_at

NOON = datetime(2003, 12, 20, 12, tzinfo=UTC)
NIGHT = NOON.replace(hour=23)
DAY = LinkSection(source="reception", target="node*", rate=10_000_000, moves=2, begin="08:00", end="18:00")
INTO_5 = LinkSection(target="node5", rate=4_000_000)


def test_a_limit_holds_for_the_links_and_hours_that_it_means() -> None:
    link = Link("reception", "node5")
    assert limit_of([DAY, INTO_5], link, NOON) == Limit(2, 4_000_000)
    assert limit_of([DAY, INTO_5], link, NIGHT) == Limit(0, 4_000_000)
    assert limit_of([DAY, INTO_5], Link("node5", "node6"), NOON) == Limit()


def test_one_move_more_waits_where_as_many_go_as_may() -> None:
    going = [Link("reception", "node1"), Link("reception", "node2")]
    assert obstacle([DAY], going, Link("reception", "node3"), NOON) is DAY
    assert obstacle([DAY], going, Link("reception", "node3"), NIGHT) is None
    assert obstacle([DAY], going, Link("node1", "node3"), NOON) is None
    assert obstacle([DAY], going[:1], Link("reception", "node3"), NOON) is None


def test_what_is_allowed_is_shared_by_the_moves_that_it_means() -> None:
    one, two, five = Link("reception", "node1"), Link("reception", "node2"), Link("reception", "node5")
    assert rates([DAY], [one], NOON) == {one: 10_000_000}
    assert rates([DAY], [one, two, two], NOON) == {one: 3_333_333, two: 6_666_666}
    assert rates([DAY, INTO_5], [one, five], NOON) == {one: 5_000_000, five: 4_000_000}
    assert rates([DAY, INTO_5], [one, five], NIGHT) == {one: 0, five: 4_000_000}


links = st.builds(Link, st.sampled_from(["reception", "node1", "node2"]), st.sampled_from(["node3", "node4"]))
sections = st.builds(
    LinkSection,
    source=st.sampled_from(["*", "reception", "node?"]),
    target=st.sampled_from(["*", "node3"]),
    rate=st.integers(1_000, 10**9),
)


@given(st.lists(sections, max_size=4), st.lists(links, max_size=8))
def test_never_more_than_a_limit_allows_goes_over_all_links_together(
    limits: list[LinkSection], moves: list[Link]
) -> None:
    shared = rates(limits, moves, NOON)
    assert set(shared) == set(moves)
    for section in limits:
        meant = [link for link in Counter(moves) if concerns(section, link)]
        assert sum(shared[link] for link in meant) <= section.rate
        assert all(shared[link] for link in meant)


@pytest.mark.parametrize(
    ("begin", "end", "hour", "holds"),
    [
        ("08:00", "18:00", 8, True),
        ("08:00", "18:00", 18, False),
        ("22:00", "06:00", 23, True),
        ("00:00", "00:00", 3, True),
    ],
)
def test_hours_may_cross_midnight(begin: str, end: str, hour: int, holds: bool) -> None:
    assert holds_at(LinkSection(begin=begin, end=end), NOON.replace(hour=hour)) is holds


def test_the_next_change_of_the_hour_is_known() -> None:
    assert changes_at([DAY], NOON) == NOON.replace(hour=18)
    assert changes_at([DAY], NIGHT) == NOON.replace(day=21, hour=8)
    assert changes_at([INTO_5], NOON) is None
