"""A file is read into the database again: the difference first, a reason, and the way back; page and command."""

import asyncio
import json
from datetime import UTC, datetime

import pytest
import pytest_asyncio
from typer.testing import CliRunner

from dbclient.schema import RequestKind
from dbclient.stores import Events, Frames, Nodes, Replicas, Requests, Sighting
from snooppix.errors import Refused
from snooppix.reloading import Reloading, last_reload, plain, restored
from spica.cli.application import app
from tests.snooppix.desk import small_camera
from tests.support.archive import small_fits
from tests.support.console import console
from tests.support.console import plain as words
from tests.support.full_night import NOW

pytestmark = pytest.mark.asyncio(loop_scope="module")
NAME = "979412p"
WRONG = {"runid": "99ZZ99", "observed_at": datetime(1999, 1, 1, tzinfo=UTC), "elixir": {"EL_SYS": "wrong"}}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def night(tmp_path_factory):
    """A console whose database has three facts of a frame wrong that lies on a node."""
    directory = tmp_path_factory.mktemp("night")
    patch = pytest.MonkeyPatch()
    for module in ("spica.web.app", "spica.cli.reload"):
        patch.setattr(f"{module}.load_instrument", lambda _: small_camera())
    file = directory / "node1" / "frames" / f"{NAME}.fits.fz"
    file.parent.mkdir(parents=True)
    file.write_bytes(small_fits(NAME))
    async with console(directory, seeded=False) as page:
        async with page.database.write() as session:
            facts = {"size": file.stat().st_size, "digest": "md5:" + "1" * 32, "uri": "x"}
            await Frames().sight(session, Sighting(NAME, **facts), now=NOW, source="t")
            node = await Nodes().upsert(
                session, name="node1", directory=str(directory / "node1"), capacity=10**9, reserve=0, now=NOW
            )
            frame = await Frames().named(session, NAME)
            held = {"frame_id": frame.id, "node_id": node, "size": 1, "digest": "md5:1", "now": NOW}
            await Replicas().hold(session, path=f"frames/{NAME}.fits.fz", **held)
        yield page
    patch.undo()


@pytest_asyncio.fixture(loop_scope="module")
async def wrong(night):
    """Read the file once, and then write down nonsense."""
    reloading = Reloading(night.database, instrument=small_camera(), compression=0.3, clock=night.clock)
    frame = await held(night)
    await reloading.reload(frame, file_of(night), "the beginning", by="t")
    async with night.database.write() as session:
        await Frames().describe(session, frame.id, **WRONG)
    return reloading


def file_of(night):
    return night.settings.at("node1") / "frames" / f"{NAME}.fits.fz"


async def held(night):
    async with night.database.read() as session:
        return await Frames().named(session, NAME)


async def test_what_was_wrong_is_put_right_and_taken_back_to_the_last_word(night, wrong):
    said = await wrong.reload(await held(night), file_of(night), " RUNID was\n corrected. ", by="ann")
    assert "elixir.EL_SYS wrong → " in said
    assert "runid 99ZZ99 → 08AC14" in said
    assert said.endswith("Because: RUNID was corrected.")
    assert (await held(night)).runid == "08AC14"
    undone = await wrong.undo(await held(night), "the old one was right", by="bob")
    assert "runid 08AC14 → 99ZZ99" in undone
    now = await held(night)
    assert {name: getattr(now, name) for name in WRONG} == WRONG
    async with night.database.read() as session:
        events = await Events().of_frame(session, now.id)
    assert [(event.kind, event.source) for event in events[-2:]] == [
        ("reloaded", "operator:ann"),
        ("reload-undone", "operator:bob"),
    ]
    assert last_reload(events) != events[-2]


async def test_what_changed_since_is_not_overwritten_by_an_undo(night, wrong):
    await wrong.reload(await held(night), file_of(night), "to be sure", by="ann")
    async with night.database.write() as session:
        await Frames().describe(session, (await held(night)).id, runid="08BF05")
    with pytest.raises(Refused, match="runid of 979412p changed since the reload"):
        await wrong.undo(await held(night), "never mind", by="ann")
    assert (await held(night)).runid == "08BF05"


async def test_without_a_reason_nothing_is_read_and_nothing_taken_back(night, wrong):
    for deed in (
        wrong.reload(await held(night), file_of(night), "  ", by="ann"),
        wrong.undo(await held(night), "", by="a"),
    ):
        with pytest.raises(Refused, match="Say because of what"):
            await deed


async def test_a_file_that_is_not_taken_changes_nothing(night, wrong, tmp_path):
    for content, said in ((b"no FITS", "cannot be read"), (small_fits(NAME, EL_SYS=None), "not acceptable")):
        path = tmp_path / f"{NAME}.fits.fz"
        path.write_bytes(content)
        with pytest.raises(Refused, match=said):
            await wrong.reload(await held(night), path, "why not", by="ann")
    assert (await held(night)).runid == "99ZZ99"


async def test_moments_come_back_from_json_as_they_were():
    assert restored("observed_at", plain(NOW)) == NOW
    assert restored("observed_at", None) is None
    assert restored("runid", "2008-03-30") == "2008-03-30"


async def test_the_page_shows_the_difference_asks_for_a_reason_and_offers_the_way_back(night, wrong):
    token = await night.sign_in()
    text = await night.text(f"/frames/{NAME}?compare=1")
    assert "runid 99ZZ99 08AC14" in words(text)
    assert f"Reload {NAME} into the database" in text
    assert "Take the reload of" in text
    form = {"csrf": token, "frame": NAME}
    assert (await night.post("/actions/reload", form)).status == 400
    assert (await night.post("/actions/reload", form | {"because": "x" * 201})).status == 400
    answer = await night.post("/actions/reload", form | {"because": "RUNID", "undo": "yes"})
    assert answer.status == 303
    async with night.database.read() as session:
        (asked,) = await Requests().open(session, RequestKind.RELOAD)
    assert asked.arguments == {"frame": NAME, "because": "RUNID", "undo": True}
    await wrong.reload(await held(night), file_of(night), "put right", by="ann")
    assert "The database has what the file says." in await night.text(f"/frames/{NAME}?compare=1")


async def test_the_command_shows_the_difference_and_needs_a_reason(night, wrong):
    config = night.settings.at("terapix.toml")
    config.write_text(f'[paths]\ndirectory = "{night.settings.paths.directory}"\n')

    async def call(*arguments: str) -> tuple[int, str, str]:
        done = await asyncio.to_thread(CliRunner().invoke, app, ["reload", *arguments, "-c", str(config)])
        return done.exit_code, done.stdout, done.stderr

    code, said, _ = await call(NAME, "--dry-run", "--json")
    found = {change["column"]: (change["recorded"], change["found"]) for change in json.loads(said)}
    assert (code, found["runid"]) == (3, ("99ZZ99", "08AC14"))
    assert (await held(night)).runid == "99ZZ99"
    code, said, _ = await call(NAME, "--dry-run", "--undo")
    assert code in {0, 3}
    assert "What an undo would bring back" in said or "Nothing differs" in said
    assert (await call(NAME))[0] == 2
    assert "Say --because of what" in (await call(NAME, "--undo"))[2]
    assert (await call("1p", "--dry-run"))[0] == 4
    assert (await call("1p", "--because", "x"))[0] == 4
    await wrong.reload(await held(night), file_of(night), "put right", by="ann")
    assert (await call(NAME, "--dry-run"))[:2] == (0, "Nothing differs from the database.\n")
    file_of(night).rename(file_of(night).with_suffix(".away"))
    try:
        code, _, problem = await call(NAME, "--dry-run")
        assert (code, "its file is not on this host" in problem) == (1, True)
        assert "there is nothing to compare with" in await night.text(f"/frames/{NAME}?compare=1")
    finally:
        file_of(night).with_suffix(".away").rename(file_of(night))
