"""The bytes of one data connection, plain or secured, at the rate that the host's limits allow."""

import asyncio
import contextlib
import socket
from abc import ABC, abstractmethod
from typing import Final

from snooppix.bandwidth import Limits

AT_ONCE: Final = 256 * 1024
"""Bytes that are read of a socket at once: more are not there in one piece, and cost memory that is not used."""
BUFFER: Final = 4 * 1024**2
"""Bytes of a secured connection that may wait to be read."""
LEAST_BUFFER: Final = 64 * 1024


class Data(ABC):
    """Bytes that come over one data connection."""

    def __init__(self, *, timeout: float, limits: Limits, host: str) -> None:
        self._timeout = timeout
        self._limits = limits
        self._host = host
        self._owed = 0
        """Bytes that came and are not yet paid for: they are handed on before we wait for the next."""

    async def read(self, most: int = BUFFER) -> bytes:
        """Return what has come; empty at the end.

        Raises
        ------
        TimeoutError
            If nothing comes in time.
        OSError
            If the connection fails.
        """
        if self._owed:
            owed, self._owed = self._owed, 0
            await self._limits.spend(self._host, owed)
        allowed = self._limits.most_at_once(self._host)
        async with asyncio.timeout(self._timeout):
            chunk = await self._read(min(most, allowed) if allowed > 0 else most)
        self._owed = len(chunk)
        return chunk

    @abstractmethod
    async def _read(self, most: int) -> bytes: ...

    @abstractmethod
    def close(self) -> None:
        """Want no more."""


class PlainData(Data):
    """A socket, read without a stream between: 400 MB cost 0.7 s of CPU less, bench_ftp.py."""

    def __init__(self, plain: socket.socket, *, timeout: float, limits: Limits, host: str) -> None:
        super().__init__(timeout=timeout, limits=limits, host=host)
        self._socket = plain

    async def _read(self, most: int) -> bytes:
        return await asyncio.get_running_loop().sock_recv(self._socket, min(most, AT_ONCE))

    def close(self) -> None:
        self._socket.close()


class SecuredData(Data):
    """A stream within TLS."""

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        *,
        timeout: float,
        limits: Limits,
        host: str,
    ) -> None:
        super().__init__(timeout=timeout, limits=limits, host=host)
        self._reader = reader
        self._writer = writer

    async def _read(self, most: int) -> bytes:
        return await self._reader.read(most)

    def close(self) -> None:
        with contextlib.suppress(RuntimeError):  # the loop has ended
            self._writer.close()


def buffer_of(limits: Limits, host: str) -> int:
    """Bytes that may wait to be read: few where a rate is kept, or they would come at once all the same."""
    allowed = limits.most_at_once(host)
    return max(LEAST_BUFFER, min(allowed, BUFFER)) if allowed > 0 else BUFFER
