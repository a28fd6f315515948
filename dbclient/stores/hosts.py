"""Hosts that files come from: whether they are asked at present."""

from dataclasses import asdict

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from dbclient.records import HostRecord, record
from dbclient.schema import Host


class Hosts:
    async def all(self, session: AsyncSession) -> list[HostRecord]:
        """Give every host that ever was in trouble, by name."""
        return [record(HostRecord, row) for row in await session.scalars(select(Host).order_by(Host.name))]

    async def put(self, session: AsyncSession, host: HostRecord) -> None:
        """Write down what is known of a host."""
        await session.merge(Host(**asdict(host)))
