"""Files that are there complete and on disk, or not at all."""

import os
from pathlib import Path

import pytest

from processing.placing import placed


def test_a_file_is_flushed_before_it_has_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, seen = tmp_path / "a.cat", []

    def flush(handle: int) -> None:
        seen.append((os.fstat(handle).st_ino, (tmp_path / "a.cat.part").exists(), path.exists()))

    monkeypatch.setattr(os, "fsync", flush)
    with placed(path) as stream:
        stream.write(b"whole")
    assert seen == [(path.stat().st_ino, True, False), (tmp_path.stat().st_ino, False, True)]
    assert path.read_bytes() == b"whole"


def test_of_a_file_that_was_not_finished_nothing_remains_and_the_older_one_stays(tmp_path: Path) -> None:
    path = tmp_path / "a.cat"
    path.write_bytes(b"older")
    with pytest.raises(TypeError), placed(path) as stream:
        stream.writelines([b"new", None])
    assert path.read_bytes() == b"older"
    assert [each.name for each in tmp_path.iterdir()] == ["a.cat"]
