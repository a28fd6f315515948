"""The mark beside compiled kernels: good for the kernels as they are, and gone with their cache."""

from pathlib import Path

import pytest

from processing import kernel_cache, machine_code


@pytest.fixture
def kernel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "kernels").mkdir()
    monkeypatch.setattr(machine_code, "KERNELS", tmp_path / "kernels")
    monkeypatch.setattr(kernel_cache, "stamp", machine_code.stamp.__wrapped__)
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "cache"))
    one = tmp_path / "kernels" / "one.py"
    one.write_text("pass\n")
    return one


def test_a_stage_is_marked_for_itself_until_a_kernel_changes(kernel: Path, tmp_path: Path) -> None:
    assert not kernel_cache.is_marked("weight")
    kernel_cache.mark("weight")
    assert kernel_cache.is_marked("weight")
    assert not kernel_cache.is_marked("sources")
    kernel.write_text("pass  # otherwise\n")
    assert not kernel_cache.is_marked("weight")
    kernel_cache.mark("sources")
    kernel_cache.mark("weight")
    assert kernel_cache.is_marked("weight")
    assert kernel_cache.is_marked("sources")
    assert len(list((tmp_path / "cache").iterdir())) == 2


def test_without_a_cache_of_its_own_nothing_is_marked(kernel: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NUMBA_CACHE_DIR")
    kernel_cache.mark("weight")
    assert not kernel_cache.is_marked("weight")


def test_a_cache_that_is_named_needs_no_setting(kernel: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NUMBA_CACHE_DIR")
    place = tmp_path / "beside"
    assert not kernel_cache.is_marked("sextractor", place)
    kernel_cache.mark("sextractor", place)
    assert kernel_cache.is_marked("sextractor", place)
    kernel.write_text("pass  # otherwise\n")
    assert not kernel_cache.is_marked("sextractor", place)
