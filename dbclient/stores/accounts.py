"""Operators, their sessions, and wrong passwords."""

from datetime import datetime

from sqlalchemy import delete, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from dbclient.schema import Account, LoginFailure, LoginSession


class Accounts:
    async def named(self, session: AsyncSession, name: str) -> Account | None:
        return await session.scalar(select(Account).where(Account.name == name))

    async def count(self, session: AsyncSession) -> int:
        return int(await session.scalar(select(func.count()).select_from(Account)) or 0)

    async def add(self, session: AsyncSession, *, name: str, password: str, now: datetime) -> int:
        """Make an account; `password` is the argon2id hash."""
        row = Account(name=name, password=password, created_at=now)
        session.add(row)
        await session.flush()
        return row.id

    async def set_password(self, session: AsyncSession, account_id: int, password: str) -> None:
        row = await session.get(Account, account_id)
        if row is not None:
            row.password = password

    async def open_session(
        self, session: AsyncSession, *, key: str, account_id: int, csrf: str, now: datetime, expires: datetime
    ) -> None:
        session.add(LoginSession(key=key, account_id=account_id, csrf=csrf, created_at=now, expires_at=expires))
        await session.flush()

    async def session_of(
        self, session: AsyncSession, key: str, *, now: datetime
    ) -> tuple[LoginSession, Account] | None:
        """Give a session that has not expired, with its account."""
        query = (
            select(LoginSession, Account)
            .join(Account, Account.id == LoginSession.account_id)
            .where(LoginSession.key == key, LoginSession.expires_at > now)
        )
        found = (await session.execute(query)).first()
        return (found[0], found[1]) if found else None

    async def extend_session(self, session: AsyncSession, key: str, *, expires: datetime) -> None:
        """Move the end of a session on."""
        row = await session.get(LoginSession, key)
        if row is not None:
            row.expires_at = expires

    async def close_session(self, session: AsyncSession, key: str) -> None:
        await session.execute(delete(LoginSession).where(LoginSession.key == key))

    async def sweep(self, session: AsyncSession, *, now: datetime, failures_before: datetime) -> None:
        """Forget expired sessions and old failures."""
        await session.execute(delete(LoginSession).where(LoginSession.expires_at <= now))
        await session.execute(delete(LoginFailure).where(LoginFailure.at < failures_before))

    async def failed(self, session: AsyncSession, *, address: str, now: datetime) -> None:
        session.add(LoginFailure(address=address, at=now))
        await session.flush()

    async def failures(self, session: AsyncSession, *, address: str, since: datetime) -> list[datetime]:
        """Give the moments of wrong passwords from an address, oldest first."""
        query = select(LoginFailure.at).where(LoginFailure.address == address, LoginFailure.at >= since)
        return list(await session.scalars(query.order_by(LoginFailure.at)))

    async def forgive(self, session: AsyncSession, *, address: str) -> None:
        await session.execute(delete(LoginFailure).where(LoginFailure.address == address))
