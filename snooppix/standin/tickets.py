"""Signed texts that say something for a while: tokens of those who signed in, and pre-authorised addresses."""

import base64
import hashlib
import hmac
import itertools
import secrets
from datetime import datetime, timedelta

from terapix.clock import Clock


class Tickets:
    """Gives tickets out and checks them; nothing is kept but those that were taken back."""

    def __init__(self, *, clock: Clock) -> None:
        self._clock = clock
        self._secret = secrets.token_bytes(32)
        self._numbers = itertools.count(1)
        self._revoked: set[str] = set()

    def issue(self, what: str, *, seconds: float) -> str:
        """Sign `what`; good for so many seconds. Letters, digits, ``-``, ``_`` and one dot: it can stand in a path."""
        until = (self._clock.now() + timedelta(seconds=seconds)).isoformat()
        said = base64.urlsafe_b64encode(f"{until} {next(self._numbers)} {what}".encode()).rstrip(b"=").decode()
        return f"{said}.{self._sign(said)}"

    def read(self, ticket: str) -> str | None:
        """Return what a ticket says; None if it is forged, too old or taken back."""
        said, _, signature = ticket.partition(".")
        if ticket in self._revoked or not hmac.compare_digest(signature.encode(), self._sign(said).encode()):
            return None
        until, _, what = base64.urlsafe_b64decode(said + "=" * (-len(said) % 4)).decode().split(" ", 2)
        return what if self._clock.now() < datetime.fromisoformat(until) else None

    def revoke(self, ticket: str) -> None:
        """Take a ticket back."""
        self._revoked.add(ticket)

    def _sign(self, said: str) -> str:
        signed = hmac.digest(self._secret, said.encode(), hashlib.sha256)
        return base64.urlsafe_b64encode(signed).rstrip(b"=").decode()
