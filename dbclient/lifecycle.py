"""Which way a frame may go from state to state. Pure: no I/O."""

from types import MappingProxyType

from dbclient.schema import FrameState as S

ASIDE = frozenset({S.FAILED, S.SUPERSEDED})
"""Where any frame may go that is still on its way."""

MOVES = MappingProxyType(
    {
        S.SPOTTED: frozenset({S.FETCHED, S.REJECTED}) | ASIDE,
        S.FETCHED: frozenset({S.VALID, S.REJECTED, S.SPOTTED}) | ASIDE,
        S.VALID: frozenset({S.PLACED, S.SPOTTED, S.REJECTED}) | ASIDE,
        S.PLACED: frozenset({S.WEIGHTED, S.VALID, S.SPOTTED}) | ASIDE,
        S.WEIGHTED: frozenset({S.PLACED, S.SPOTTED}) | ASIDE,
        S.REJECTED: frozenset({S.SPOTTED, S.FETCHED, S.VALID, S.SUPERSEDED}),
        S.FAILED: frozenset({S.SPOTTED, S.FETCHED, S.VALID, S.PLACED, S.SUPERSEDED}),
        S.SUPERSEDED: frozenset(),
    }
)
"""From each state, the states it may go to. Back to `spotted` means: the file is lost here, fetch it again.
From `rejected` to `valid`: an operator accepted it."""

UNFINISHED = frozenset({S.SPOTTED, S.FETCHED, S.REJECTED, S.FAILED})
"""A generation in one of these has given nothing yet: a newer one replaces it at once."""


def may_go(source: S, target: S) -> bool:
    """Tell whether a frame may go from `source` to `target`; to stay is always allowed."""
    return source is target or target in MOVES[source]
