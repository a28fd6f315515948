"""What a service tells systemd, over the socket that systemd names (sd_notify(3))."""

import os
import socket
import time
from collections.abc import Mapping

PATIENCE = 1.0
"""Seconds to wait for a service manager whose socket is full: a READY that is lost ends the service."""


class Notifier:
    """Sends sd_notify messages; does nothing where no service manager listens."""

    def __init__(self, environment: Mapping[str, str] | None = None) -> None:
        found = (os.environ if environment is None else environment).get("NOTIFY_SOCKET", "")
        self._address = "\0" + found[1:] if found.startswith("@") else found

    def send(self, **states: object) -> None:
        """Send states in one message, as ``send(READY=1, STATUS="looks at the archive")``; of a text, its first line.

        A manager that does not answer is no reason to stop working: the message is then dropped.
        """
        if not self._address:
            return
        message = "\n".join(f"{name}={next(iter(str(value).splitlines()), '')}" for name, value in states.items())
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
            sender.settimeout(PATIENCE)
            try:
                sender.sendto(message.encode(), self._address)
            except OSError:
                return

    def reloading(self) -> None:
        """Say that the settings are being read again; READY=1 says that this is over."""
        self.send(RELOADING=1, MONOTONIC_USEC=time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000)
