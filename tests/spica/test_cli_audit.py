"""`terapix audit`: what differs is told with its evidence; acting needs a word."""

import asyncio
import json
from pathlib import Path

from typer.testing import CliRunner

from spica.cli.application import app
from tests.support.keeping import placed
from tests.support.site import open_site


async def call(directory: Path, *arguments: str) -> tuple[int, str]:
    done = await asyncio.to_thread(CliRunner().invoke, app, [*arguments, "--config", str(directory / "terapix.toml")])
    return done.exit_code, done.stdout or done.stderr


async def test_audit_reports_and_repairs_only_if_told(tmp_path: Path) -> None:
    site = await open_site(tmp_path)
    _, file = await placed(site)
    await site.coordinator.close()
    await site.database.close()
    (tmp_path / "terapix.toml").write_text(f'[paths]\ndirectory = "{tmp_path}"\n')
    stranger = file.with_name("notes.txt")
    stranger.write_text("whose?")
    file.unlink()

    assert (await call(tmp_path, "audit", "--last"))[0] == 4
    code, said = await call(tmp_path, "audit", "--json")
    assert code == 3
    kinds = {item["kind"]: item for item in json.loads(said)["findings"]}
    assert {"file-gone", "strange-file", "archive-unknown"} == set(kinds)
    assert (kinds["file-gone"]["frame"], kinds["file-gone"]["evidence"]["found_bytes"]) == ("979412p", None)
    assert stranger.exists()

    code, said = await call(tmp_path, "audit", "--last")
    assert code == 3
    assert "terapix audit --repair acts" in said
    code, said = await call(tmp_path, "audit", "--repair", "--json")
    assert (code, json.loads(said)["audit"]["repaired"]) == (0, 3)
    assert not stranger.exists()

    code, said = await call(tmp_path, "audit", "--node", "node9")
    assert (code, "nodes are: node1, node2" in said) == (4, True)
    assert (await call(tmp_path, "audit", "--last", "--repair"))[0] == 2
