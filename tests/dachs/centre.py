"""A data centre nobody here wrote: Debian's DaCHS on a PostgreSQL of its own, thrown away afterwards.

    apt-get install gavodachs2-server      # brings PostgreSQL with pgsphere and q3c
    make test-dachs

It runs below a temporary directory and as an ordinary user, and needs neither
systemd nor the database that its Debian package sets up.
"""

import contextlib
import csv
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.support.databases import SERVER_USER, Cluster, apart, binaries, cluster

HERE = Path(__file__).parent
DACHS = Path("/usr/bin/dachs")
PATIENCE = 60.0
"""Seconds for DaCHS to answer."""
CONFIGURATION = """\
[general]
rootDir: {root}
gavoGroup: {group}
group: {group}
[web]
serverURL: http://127.0.0.1:{port}
bindAddress: 127.0.0.1
serverPort: {port}
user: {user}
[ivoa]
authority: terapix.test
"""


@dataclass(slots=True)
class DataCentre:
    """DaCHS at work, and what a test may do to it."""

    directory: Path
    database: Path
    """Where the socket of its PostgreSQL is."""
    port: int
    become: Sequence[str]

    @property
    def tap(self) -> str:
        """Address of its table access service."""
        return f"http://127.0.0.1:{self.port}/tap"

    @property
    def capabilities(self) -> str:
        return f"{self.tap}/capabilities"

    def run(self, *words: str) -> None:
        """Run one of its commands."""
        done = subprocess.run(
            [*self.become, DACHS, *words],
            env=self.environment,
            cwd=self.directory,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        if done.returncode or "*** Error" in done.stdout:
            raise RuntimeError(f"dachs {' '.join(words)}: {done.stdout}")

    @property
    def environment(self) -> Mapping[str, str]:
        return {
            "PATH": "/usr/bin:/bin",
            "HOME": str(self.directory),
            "GAVOSETTINGS": str(self.directory / "gavo.rc"),
            "GAVOCUSTOM": "/no/such/file",
            "GAVO_LOG": "no",
            "LC_ALL": "C.UTF-8",
        }

    def resource(self, name: str, **tables: Sequence[Mapping[str, Any]]) -> None:
        """Import a resource descriptor of this directory with its tables, each a file of comma-separated values."""
        place = self.directory / "gavo" / "inputs" / name
        place.mkdir(parents=True, exist_ok=True)
        shutil.copy(HERE / f"{name}.rd", place / "q.rd")
        for table, rows in tables.items():
            with (place / f"{table}.csv").open("w", newline="") as file:
                writer = csv.DictWriter(file, list(rows[0]))
                writer.writeheader()
                writer.writerows(rows)
        self.run("imp", f"{name}/q")

    def change(self, statement: str) -> None:
        """Change the tables behind its back, as an archive's own software does."""
        made = Cluster(self.database, None)  # type: ignore[arg-type] - its address is all that is needed
        apart(made.command(statement, "gavo"))


@pytest.fixture(scope="session")
def data_centre(pytestconfig: pytest.Config) -> Iterator[DataCentre]:
    """Give a running DaCHS without tables of ours."""
    if not DACHS.exists():
        pytest.skip("DaCHS is not here: apt-get install gavodachs2-server")
    directory = Path(tempfile.mkdtemp(prefix="terapix-dachs-"))
    user, become = pwd.getpwuid(os.geteuid()), ["setpriv", "--pdeathsig", "TERM"]
    if os.geteuid() == 0:
        user = pwd.getpwnam(SERVER_USER)
        become += [f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--init-groups"]
    try:
        with cluster(binaries(pytestconfig)) as server:
            # texts are ordered as in a dictionary, not by their bytes: as on a machine that nobody set up for us
            apart(
                server.command(
                    "CREATE DATABASE gavo TEMPLATE template0 ENCODING 'UTF8' "
                    "LOCALE_PROVIDER icu ICU_LOCALE 'en-US' LOCALE 'C.UTF-8'"
                )
            )
            centre = DataCentre(directory, server.directory, _free_port(), become)
            configuration = CONFIGURATION.format(
                root=directory / "gavo", group=_group(user.pw_gid), port=centre.port, user=user.pw_name
            )
            (directory / "gavo.rc").write_text(configuration)
            (directory / "gavo" / "etc").mkdir(parents=True)
            shutil.copy(HERE / "userconfig.rd", directory / "gavo" / "etc")
            _give(directory, user.pw_uid, user.pw_gid)
            centre.run("init", "-d", f"host={server.directory} user={SERVER_USER} dbname=gavo")
            centre.run("imp", "//obscore")
            with _serving(centre):
                yield centre
    finally:
        shutil.rmtree(directory, ignore_errors=True)


@contextlib.contextmanager
def _serving(centre: DataCentre) -> Iterator[None]:
    with (centre.directory / "serve.log").open("wb") as log:
        server = subprocess.Popen(
            [*centre.become, DACHS, "serve", "debug"],
            env=centre.environment,
            cwd=centre.directory,
            stdout=log,
            stderr=log,
        )
    try:
        end = time.monotonic() + PATIENCE
        while not _answers(f"{centre.tap}/availability"):
            if server.poll() is not None or time.monotonic() > end:
                raise RuntimeError((centre.directory / "serve.log").read_text())
            time.sleep(0.1)
        yield
    finally:
        server.terminate()
        try:
            server.wait(10)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()


def _answers(address: str) -> bool:
    try:
        with urllib.request.urlopen(address, timeout=5) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def _free_port() -> int:
    with socket.socket() as line:
        line.bind(("127.0.0.1", 0))
        return int(line.getsockname()[1])


def _group(number: int) -> str:
    import grp

    return grp.getgrgid(number).gr_name


def _give(directory: Path, user: int, group: int) -> None:
    for path in (directory, *directory.rglob("*")):
        os.chown(path, user, group)
