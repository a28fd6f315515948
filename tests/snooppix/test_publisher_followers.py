"""Acknowledgements of one follower and of several: who may give them, and when a file may go."""

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from dbclient.records import PublicationRecord
from dbclient.schema import PublicationState
from tests.support.publishing import Press, at_press, publisher_settings

WEIGHT = "979412p_weight.fits.fz"
TOKENS = {name: name[0] * 24 for name in ("cadc", "vizier", "reader")}
OFFERED, ACKNOWLEDGED, FAILED = (PublicationState.OFFERED, PublicationState.ACKNOWLEDGED, PublicationState.FAILED)
WRONG = {"wire_digest": "md5:" + "0" * 32}


def name_followers(tmp_path: Path, *names: str) -> Path:
    path = tmp_path / "followers"
    path.touch(mode=0o600)
    path.write_text("".join(f"{n} {TOKENS[n]}{' reads' if n == 'reader' else ''}\n" for n in names))
    return path


@contextlib.asynccontextmanager
async def followed(tmp_path: Path, *names: str) -> AsyncIterator[Press]:
    followers = name_followers(tmp_path, *names)
    async with at_press(publisher_settings(tmp_path / "ours", followers=str(followers))) as press:
        yield press


@pytest.fixture
async def press(tmp_path: Path) -> AsyncIterator[Press]:
    """A publisher with two followers, and a reader who acknowledges nothing."""
    async with followed(tmp_path, "cadc", "vizier", "reader") as press:
        yield press


async def offered(press: Press, *, seed: int = 1) -> PublicationRecord:
    await press.make("979412p", "weight", seed=seed)
    return await press.until(WEIGHT, lambda row: row.state is OFFERED and row.generation == seed)


async def told(press: Press, name: str, row: PublicationRecord, **changed: object) -> int:
    """Acknowledge as a follower; return the status."""
    press.headers["Authorization"] = f"Bearer {TOKENS[name]}"
    status, _ = await press.acknowledge(row, **changed)
    return status


async def now(press: Press) -> PublicationRecord:
    return (await press.rows(WEIGHT))[0]


async def until_days_are_over(press: Press) -> None:
    """Let a product come and go long after: by then all was deleted that may be."""
    press.later(100)
    for _ in range(2):
        press.made += 1
        name = f"9795{press.made:02d}p"
        await press.make(name, "weight")
        await press.until(f"{name}_weight.fits.fz", lambda row: row.state is OFFERED)


async def test_a_file_stays_until_the_last_follower_has_it(press: Press) -> None:
    row = await offered(press)
    assert await told(press, "cadc", row) == 200
    half = await now(press)
    assert (half.state, half.reason) == (OFFERED, "cadc has it; not acknowledged by vizier yet")
    await until_days_are_over(press)
    assert (press.shelf / WEIGHT).exists()
    assert await told(press, "cadc", row) == 200  # once more: it counts once
    assert (await now(press)).state is OFFERED

    assert await told(press, "vizier", row) == 200
    assert (await now(press)).state is ACKNOWLEDGED
    assert len(await press.events("acknowledged")) == 1
    await until_days_are_over(press)
    await press.until(WEIGHT, lambda row: row.deleted_at is not None)


async def test_a_reader_reads_and_acknowledges_nothing(press: Press) -> None:
    row = await offered(press)
    assert await told(press, "reader", row) == 403
    async with press.session.get(press.file(WEIGHT), headers=press.headers) as answer:
        assert answer.status == 200
    assert (await now(press)).state is OFFERED


async def test_what_one_follower_holds_otherwise_is_seen_until_it_is_right_there(press: Press) -> None:
    row = await offered(press)
    assert await told(press, "cadc", row) == 200
    assert await told(press, "vizier", row, **WRONG) == 422
    assert (await now(press)).state is FAILED
    assert await told(press, "cadc", row) == 200  # the other's word does not mend it
    assert (await now(press)).state is FAILED
    assert await told(press, "vizier", row) == 200
    assert (await now(press)).state is ACKNOWLEDGED


async def test_a_copy_that_went_bad_after_all_had_it_stops_the_deletion(press: Press) -> None:
    row = await offered(press)
    for name in ("cadc", "vizier"):
        assert await told(press, name, row) == 200
    assert await told(press, "vizier", row, **WRONG) == 422
    await until_days_are_over(press)
    assert (press.shelf / WEIGHT).exists()
    assert (await now(press)).state is FAILED


async def test_pixels_alone_acknowledge_a_file_and_let_nothing_be_deleted(press: Press) -> None:
    row = await offered(press)
    assert await told(press, "cadc", row) == 200
    assert await told(press, "vizier", row, wire_digest=None) == 200
    assert (await now(press)).state is ACKNOWLEDGED
    await until_days_are_over(press)
    assert (press.shelf / WEIGHT).exists()
    assert await told(press, "vizier", row) == 200  # it has compared the bytes too
    await until_days_are_over(press)
    await press.until(WEIGHT, lambda row: row.deleted_at is not None)


async def test_a_follower_that_left_is_awaited_no_more(tmp_path: Path) -> None:
    async with followed(tmp_path, "cadc", "vizier") as press:
        row = await offered(press)
        assert await told(press, "cadc", row) == 200
        assert (await now(press)).state is OFFERED
    async with followed(tmp_path, "cadc") as press:
        await press.until(WEIGHT, lambda row: row.state is ACKNOWLEDGED)


async def test_a_generation_that_replaces_another_is_acknowledged_anew_by_all(press: Press) -> None:
    old = await offered(press)
    for name in ("cadc", "vizier"):
        assert await told(press, name, old) == 200
    row = await offered(press, seed=2)
    assert await told(press, "cadc", old) == 409
    assert await told(press, "cadc", row, wire_digest=old.wire_digest, pixel_digest=old.pixel_digest) == 422
    assert await told(press, "cadc", row) == 200
    assert (await now(press)).state is OFFERED
    assert await told(press, "vizier", row) == 200
    assert (await now(press)).state is ACKNOWLEDGED


async def test_each_follower_is_told_the_ledger_as_it_stands_for_it(press: Press) -> None:
    row = await offered(press)
    assert await told(press, "cadc", row) == 200

    async def ledger(name: str) -> Any:
        headers = {"Authorization": f"Bearer {TOKENS[name]}"}
        async with press.session.get(f"{press.publisher.address}/ledger", headers=headers) as answer:
            return (await answer.json(content_type=None))["acknowledged_at"]

    assert await ledger("cadc") is not None
    assert await ledger("vizier") is None


async def test_a_page_of_another_site_cannot_acknowledge_in_the_name_of_who_looks_at_it(tmp_path: Path) -> None:
    async with at_press(publisher_settings(tmp_path)) as press:
        row = await offered(press)
        forged = '{"name": "979412p_weight.fits.fz", "generation": 1, "wire_digest": "md5:' + "0" * 32 + '"}'
        address = f"{press.publisher.address}/acknowledge"
        for headers in ({"Content-Type": "text/plain"}, {"Content-Type": "application/json", "Origin": "http://evil"}):
            async with press.session.post(address, data=forged, headers=headers) as answer:
                assert answer.status in {403, 415}
        assert (await now(press)).state is OFFERED
        assert (await press.acknowledge(row))[0] == 200
