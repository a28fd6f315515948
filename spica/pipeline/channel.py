"""A channel for Dask that lets nobody in without the key: tcp on loopback, with a challenge before the first message.

Dask's messages are pickles: who may talk to a scheduler or a worker may run any
code as its user. On a host with other users, loopback alone does not keep them
out. Both ends of a connection therefore prove that they know the key (HMAC of
the other's challenge) before a single message is read; the key itself never travels.
"""

import asyncio
import hmac
import secrets
from typing import Any

from distributed.comm.core import FatalCommClosedError
from distributed.comm.registry import backends
from distributed.comm.tcp import TCPBackend, TCPConnector, TCPListener

SCHEME = "keyed"
"""Addresses of such channels begin with keyed://."""
CHALLENGE = 32
"""Bytes of a challenge, and of an answer (SHA-256)."""
PATIENCE = 10.0
"""Seconds that the other end has to prove itself."""


def new_key() -> str:
    """Make a key for one scheduler and its workers, as hexadecimal text."""
    return secrets.token_hex(32)


def open_channel(key: str) -> None:
    """Make ``keyed://`` known to Dask in this process."""
    backends[SCHEME] = _backend(bytes.fromhex(key))


def _answer(key: bytes, role: bytes, mine: bytes, theirs: bytes) -> bytes:
    return hmac.digest(key, role + mine + theirs, "sha256")


async def _prove(stream: Any, key: bytes, role: bytes, other: bytes) -> bool:
    """Prove to the other end of a stream that we know the key, and ask the same of it."""
    mine = secrets.token_bytes(CHALLENGE)
    await stream.write(mine)
    theirs = await stream.read_bytes(CHALLENGE)
    await stream.write(_answer(key, role, mine, theirs))
    found = await stream.read_bytes(CHALLENGE)
    return hmac.compare_digest(found, _answer(key, other, theirs, mine))


def _backend(key: bytes) -> TCPBackend:
    class KeyedConnector(TCPConnector):  # type: ignore[misc]  # distributed ships no types
        prefix = f"{SCHEME}://"

        async def connect(self, address: str, deserialize: bool = True, **arguments: Any) -> Any:
            comm = await super().connect(address, deserialize, **arguments)
            try:
                known = await asyncio.wait_for(_prove(comm.stream, key, b"caller", b"called"), PATIENCE)
            except (OSError, TimeoutError) as problem:
                comm.abort()
                raise OSError(f"{address} did not prove that it knows our key: {problem}") from problem
            if not known:
                comm.abort()
                raise FatalCommClosedError(f"{address} does not know our key")
            return comm

    class KeyedListener(TCPListener):  # type: ignore[misc]  # distributed ships no types
        prefix = f"{SCHEME}://"

        async def _prepare_stream(self, stream: Any, address: str) -> Any:
            del address
            try:
                known = await asyncio.wait_for(_prove(stream, key, b"called", b"caller"), PATIENCE)
            except (OSError, TimeoutError):
                known = False
            if not known:
                stream.close()
                return None
            return stream

    class KeyedBackend(TCPBackend):  # type: ignore[misc]  # distributed ships no types
        _connector_class = KeyedConnector
        _listener_class = KeyedListener

    return KeyedBackend()
