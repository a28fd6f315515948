"""Everything that may go wrong at an archive, as hypothesis draws it: every kind of the stand-in's faults."""

from typing import Any

from hypothesis import strategies as st

from snooppix.standin.kinds import (
    Busy,
    ClockSkew,
    Down,
    Dropped,
    DuplicateRows,
    Expired,
    Failing,
    Fault,
    Flipped,
    Forbidden,
    Gzip,
    HexDigest,
    Hidden,
    Listed,
    LoginPage,
    Missing,
    NoDigest,
    Overflow,
    PutCut,
    PutDamaged,
    PutLost,
    QueryError,
    Redirected,
    Refused,
    Renewed,
    Replaced,
    Short,
    Slow,
    Stalled,
    SyncElsewhere,
    Unauthorised,
    Unlocated,
    WholeForRange,
    Withdrawn,
    WrongDigest,
    WrongRange,
)

NEED_A_FILE = (Replaced, Renewed)
"""Kinds that put another file in the place of one: the machine draws them with that file."""
OF_PUTTING = (PutCut, PutDamaged, PutLost)
"""Kinds that meet who puts files, and nobody who reads: tests/snooppix/test_publisher_push.py."""

few = st.integers(1, 3)


Ways = list[tuple[type[Fault], dict[str, st.SearchStrategy[Any]]]]


def misfortunes(names: tuple[str, ...], size: int) -> Ways:
    """Give each kind with what may be said of it, for files with these names, each of so many bytes."""
    places = st.integers(0, size - 1)
    files = st.sampled_from(names).map("{}*".format)
    sites = st.sampled_from(["minoc*", "raven", "argus", "reg"])
    several = st.sampled_from([1, 1, 1, 2, 3, 0])
    """Times; 0: until it is taken back."""
    return [
        (Down, {"at": sites, "times": several}),
        (Refused, {"at": sites, "times": several}),
        (Busy, {"retry_after": st.sampled_from(["", "1", "120", "Sun, 30 Mar 2008 06:30:00 GMT", "soon"])}),
        (Busy, {"status": st.just(429), "at": sites, "date_in": st.sampled_from([-1, 0, 600]), "times": several}),
        (Stalled, {"at": sites, "times": few}),
        (Stalled, {"name": files, "after": places, "times": few}),
        (LoginPage, {"at": sites, "times": several}),
        (Dropped, {"name": files, "after": places, "times": few}),
        (Slow, {"name": files, "rate": st.sampled_from([20_000, 200_000]), "times": few}),
        (Short, {"name": files, "missing": st.integers(1, size), "times": several}),
        (WrongDigest, {"name": files, "times": several}),
        (NoDigest, {"name": files, "times": several}),
        (HexDigest, {"name": files, "times": several}),
        (Flipped, {"name": files, "byte": places, "times": st.integers(1, 4)}),
        (WholeForRange, {"times": several}),
        (Missing, {"name": files, "times": several}),
        (Unlocated, {"name": files, "times": several}),
        (Gzip, {"name": files, "times": several}),
        (QueryError, {}),
        (DuplicateRows, {"times": several}),
        (Failing, {"status": st.sampled_from([500, 502, 504, 408, 404]), "at": sites, "times": several}),
        (Unauthorised, {"at": sites, "times": several}),
        (Forbidden, {"at": sites, "times": several}),
        (Redirected, {"at": sites}),
        (Expired, {"name": files, "status": st.sampled_from([401, 403])}),
        (WrongRange, {"name": files, "shift": st.integers(-3, 3), "total": st.sampled_from([-1, 1, 2 * size])}),
        (Overflow, {"rows": st.integers(0, 3), "times": several}),
        (SyncElsewhere, {}),
        (Hidden, {"name": files}),
        (Withdrawn, {"name": files}),
        (ClockSkew, {"seconds": st.sampled_from([-90_000.0, -60.0, 60.0, 90_000.0])}),
        (Listed, {"name": files, "lag": st.sampled_from([60.0, 7_200.0])}),
        (Listed, {"name": files, "length": st.integers(0, 2 * size)}),
        (Listed, {"name": files, "checksum": st.just("md5:" + "0" * 32)}),
        (Listed, {"name": files, "uri": st.just("cadc:CFHT/../../etc/passwd")}),
    ]


def drawn(ways: Ways) -> st.SearchStrategy[Fault]:
    return st.one_of(*(st.builds(kind, **said) for kind, said in ways))
