"""What the page of transfers must have: each element of the page of 2003, and what operators ask of it."""

import csv
import io
import json
import re
from datetime import timedelta

import pytest
import pytest_asyncio

from dbclient.schema import Filling, RequestKind, TransferKind, TransferMode, TransferState
from dbclient.stores import Frames, Growths, Modes, Nodes, Requests, Rules, Transfers
from spica.web.pages.help import TOPICS
from tests.support.console import console, plain
from tests.support.full_night import NOW

pytestmark = pytest.mark.asyncio(loop_scope="module")
MAIN, PAST, RUNS, FLOW, FILTERS = "/transfer", "/transfer/history", "/runs", "/flow", "/filters"
CHECKLIST = {
    "what goes and how much room there is": (MAIN, r"2 frames under way to nodes at 362 MB/s, .*25\.4 GB can still be"),
    "what is not well": (MAIN, r"node3 is down\."),
    "bars with share, virtual free and total": (MAIN, r"node1 up 18\.5 GB virtually free of 48\.0 GB: 45 % held, 2\.0"),
    "legend of the bars": (MAIN, r"held promised free reserve taken by others"),
    "full-date forecast of each disk": (MAIN, r"Full on 2026-12-\d\d , in 2\d d, if it goes on as in the last 14 days"),
    "files in both directories": (MAIN, r"from_CADC/headervalid : 3 files .* from_CADC/incoming : 2 files"),
    "header of a file": (MAIN, r"979416p 08AC14 .* header"),
    "runs: images, size, needed, where it fits": (MAIN, r"08AH33 6 1 1 0\.7 1\.7 2\.8 node1 , node2"),
    "how need is reckoned": (MAIN, r"Needed: 2\.48 times the files, .* in 2003 it was 4 times"),
    "rules of automatic mode": (MAIN, r"1 on 08A\* r\.\* \* \* 5 node2 red first ann, 2026-11-24"),
    "countdown of automatic mode": (MAIN, r"Automatic by the rules, every 10 min next run 06:27:20 in 4 min"),
    "countdown of immediate mode": (MAIN, r"Immediate what operators order, every 1 min next run 06:23:31 in 21 s"),
    "what the last run did": (MAIN, r"Last run 06:17:20 5 min ago : 3 frames promised room"),
    "run now and pause": (MAIN, r"Run now Pause"),
    "work in progress with rates": (MAIN, r"move 979417p to node1, automatic 35 % 35 % of 341 MB, 181 MB/s, 1 s left"),
    "work in progress of both modes": (
        MAIN,
        r"2 frames under way, 1 with room that waits .* 0 frames under way",
    ),
    "queue": (MAIN, r"the next first .*979416p node2 automatic 0 341\.0"),
    "immediate form": (
        MAIN,
        r"Transfer a run now .*Run Filters \(none: all\) g\.MP9401 .* Into node node1 .* What would happen\?",
    ),
    "history of transfers": (PAST, r"979400p move .*node2 immediate done 341\.0 3 s 113\.7"),
    "history tells what was given up": (PAST, r"failed the cable was pulled"),
    "distribution and status of runs": (RUNS, r"08AC14 12 .* 6 weighted"),
    "received flow": (FLOW, r"20 files came in the last 24 hours|The last 24 months, by month 20 files"),
    "filter usage": (FILTERS, r"r\.MP9601 0\.5 27 6 5 3 1\.7"),
    "filters of runs": (FILTERS, r"Run i\.MP9702 u\.MP9301 r\.MP9601 g\.MP9401 .*08AC14 0 6 6 0"),
    "how-tos": (MAIN, r"free disk space transfer a file or a run .* force a file to be reloaded"),
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def night(tmp_path_factory):
    """A night with rules, countdowns, a queue, transfers that are over, and disks with a past."""
    async with console(tmp_path_factory.mktemp("night")) as page:
        async with page.database.write() as session:
            modes, soon, then = Modes(), timedelta(seconds=21), timedelta(seconds=250)
            for mode, every, left, said in (
                (TransferMode.AUTOMATIC, 600, then, "3 frames promised room"),
                (TransferMode.IMMEDIATE, 60, soon, "no order was open"),
            ):
                ran = NOW + left - timedelta(seconds=every)
                await modes.ran(session, mode, every=every, next_at=NOW + left, said=said, now=ran)
            rule = {"runid": "08A*", "filter": "r.*", "node": "node2", "priority": 5, "comment": "red first"}
            await Rules().add(session, by="ann", now=NOW, **rule)
            await moves(session)
            made = {"weight": 480_000_000, "flag": 20_000_000}
            await Growths().note(
                session, instrument=None, stage="weight", written=made, file=341_000_000, unpacked=706e6, now=NOW
            )
            (node,) = [node for node in await Nodes().all(session) if node.name == "node1"]
            for back in range(30):
                day = (NOW - timedelta(days=back)).date().isoformat()
                held = int(21.5e9 - back * 0.64e9)
                session.add(Filling(node_id=node.id, day=day, used=held, free=48 * 10**9 - held, at=NOW))
        yield page


async def moves(session) -> None:
    """Let one move have gone, one have been given up, and one wait for its turn."""
    node2 = await Nodes().named(session, "node2")
    for name, state in (("979400p", TransferState.DONE), ("979402p", TransferState.FAILED)):
        frame = await Frames().named(session, name)
        begun = NOW - timedelta(hours=1)
        number = await Transfers().begin(
            session, frame_id=frame.id, kind=TransferKind.MOVE, source=f"from_CADC/headervalid/{name}.fits.fz",
            node_id=node2.id, bytes_total=341_000_000, now=begun, mode=TransferMode.IMMEDIATE,
        )  # fmt: skip
        reason = "the cable was pulled" if state is TransferState.FAILED else None
        await Transfers().end(session, number, state, now=begun + timedelta(seconds=3), reason=reason)
    waiting = await Frames().named(session, "979416p")
    await Transfers().begin(
        session, frame_id=waiting.id, kind=TransferKind.MOVE, source="x", node_id=node2.id, bytes_total=341_000_000,
        now=NOW, mode=TransferMode.AUTOMATIC, state=TransferState.PROMISED,
    )  # fmt: skip


@pytest.mark.parametrize("item", CHECKLIST)
async def test_the_pages_have_what_the_list_asks_for(night, item):
    await night.sign_in()
    path, words = CHECKLIST[item]
    text = plain(await night.text(path))
    assert re.search(words, text), text


async def test_a_dry_run_says_what_would_happen_and_offers_to_do_it(night):
    await night.sign_in()
    text = await night.text("/transfer?runid=08AF02&node=node1&filter=g.MP9401")
    assert "08AF02 in g.MP9401 to node1:" in plain(text)
    assert 'action="/actions/transfer"' in text


async def test_a_run_goes_in_some_of_its_filters(night):
    text = plain(await night.text("/transfer?runid=08AC14&node=node1&filter=r.MP9601&filter=u.MP9301"))
    assert "08AC14 in r.MP9601,u.MP9301 to node1:" in text
    said = await night.text("/transfer?runid=08AC14&node=node1&filter=r.MP9601&filter=z.MP9801", status=400)
    assert "its filters are: r.MP9601, u.MP9301" in said


async def test_orders_are_shown_and_withdrawn(night):
    token = await night.sign_in()
    form = {"csrf": token, "runid": "08AC14", "node": "node1", "filter": "r.MP9601"}
    assert (await night.post("/actions/transfer", form)).status == 303
    assert "runid 08AC14, node node1, filter r.MP9601 operator" in plain(await night.text(MAIN))
    async with night.database.read() as session:
        (order,) = await Requests().open(session, RequestKind.TRANSFER)
    for number, status in (("99", 400), ("x", 400), (str(order.id), 303), (str(order.id), 400)):
        assert (await night.post("/transfer/orders", {"csrf": token, "order": number})).status == status
    assert "It was withdrawn by operator" in plain(await night.text(f"{MAIN}?request={order.id}"))


async def test_a_run_that_is_not_here_is_told_with_those_that_are(night):
    said = plain(await night.text("/transfer?runid=99ZZ99&node=node1", status=400))
    assert "is here; the last runs are: 08AH33, 08AF02, 08AC14." in said


async def test_modes_are_paused_resumed_and_run_on_request(night):
    token = await night.sign_in()

    async def ask(mode: str, word: str) -> int:
        return (await night.post("/transfer/modes", {"csrf": token, "mode": mode, "ask": word})).status

    assert await ask("automatic", "pause") == 303
    assert "automatic transfers are paused" in plain(await night.text(MAIN))
    assert re.search(r"paused by operator", plain(await night.text(MAIN)))
    assert await ask("automatic", "run") == 400
    assert await ask("automatic", "resume") == 303
    assert await ask("automatic", "run") == 303
    assert "asked to run now" in plain(await night.text(MAIN))
    assert await ask("automatic", "fly") == 400
    assert await ask("sideways", "run") == 400


async def test_rules_are_added_moved_switched_and_removed(night):
    token = await night.sign_in()

    async def ask(**said: str) -> int:
        return (await night.post("/transfer/rules", {"csrf": token, **said})).status

    async def rules() -> list[tuple[str, str | None, bool]]:
        async with night.database.read() as session:
            return [(rule.runid, rule.policy or rule.node, rule.enabled) for rule in await Rules().all(session)]

    assert await ask(ask="add", runid="08B*", where="hold") == 303
    assert await ask(ask="add", program="L", where="node:node1", priority="-3") == 303
    assert await rules() == [("08A*", "node2", True), ("08B*", "hold", True), ("*", "node1", True)]
    assert await ask(ask="up", place="2") == 303
    assert await ask(ask="off", place="1") == 303
    assert await rules() == [("08B*", "hold", False), ("08A*", "node2", True), ("*", "node1", True)]
    for nonsense in (
        {"ask": "add"},
        {"ask": "add", "runid": "x" * 41},
        {"ask": "add", "runid": "A", "priority": "soon"},
        {"ask": "add", "where": "node:node9"},
        {"ask": "add", "where": "nowhere"},
        {"ask": "remove", "place": "9"},
        {"ask": "remove", "place": ""},
        {"ask": "burn", "place": "1"},
    ):
        assert await ask(**nonsense) == 400, nonsense
    assert await ask(ask="down", place="1") == 303
    assert await ask(ask="remove", place="3") == 303
    assert await ask(ask="remove", place="2") == 303
    assert await rules() == [("08A*", "node2", True)]


async def test_one_transfer_is_paused_with_its_reason_and_resumed(night):
    token = await night.sign_in()
    async with night.database.read() as session:
        (waiting,) = await Transfers().promised(session)
        (fetch, *_) = await Transfers().running(session, TransferKind.FETCH)

    async def ask(**said: str) -> int:
        return (await night.post("/transfer/queue", {"csrf": token, **said})).status

    number = str(waiting.id)
    text = await night.text(f"{MAIN}?pause={number}")
    assert f'<option value="{number}" selected>979416p to node2</option>' in text
    for nonsense in (
        {"ask": "pause", "transfer": number},
        {"ask": "pause", "transfer": number, "because": "x" * 201},
        {"ask": "pause", "transfer": str(fetch.id), "because": "slow"},
        {"ask": "resume", "transfer": number},
        {"ask": "fly", "transfer": number},
        {"ask": "pause", "transfer": "9" * 19, "because": "x"},
    ):
        assert await ask(**nonsense) == 400, nonsense
    assert await ask(ask="pause", transfer=number, because="its disk is being looked at") == 303
    text = plain(await night.text(MAIN))
    assert "1 frame paused one by one" in text
    assert re.search(r"979416p node2 0\.0 341\.0 operator .* its disk is being looked at Resume", text), text
    assert "The queue is empty." in text
    assert await ask(ask="resume", transfer=number) == 303
    assert "paused one by one" not in plain(await night.text(MAIN))


async def test_forms_of_strangers_change_nothing(night):
    await night.sign_in()
    for path in ("/transfer/modes", "/transfer/orders", "/transfer/queue", "/transfer/rules"):
        assert (await night.post(path, {"ask": "run", "mode": "automatic"})).status == 403


async def test_the_history_is_narrowed_and_answers_as_csv_and_json(night):
    text = await night.text(f"{PAST}?mode=immediate&state=failed")
    assert "979402p" in text
    assert "979400p" not in text
    table = "/transfer/history.csv?mode=immediate&state=failed"
    assert table.replace("&", "&amp;") in text
    (line,) = csv.DictReader(io.StringIO(await night.text(table)))
    (same,) = json.loads(await night.text("/api/v1/transfers?mode=immediate&state=failed"))["transfers"]
    assert (line["frame"], float(line["seconds"])) == (same["frame"], same["seconds"]) == ("979402p", 3.0)
    assert "979400p" in await night.text(f"{PAST}?run=08AC14&node=node2&kind=move")
    for query in ("mode=fast", "state=running", "kind=x", "before=x", "run=" + "x" * 41):
        assert "makes no sense here" in await night.text(f"{PAST}?{query}", status=400)


@pytest.mark.parametrize("topic", TOPICS)
async def test_each_how_to_is_told(night, topic):
    text = await night.text(f"/help/{topic}")
    assert f"How to {TOPICS[topic]}" in text
    assert len(plain(text)) > 700


async def test_what_there_is_no_help_on_is_said(night):
    assert "There is no help on dancing" in await night.text("/help/dancing", status=404)
