"""What a service tells systemd, over the socket that systemd names."""

import os
import socket
import time
from collections.abc import Mapping


class Notifier:
    """Sends sd_notify messages; does nothing where no service manager listens."""

    def __init__(self, environment: Mapping[str, str] | None = None) -> None:
        found = (os.environ if environment is None else environment).get("NOTIFY_SOCKET", "")
        self._address = "\0" + found[1:] if found.startswith("@") else found

    def send(self, **states: object) -> None:
        """Send states, as ``send(READY=1, STATUS="looks at the archive")``."""
        if not self._address:
            return
        message = "\n".join(
            f"{name}={str(value).splitlines()[0] if str(value) else ''}" for name, value in states.items()
        )
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
            sender.setblocking(False)
            try:
                sender.sendto(message.encode(), self._address)
            except OSError:
                return

    def reloading(self) -> None:
        """Say that the settings are being read again."""
        self.send(RELOADING=1, MONOTONIC_USEC=time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000)
