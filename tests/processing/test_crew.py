"""Worker processes: order, errors, and that none outlives its owner."""

import contextlib
import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from processing import crew as crew_module
from processing.crew import crew, dismiss
from processing.errors import BadRecipe, ProcessingError, WorkerLost


def double(number: int) -> int:
    return number * 2


def identity(_: int) -> int:
    return os.getpid()


def refuse(number: int) -> int:
    if number == 2:
        raise BadRecipe("two")
    return number


def awkward(_: int) -> int:
    class Local(Exception):
        pass

    raise Local("cannot travel")


def chatter(number: int) -> int:
    sys.stdout.write("printed by a library\n")
    sys.stdout.flush()
    return number


def libraries(_: int) -> list[str | None]:
    return [os.environ.get(name) for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS")]


def leave(_: int) -> int:
    os._exit(3)


@pytest.fixture(autouse=True)
def _no_worker_outlives_the_test() -> None:
    dismiss()


def test_results_come_in_the_order_of_the_tasks() -> None:
    with crew(2) as hands:
        assert list(hands.map(double, range(9))) == [number * 2 for number in range(9)]
        assert list(hands.map(chatter, range(2))) == [0, 1]
    dismiss()


def test_workers_are_kept_for_the_next_job_and_not_beyond_their_time(monkeypatch: pytest.MonkeyPatch) -> None:
    with crew(1) as hands:
        first = next(hands.map(identity, [0]))
    with crew(1) as hands:
        assert next(hands.map(identity, [0])) == first
    monkeypatch.setattr(crew_module, "KEEP", 0.0)
    with crew(1) as hands:
        second = next(hands.map(identity, [0]))
    assert second != first
    for worker in (first, second):
        with contextlib.suppress(psutil.NoSuchProcess):
            psutil.Process(worker).wait(timeout=10)


def test_an_error_of_a_task_reaches_the_owner_and_the_workers_go_on() -> None:
    with pytest.raises(BadRecipe, match="two"), crew(2) as hands:
        list(hands.map(refuse, range(5)))
    with pytest.raises(ProcessingError, match="Local: cannot travel"), crew(2) as hands:
        list(hands.map(awkward, [1]))
    with crew(2) as hands:
        assert list(hands.map(double, [4])) == [8]
    dismiss()


def test_linear_algebra_of_a_worker_has_one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "7")
    with crew(1) as hands:
        assert next(hands.map(libraries, [0])) == ["1", "1"]


def test_a_worker_that_died_is_told_and_replaced() -> None:
    with pytest.raises(WorkerLost, match="ended"), crew(1) as hands:
        list(hands.map(leave, [1]))
    with crew(1) as hands:
        assert list(hands.map(double, [4])) == [8]
    dismiss()


def test_workers_end_with_an_owner_that_was_killed(tmp_path: Path) -> None:
    script = tmp_path / "owner.py"
    script.write_text(
        "import os, signal, sys\n"
        "from processing.crew import crew\n"
        "from tests.processing.test_crew import identity\n"
        "with crew(1) as hands:\n"
        "    print(next(hands.map(identity, [0])), flush=True)\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    root = Path(__file__).resolve().parents[2]
    run = subprocess.run(
        [sys.executable, str(script)], env={**os.environ, "PYTHONPATH": str(root)}, capture_output=True, check=False
    )
    worker = int(run.stdout)
    with contextlib.suppress(psutil.NoSuchProcess):
        psutil.Process(worker).wait(timeout=10)
    assert not psutil.pid_exists(worker)
