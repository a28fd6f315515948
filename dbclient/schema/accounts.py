"""Operators, their sessions, and the throttle on guesses."""

from datetime import datetime

from sqlalchemy import ForeignKey
from sqlalchemy.orm import Mapped, mapped_column

from dbclient.schema.base import Base, Text


class Account(Base):
    __tablename__ = "accounts"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    name: Mapped[str] = mapped_column(Text(60), unique=True)
    password: Mapped[str]
    """argon2id hash."""
    created_at: Mapped[datetime]


class LoginSession(Base):
    __tablename__ = "login_sessions"

    key: Mapped[str] = mapped_column(Text(64), primary_key=True)
    """SHA-256 of the cookie, so that the table lets nobody in."""
    account_id: Mapped[int] = mapped_column(ForeignKey("accounts.id"))
    csrf: Mapped[str] = mapped_column(Text(64))
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime]


class LoginFailure(Base):
    """Wrong passwords, counted a source address."""

    __tablename__ = "login_failures"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    address: Mapped[str] = mapped_column(Text(60), index=True)
    at: Mapped[datetime]
