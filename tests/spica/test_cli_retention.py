"""`terapix retention`: it lists what may go and why, and lets it go only if told."""

import json
import os
from datetime import timedelta
from pathlib import Path

from tests.spica.test_cli_audit import call
from tests.support.keeping import placed
from tests.support.site import NIGHT, open_site


async def test_retention_lists_and_lets_go_only_if_told(tmp_path: Path) -> None:
    site = await open_site(tmp_path)
    node, _ = await placed(site)
    await site.coordinator.close()
    await site.database.close()
    (tmp_path / "terapix.toml").write_text(f'[paths]\ndirectory = "{tmp_path}"\n')
    scratch = site.directory(node) / "scratch" / "old"
    scratch.write_bytes(b"pixels")
    stamp = (NIGHT - timedelta(days=3)).timestamp()
    for place in (scratch, scratch.parent):
        os.utime(place, (stamp, stamp))

    code, said = await call(tmp_path, "retention", "--dry-run", "--json")
    [listed] = [one for one in json.loads(said) if one["node"] == node]
    [file] = listed["files"]
    assert (code, file["path"], file["goes"], listed["gone"]) == (0, "scratch/old", True, [])
    assert "no job uses it since 2003-12-17" in file["why"]
    assert scratch.exists()

    code, said = await call(tmp_path, "retention")
    assert "terapix retention --now lets it go" in said
    assert scratch.exists()
    code, said = await call(tmp_path, "retention", "--now", "--node", node, "--json")
    assert (code, json.loads(said)[0]["gone"]) == (0, ["scratch/old"])
    assert not scratch.exists()
    assert len(frames_of(site.files(node))) == 1

    assert (await call(tmp_path, "retention", "--now", "--dry-run"))[0] == 2
    code, said = await call(tmp_path, "retention", "--node", "node9")
    assert (code, "nodes are: node1, node2" in said) == (4, True)


def frames_of(files: list[str]) -> list[str]:
    """Give the frames among files."""
    return [file for file in files if file.startswith("frames/")]
