"""Where the file of a frame lies on this host, as the database knows it."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from dbclient.records import FrameRecord, NodeRecord, ReplicaRecord
from dbclient.schema import ReplicaState
from terapix.sections import Settings


def file_of(
    settings: Settings, frame: FrameRecord, replicas: Sequence[ReplicaRecord], nodes: Mapping[int, NodeRecord]
) -> Path | None:
    """Give the frame's file, on a node or on a reception disk, if it lies on this host."""
    places = [
        (Path(nodes[replica.node_id].directory), replica.path)
        for replica in replicas
        if replica.state is ReplicaState.HELD and replica.node_id in nodes
    ]
    if frame.path:
        places.append((settings.received(frame.disk, ""), frame.path))
    for root, path in places:
        found = inside(root, path)
        if found is not None:
            return found
    return None


def inside(root: Path, path: str) -> Path | None:
    """Give the file `path` below `root`, or None if it is not there or leads out."""
    whole = (root / path).resolve()
    return whole if whole.is_relative_to(root.resolve()) and whole.is_file() else None
