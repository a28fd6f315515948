"""The table of a frame's moves: complete, and without a way out of being superseded."""

import pytest

from dbclient.lifecycle import MOVES, UNFINISHED, may_go
from dbclient.schema import FrameState as S
from dbclient.stores.frames import stamps_after


def test_every_state_has_its_moves():
    assert set(MOVES) == set(S)


@pytest.mark.parametrize(("source", "target"), list(zip(list(S)[:4], list(S)[1:5], strict=True)))
def test_the_straight_way_is_open(source, target):
    assert may_go(source, target)


@pytest.mark.parametrize(
    ("source", "target"),
    [
        (S.SPOTTED, S.VALID),
        (S.SPOTTED, S.PLACED),
        (S.FETCHED, S.PLACED),
        (S.VALID, S.WEIGHTED),
        (S.WEIGHTED, S.VALID),
        (S.REJECTED, S.PLACED),
        (S.FAILED, S.WEIGHTED),
    ],
)
def test_no_step_is_left_out(source, target):
    assert not may_go(source, target)


def test_what_is_superseded_stays_so():
    assert not any(may_go(S.SUPERSEDED, target) for target in S if target is not S.SUPERSEDED)
    assert all(may_go(source, S.SUPERSEDED) for source in S)


def test_a_lost_file_is_fetched_again_from_anywhere_on_the_way():
    assert all(may_go(source, S.SPOTTED) for source in S if source is not S.SUPERSEDED)


def test_what_is_unfinished_has_given_nothing_yet():
    assert {S.VALID, S.PLACED, S.WEIGHTED}.isdisjoint(UNFINISHED)


def test_moments_behind_a_state_are_forgotten_and_those_aside_keep_all():
    assert stamps_after(S.SPOTTED) == ["fetched_at", "valid_at", "placed_at", "weighted_at"]
    assert stamps_after(S.PLACED) == ["weighted_at"]
    assert stamps_after(S.WEIGHTED) == stamps_after(S.FAILED) == stamps_after(S.REJECTED) == []


def test_an_operator_may_accept_what_was_rejected():
    assert may_go(S.REJECTED, S.VALID)
