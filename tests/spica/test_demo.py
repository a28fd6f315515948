"""The demo's directory: made once, refused where it cannot hold the night or holds another one."""

import shutil
from types import SimpleNamespace

import pytest

from spica.demo import AnotherCamera, Night, NoSpace, prepare


def test_the_settings_of_a_demo_are_made_once_and_kept(tmp_path):
    night = Night(tmp_path / "demo", 2, 4)
    made = prepare(night).settings
    night.config.write_text(night.config.read_text().replace("poll = 5.0", "poll = 7.0"))

    assert made.snooppix.instrument == "megacam:4"
    assert [node.name for node in made.nodes] == ["node1", "node2"]
    assert prepare(night).settings.snooppix.poll == 7.0


def test_a_directory_with_frames_of_another_size_is_refused_with_the_remedy(tmp_path):
    prepare(Night(tmp_path / "demo", 2, 4))
    with pytest.raises(
        AnotherCamera, match="holds a demo of megacam:4 and megacam is wanted: give another --directory"
    ):
        prepare(Night(tmp_path / "demo", 2, 36))


def test_a_disk_that_cannot_hold_the_night_is_refused_before_a_byte_is_painted(tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=3_700_000_000))
    with pytest.raises(NoSpace, match=r"3\.7 GB free and the demo needs about 3\.8 GB"):
        prepare(Night(tmp_path / "demo", 2, 36))
    assert list((tmp_path / "demo" / "archive").iterdir()) == []
