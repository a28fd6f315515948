"""The command line on a database without daemons: answers, JSON and exit codes."""

import asyncio
import json
import re
import socket
import sqlite3
from datetime import UTC, datetime
from pathlib import Path

import pytest
from typer.testing import CliRunner

from dbclient.database import Database
from dbclient.sealing import seal
from dbclient.stores import Configurations, Events, Frames, Nodes
from dbclient.stores.frames import Sighting
from spica.cli.application import app
from terapix.sections import Settings
from terapix.settings import load

NOW = datetime(2008, 3, 30, 6, 23, tzinfo=UTC)
NAMED = {
    "name": "979412p",
    "kind": "object",
    "uri": "cadc:CFHT/979412p.fits.fz",
    "runid": "08AC14",
    "filter": "r.MP9601",
}


@pytest.fixture
async def config(tmp_path):
    """Settings file of a host that knows one frame and one node."""
    file = tmp_path / "terapix.toml"
    file.write_text(f'[paths]\ndirectory = "{tmp_path}"\n')
    database = await Database.open(f"sqlite+aiosqlite:///{tmp_path / 'terapix.sqlite'}", create=True)
    async with database.write() as session:
        await Frames().sight(
            session, Sighting(size=1000, digest="md5:" + "0" * 32, **NAMED), now=NOW, source="snooppix"
        )
        await Nodes().upsert(session, name="node1", directory=str(tmp_path / "n1"), capacity=10**9, reserve=0, now=NOW)
    await database.close()
    return str(file)


def call(*arguments: str) -> tuple[int, str, str]:
    done = CliRunner().invoke(app, list(arguments))
    return done.exit_code, done.stdout, done.stderr


def test_status_answers_in_a_sentence_and_in_json(config):
    code, said, _ = call("status", "-c", config)
    assert code == 0
    assert said.startswith("All is well: 0 of 1 frame weighted, 1 frame on the way.")
    code, said, _ = call("status", "-c", config, "--json")
    assert json.loads(said)["states"]["spotted"] == 1


def test_why_tells_the_story_and_an_unknown_frame_is_exit_4(config):
    code, said, _ = call("why", "979412p", "-c", config)
    assert (code, "It waits to be fetched" in said) == (0, True)
    code, _, problem = call("why", "1p", "-c", config)
    assert (code, "No frame 1p is known here" in problem) == (4, True)


async def test_why_tells_of_a_listing_that_was_refused_and_has_no_row(config):
    database = await Database.open(load(Path(config)).settings.database_url)
    async with database.write() as session:
        for name in ("1p", "11p"):
            message = f"{name} is listed with an address that no file of the archive has and is not fetched: 'a/../b'"
            await Events().append(session, source="snooppix", kind="listing-refused", message=message, now=NOW)
    await database.close()
    code, _, problem = await asyncio.to_thread(call, "why", "1p", "-c", config)
    assert code == 4
    assert "No frame 1p is known here. 2008-03-30 06:23:00  ! 1p is listed with an address" in problem
    assert "11p" not in problem
    _, _, other = await asyncio.to_thread(call, "why", "2p", "-c", config)
    assert "the archive has not listed it" in other


@pytest.mark.parametrize("command", ["frames", "runs", "nodes", "history"])
def test_lists_are_given_as_json(config, command):
    code, said, _ = call(command, "-c", config, "--json")
    assert code == 0
    assert len(json.loads(said)) == 1


async def test_the_history_is_verified_and_what_was_changed_is_named(config):
    assert "Nothing is sealed yet" in (await asyncio.to_thread(call, "history", "--verify", "-c", config))[1]
    database = await Database.open(load(Path(config)).settings.database_url)
    sealed = await seal(database, now=NOW)
    await database.close()
    code, said, _ = await asyncio.to_thread(
        call, "history", "--verify", "--noted", sealed.digest, "-c", config, "--json"
    )
    assert (code, json.loads(said)["fits"], json.loads(said)["events"]) == (0, True, 1)
    with sqlite3.connect(Path(config).parent / "terapix.sqlite") as line:
        line.execute("DROP TRIGGER events_kept_from_UPDATE")
        line.execute("UPDATE events SET message = 'it was never here'")
    line.close()
    code, said, _ = await asyncio.to_thread(call, "history", "--verify", "-c", config)
    assert (code, said.splitlines()[0]) == (
        3,
        "The history was tampered with: event 1 was changed after it was sealed (seal 1).",
    )
    assert (await asyncio.to_thread(call, "history", "--noted", "0", "-c", config))[0] == 2


def test_the_history_since_a_moment_is_shown(config):
    assert "979412p" in call("history", "--since", "2008-03-30", "-c", config)[1]
    assert "Nothing has happened yet" in call("history", "--since", "2008-03-31", "-c", config)[1]


def test_an_empty_list_teaches_the_next_command(config):
    _, said, _ = call("frames", "--state", "failed", "-c", config)
    assert "terapix demo" in said


def test_a_request_is_written_and_answered_later(config):
    code, said, _ = call("reload", "979412p", "--because", "to be sure", "--wait", "0", "-c", config, "--json")
    assert code == 0
    asked = json.loads(said)
    assert (asked["kind"], asked["state"], asked["arguments"]) == (
        *("reload", "open"),
        {"frame": "979412p", "because": "to be sure"},
    )


def test_a_transfer_needs_a_word_a_known_node_and_known_frames(config):
    assert call("transfer", "08AC14", "--to", "node1", "-c", config)[0] == 2
    code, _, problem = call("transfer", "08AC14", "--to", "node9", "--dry-run", "-c", config)
    assert (code, "nodes are: node1" in problem) == (4, True)
    assert call("transfer", "99ZZ99", "--to", "node1", "--dry-run", "-c", config)[0] == 4


def test_an_unknown_setting_is_named_with_its_neighbour(tmp_path):
    file = tmp_path / "terapix.toml"
    file.write_text("[snooppix]\npol = 3\n")
    code, said, problem = call("config", "check", "-c", str(file))
    assert code == 2
    assert "snooppix.pol" in said + problem
    assert "poll" in said + problem
    assert call("status", "-c", str(file))[0] == 2


def test_settings_are_shown_with_their_origin(config):
    _, said, _ = call("config", "show", "--origin", "-c", config)
    assert "snooppix.poll = 300.0" in said
    assert "# default" in said
    assert f"file {config}:2" in said


def test_an_absent_database_is_a_clear_error(tmp_path):
    file = tmp_path / "terapix.toml"
    file.write_text(f'[paths]\ndirectory = "{tmp_path / "none"}"\n')
    code, _, problem = call("status", "-c", str(file))
    assert code == 1
    assert "terapix db upgrade" in problem or "terapix up" in problem
    code, _, _ = call("db", "upgrade", "-c", str(file))
    assert code == 0
    assert Settings(paths={"directory": tmp_path / "none"}).database_url
    assert call("status", "-c", str(file))[0] == 0


def test_a_stand_in_on_a_taken_port_says_so(tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        code, _, problem = call("stand-in", "--directory", str(tmp_path), "--port", str(port))
    assert (code, f"Port {port} of 127.0.0.1" in problem) == (1, True)
    assert "--port" in problem


async def test_the_origin_of_a_setting_may_be_a_version_that_was_saved_on_the_page(config):
    database = await Database.open(load(Path(config)).settings.database_url)
    for text, over in (("[snooppix]\npoll = 42.0\n", None), ("[snooppix]\npoll = 0\n", 1)):
        async with database.write() as session:
            await Configurations().save(session, "snooppix", text, comment="x", by="ann", now=NOW, over=over)
        code, said, problem = await asyncio.to_thread(call, "config", "show", "--origin", "-c", config)
        assert code == 0
        if over is None:
            assert re.search(r"snooppix.poll = 42.0 +# version 1 of the console:2\n", said)
        else:
            assert "Without operators' version: version 2 of the console:2: snooppix.poll = 0" in problem
            assert re.search(r"snooppix.poll = 300.0 +# default\n", said)
    await database.close()


def test_completeness_of_a_run_is_an_exit_code_a_table_and_json(config):
    code, said, _ = call("runs", "08AC14", "--complete", "--offline", "-c", config)
    assert (code, said.splitlines()[0]) == (3, "08AC14 is not complete: 0 of 1 held, 1 missing, 0 extra.")
    assert "waits to be fetched" in said
    code, said, _ = call("runs", "08AC14", "--complete", "--offline", "-c", config, "--json")
    found = json.loads(said)
    assert (code, found["complete"], found["expected"], found["missing"][0]["name"]) == (3, False, 1, "979412p")
    assert call("runs", "--complete", "-c", config)[0] == 2
    assert call("runs", "08BC99", "-c", config)[0] == 4
    assert call("runs", "08AC14", "-c", config)[0] == 0


def test_completeness_needs_an_archive_that_answers(config):
    with Path(config).open("a") as file:
        file.write('[archive]\nregistry = "http://127.0.0.1:9/reg/resource-caps"\n')
    code, _, said = call("runs", "08AC14", "--complete", "-c", config)
    assert (code, "does not answer" in said) == (75, True)


def test_differences_are_listed_and_asked_for(config):
    code, said, _ = call("snooppix", "difference", "-c", config)
    assert (code, said.startswith("No full difference was made yet")) == (0, True)
    code, said, _ = call("snooppix", "difference", "--now", "--wait", "0", "-c", config, "--json")
    assert (code, json.loads(said)["kind"]) == (75, "difference")
    assert call("snooppix", "look", "--wait", "0", "-c", config)[0] == 75
    assert call("snooppix", "difference", "--trust", "-c", config)[0] == 2
    assert json.loads(call("snooppix", "difference", "-c", config, "--json")[1]) == []
