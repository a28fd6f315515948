"""`terapix nodes`: a node is taken into use, looked at and taken out, and hosts get their certificates."""

import asyncio
import json
import stat
from datetime import UTC, datetime
from pathlib import Path

import pytest
from typer.testing import CliRunner

from dbclient.database import Database
from dbclient.schema import NodeState
from dbclient.stores import Frames, Nodes, Replicas
from dbclient.stores.frames import Sighting
from spica.cli.application import app

NOW = datetime(2008, 3, 30, 6, 23, tzinfo=UTC)


@pytest.fixture
async def config(tmp_path: Path) -> str:
    file = tmp_path / "terapix.toml"
    file.write_text(f'[paths]\ndirectory = "{tmp_path}"\n')
    database = await Database.open(f"sqlite+aiosqlite:///{tmp_path / 'terapix.sqlite'}", create=True)
    await database.close()
    return str(file)


def call(*arguments: str) -> tuple[int, str, str]:
    done = CliRunner().invoke(app, ["nodes", *arguments])
    return done.exit_code, " ".join(done.stdout.split()), " ".join(done.stderr.split())


def test_a_node_is_added_listed_checked_and_removed(config: str, tmp_path: Path) -> None:
    code, said, _ = call("add", "node5", "--directory", str(tmp_path / "disk5"), "--capacity", "1000000", "-c", config)
    assert (code, "node5 was added: 1 MB" in said) == (0, True) or "on this host" in said
    assert (tmp_path / "disk5" / "frames").is_dir()
    code, _, problem = call("add", "node5", "--directory", str(tmp_path / "disk5"), "-c", config)
    assert (code, "is in use already" in problem) == (1, True)
    code, said, _ = call("-c", config, "--json")
    assert [item["node"]["name"] for item in json.loads(said)] == ["node5"]
    code, said, _ = call("check", "--files", "--json", "-c", config)
    assert (code, json.loads(said)[0]["answers"]) == (0, True)
    (tmp_path / "disk5").rename(tmp_path / "unplugged")
    code, said, _ = call("check", "--json", "-c", config)
    assert (code, "is gone" in json.loads(said)[0]["why"]) == (3, True)
    code, said, _ = call("remove", "node5", "-c", config)
    assert (code, said) == (0, "node5 is removed.")
    assert "node5" not in call("-c", config)[1]
    assert call("remove", "node9", "-c", config)[0] == 4


async def test_a_node_that_holds_a_frame_is_not_removed(config: str, tmp_path: Path) -> None:
    database = await Database.open(f"sqlite+aiosqlite:///{tmp_path / 'terapix.sqlite'}")
    async with database.write() as session:
        node = await Nodes().upsert(session, name="node1", directory="/n1", capacity=10**9, reserve=0, now=NOW)
        sighting = Sighting(name="979412p", uri="cadc:CFHT/979412p.fits.fz", size=7, digest="md5:" + "0" * 32)
        await Frames().sight(session, sighting, now=NOW, source="test")
        frame = await Frames().named(session, "979412p")
        assert frame is not None
        await Replicas().hold(
            session, frame_id=frame.id, node_id=node, path="frames/a", size=7, digest="md5:" + "0" * 32, now=NOW
        )
    await database.close()
    code, _, problem = await _in_thread("remove", "node1", "-c", config)
    assert (code, "1 files lie there" in problem) == (1, True)


def test_a_host_that_does_not_answer_is_not_added(config: str) -> None:
    code, _, problem = call("add", "node5", "--address", "http://127.0.0.1:1", "-c", config)
    assert (code, "names neither certificate nor token" in problem) == (75, True)
    assert call("add", "node5", "-c", config)[0] == 2
    assert call("add", "../node5", "--address", "http://127.0.0.1:1", "-c", config)[0] == 2


def test_certificates_are_issued_by_an_authority_that_is_made_once(config: str, tmp_path: Path) -> None:
    assert call("certificate", "node5", "-c", config)[0] == 1
    assert call("init-ca", "-c", config)[0] == 0
    code, _, problem = call("init-ca", "-c", config)
    assert (code, "is there already" in problem) == (1, True)
    assert call("certificate", "node5", "--host", "10.0.0.5", "-c", config)[0] == 0
    assert call("certificate", "chief", "--role", "coordinator", "-c", config)[0] == 0
    keys = sorted(path.name for path in (tmp_path / "authority").glob("*.key"))
    assert keys == ["authority.key", "chief.key", "node5.key"]
    assert {stat.S_IMODE((tmp_path / "authority" / key).stat().st_mode) for key in keys} == {0o600}


async def _in_thread(*arguments: str) -> tuple[int, str, str]:
    """Call a command that runs an event loop of its own."""
    return await asyncio.to_thread(call, *arguments)


async def test_a_node_that_is_down_can_be_called_missing_and_no_other(config: str, tmp_path: Path) -> None:
    await asyncio.to_thread(call, "add", "node5", "--directory", str(tmp_path / "disk5"), "-c", config)
    code, _, problem = await asyncio.to_thread(call, "missing", "node5", "-c", config)
    assert (code, "node5 is up, and only a node that is down can be missing" in problem) == (1, True)
    database = await Database.open(f"sqlite+aiosqlite:///{tmp_path / 'terapix.sqlite'}")
    async with database.write() as session:
        await Nodes().set_state(session, "node5", NodeState.DOWN, reason="its disk is gone", now=NOW, source="test")
    await database.close()
    code, said, _ = await asyncio.to_thread(call, "missing", "node5", "-c", config)
    assert (code, "node5 is missing: 0 files on it are not counted" in said) == (0, True)
    code, said, _ = await asyncio.to_thread(call, "check", "--json", "-c", config)
    assert (code, json.loads(said)[0]["state"], json.loads(said)[0]["not counted"]) == (3, "missing", 0)
    assert (await asyncio.to_thread(call, "missing", "node9", "-c", config))[0] == 4
