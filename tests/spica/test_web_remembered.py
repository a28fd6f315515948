"""What is slow is spared, what is fast is always fresh."""

from spica.web.remembered import SLOW, SPARED, TRIALS, Remembered


class Watch:
    """A clock, and something that takes its time."""

    def __init__(self, *durations: float) -> None:
        self.now = 0.0
        self.durations = list(durations)
        self.looks = 0

    async def look(self) -> int:
        self.now += self.durations.pop(0) if self.durations else 0.0
        self.looks += 1
        return self.looks


async def asked(watch: Watch, times: int) -> list[int]:
    remembered = Remembered(lambda: watch.now)
    return [await remembered.of("runs", watch.look) for _ in range(times)]


async def test_what_is_fast_is_looked_up_every_time():
    assert await asked(Watch(*[SLOW / 2] * 6), 6) == [1, 2, 3, 4, 5, 6]


async def test_one_moment_of_haste_elsewhere_makes_nothing_slow():
    assert await asked(Watch(9.0, 0.0, 9.0, 0.0, 9.0), 5) == [1, 2, 3, 4, 5]


async def test_what_is_slow_is_spared_for_a_while():
    watch = Watch(*[1.0] * 9)
    remembered = Remembered(lambda: watch.now)
    for _ in range(TRIALS):
        await remembered.of("runs", watch.look)
    assert await remembered.of("runs", watch.look) == TRIALS
    assert await remembered.of("frames", watch.look) == TRIALS + 1
    watch.now += SPARED
    assert await remembered.of("runs", watch.look) == TRIALS + 2
