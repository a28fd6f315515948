"""What a server says on the control connection: replies, facts and times, taken with care.

A server may be wrong, old or hostile: replies come into logs and events, so
what cannot be printed is escaped; none is read for ever; and what came in the
clear behind the leave to begin TLS counts for nothing.
"""

import contextlib
import errno
import re
import ssl
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Final

from aioftp import Client, Code, StatusCodeError
from aioftp.errors import AIOFTPException

from terapix.errors import TerapixError

LONGEST_NUMBER: Final = 18
"""Digits of a size; more would not fit into the database."""
LONGEST_REPLY: Final = 500
"""Lines of one reply; a welcome may have a page of rules."""
UNKNOWN: Final = frozenset({500, 501, 502, 504})
"""Replies to a command that the server does not know."""


class Refused(TerapixError):
    """The server answers with a code that says no."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(f"the server answers {code} {text}".strip())
        self.code = code
        self.text = text


class NoRest(Refused):
    """The server begins a file at its beginning only."""


class Control(Client):
    """aioftp's client, which does not take every reply as it comes."""

    _lines = 0
    """Of the reply that is being read."""

    async def parse_response(self) -> tuple[Code, list[str]]:
        self._lines = 0
        return await super().parse_response()

    async def parse_line(self) -> tuple[Code, str]:
        """Read one line; what is not UTF-8 or cannot be printed is escaped, since replies come into the log."""
        self._lines += 1
        if self._lines > LONGEST_REPLY:
            raise ValueError(f"more than {LONGEST_REPLY} lines")
        line = await self.stream.readline()
        if not line:
            self.stream.close()
            raise ConnectionResetError(errno.ECONNRESET, "the server hung up")
        text = line.decode("utf-8", errors="backslashreplace").rstrip("\r\n")
        return Code(text[:3]), printable(text[3:])

    async def secure(self, trust: ssl.SSLContext, host: str) -> None:
        """Begin TLS, and demand it for data too; nothing is believed that came in the clear behind the leave to begin.

        Else whoever sits between could put replies there that would count as said within TLS.
        """
        await self.command("AUTH TLS", "234")
        if self.stream.reader._buffer:  # type: ignore[attr-defined]  # noqa: SLF001 - there is no public way to ask
            raise ValueError("more in the clear after the leave to begin TLS")
        await self.stream.start_tls(sslcontext=trust, server_hostname=host)
        await self.command("PBSZ 0", "200")
        await self.command("PROT P", "200")


@contextlib.contextmanager
def answers() -> Iterator[None]:
    """Turn aioftp's errors into ours."""
    try:
        yield
    except StatusCodeError as problem:
        code = str(problem.received_codes[-1])
        text = " ".join(line.strip() for line in problem.info)[:200]
        raise Refused(int(code) if is_number(code) else 0, text) from problem
    except OSError:  # of which an untrusted certificate is one, and a ValueError too
        raise
    except (AIOFTPException, ValueError, IndexError) as problem:
        raise Refused(0, f"with what is no reply: {problem}"[:200]) from problem


def facts_of(line: str) -> tuple[dict[str, str], str]:
    """Part a line of MLSD or MLST: its facts, with keys in small letters, and the name behind them."""
    facts, _, name = line.partition(" ")
    parted = (fact.partition("=") for fact in facts.split(";"))
    return {key.lower(): value for key, _, value in parted if value}, name


def is_number(text: str) -> bool:
    """Tell whether a text is a number of bytes that the database can hold."""
    return text.isascii() and text.isdigit() and len(text) <= LONGEST_NUMBER


def printable(text: str) -> str:
    """Escape what would move a cursor, part lines, or hide: what a server says comes into logs and events."""
    return "".join(sign if sign.isprintable() else sign.encode("unicode_escape").decode() for sign in text)


def stamp(text: str) -> datetime | None:
    """Read a time as FTP writes it, 20080330061539 with or without a fraction, in UTC; none if it is none."""
    found = re.fullmatch(r"(\d{14})(\.\d{1,9})?", text.strip())
    if found is None:
        return None
    try:
        return datetime.strptime(found[1], "%Y%m%d%H%M%S").replace(tzinfo=UTC)
    except ValueError:
        return None
