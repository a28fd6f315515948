"""Kill -9 at every named step and at random moments: every frame still ends placed and weighted exactly once."""

import json
import random
import tempfile
from pathlib import Path
from typing import Any

import pytest

from spica.demo import Night
from terapix.steps import STEPS
from tests.flow.conftest import FRAMES
from tests.support.databases import Cluster, apart
from tests.support.host import BOTH_STAGES, host

pytestmark = [pytest.mark.flow, pytest.mark.timeout(400), pytest.mark.xdist_group("flow")]

OTHER_DISK = Path("/dev/shm")  # a second file system that most machines have


def dying(steps: list[str], directory: Path) -> dict[str, str]:
    """Give the environment in which processes die once at each of these steps."""
    directory.mkdir()
    return {"TERAPIX_DIE_AT": ",".join(steps), "TERAPIX_DIE_ONCE": str(directory)}


async def test_processes_killed_at_every_step_lose_nothing(night: Night, tmp_path: Path) -> None:
    died = tmp_path / "died"
    async with host(night, environment=dying(list(STEPS), died) | BOTH_STAGES) as running:
        await running.until_weighted(FRAMES, seconds=300)
        await running.until_in_order(seconds=120)

    assert sorted(path.name for path in died.iterdir()) == sorted(STEPS)


async def test_a_mover_killed_while_it_copies_to_another_disk_loses_nothing(
    night: Night, tmp_path: Path, pytestconfig: Any
) -> None:
    if not OTHER_DISK.is_dir() or OTHER_DISK.stat().st_dev == tmp_path.stat().st_dev:
        conftest: Any = pytestconfig.pluginmanager.get_plugin(str(pytestconfig.rootpath / "conftest.py"))
        conftest.lacking(f"a second file system at {OTHER_DISK}", f"mount -t tmpfs tmpfs {OTHER_DISK}")
    steps = [step for step in STEPS if step.startswith("move.")]
    died = tmp_path / "died"
    with tempfile.TemporaryDirectory(dir=OTHER_DISK, prefix="terapix-") as disk:
        node = {"name": "node1", "directory": disk, "capacity": 2_000_000_000, "reserve": 0}
        environment = dying(steps, died) | {"TERAPIX_NODES": json.dumps([node])}
        async with host(night, environment=environment) as running:
            await running.until_weighted(FRAMES, seconds=200)
            await running.until_in_order()
            assert "copied with its digest verified" in await running.story("980103p")

    assert sorted(path.name for path in died.iterdir()) == sorted(steps)


@pytest.mark.parametrize(("seed", "kind"), [(20031220, "sqlite"), (20041119, "postgresql")])
async def test_processes_killed_at_random_moments_lose_nothing(
    seed: int, kind: str, night: Night, request: pytest.FixtureRequest
) -> None:
    chance = random.Random(seed)
    environment = dict(BOTH_STAGES)
    if kind == "postgresql":
        server: Cluster = request.getfixturevalue("postgresql")
        environment["TERAPIX_DATABASE__URL"] = server.url(apart(server.fresh()))
    async with host(night, environment=environment) as running:
        for _ in range(8):
            await running.pause(chance.uniform(0.2, 2.5))
            if running.processes():
                running.kill_one(chance)
        await running.until_weighted(FRAMES, seconds=300)
        await running.until_in_order(seconds=120)
