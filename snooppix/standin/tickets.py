"""Signed texts that say something for a while: tokens of those who signed in, and pre-authorised addresses."""

import base64
import hashlib
import hmac
import itertools
import json
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

    def issue(self, *words: str, seconds: float) -> str:
        """Sign words; good for so many seconds. Letters, digits, ``-``, ``_`` and one dot: it can stand in a path."""
        until = (self._clock.now() + timedelta(seconds=seconds)).isoformat()
        text = json.dumps([until, next(self._numbers), *words])
        said = base64.urlsafe_b64encode(text.encode()).rstrip(b"=").decode()
        return f"{said}.{self._sign(said)}"

    def read(self, ticket: str) -> tuple[str, ...]:
        """Return the words of a ticket; none if it is forged, too old or taken back."""
        said, _, signature = ticket.partition(".")
        if ticket in self._revoked or not hmac.compare_digest(_bytes(signature), self._sign(said).encode()):
            return ()
        until, _, *words = json.loads(base64.urlsafe_b64decode(said + "=" * (-len(said) % 4)))
        return tuple(words) if self._clock.now() < datetime.fromisoformat(until) else ()

    def revoke(self, ticket: str) -> None:
        """Take a ticket back."""
        self._revoked.add(ticket)

    def _sign(self, said: str) -> str:
        signed = hmac.digest(self._secret, _bytes(said), hashlib.sha256)
        return base64.urlsafe_b64encode(signed).rstrip(b"=").decode()


def _bytes(said: str) -> bytes:
    """Give the bytes of what a caller said, which may be no text."""
    return said.encode(errors="surrogateescape")
