"""A small site for tests of datatransfer and the pipeline: a reception, two nodes and a database, without daemons."""

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from datatransfer.service import Coordinator
from dbclient.database import Database
from dbclient.records import FrameRecord, NodeRecord, ReplicaRecord
from dbclient.schema import FrameKind, FrameState, ReplicaState
from dbclient.stores import Frames, Leases, Nodes, Replicas, Sighting, Transfers
from terapix.clock import SetClock
from terapix.sections import Settings

NIGHT = datetime(2003, 12, 20, 23, 0, tzinfo=UTC)
MB = 1_000_000


def settings_for(
    directory: Path,
    *,
    capacity: int = 100 * MB,
    nodes: int = 2,
    nodes_are: list[dict[str, Any]] | None = None,
    **sections: Any,
) -> Settings:
    return Settings.model_validate(
        {
            "paths": {"directory": str(directory)},
            "nodes": nodes_are
            or [
                {"name": f"node{n}", "directory": f"nodes/node{n}", "capacity": capacity, "reserve": 0}
                for n in range(1, nodes + 1)
            ],
            **sections,
        }
    )


@dataclass(slots=True)
class Site:
    """Everything that datatransfer meets, and what a test asks of it."""

    settings: Settings
    database: Database
    clock: SetClock
    coordinator: Coordinator

    def restarted(self) -> Coordinator:
        """Give a coordinator that knows nothing of what an earlier one did, as after kill -9."""
        self.coordinator = Coordinator(self.database, self.settings, self.clock)
        return self.coordinator

    async def settle(self, passes: int = 3) -> str:
        """Make passes until moves and copies have ended."""
        said = ""
        await self.coordinator.start()
        for _ in range(passes):
            said = await self.coordinator.pass_()
            await self.coordinator.moves.settled()
            await self.coordinator.calibrations.settled()
        return said

    async def valid(
        self,
        name: str,
        *,
        content: bytes = b"pixels" * 1000,
        runid: str | None = "08AC14",
        kind: FrameKind = FrameKind.OBJECT,
        needs: dict[str, int] | None = None,
        **columns: Any,
    ) -> FrameRecord:
        """Have a frame or calibration verified at reception."""
        room = "headervalid" if kind is FrameKind.OBJECT else "calibrations"
        path = f"from_CADC/{room}/{name}.fits.fz"
        place = self.settings.received(columns.get("disk"), path)
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content)
        digest = f"md5:{hashlib.md5(content).hexdigest()}"
        needs = needs or {"frame": len(content), "unpacked": 2 * len(content), "scratch": len(content)}
        frames = Frames()
        async with self.database.write() as session:
            sighting = Sighting(
                name=name, uri=f"cadc:CFHT/{name}.fits.fz", kind=kind, size=len(content), digest=digest, runid=runid
            )
            now = self.clock.now()
            await frames.sight(session, sighting, now=now, source="test")
            frame = await frames.named(session, name)
            assert frame is not None
            for state in (FrameState.FETCHED, FrameState.VALID):
                await frames.advance(session, frame.id, state, now=now, source="test", message=state.value, path=path)
            await frames.describe(session, frame.id, needs=needs, **columns)
        return await self.frame(name)

    async def frame(self, name: str) -> FrameRecord:
        async with self.database.read() as session:
            frame = await Frames().named(session, name)
        assert frame is not None
        return frame

    async def node(self, name: str) -> NodeRecord:
        async with self.database.read() as session:
            node = await Nodes().named(session, name)
        assert node is not None
        return node

    async def replicas(self, name: str) -> list[tuple[str, ReplicaRecord]]:
        """Node and replica of each copy that is held."""
        async with self.database.read() as session:
            frame = await Frames().named(session, name)
            assert frame is not None
            nodes = {node.id: node.name for node in await Nodes().all(session)}
            held = [r for r in await Replicas().of_frame(session, frame.id) if r.state is ReplicaState.HELD]
        return [(nodes[replica.node_id], replica) for replica in held]

    async def open_things(self) -> tuple[int, int]:
        """Count open leases and open moves."""
        async with self.database.read() as session:
            leases = await Leases().open(session)
            moves = await Transfers().running(session) + await Transfers().promised(session)
        return len(leases), len(moves)

    def directory(self, node: str) -> Path:
        return self.settings.at(Path("nodes") / node)

    def files(self, node: str) -> list[str]:
        """Files below a node, as paths below its root."""
        root = self.directory(node)
        return sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file())

    def reception(self) -> list[str]:
        """Frames that lie at reception."""
        room = self.settings.reception / "from_CADC" / "headervalid"
        return sorted(path.name for path in room.iterdir()) if room.is_dir() else []


async def open_site(directory: Path, **more: Any) -> Site:
    settings = settings_for(directory, **more)
    database = await Database.open(settings.database_url, create=True)
    clock = SetClock(NIGHT)
    return Site(settings, database, clock, Coordinator(database, settings, clock))
