"""Operators, their sessions, and the throttle on guesses."""

from datetime import datetime

from sqlalchemy import ForeignKey
from sqlalchemy.orm import Mapped, mapped_column

from dbclient.schema.base import Base, Text


class Account(Base):
    """A person who may act on the console."""

    __tablename__ = "accounts"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    name: Mapped[str] = mapped_column(Text(60), unique=True)
    """What the operator signs in as."""
    password: Mapped[str]
    """argon2id hash."""
    created_at: Mapped[datetime]


class LoginSession(Base):
    """An operator who is signed in."""

    __tablename__ = "login_sessions"

    key: Mapped[str] = mapped_column(Text(64), primary_key=True)
    """SHA-256 of the cookie, so that the table lets nobody in."""
    account_id: Mapped[int] = mapped_column(ForeignKey("accounts.id"))
    csrf: Mapped[str] = mapped_column(Text(64))
    """Secret that every form of this session carries."""
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    """When the operator has to sign in again."""


class LoginFailure(Base):
    """Wrong passwords, counted a source address."""

    __tablename__ = "login_failures"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    address: Mapped[str] = mapped_column(Text(60), index=True)
    """Where the guess came from."""
    at: Mapped[datetime]
    """When."""
