"""Where products are laid out: on one disk or several, without a copy where that can be, and never by halves."""

import contextlib
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from dbclient.schema import PublicationState
from dbclient.stores import Publications
from snooppix.publisher.retention import delete_acknowledged
from snooppix.publisher.shelf import Shelf
from terapix.sections import DiskSection, Settings
from tests.support.publishing import Press, at_press, publisher_settings
from tests.support.small_disk import SmallDisk, fill, small_disk

__all__ = ["small_disk"]

WEIGHT, OTHER = "979412p_weight.fits.fz", "979413p_weight.fits.fz"
OFFERED, DUE = PublicationState.OFFERED, PublicationState.DUE


def with_disks(tmp_path: Path, *roots: Path, **publisher: object) -> Settings:
    settings = publisher_settings(tmp_path / "ours", **publisher)
    disks = tuple(DiskSection(name=f"fc{n}", directory=root, reserve=0) for n, root in enumerate(roots, 1))
    return settings.model_copy(update={"paths": settings.paths.model_copy(update={"disks": disks})})


async def until_offered(press: Press, name: str = WEIGHT, *, generation: int = 1) -> Any:
    return await press.until(name, lambda row: row.state is OFFERED and row.generation == generation)


def hidden(shelf: Path) -> list[str]:
    return [path.name for path in shelf.iterdir() if path.name.startswith(".")]


async def content(press: Press, name: str = WEIGHT) -> tuple[int, bytes]:
    async with press.session.get(press.file(name)) as answer:
        return answer.status, await answer.read()


async def test_a_product_is_linked_on_the_disk_it_lies_on(tmp_path: Path, small_disk: SmallDisk) -> None:
    small_disk(tmp_path / "fc1", 4_000_000)
    (tmp_path / "fc2").mkdir()
    async with at_press(with_disks(tmp_path, tmp_path / "fc1", tmp_path / "fc2")) as press:
        (weight,) = await press.make("979412p", "weight")
        row = await until_offered(press)
        placed = tmp_path / "fc2/to_CADC" / WEIGHT
        assert (row.disk, row.path, placed.stat().st_nlink) == ("fc2", f"to_CADC/{WEIGHT}", 2)
        assert await content(press) == (200, weight)


async def test_a_full_disk_leaves_the_file_to_the_next_one(tmp_path: Path, small_disk: SmallDisk) -> None:
    for disk in ("fc1", "fc2"):
        small_disk(tmp_path / disk, 4_000_000)
    fill(tmp_path / "fc1", leaving=8192)
    async with at_press(with_disks(tmp_path, tmp_path / "fc1", tmp_path / "fc2")) as press:
        (weight,) = await press.make("979412p", "weight")
        row = await until_offered(press)
        assert row.disk == "fc2"
        assert (tmp_path / "fc2/to_CADC" / WEIGHT).read_bytes() == weight
        assert await content(press) == (200, weight)


async def test_a_generation_on_another_disk_takes_the_name_from_the_first(
    tmp_path: Path, small_disk: SmallDisk
) -> None:
    for disk in ("fc1", "fc2"):
        small_disk(tmp_path / disk, 4_000_000)
    ballast = fill(tmp_path / "fc2", leaving=0)
    async with at_press(with_disks(tmp_path, tmp_path / "fc1", tmp_path / "fc2")) as press:
        await press.make("979412p", "weight")
        assert (await until_offered(press)).disk == "fc1"
        ballast.unlink()
        fill(tmp_path / "fc1", leaving=0)
        (again,) = await press.make("979412p", "weight", seed=2)
        assert (await until_offered(press, generation=2)).disk == "fc2"
        assert await content(press) == (200, again)
        assert not (tmp_path / "fc1/to_CADC" / WEIGHT).exists()


async def test_where_all_disks_are_full_the_file_says_so_and_leaves_nothing(
    tmp_path: Path, small_disk: SmallDisk
) -> None:
    small_disk(tmp_path / "fc1", 4_000_000)
    small_disk(tmp_path / "fc2", 4_000_000)
    ballasts = [fill(tmp_path / disk, leaving=8192) for disk in ("fc1", "fc2")]
    async with at_press(with_disks(tmp_path, tmp_path / "fc1", tmp_path / "fc2")) as press:
        await press.make("979412p", "weight")
        row = await press.until(WEIGHT, lambda row: row.retry_at is not None)
        assert row.state is DUE
        assert "reception disk fc1 is full" in (row.reason or "")
        assert "reception disk fc2 is full" in (row.reason or "")
        for disk in ("fc1", "fc2"):
            assert not (tmp_path / disk / "to_CADC" / WEIGHT).exists()
            assert hidden(tmp_path / disk / "to_CADC") == []
        ballasts[1].unlink()
        press.clock.days = 1
        await press.make("979413p", "weight")
        await until_offered(press)


async def test_a_disk_that_fills_in_the_middle_of_a_copy_keeps_no_half_of_it(
    tmp_path: Path, small_disk: SmallDisk, monkeypatch: pytest.MonkeyPatch
) -> None:
    small_disk(tmp_path / "fc1", 1_000_000)
    shelf = Shelf(tmp_path / "fc1", reserve=0)
    shelf.prepare()
    source = tmp_path / "large"
    source.write_bytes(bytes(3_000_000))
    monkeypatch.setattr(Shelf, "room", lambda _: 10**9)  # others fill it while we copy
    with pytest.raises(OSError, match="No space left"):
        shelf.stage(source, WEIGHT, 1, ours=False)
    shelf.release()
    assert list(shelf.directory.iterdir()) == []


async def test_a_disk_that_is_away_is_passed_over_and_what_it_holds_is_awaited(
    tmp_path: Path, small_disk: SmallDisk
) -> None:
    for disk in ("fc1", "fc2"):
        small_disk(tmp_path / disk, 4_000_000)
    ballast = fill(tmp_path / "fc2", leaving=0)
    settings = with_disks(tmp_path, tmp_path / "fc1", tmp_path / "fc2")
    async with at_press(settings) as press:
        (weight,) = await press.make("979412p", "weight")
        assert (await until_offered(press)).disk == "fc1"
    ballast.unlink()
    (tmp_path / "fc1/to_CADC").rename(tmp_path / "fc1/away")
    async with at_press(settings) as press:
        (other,) = await press.make("979413p", "weight")
        assert (await until_offered(press, OTHER)).disk == "fc2"
        async with press.session.get(press.file(WEIGHT)) as answer:
            assert (answer.status, answer.headers["Retry-After"]) == (503, "60")
        assert await content(press, OTHER) == (200, other)
        assert not (tmp_path / "fc1/to_CADC").exists()  # nothing is made on an empty mount point
        (tmp_path / "fc1/away").rename(tmp_path / "fc1/to_CADC")
        await press.make("979414p", "weight")

        async def back() -> bool | None:
            return True if await content(press) == (200, weight) else None

        await press.until_found(back, WEIGHT)
        assert (await press.rows(WEIGHT))[0].state is OFFERED


@pytest.mark.parametrize("running", [True, False], ids=["while it serves", "while it rests"])
@pytest.mark.parametrize("harm", ["gone", "short"])
async def test_what_is_lost_from_a_shelf_is_laid_out_again(tmp_path: Path, harm: str, *, running: bool) -> None:
    settings = publisher_settings(tmp_path)
    async with contextlib.AsyncExitStack() as exits:
        press = await exits.enter_async_context(at_press(settings))
        (weight,) = await press.make("979412p", "weight")
        await until_offered(press)
        if not running:
            await exits.aclose()
        (press.shelf / WEIGHT).unlink()
        if harm == "short":
            (press.shelf / WEIGHT).write_bytes(weight[:-1])
        if not running:
            press = await exits.enter_async_context(at_press(settings))
        else:
            assert (await content(press))[0] == 503

        async def whole() -> bool | None:
            return True if await content(press) == (200, weight) else None

        await press.until_found(whole, WEIGHT)
        assert (await until_offered(press)).generation == 1
        assert len(await press.events("lost")) == 1


async def test_a_file_that_took_the_name_of_one_to_be_deleted_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with at_press(publisher_settings(tmp_path)) as press:
        await press.make("979412p", "weight")
        assert (await press.acknowledge(await until_offered(press)))[0] == 200
        found = Publications.deletable

        async def found_too_early(self: Publications, session: Any, **asked: Any) -> Any:
            due = await found(self, session, **asked)
            if due:
                monkeypatch.undo()
                again.extend(await press.make("979412p", "weight", seed=2))
                await until_offered(press, generation=2)
            return due

        again: list[bytes] = []
        monkeypatch.setattr(Publications, "deletable", found_too_early)
        await delete_acknowledged(press.database, press.publisher.shelves, keep=0, clock=press.clock)
        assert [(press.shelf / WEIGHT).read_bytes()] == again
        assert await content(press) == (200, again[0])


async def test_an_older_ledger_that_was_put_back_offers_nothing_older(tmp_path: Path) -> None:
    settings = publisher_settings(tmp_path)
    backup = tmp_path / "backup.sqlite"
    async with at_press(settings) as press:
        await press.make("979412p", "weight")
        await until_offered(press)
        with (
            contextlib.closing(sqlite3.connect(tmp_path / "terapix.sqlite")) as now,
            contextlib.closing(sqlite3.connect(backup)) as then,
        ):
            now.backup(then)
        (again,) = await press.make("979412p", "weight", seed=2)
        await until_offered(press, generation=2)
    for file in tmp_path.glob("terapix.sqlite*"):
        file.unlink()
    backup.rename(tmp_path / "terapix.sqlite")
    async with at_press(settings) as press:
        row = (await press.rows(WEIGHT))[0]
        assert (row.generation, row.state) == (1, PublicationState.SUPERSEDED)
        assert "generation 2 was published before" in (row.reason or "")
        assert (await content(press))[0] == 404
        assert (press.shelf / WEIGHT).read_bytes() == again
        await press.make("979412p", "weight", seed=3)
        await until_offered(press, generation=3)


async def test_an_older_generation_takes_no_place_beside_a_newer_one(tmp_path: Path) -> None:
    async with at_press(publisher_settings(tmp_path)) as press:
        await press.make("979412p", "weight")
        await until_offered(press)
        await press.make("979412p", "weight", seed=2)
        await until_offered(press, generation=2)
        old = (await press.rows(WEIGHT))[1]
        async with press.database.write() as session:
            assert not await Publications().lay_out(session, old.id, size=1, pixel_digest=None, now=press.clock.now())
        assert (await press.rows(WEIGHT))[1].state is PublicationState.SUPERSEDED


async def test_a_manifest_that_does_not_fit_is_written_later_and_ends_nothing(
    tmp_path: Path, small_disk: SmallDisk
) -> None:
    small_disk(tmp_path / "fc1", 4_000_000)
    (tmp_path / "fc2").mkdir()
    manifest = tmp_path / "fc1/to_CADC/MANIFEST.jsonl"
    (tmp_path / "fc1/to_CADC").mkdir()
    manifest.write_text('{"name": "979499p_weight.fits.fz", "generation": 4}\n')
    manifest.with_name("old").write_bytes(manifest.read_bytes())
    ballast = fill(tmp_path / "fc1", leaving=0)
    async with at_press(with_disks(tmp_path, tmp_path / "fc1", tmp_path / "fc2")) as press:
        await press.make("979412p", "weight")
        await until_offered(press)
        assert "generation" in manifest.read_text()  # the old one stands, whole
        assert hidden(manifest.parent) == []
        ballast.unlink()
        await press.make("979413p", "weight")

        async def written() -> bool | None:
            return True if "reached" in manifest.read_text() else None

        await press.until_found(written, OTHER)
