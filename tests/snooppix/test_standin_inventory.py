"""What the directory holds is what the catalogue lists, with the time it was first seen."""

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from snooppix.standin.catalogue import Catalogue
from snooppix.standin.faults import Faults
from snooppix.standin.inventory import Inventory
from snooppix.standin.kinds import Dropped, Short, Withdrawn
from terapix.clock import SetClock
from tests.support.archive import small_fits

NOW = datetime(2026, 11, 24, 2, 0, tzinfo=UTC)
OLD = datetime(2010, 1, 1, tzinfo=UTC)


@pytest.fixture
def clock() -> SetClock:
    return SetClock(NOW)


def put(directory: Path, name: str, content: bytes, *, at: datetime = OLD) -> None:
    new = directory / f".{name}.new"
    new.write_bytes(content)
    os.utime(new, (at.timestamp(), at.timestamp()))
    new.replace(directory / name)


def times(inventory: Inventory) -> dict[str, datetime]:
    return {file.name: file.modified for file in inventory.files}


def test_files_of_the_start_are_as_old_as_they_say_and_new_ones_as_old_as_their_sight(
    tmp_path: Path, clock: SetClock
) -> None:
    put(tmp_path, "1p.fits.fz", b"one")
    inventory = Inventory(tmp_path, clock=clock)
    inventory.note()
    put(tmp_path, "2p.fits.fz", b"two")
    clock.advance(60)
    assert inventory.refresh()
    assert times(inventory) == {"1p.fits.fz": OLD, "2p.fits.fz": NOW + timedelta(seconds=60)}
    clock.advance(60)
    assert not inventory.refresh()


def test_a_replaced_file_is_new_and_a_touched_one_is_not(tmp_path: Path, clock: SetClock) -> None:
    put(tmp_path, "1p.fits.fz", b"one")
    inventory = Inventory(tmp_path, clock=clock)
    inventory.refresh()
    first = inventory.files[0]
    put(tmp_path, "1p.fits.fz", b"one", at=NOW)
    inventory.refresh()
    assert (inventory.files[0].modified, inventory.files[0].identity) == (OLD, first.identity)
    put(tmp_path, "1p.fits.fz", b"two", at=OLD)
    inventory.refresh()
    assert inventory.files[0].modified == NOW
    assert inventory.files[0].identity != first.identity
    (tmp_path / "1p.fits.fz").unlink()
    assert inventory.refresh()
    assert inventory.files == ()
    assert inventory.find(first.uri) is None


def test_only_files_with_a_safe_name_and_a_known_ending_are_offered(tmp_path: Path, clock: SetClock) -> None:
    for name in ("1p.fits.fz", "2p.fits", "3p_preview_256.jpg", "notes.txt", "4p.fits.part", "5 p.fits", ".6p.fits"):
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "7p.fits").mkdir()
    (tmp_path / "8p.fits").symlink_to(tmp_path / "nowhere")
    inventory = Inventory(tmp_path, clock=clock)
    inventory.refresh()
    assert [file.name for file in inventory.files] == ["1p.fits.fz", "2p.fits", "3p_preview_256.jpg"]


def test_no_directory_is_an_empty_archive(tmp_path: Path, clock: SetClock) -> None:
    inventory = Inventory(tmp_path / "later", clock=clock)
    assert not inventory.refresh()
    (tmp_path / "later").mkdir()
    put(tmp_path / "later", "1p.fits", b"one")
    assert inventory.refresh()
    assert times(inventory) == {"1p.fits": NOW}


def test_a_query_sees_what_was_dropped_a_moment_ago(tmp_path: Path, clock: SetClock) -> None:
    catalogue = Catalogue(Inventory(tmp_path, clock=clock), Faults())
    query = "SELECT uri, lastModified FROM caom2.Artifact ORDER BY uri"
    assert catalogue.query(query, most=None).rows == []
    put(tmp_path, "1p.fits.fz", b"one")
    assert catalogue.query(query, most=None).rows == [("cadc:CFHT/1p.fits.fz", "2026-11-24T02:00:00.000")]
    catalogue.close()
    assert len(catalogue.query(query, most=None).rows) == 1
    catalogue.close()


async def test_what_changes_a_few_files_changes_a_few_rows(tmp_path: Path, clock: SetClock) -> None:
    """After any changes the tables are those of a catalogue that is made anew."""
    faults = Faults()
    catalogue = Catalogue(Inventory(tmp_path, clock=clock), faults)
    made = []
    make = catalogue._make
    catalogue._make = lambda visible_at: made.append(visible_at) or make(visible_at)

    def rows(which: Catalogue) -> list[list[tuple[object, ...]]]:
        tables = ("Observation", "Plane", "Artifact")
        return [sorted(which.query(f"SELECT * FROM caom2.{name}", most=None).rows, key=repr) for name in tables]

    def anew() -> list[list[tuple[object, ...]]]:
        other = Catalogue(catalogue._inventory, faults)
        catalogue._inventory._changed |= {file.name for file in catalogue._inventory.files}
        other._inventory = catalogue._inventory
        found = rows(other)
        other.close()
        return found

    names = ["979412p.fits.fz", "979412o.fits.fz", "979413p.fits.fz", "979412p_preview_256.jpg"]
    for name in names:
        put(tmp_path, name, small_fits(name.partition(".")[0], ccds=1) if "fits" in name else b"\xff")
    assert rows(catalogue) == anew()
    clock.advance(60)
    put(tmp_path, names[0], small_fits("979412p", ccds=1, seed=2), at=NOW)
    (tmp_path / names[3]).unlink()
    put(tmp_path, "979414p.fits.fz", small_fits("979414p", ccds=1), at=NOW)
    assert rows(catalogue) == anew()
    (tmp_path / names[2]).unlink()
    assert len(rows(catalogue)[0]) == 2
    assert rows(catalogue) == anew()
    assert len(made) == 1
    faults.add(Short(), Dropped(times=1))
    faults.take(Short, "x")
    rows(catalogue)
    assert len(made) == 1  # no fault of a file's way changes the tables
    faults.add(Withdrawn(name="979412p*"))
    assert rows(catalogue) == anew()
    assert len(made) == 2
    catalogue.close()


def test_a_large_directory_that_stands_still_is_not_looked_through(
    tmp_path: Path, clock: SetClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("snooppix.standin.inventory.LARGE", 2)
    for name in ("1p.fits", "2p.fits", "3p.fits"):
        put(tmp_path, name, name.encode())
    os.utime(tmp_path, (OLD.timestamp(), OLD.timestamp()))
    inventory = Inventory(tmp_path, clock=clock)
    assert inventory.refresh(each=False)
    scans = []
    scan = inventory._scan
    monkeypatch.setattr(inventory, "_scan", lambda: scans.append(1) or scan())
    assert not inventory.refresh(each=False)
    assert scans == []
    put(tmp_path, "2p.fits", b"another")
    assert inventory.refresh(each=False)
    put(tmp_path, "2p.fits", b"again at once, within a tick of the clock")
    assert inventory.refresh(each=False)
    assert inventory.find("cadc:CFHT/2p.fits").size == 41
    os.utime(tmp_path, (OLD.timestamp(), OLD.timestamp()))
    inventory.refresh()
    (tmp_path / "1p.fits").write_bytes(b"overwritten in place")
    assert not inventory.refresh(each=False)
    assert inventory.refresh(each=True)
