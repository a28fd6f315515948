"""Kill -9 at every named step and at random moments: every frame still ends placed and weighted exactly once."""

import random
from pathlib import Path

import pytest

from dbclient.schema import FrameState
from spica.demo import Night
from terapix.steps import STEPS
from tests.flow.conftest import FRAMES
from tests.support.host import host

pytestmark = [pytest.mark.flow, pytest.mark.timeout(400), pytest.mark.xdist_group("flow")]


@pytest.mark.parametrize("leg", ["fetch", "move", "job"])
async def test_a_process_killed_at_every_step_of_a_leg_loses_nothing(leg: str, night: Night, tmp_path: Path) -> None:
    steps = [step for step in STEPS if step.startswith(f"{leg}.")]
    died = tmp_path / "died"
    died.mkdir()

    async with host(night, environment={"TERAPIX_DIE_AT": ",".join(steps), "TERAPIX_DIE_ONCE": str(died)}) as running:
        await running.until_weighted(FRAMES, seconds=300)
        assert await running.faults() == []

    assert sorted(path.name for path in died.iterdir()) == sorted(steps)


@pytest.mark.parametrize("seed", [20031220, 20041119])
async def test_processes_killed_at_random_moments_lose_nothing(seed: int, night: Night) -> None:
    chance = random.Random(seed)
    async with host(night) as running:
        for _ in range(8):
            await running.database.changed(timeout=chance.uniform(0.2, 2.5))
            if running.processes():
                running.kill_one(chance)
        await running.until_weighted(FRAMES, seconds=300)
        assert await running.faults() == []


async def test_a_night_without_faults_ends_weighted_once_and_stops_cleanly(night: Night) -> None:
    async with host(night) as running:
        summary = await running.until_weighted(FRAMES)
        assert await running.faults() == []
        assert summary.states[FrameState.WEIGHTED] == FRAMES
        children = running.processes()

    assert [process for process in children if process.is_running()] == []
