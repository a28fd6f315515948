"""`terapix scrub`: what was read again, and everything at once."""

import asyncio
import json
from pathlib import Path

from typer.testing import CliRunner

from spica.cli.application import app
from tests.support.site import open_site


async def held(directory: Path) -> Path:
    """Have a frame on a node; give its file."""
    site = await open_site(directory)
    await site.valid("979412p")
    await site.settle()
    [(node, replica)] = await site.replicas("979412p")
    await site.coordinator.close()
    await site.database.close()
    return site.directory(node) / replica.path


async def test_scrub_reads_everything_at_once_and_names_what_is_damaged(tmp_path: Path) -> None:
    file = await held(tmp_path)
    (tmp_path / "terapix.toml").write_text(f'[paths]\ndirectory = "{tmp_path}"\n')
    file.write_bytes(b"pixelz" * 1000)

    assert (await call(tmp_path, "scrub"))[0] == 0
    assert file.exists()

    code, said = await call(tmp_path, "scrub", "--now", "--json")
    assert code == 3
    answer = json.loads(said)
    assert [finding["frame"] for finding in answer["findings"]] == ["979412p"]
    assert "fetched again" in answer["findings"][0]["remedy"]
    assert not file.exists()

    code, said = await call(tmp_path, "scrub", "--now", "--json")
    assert (code, json.loads(said)["findings"]) == (0, [])
    assert (await call(tmp_path, "scrub", "--node", "node9"))[0] == 4


async def call(directory: Path, *arguments: str) -> tuple[int, str]:
    done = await asyncio.to_thread(CliRunner().invoke, app, [*arguments, "--config", str(directory / "terapix.toml")])
    return done.exit_code, done.stdout
