"""pyvo, CADC's own clients and astroquery work against a ``terapix stand-in`` process, told nothing but its address."""

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.archive import small_fits

pytestmark = [pytest.mark.reference]
ROOT = Path(__file__).resolve().parents[2]
NAMES = ("979412o", "979412p")
URIS = [f"cadc:CFHT/{name}.fits.fz" for name in NAMES]
USERS = """
[[user]]
name = "astronomer"
password = "secret"
token = "t0ken"
write = true
"""


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Root of a stand-in that runs as users start it."""
    place = tmp_path_factory.mktemp("standin")
    (place / "archive").mkdir()
    for name in NAMES:
        (place / "archive" / f"{name}.fits.fz").write_bytes(small_fits(name, ccds=2, REL_DATE="2009-08-31T00:00:00"))
    (place / "access.toml").write_text(USERS)
    command = [sys.executable, "-c", "from spica.cli import main; main()", "stand-in", "--port", "0"]
    command += ["--directory", str(place / "archive"), "--access", str(place / "access.toml")]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, cwd=ROOT) as process:
        assert process.stderr is not None
        line = next(line for line in process.stderr if "answers at" in line)
        yield line.split(" answers at ")[1].split("/reg/")[0]
        process.terminate()
        process.communicate(timeout=30)


def ask(client: str, address: str, directory: Path) -> dict[str, Any]:
    script = Path(__file__).with_name("foreign_clients.py")
    done = subprocess.run(
        [sys.executable, str(script), client, address, str(directory)],
        env=os.environ | {"HOME": str(directory)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_pyvo_queries_waits_for_jobs_and_follows_links(address: str, tmp_path: Path) -> None:
    found = ask("pyvo", address, tmp_path)
    assert found["sync"] == found["async"] == URIS
    assert found["phases"] == ["PENDING", "ABORTED"]
    assert (found["counted"], found["listed"]) == (2, 1)
    assert "no such column: nothing" in found["reason"]
    assert found["links"] == [f"{address}/raven/files/{URIS[1]}"]
    assert found["size"] == len(small_fits("979412p", ccds=2, REL_DATE="2009-08-31T00:00:00"))


def test_the_clients_of_cadc_get_put_and_query(address: str, tmp_path: Path) -> None:
    found = ask("cadc", address, tmp_path)
    content = small_fits("979412p", ccds=2, REL_DATE="2009-08-31T00:00:00")
    assert (tmp_path / "got.fits.fz").read_bytes() == content
    assert found["size"] == len(content)
    assert found["md5"] == found["put"] == found["segments"] == hashlib.md5(content, usedforsecurity=False).hexdigest()
    assert found["header"] == 2
    assert found["query"] == URIS


def test_astroquery_finds_urls_runs_jobs_and_signs_in(address: str, tmp_path: Path) -> None:
    found = ask("astroquery", address, tmp_path)
    assert found["urls"] == [f"{address}/raven/files/{URIS[1]}"]
    assert found["async"] == URIS
    assert found["tables"][:3] == ["caom2.Observation", "caom2.Plane", "caom2.Artifact"]
    assert found["signed in"] == 2
