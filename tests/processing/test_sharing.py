"""Tasks shared out to threads, and what a command brings in before it knows what to do."""

import subprocess
import sys
import threading
from collections.abc import Callable
from functools import partial

import pytest

from processing.sharing import shared


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_answers_come_in_the_order_of_the_tasks(threads: int) -> None:
    second = threading.Event()

    def first() -> int:
        assert threads == 1 or second.wait(60), "the second task did not begin beside the first"
        return 0

    def other(number: int) -> int:
        second.set()
        return number

    tasks: list[Callable[[], int]] = [first, *(partial(other, number) for number in range(1, 30))]
    assert list(shared(tasks, threads)) == list(range(30))


def test_an_error_is_raised_and_ends_what_is_not_begun() -> None:
    begun = []

    def task(number: int) -> int:
        begun.append(number)
        if number == 3:
            raise ValueError("the third")
        return number

    answers = shared([partial(task, number) for number in range(10)], 1)
    assert [next(answers) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(ValueError, match="the third"):
        next(answers)
    assert begun == [0, 1, 2, 3]
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("share")]


@pytest.mark.parametrize("command", ["weightwatcher", "missfits"])
def test_a_command_that_has_no_pixels_to_look_at_starts_without_numpy(command: str) -> None:
    call = f"import sys\nfrom processing.{command} import command\nassert command.main(['-d']) == 0\n"
    call += "assert 'numpy' not in sys.modules"
    subprocess.run([sys.executable, "-c", call], check=True, stdout=subprocess.DEVNULL)
