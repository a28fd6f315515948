"""Agents in this process, each on a directory of its own, and a courier that asks them."""

import contextlib
import secrets
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from datatransfer.agent.authority import Authority
from datatransfer.agent.courier import Courier
from datatransfer.agent.receiver import Parcel
from datatransfer.agent.report import Reporter
from datatransfer.agent.roots import Root, roots_of
from datatransfer.agent.service import here, serving
from datatransfer.agent.trust import Trust
from datatransfer.disks import furnish
from datatransfer.mover import digest_of
from terapix.clock import SystemClock
from terapix.sections import Settings


def shared_token(directory: Path) -> dict[str, Any]:
    """Write a token that one machine's agents share; give the settings that name it."""
    file = directory / "agent-token"
    if not file.exists():
        file.touch(mode=0o600)
        file.write_text(secrets.token_hex(24))
    return {"token": str(file)}


def certified(directory: Path, name: str, *, role: str, hosts: Sequence[str] = ("127.0.0.1",)) -> dict[str, Any]:
    """Issue a certificate of an authority that is made at the first call; give the settings that name it."""
    now = datetime.now(UTC)
    place = directory / "authority"
    authority = Authority.open(place) if (place / "authority.pem").exists() else Authority.make(place, now=now)
    issued = authority.issue(name, role=role, hosts=hosts, now=now)
    return {"authority": str(place / "authority.pem"), "certificate": str(issued.certificate), "key": str(issued.key)}


@dataclass(slots=True)
class Agent:
    """One agent that listens."""

    name: str
    directory: Path
    address: str
    settings: Settings
    trust: Trust
    roots: dict[str, Root]

    @property
    def root(self) -> str:
        return f"nodes/{self.name}"

    def put(self, path: str, content: bytes) -> Path:
        place = self.directory / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content)
        return place

    def parcel(self, path: str, to: "Agent", *, source: str | None = None, **more: Any) -> Parcel:
        """Address one of our files to another agent, under the same path."""
        place = self.directory / path
        facts = {"digest": digest_of(place), "size": place.stat().st_size, **more} if "digest" not in more else more
        return Parcel(source or self.address, f"{self.root}/{path}", to.root, path, **facts)


@contextlib.asynccontextmanager
async def agent(
    directory: Path, name: str, credentials: dict[str, Any], *, reception: Path | None = None, **section: Any
) -> AsyncIterator[Agent]:
    """Let an agent serve one node of its own, and the reception where it is given."""
    root = directory / name
    furnish(root)
    settings = Settings.model_validate(
        {
            "paths": {
                "directory": str(directory / f"{name}-host"),
                **({"reception": str(reception)} if reception else {}),
            },
            "nodes": [{"name": name, "directory": str(root), "reserve": 0}],
            "agent": {"port": 0, **credentials, **section},
        }
    )
    trust = Trust.of(settings)
    assert trust is not None
    roots = roots_of(settings, here(settings))
    async with serving(settings, trust, roots, Reporter(roots, SystemClock(), walk_every=60.0)) as address:
        yield Agent(name, root, address, settings, trust, roots)


@contextlib.asynccontextmanager
async def courier(trust: Trust) -> AsyncIterator[Courier]:
    opened = Courier(trust)
    try:
        yield opened
    finally:
        await opened.close()
