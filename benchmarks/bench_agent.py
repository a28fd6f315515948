"""Agent to agent with digest beside rsync from its daemon followed by md5sum at the far end: 400 MB, and 10,000 files.

Ours are verified and flushed to the disk before they have their names; rsync flushes nothing, unless it is told to
(``--fsync``, from 3.2.4 on): then it flushes one file after the other.
"""

import asyncio
import contextlib
import os
import secrets
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from figures import Row, command_line

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from datatransfer.agent.courier import Courier, Silent
from datatransfer.agent.receiver import Parcel
from datatransfer.agent.trust import Trust
from datatransfer.disks import furnish
from datatransfer.mover import Carried, digest_of
from terapix.sections import Settings

SIZE = 400_000_000
SMALL = 10_000
MANY = 10_000
RUNS = 5


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def agents(root: Path) -> Iterator[tuple[Courier, str, str]]:
    """Run two agents, as two hosts would; give the courier and their addresses."""
    token = root / "token"
    token.touch(mode=0o600)
    token.write_text(secrets.token_hex(24))
    port = free_port()
    processes = []
    for number in (1, 2):
        furnish(root / f"node{number}")
        file = root / f"node{number}.toml"
        file.write_text(
            f'[paths]\ndirectory = "{root}/host{number}"\n[journal]\nlevel = "warning"\n'
            f'[agent]\nlisten = "127.0.0.{number}"\nport = {port}\ntoken = "{token}"\n'
            f'[[nodes]]\nname = "node{number}"\ndirectory = "{root}/node{number}"\n'
        )
        command = [sys.executable, "-m", "datatransfer.agent.service", "-c", str(file)]
        processes.append(subprocess.Popen(command, cwd=Path(__file__).resolve().parents[1]))
    trust = Trust.of(Settings.model_validate({"agent": {"token": str(token)}}))
    assert trust is not None
    try:
        yield Courier(trust), f"http://127.0.0.1:{port}", f"http://127.0.0.2:{port}"
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            process.wait()


@contextlib.contextmanager
def rsync_daemon(root: Path) -> Iterator[str]:
    """Serve the first node's files by rsync; give the address."""
    port = free_port()
    config = root / "rsyncd.conf"
    config.write_text(f"port = {port}\naddress = 127.0.0.1\nuse chroot = no\n[node]\npath = {root}/node1\n")
    process = subprocess.Popen(["rsync", "--daemon", "--no-detach", f"--config={config}"])
    try:
        while subprocess.run(["rsync", f"rsync://127.0.0.1:{port}/"], capture_output=True, check=False).returncode:
            time.sleep(0.05)
        yield f"rsync://127.0.0.1:{port}/node"
    finally:
        process.terminate()
        process.wait()


def write(root: Path) -> dict[str, list[tuple[str, str, int]]]:
    """Write the files; give path, digest and size of each."""
    (root / "node1" / "frames" / "big").mkdir()
    (root / "node1" / "frames" / "many").mkdir()
    big = root / "node1" / "frames" / "big" / "big.fits.fz"
    with big.open("wb") as file:
        for _ in range(SIZE // 2**20 + 1):
            file.write(os.urandom(2**20))
        file.truncate(SIZE)
    for number in range(MANY):
        (root / "node1" / "frames" / "many" / f"{number}.fits").write_bytes(os.urandom(SMALL))
    return {
        name: [
            (str(path.relative_to(root / "node1")), digest_of(path), path.stat().st_size)
            for path in sorted((root / "node1" / "frames" / name).iterdir())
        ]
        for name in ("big", "many")
    }


def measure() -> list[Row]:
    rows: list[Row] = []
    with (
        tempfile.TemporaryDirectory(prefix="bench-agent-") as place,
        agents(Path(place)) as (courier, source, target),
        rsync_daemon(Path(place)) as daemon,
        asyncio.Runner() as runner,
    ):
        root = Path(place)
        files = write(root)

        async def answer() -> None:
            for address in (source, target):
                while True:
                    with contextlib.suppress(Silent):
                        await courier.status(address)
                        break
                    await asyncio.sleep(0.1)

        runner.run(answer())

        def ours(name: str, there: str) -> None:
            parcels = [
                Parcel(source, f"nodes/node1/{path}", "nodes/node2", path.replace(name, there, 1), digest, size)
                for path, digest, size in files[name]
            ]
            ended = runner.run(courier.bring(target, parcels, progress=lambda _: None))
            assert all(isinstance(end, Carried) for end in ended), ended[:3]

        def theirs(name: str, there: str, *options: str) -> None:
            target = root / "node2" / "frames" / there
            target.mkdir()
            copy = ["rsync", "-r", "--whole-file", *options, f"{daemon}/frames/{name}", f"{target}/"]
            subprocess.run(copy, check=True)
            subprocess.run(f"find {target} -type f -print0 | xargs -0 md5sum > /dev/null", shell=True, check=True)

        works: dict[str, Callable[[str, str], None]] = {
            "ours": ours,
            "rsync + md5sum": theirs,
            "rsync --fsync + md5sum": lambda name, there: theirs(name, there, "--fsync"),
        }
        for name, what, goal in (
            ("big", f"{SIZE / 1e6:.0f} MB", "0.9 of the peer's time"),
            ("many", f"{MANY} files of {SMALL / 1e3:.0f} kB", "faster than the peer"),
        ):
            measured = dict.fromkeys(works, float("inf"))
            for run in range(RUNS):  # by turns, and the least of each: a machine that is used otherwise only ever adds
                for number, (who, work) in enumerate(works.items()):
                    os.sync()
                    begin = time.perf_counter()
                    # a place of its own: ext4 makes files slowly where many were removed a moment ago
                    work(name, f"{name}-{number}-{run}")
                    measured[who] = min(measured[who], time.perf_counter() - begin)
            rows += [
                Row(
                    part="agent to agent",
                    input=what if flushes == "nothing" else f"{what}, flushed by both",
                    ours=measured["ours"],
                    peer=peer,
                    peer_seconds=measured[peer],
                    agreement="verified and flushed; rsync flushes " + flushes,
                    goal=goal if flushes == "nothing" else None,
                )
                for peer, flushes in (("rsync + md5sum", "nothing"), ("rsync --fsync + md5sum", "each file by itself"))
            ]
        runner.run(courier.close())
    return rows


if __name__ == "__main__":
    command_line(measure)
