"""Several hosts on one machine: network namespaces with links that can be cut, each with a small disk that fills up.

Where namespaces are not allowed the hosts are processes on 127.0.0.x and the
disks plain directories; what needs the real thing is then left out, and says so.
"""

import asyncio
import contextlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from datatransfer.agent.courier import Courier, Silent
from datatransfer.agent.receiver import Parcel
from datatransfer.agent.trust import Trust
from datatransfer.disks import furnish
from datatransfer.mover import digest_of
from terapix.sections import Settings
from tests.support.agents import certified

PORT = 8620
STARTS = 60.0
"""Seconds that an agent has to come up on a loaded machine."""

UNDER_WAY = "4096 65536 262144"
"""Bytes that a connection may hold under way: a host that dies in mid transfer has not sent all of its file already."""


def allowed() -> bool:
    """Tell whether this process may make namespaces and mount disks."""
    if os.geteuid() or not shutil.which("ip") or not shutil.which("mkfs.ext4"):
        return False
    if subprocess.run(["losetup", "-f"], capture_output=True, check=False).returncode:
        return False
    name = f"tpx{os.getpid()}try"
    made = subprocess.run(["ip", "netns", "add", name], capture_output=True, check=False).returncode == 0
    if made:
        subprocess.run(["ip", "netns", "del", name], check=True)
    return made


def run(*words: str) -> None:
    subprocess.run(words, check=True, capture_output=True)


@dataclass(slots=True)
class FarHost:
    """One host, with an agent of its own."""

    name: str
    address: str
    directory: Path
    """Root of its node's disk."""
    home: Path
    prefix: list[str]
    """Words before a command that runs it there."""
    link: str = ""
    """Its end of the network in our namespace; empty: none that could be cut."""
    image: Path | None = None
    process: asyncio.subprocess.Process | None = None
    environment: dict[str, str] = field(default_factory=dict)

    @property
    def root(self) -> str:
        return f"nodes/{self.name}"

    def cut(self) -> None:
        """Pull the network cable."""
        run("ip", "link", "set", self.link, "down")

    def mend(self) -> None:
        run("ip", "link", "set", self.link, "up")

    def pull_disk(self) -> None:
        """Take the disk away, in use or not."""
        run("umount", "-l", str(self.directory))

    def put_disk(self) -> None:
        run("mount", "-o", "loop", str(self.image), str(self.directory))

    def put(self, path: str, content: bytes) -> Path:
        place = self.directory / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content)
        return place

    def files(self) -> list[str]:
        return sorted(
            str(path.relative_to(self.directory))
            for room in ("frames", "products")
            for path in (self.directory / room).rglob("*")
            if path.is_file()
        )

    def parcel(self, path: str, to: "FarHost") -> Parcel:
        place = self.directory / path
        return Parcel(self.address, f"{self.root}/{path}", to.root, path, digest_of(place), place.stat().st_size)

    def set(self, key: str, value: object) -> None:
        """Change one setting of its agent, which must be among those it was laid out with; from its next start on."""
        settings = self.home / "terapix.toml"
        lines = settings.read_text().splitlines()
        (place,) = (number for number, line in enumerate(lines) if line.startswith(f"{key} = "))
        lines[place] = f"{key} = {json.dumps(value)}"
        settings.write_text("\n".join(lines) + "\n")

    async def begin(self, asked: Courier, **environment: str) -> None:
        """Start the agent and wait until it answers."""
        log = (self.home / "agent.log").open("ab")
        self.process = await asyncio.create_subprocess_exec(
            *self.prefix,
            *(sys.executable, "-m", "datatransfer.agent.service", "-c", str(self.home / "terapix.toml")),
            env={**os.environ, **environment},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
        log.close()
        async with asyncio.timeout(STARTS):
            while True:
                with contextlib.suppress(Silent):
                    await asked.status(self.address)
                    return
                assert self.process.returncode is None, (self.home / "agent.log").read_text()
                await asyncio.sleep(0.05)

    async def kill(self) -> None:
        """As a power cut would."""
        if self.process is not None and self.process.returncode is None:
            self.process.kill()
        if self.process is not None:
            await self.process.wait()


@dataclass(slots=True)
class Bed:
    """All hosts, and a courier in our own namespace: the coordinator's."""

    hosts: list[FarHost]
    courier: Courier
    real: bool
    """Whether they are namespaces with disks of their own."""


@contextlib.contextmanager
def _namespaces(directory: Path, count: int, size: int) -> Iterator[list[FarHost]]:
    tag = f"t{os.getpid() % 10000}"
    subnet = f"10.{100 + os.getpid() % 100}.77"
    bridge = f"{tag}br"
    with contextlib.ExitStack() as exits:
        run("ip", "link", "add", bridge, "type", "bridge")
        exits.callback(run, "ip", "link", "del", bridge)
        run("ip", "addr", "add", f"{subnet}.1/24", "dev", bridge)
        run("ip", "link", "set", bridge, "up")
        hosts = []
        for number in range(2, count + 2):
            name, space, link = f"node{number}", f"{tag}n{number}", f"{tag}v{number}"
            run("ip", "netns", "add", space)
            exits.callback(run, "ip", "netns", "del", space)
            run("ip", "link", "add", link, "type", "veth", "peer", "name", "eth0", "netns", space)
            exits.callback(subprocess.run, ["ip", "link", "del", link], check=False, capture_output=True)
            run("ip", "link", "set", link, "master", bridge, "up")
            inside = ("ip", "netns", "exec", space)
            run(*inside, "ip", "addr", "add", f"{subnet}.{number}/24", "dev", "eth0")
            run(*inside, "ip", "link", "set", "eth0", "up")
            run(*inside, "ip", "link", "set", "lo", "up")
            for kind in ("rmem", "wmem"):
                run(*inside, "sh", "-c", f"echo '{UNDER_WAY}' > /proc/sys/net/ipv4/tcp_{kind}")
            home, disk = directory / name, directory / name / "disk"
            disk.mkdir(parents=True)
            image = home / "disk.img"
            with image.open("wb") as file:
                file.truncate(size)
            run("mkfs.ext4", "-q", "-m", "0", "-O", "^has_journal", str(image))
            run("mount", "-o", "loop", str(image), str(disk))
            exits.callback(subprocess.run, ["umount", "-l", str(disk)], check=False, capture_output=True)
            entered = ["nsenter", f"--net=/run/netns/{space}"]  # ip netns exec would keep mounts of its own
            hosts.append(FarHost(name, f"https://{subnet}.{number}:{PORT}", disk, home, entered, link, image))
        yield hosts


@contextlib.contextmanager
def _processes(directory: Path, count: int) -> Iterator[list[FarHost]]:
    hosts = []
    for number in range(2, count + 2):
        home = directory / f"node{number}"
        (home / "disk").mkdir(parents=True)
        hosts.append(FarHost(f"node{number}", f"https://127.0.0.{number}:{PORT}", home / "disk", home, []))
    yield hosts


@contextlib.asynccontextmanager
async def bed(directory: Path, count: int, *, size: int = 64_000_000, **agent: Any) -> AsyncIterator[Bed]:
    """Lay out hosts; their agents are started by the test.

    Parameters
    ----------
    size : bytes of each host's disk
    agent : settings of [agent] there
    """
    real = allowed()
    with _namespaces(directory, count, size) if real else _processes(directory, count) as hosts:
        for host in hosts:
            furnish(host.directory)
            listen = host.address.split("//")[1].split(":")[0]
            section = {
                **certified(directory, host.name, role="agent", hosts=[listen]),
                "listen": listen,
                "port": PORT,
                **agent,
            }
            lines = [f"[paths]\ndirectory = {json.dumps(str(host.home))}", "[agent]"]
            lines += [f"{key} = {json.dumps(value)}" for key, value in section.items()]
            lines += [f'[[nodes]]\nname = "{host.name}"\ndirectory = {json.dumps(str(host.directory))}\nreserve = 0']
            (host.home / "terapix.toml").write_text("\n".join(lines) + "\n")
        chief = Settings.model_validate({"agent": certified(directory, "chief", role="coordinator")})
        trust = Trust.of(chief)
        assert trust is not None
        courier = Courier(trust)
        try:
            yield Bed(hosts, courier, real)
        finally:
            await courier.close()
            for host in hosts:
                await host.kill()
