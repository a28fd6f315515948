"""What people mark is part of what a frame is made of: a change of it makes the frames that it touches due again."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from dbclient.records import NewProduct
from dbclient.schema import FrameState
from dbclient.stores import Jobs
from processing.provenance import told
from spica.pipeline.marks import Marks
from spica.pipeline.orders import Order, Outcome
from spica.pipeline.recovery import Recovery
from spica.pipeline.stages import Inputs, Made
from spica.pipeline.worker import Attempt
from tests.support.site import Site, open_site


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    opened = await open_site(tmp_path)
    yield opened
    await opened.coordinator.close()
    await opened.database.close()


def make(order: Order, inputs: Inputs, progress: Callable[[float], None]) -> Made:
    """A stage that reads nothing and says, as the weight stage does, what it was given."""
    path = inputs.into / f"{inputs.frame.name}_weight.fits.fz"
    path.write_bytes(b"weight")
    given = {"regions": inputs.regions, "hot": [inputs.hot] if inputs.hot else [], "stars": inputs.star_catalogues}
    facts = dict(inputs.provenance) | {kind: told(paths) for kind, paths in given.items() if paths}
    return Made((NewProduct("weight", str(path), 6, "md5:x", facts),), {"ccds": 36})


async def made(site: Site, name: str, masks: Path, catalogue: Path) -> Order:
    """A frame that has its maps."""
    frame = await site.valid(name)
    await site.settle()
    [(node, replica)] = await site.replicas(name)
    async with site.database.write() as session:
        number = await Jobs().create(
            session, frame_id=frame.id, node_id=replica.node_id, stage="weight", recipe="r", now=site.clock.now()
        )
    assert number is not None
    order = Order(
        job=number, stage="weight", node=node, directory=str(site.directory(node)), url=site.settings.database_url,
        recipe="weight", workers=1, lease=60.0, attempts=2, masks=str(masks), star_catalogues=(str(catalogue),),
    )  # fmt: skip
    assert await Attempt(order, make, site.clock).run() is Outcome.DONE
    return order


@pytest.mark.parametrize(
    ("change", "touched"),
    [
        ("979412p.reg", {"979412p"}),
        ("08AC14.reg", {"979412p", "979413p"}),
        ("08AC14.hot.fits.fz", {"979412p", "979413p"}),
        ("stars.csv", {"979412p", "979413p"}),
        ("979999p.reg", set()),
        ("09BF01.hot.fits", set()),
    ],
)
async def test_changed_marks_make_the_frames_that_they_touch_due_again_once(
    site: Site, tmp_path: Path, change: str, touched: set[str]
) -> None:
    masks = tmp_path / "masks"
    masks.mkdir()
    catalogue = masks / "stars.csv"
    catalogue.write_text("ra,dec,mag\n1,2,3\n")
    (masks / "979412p.reg").write_text("image;circle(10,10,5)\n")
    orders = {name: await made(site, name, masks, catalogue) for name in ("979412p", "979413p")}
    recovery = Recovery(site.database, site.clock, lease=60, source="spica")
    marks = Marks(str(masks), [catalogue], site.clock)
    assert marks.look()
    assert await recovery.follow(marks, stage="weight") == 0
    assert not marks.look()

    site.clock.advance(10.0)
    (masks / change).write_text("image;circle(20,20,7)\n")
    assert marks.look()
    assert await recovery.follow(marks, stage="weight") == len(touched)

    states = {name: (await site.frame(name)).state for name in orders}
    assert {name for name, state in states.items() if state is FrameState.PLACED} == touched
    site.clock.advance(10.0)
    for name in touched:
        assert await Attempt(orders[name], make, site.clock).run() is Outcome.DONE
    assert await recovery.follow(marks, stage="weight") == 0, "what was made since has read them"
    assert not marks.look()


async def test_a_mark_that_is_taken_away_counts_and_a_host_with_other_files_is_not_asked_for_ever(
    site: Site, tmp_path: Path
) -> None:
    masks, other = tmp_path / "masks", tmp_path / "other"
    masks.mkdir()
    other.mkdir()
    catalogue = tmp_path / "stars.csv"
    catalogue.write_text("ra,dec,mag\n1,2,3\n")
    (other / "979412p.reg").write_text("image;circle(10,10,5)\n")
    order = await made(site, "979412p", other, catalogue)
    recovery = Recovery(site.database, site.clock, lease=60, source="spica")
    site.clock.advance(10.0)
    marks = Marks(str(masks), [catalogue], site.clock)
    marks.look()

    assert await recovery.follow(marks, stage="weight") == 1
    site.clock.advance(10.0)
    assert await Attempt(order, make, site.clock).run() is Outcome.DONE
    assert await recovery.follow(marks, stage="weight") == 0
