"""`terapix evacuate | copy | rebalance | orders`: what would go is said beforehand, and an open order can be ended."""

import asyncio
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from dbclient.database import Database
from dbclient.schema import FrameState, TransferKind, TransferMode, TransferState
from dbclient.stores import Frames, Modes, Nodes, Replicas, Transfers
from dbclient.stores.frames import Sighting
from spica.cli.answers import byte_count
from spica.cli.application import app

NOW = datetime(2008, 3, 30, 6, 23, tzinfo=UTC)
GB = 10**9
MB = 10**6


@pytest.fixture
async def config(tmp_path: Path) -> str:
    """Four frames of 300 MB on node1 of two nodes of 10 GB, on disks of their own."""
    file = tmp_path / "terapix.toml"
    file.write_text(f'[paths]\ndirectory = "{tmp_path}"\n')
    database = await Database.open(f"sqlite+aiosqlite:///{tmp_path / 'terapix.sqlite'}", create=True)
    async with database.write() as session:
        facts: dict[str, Any] = {"capacity": 10 * GB, "reserve": 0, "now": NOW}
        first = await Nodes().upsert(session, name="node1", directory="/n1", **facts)
        await Nodes().upsert(session, name="node2", directory="/n2", **facts)
        for name, used in (("node1", 4 * 300 * MB), ("node2", 0)):
            await Nodes().measure(session, name, used=used, free=10 * GB - used, now=NOW)
        for number in range(4):
            name = f"{number}p"
            sighting = Sighting(
                name=name, uri=f"cadc:CFHT/{name}.fits.fz", size=300 * MB, digest="md5:" + "0" * 32, runid="08AC14"
            )
            await Frames().sight(session, sighting, now=NOW, source="test")
            frame = await Frames().named(session, name)
            assert frame is not None
            for state in (FrameState.FETCHED, FrameState.VALID, FrameState.PLACED):
                await Frames().advance(session, frame.id, state, now=NOW, source="test", message=state.value)
            await Frames().describe(session, frame.id, needs={"weight": 0, "flag": 0})
            path = f"frames/08AC14/{name}.fits.fz"
            await Replicas().hold(
                session,
                frame_id=frame.id,
                node_id=first,
                path=path,
                size=300 * MB,
                digest="md5:" + "0" * 32,
                now=NOW,
            )
        await Modes().set_paused(session, TransferMode.IMMEDIATE, paused=True, by="night", now=NOW)
    await database.close()
    return str(file)


def call(*arguments: str) -> tuple[int, str]:
    done = CliRunner().invoke(app, arguments)
    return done.exit_code, " ".join((done.stdout + done.stderr).split())


@pytest.mark.parametrize(
    ("words", "count"), [("500GB", 500 * GB), ("2.5 TB", 2500 * GB), ("1000", 1000), ("7kB", 7000), ("3M", 3 * MB)]
)
def test_bytes_are_read_as_people_write_them(words: str, count: int) -> None:
    assert byte_count(words) == count


def test_an_evacuation_is_shown_before_it_is_ordered(config: str) -> None:
    code, said = call("evacuate", "node1", "--dry-run", "-c", config)
    assert (code, "4 frames go, 1.2 GB." in said) == (0, True)
    assert call("orders", "-c", config)[1] == "No order is open."
    assert call("evacuate", "node9", "--dry-run", "-c", config) == (
        4,
        "There is no node node9; nodes are: node1, node2.",
    )


def test_a_rebalance_keeps_to_its_bound(config: str) -> None:
    code, said = call("rebalance", "--most", "300MB", "--dry-run", "--json", "-c", config)
    found = json.loads(said)
    assert (code, found["bytes"], [move["node"] for move in found["moves"]]) == (0, 300 * MB, ["node2"])
    found = json.loads(call("rebalance", "--most", "1TB", "--dry-run", "--json", "-c", config)[1])
    assert found["bytes"] <= 600 * MB
    assert call("rebalance", "--most", "much", "--dry-run", "-c", config)[0] == 2


def test_a_copy_says_how_many_are_there(config: str) -> None:
    code, said = call("copy", "08AC14", "--to", "node1", "--dry-run", "-c", config)
    assert (code, "4 frames are there already." in said) == (0, True)
    code, said = call("copy", "08AC14", "--dry-run", "-c", config)
    assert (code, "4 frames go, 1.2 GB." in said) == (0, True)
    assert call("copy", "03AL03", "--dry-run", "-c", config)[0] == 4


def test_an_order_that_waits_says_why_is_listed_and_can_be_withdrawn(config: str) -> None:
    code, said = call("evacuate", "node1", "--wait", "0", "-c", config)
    assert (code, "waits: immediate transfers are paused" in said) == (0, True)
    [order] = json.loads(call("orders", "--json", "-c", config)[1])
    assert (order["kind"], order["arguments"]) == ("evacuate", {"node": "node1"})
    assert call("orders", "--withdraw", str(order["id"]), "-c", config)[0] == 0
    assert call("orders", "--withdraw", str(order["id"]), "-c", config)[0] == 4
    assert call("orders", "-c", config)[1] == "No order is open."


async def promise(directory: Path) -> None:
    database = await Database.open(f"sqlite+aiosqlite:///{directory / 'terapix.sqlite'}")
    async with database.write() as session:
        nodes = {node.name: node.id for node in await Nodes().all(session)}
        for number in range(3):
            frame = await Frames().named(session, f"{number}p")
            assert frame is not None
            state = TransferState.RUNNING if number < 2 else TransferState.PROMISED
            transfer = await Transfers().begin(
                session,
                frame_id=frame.id,
                kind=TransferKind.MOVE,
                source="node1",
                origin_id=nodes["node1"],
                node_id=nodes["node2"],
                state=state,
                now=NOW,
            )
            if number < 2:
                await Transfers().progress(session, transfer, done=1, rate=5e6)
    await database.close()


def test_links_show_what_goes_what_waits_and_what_may_go(config: str, tmp_path: Path) -> None:
    assert "no link has a limit" in call("links", "-c", config)[1]
    asyncio.run(promise(tmp_path))
    with Path(config).open("a") as file:
        file.write('[[datatransfer.limits]]\nsource = "node1"\ntarget = "*"\nmoves = 2\nrate = 20_000_000\n')
    [used] = json.loads(call("links", "--json", "-c", config)[1])
    assert (used["source"], used["target"], used["moving"], used["waiting"]) == ("node1", "node2", 2, 1)
    assert (used["rate"], used["most_moves"], used["most_rate"], used["full"]) == (1e7, 2, 20_000_000, True)
    assert "full:" in call("links", "-c", config)[1]
