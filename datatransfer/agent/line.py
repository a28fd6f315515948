"""One connection to another agent, for reading: blocking, so that bytes go from the socket to where they are wanted."""

import http.client
import json
import ssl
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final, Self
from urllib.parse import quote, urlsplit

from datatransfer.agent.trust import Trust
from datatransfer.errors import Declined, MoveError, SourceGone

SILENCE: Final = 10.0
"""Seconds without a byte after which a connection is given up: the file goes on over another one."""
FILES: Final = "/v1/files/"
"""Where an agent has its files."""


class Cut(MoveError):
    """The connection broke, or could not be made."""


class Line:
    """A connection that is opened when it is needed."""

    def __init__(self, address: str, trust: Trust, *, silence: float = SILENCE) -> None:
        self.address = address
        self._trust = trust
        parts = urlsplit(address)
        if parts.scheme == "https":
            self._connection: http.client.HTTPConnection = http.client.HTTPSConnection(
                parts.hostname or "", parts.port, timeout=silence, context=trust.client
            )
        else:
            self._connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=silence)
        self._answer: http.client.HTTPResponse | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *problem: object) -> None:
        self.close()

    def ask(self, origin: str, begin: int, end: int, *, size: int) -> None:
        """Ask for bytes `begin` to `end` of a file of `size` bytes.

        Raises
        ------
        Cut, SourceGone, Declined
        """
        headers = {"Range": f"bytes={begin}-{end - 1}"} if (begin, end) != (0, size) else {}
        answer = self._send("GET", FILES + quote(origin), headers)
        if answer.status == HTTPStatus.NOT_FOUND:
            raise SourceGone(Path(origin))
        wanted = HTTPStatus.PARTIAL_CONTENT if headers else HTTPStatus.OK
        if answer.status != wanted or answer.length != end - begin:
            said = f"{answer.status} and {answer.length} bytes, {end - begin} were asked for"
            raise Declined(f"{self.address} gives no part of {origin}: {said}")

    def pack(self, origins: Sequence[str]) -> None:
        """Ask for many files at once, one behind the other; see `datatransfer.agent.packs`.

        Raises
        ------
        Cut, Declined
        """
        answer = self._send("POST", "/v1/pack", {"Content-Type": "application/json"}, json.dumps(list(origins)))
        if answer.status != HTTPStatus.OK:
            raise Declined(f"{self.address} gives no pack of files: {answer.status}")

    def _send(
        self, method: str, path: str, headers: Mapping[str, str], body: str | None = None
    ) -> http.client.HTTPResponse:
        for again in (False, True):
            fresh = self._connection.sock is None
            try:
                self._connection.request(method, path, body, headers={**self._trust.headers(), **headers})
                self._answer = self._connection.getresponse()
            except (OSError, http.client.HTTPException) as problem:
                self.close()
                if fresh or again or isinstance(problem, ssl.SSLError | TimeoutError):
                    raise Cut(_said(problem)) from problem
            else:
                return self._answer
        raise Cut("not reached")

    def read_into(self, view: memoryview) -> int:
        """Read bytes of the answer into a buffer, as many as it holds or as are left; 0 at the end.

        Raises
        ------
        Cut
        """
        if self._answer is None:
            return 0
        try:
            return self._answer.readinto(view)
        except (OSError, ValueError, http.client.HTTPException) as problem:
            self.close()
            raise Cut(_said(problem)) from problem

    def close(self) -> None:
        self._answer = None
        self._connection.close()


def _said(problem: Any) -> str:
    if isinstance(problem, TimeoutError):
        return f"no byte for {SILENCE:g} s"
    if isinstance(problem, ssl.SSLError):
        return f"no trust between us: {problem.reason or problem}"
    return str(getattr(problem, "strerror", None) or problem) or type(problem).__name__
