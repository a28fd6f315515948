"""A hundred random days of a cluster: nothing is promised twice, lost or leaked, and what fits is placed."""

import os
import random
from datetime import timedelta

import pytest

from tests.support.cluster import Cluster

DAYS = 100
SEEDS = range(int(os.environ.get("SEEDS", "3")))
"""More of them by ``SEEDS=200 pytest``."""
HAPPENINGS = 25
"""Of a day."""


@pytest.mark.parametrize("seed", SEEDS)
def test_a_hundred_days(seed: int) -> None:
    chance = random.Random(seed)
    cluster = Cluster(chance)
    for _ in range(DAYS):
        cluster.now += timedelta(days=1)
        cluster.arrive()
        for _ in range(HAPPENINGS):
            happening = chance.choice(
                [cluster.assign, *[cluster.step_of_a_move] * 8, *[cluster.work] * 6, *[cluster.publish] * 6,
                 cluster.bring_a_flat, cluster.retain, lambda: cluster.relocate(copy=False),
                 lambda: cluster.relocate(copy=True), cluster.change_a_node, cluster.forget_grudges]
            )  # fmt: skip
            happening()
            cluster.check()
        cluster.check_all_placed(cluster.assign())
        cluster.check()
    assert min(cluster.counts[word] for word in ("Recorded", "Broken", "Withdrawn", "weighted", "gone")) > 4
    assert cluster.counts["relocated"] > 2


def test_when_all_is_done_no_lease_is_left() -> None:
    chance = random.Random(7)
    cluster = Cluster(chance)
    for _ in range(20):
        cluster.arrive()
        cluster.assign()
    for _ in range(20_000):
        chance.choice([cluster.step_of_a_move, cluster.bring_a_flat, cluster.work])()
        if not cluster.open_moves() and not cluster.leases:
            break
    assert cluster.counts["weighted"] > 50
    assert cluster.leases == {}
    cluster.check()
