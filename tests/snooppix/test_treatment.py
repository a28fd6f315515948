"""The table of failures: status, class and action, row by row."""

from datetime import UTC, datetime, timedelta

import pytest

from snooppix import errors
from snooppix.errors import (
    Busy,
    Changed,
    Damaged,
    FetchError,
    NoRoom,
    NotAllowed,
    NotFits,
    NotSignedIn,
    NotStored,
    Resting,
    Unreachable,
)
from snooppix.treatment import TREATMENTS, Case, Class, GiveUp, Quarantine, Wait, decide, failure

NOW = datetime(2008, 3, 30, 12, tzinfo=UTC)
FRESH = Case(tries=0, since=NOW - timedelta(minutes=10), release=None, limit=8)


def of_kind(kind: type[FetchError]) -> FetchError:
    if kind is Busy:
        return Busy("979412p", "host", "busy", retry_after=None)
    if kind is Damaged:
        return Damaged("979412p", "host", expected="md5:a", found="md5:b")
    if kind is Resting:
        return Resting("979412p", "host", "host rests until 12:05 after 5 failures", until=NOW + timedelta(minutes=5))
    if kind is NoRoom:
        return NoRoom("979412p", needed=300_000_000, missing=20_000_000)
    return kind("979412p", "host", "why")


@pytest.mark.parametrize(
    ("status", "kind", "treatment"),
    [
        (400, Unreachable, Class.BACKOFF),
        (401, NotSignedIn, Class.CREDENTIAL),
        (403, NotAllowed, Class.RELEASE),
        (404, NotStored, Class.SLOW),
        (408, Unreachable, Class.BACKOFF),
        (410, NotStored, Class.SLOW),
        (429, Busy, Class.HOST),
        (500, Unreachable, Class.BACKOFF),
        (502, Unreachable, Class.BACKOFF),
        (503, Busy, Class.HOST),
        (504, Unreachable, Class.BACKOFF),
    ],
)
def test_each_status_has_its_class(status: int, kind: type[FetchError], treatment: Class) -> None:
    found = failure(status, "979412p", "host")
    assert type(found) is kind
    assert TREATMENTS[kind].kind is treatment


def test_every_failure_of_a_fetch_has_a_treatment() -> None:
    leaves = {kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, FetchError)} - {
        FetchError
    }
    assert set(TREATMENTS) == leaves


@pytest.mark.parametrize(("tries", "seconds"), [(0, 5), (1, 10), (2, 20), (6, 320)])
def test_an_unreachable_host_is_tried_less_and_less_often(tries: int, seconds: float) -> None:
    decision = decide(of_kind(Unreachable), Case(tries, FRESH.since, None, 8), now=NOW)
    assert decision == Wait(NOW + timedelta(seconds=seconds), "why", counted=True)


def test_the_last_try_gives_the_frame_up() -> None:
    decision = decide(of_kind(Unreachable), Case(7, FRESH.since, None, 8), now=NOW)
    assert decision == GiveUp("given up after 8 tries: why")


def test_an_archive_that_is_down_uses_up_no_tries() -> None:
    decision = decide(of_kind(Unreachable), Case(7, FRESH.since, None, 8, outage=4), now=NOW)
    assert isinstance(decision, Wait)
    assert not decision.counted


@pytest.mark.parametrize(("said", "waits"), [(7.0, 7), (None, 30), (86400.0, 3600), (0.0, 1)])
def test_a_busy_host_rests_as_long_as_it_asks_within_reason(said: float | None, waits: float) -> None:
    decision = decide(Busy("979412p", "host", "busy", retry_after=said), FRESH, now=NOW)
    assert decision == Wait(NOW + timedelta(seconds=waits), "busy", counted=False)


def test_a_listed_file_that_is_not_stored_is_awaited_for_two_days() -> None:
    soon = decide(of_kind(NotStored), FRESH, now=NOW)
    later = decide(of_kind(NotStored), Case(0, NOW - timedelta(hours=30), None, 8), now=NOW)
    end = decide(of_kind(NotStored), Case(0, NOW - timedelta(hours=49), None, 8), now=NOW)

    assert soon == Wait(NOW + timedelta(minutes=10), "why", counted=False)
    assert later == Wait(NOW + timedelta(hours=2), "why", counted=False)
    assert end == Quarantine("listed-not-stored", "listed by the archive and not to be had for 49 h: why")


def test_a_proprietary_frame_is_parked_until_its_release() -> None:
    release = datetime(2009, 8, 31, tzinfo=UTC)
    decision = decide(of_kind(NotAllowed), Case(0, FRESH.since, release, 8), now=NOW)
    assert isinstance(decision, Wait)
    assert decision.until == release
    assert "not public before 2009-08-31" in decision.reason


@pytest.mark.parametrize("kind", [NotAllowed, NotSignedIn])
def test_without_a_release_date_a_refusal_is_tried_rarely(kind: type[FetchError]) -> None:
    reason = "why" if kind is NotAllowed else "why; it waits for a credential"
    decision = decide(of_kind(kind), FRESH, now=NOW)
    assert decision == Wait(NOW + timedelta(hours=1), reason, counted=False)


def test_a_public_frame_that_is_refused_all_the_same_is_somebodys_business() -> None:
    released = NOW - timedelta(days=3)
    decision = decide(of_kind(NotAllowed), Case(0, FRESH.since, released, 8), now=NOW)
    reason = "refused although it is public since 2008-03-27: why"
    assert decision == Wait(NOW + timedelta(hours=1), reason, counted=False, alert=True)


@pytest.mark.parametrize(("kind", "word"), [(Damaged, "damaged"), (NotFits, "not-fits")])
def test_three_bad_copies_end_in_quarantine(kind: type[FetchError], word: str) -> None:
    second = decide(of_kind(kind), Case(1, FRESH.since, None, 8), now=NOW)
    third = decide(of_kind(kind), Case(2, FRESH.since, None, 8), now=NOW)
    assert isinstance(second, Wait)
    assert isinstance(third, Quarantine)
    assert third.word == word


@pytest.mark.parametrize("kind", [Changed, NoRoom, Resting, Busy, NotStored, NotSignedIn, NotAllowed])
def test_what_is_not_the_frame_s_fault_counts_no_try(kind: type[FetchError]) -> None:
    decision = decide(of_kind(kind), Case(7, FRESH.since, None, 8), now=NOW)
    assert isinstance(decision, Wait)
    assert not decision.counted


def test_a_full_disk_says_what_is_missing() -> None:
    decision = decide(of_kind(NoRoom), FRESH, now=NOW)
    assert isinstance(decision, Wait)
    assert decision.reason == "the reception disk needs 300 MB for it and about 20 MB are missing"
