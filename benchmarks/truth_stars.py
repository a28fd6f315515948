"""Print how much of the light of bright stars is marked, and how much of what is marked is lit: painted CCDs.

truth_stars.py [SEED …]      seeds are exposures, each of a filter and a seeing; two CCDs of each, near the axis and not
"""

import sys
import tempfile
from collections import defaultdict
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests.support.bright_light import Judged, judged, paint

CCDS = (21, 8)


def main(seeds: list[int]) -> None:
    sums: dict[tuple[str, str], Judged] = defaultdict(lambda: Judged(0, 0, 0, 0))
    with tempfile.TemporaryDirectory() as name:
        for seed in seeds:
            for ccd in CCDS:
                painted = paint(Path(name), ccd=ccd, seed=seed)
                for told, stars in (("a catalogue", painted.stars), ("saturated cores", painted.cores)):
                    for kind, found in judged(painted, stars).items():
                        sums[kind.name, told] += found
    print(
        "| light | stars from | pixels that get it | found of them | right among what is marked | lit by half as much |"
    )
    print("|---|---|---|---|---|---|")
    for (kind, told), each in sums.items():
        lit = each.lit / max(each.marked, 1)
        print(f"| {kind} | {told} | {each.true:,} | {each.found:.1%} | {each.right:.1%} | {lit:.1%} |")


if __name__ == "__main__":
    main([int(word) for word in sys.argv[1:]] or [301, 302, 303, 304])
