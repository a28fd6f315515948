"""`terapix queue`: what goes to nodes is listed, paused and resumed one by one."""

import asyncio
import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from typer.testing import CliRunner

from dbclient.database import Database
from dbclient.schema import TransferKind, TransferMode, TransferState
from dbclient.stores import Events, Frames, Nodes, Transfers
from dbclient.stores.frames import Sighting
from spica.cli.application import app

NOW = datetime(2008, 3, 30, 6, 23, tzinfo=UTC)


@pytest.fixture
async def config(tmp_path: Path) -> str:
    """One frame that waits for its turn, one that is being fetched, one that goes nowhere."""
    file = tmp_path / "terapix.toml"
    file.write_text(f'[paths]\ndirectory = "{tmp_path}"\n')
    database = await Database.open(f"sqlite+aiosqlite:///{tmp_path / 'terapix.sqlite'}", create=True)
    async with database.write() as session:
        await Nodes().upsert(session, name="node2", directory="/n2", capacity=10**9, reserve=0, now=NOW)
        node = await Nodes().named(session, "node2")
        assert node is not None
        for name in ("1p", "2p", "3p"):
            sighting = Sighting(name=name, uri=f"cadc:CFHT/{name}.fits.fz", size=7000, runid="08AC14")
            await Frames().sight(session, sighting, now=NOW, source="test")
        for name, kind, to, state in (
            ("1p", TransferKind.MOVE, node.id, TransferState.PROMISED),
            ("2p", TransferKind.FETCH, None, TransferState.RUNNING),
        ):
            frame = await Frames().named(session, name)
            assert frame is not None
            mode = TransferMode.IMMEDIATE if to else None
            await Transfers().begin(
                session, frame_id=frame.id, kind=kind, source="x", node_id=to, now=NOW, state=state, mode=mode
            )
    await database.close()
    return str(file)


def call(*arguments: str) -> tuple[int, str]:
    done = CliRunner().invoke(app, arguments)
    return done.exit_code, " ".join((done.stdout + done.stderr).split())


def test_a_transfer_is_paused_with_a_reason_listed_and_resumed(config: str, tmp_path: Path) -> None:
    assert call("queue", "pause", "1p", "-c", config)[0] == 2  # no reason
    assert call("queue", "pause", "1p", "--because", " ", "-c", config)[0] == 2
    assert call("queue", "pause", "1p", "--because", "disk", "-c", config) == (0, "1p is paused on its way to node2.")
    assert (
        call("queue", "pause", "1p", "--because", "x", "-c", config)[1] == "1p is paused on its way to node2 already."
    )
    [told] = json.loads(call("queue", "-c", config, "--json")[1])
    assert (told["frame"], told["paused_because"]) == ("1p", "disk")
    assert "paused" in call("queue", "-c", config)[1]
    assert call("queue", "resume", "1p", "--to", "node2", "-c", config) == (0, "1p goes on to node2.")
    assert json.loads(call("queue", "-c", config, "--json")[1])[0]["paused_by"] is None
    assert asyncio.run(latest(tmp_path)) == ["resumed", "paused"]


async def latest(directory: Path) -> list[str]:
    database = await Database.open(f"sqlite+aiosqlite:///{directory / 'terapix.sqlite'}")
    async with database.read() as session:
        kinds = [event.kind for event in await Events().latest(session, limit=2)]
    await database.close()
    return kinds


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("2p",), 1, "2p is being fetched from the archive; only what goes to nodes can be paused"),
        (("3p",), 1, "3p is not on its way to a node: terapix why 3p tells where it is"),
        (("1p", "--to", "node9"), 1, "1p is not on its way to node9; it goes to node2"),
        (("9p",), 4, "No frame 9p is known here"),
    ],
)
def test_what_cannot_be_paused_is_told(config: str, arguments: tuple[str, ...], code: int, words: str) -> None:
    found = call("queue", "resume", *arguments, "-c", config)
    assert found[0] == code
    assert words in found[1]
