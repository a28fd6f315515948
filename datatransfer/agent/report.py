"""What an agent reports of its host: its disks, its load, its version."""

import asyncio
import os
import socket
from collections.abc import Mapping
from typing import Any

import psutil

from datatransfer.agent.roots import Root
from datatransfer.disks import ROOMS, Disk, Gauge, Ill
from terapix import __version__
from terapix.clock import Clock


class Reporter:
    """Measures every root with a deadline, so that a dead mount never holds an answer back."""

    def __init__(self, roots: Mapping[str, Root], clock: Clock, *, walk_every: float) -> None:
        self._gauges = {
            name: Gauge(
                root.directory,
                clock,
                walk_every=walk_every,
                rooms=ROOMS if name.startswith("nodes/") else (),
                own=root.own_disks,
            )
            for name, root in roots.items()
        }
        self._seen: set[str] = set()
        """Roots that have answered once: their disks are missed when they are gone."""
        self._began = clock.now().isoformat()
        psutil.cpu_percent()

    async def disks(self) -> dict[str, dict[str, Any]]:
        """Give what each root's disk has, or why it cannot be used."""
        found = await asyncio.gather(*(gauge.measure() for gauge in self._gauges.values()))
        told: dict[str, dict[str, Any]] = {}
        for (name, gauge), disk in zip(self._gauges.items(), found, strict=True):
            if isinstance(disk, Ill) and name not in self._seen and name.startswith("reception/"):
                continue  # a host of nodes alone has no reception disk
            self._seen.add(name)
            told[name] = {"directory": str(gauge.directory)}
            if isinstance(disk, Ill):
                told[name]["ill"] = disk.reason
                continue
            told[name] |= {"held": gauge.held, "walks": gauge.walks, **_figures(disk)}
            told[name]["elsewhere"] = {room: _figures(other) for room, other in disk.elsewhere.items()}
        return told

    async def report(self) -> dict[str, Any]:
        """Give disks, load and version."""
        return {
            "host": socket.gethostname(),
            "version": __version__,
            "since": self._began,
            "cores": os.cpu_count(),
            "load": os.getloadavg()[0],
            "cpu": psutil.cpu_percent(),
            "memory": psutil.virtual_memory().available,
            "disks": await self.disks(),
        }


def _figures(disk: Disk) -> dict[str, Any]:
    return {"free": disk.free, "total": disk.total, "inodes": disk.inodes, "device": disk.device}
