"""Debian's nginx as a storage site: a real HTTP server on loopback over a directory, run by whoever runs the test."""

import contextlib
import os
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

PROGRAM = "/usr/sbin/nginx"
"""Where Debian puts it, which is not in everybody's path."""

CONFIGURATION = """\
worker_processes 1; daemon off; pid {root}/pid; error_log {root}/error.log; user {user};
events {{ worker_connections 64; }}
http {{
  log_format asked '$status "$http_range" $body_bytes_sent';
  access_log {root}/asked.log asked;
  sendfile on; types {{ application/fits fz; }}
  gzip on; gzip_types *; gzip_min_length 1;
  limit_conn_zone $binary_remote_addr zone=one:1m;
  client_body_temp_path {root}/1; proxy_temp_path {root}/2; fastcgi_temp_path {root}/3;
  uwsgi_temp_path {root}/4; scgi_temp_path {root}/5;
  server {{ listen 127.0.0.1:{port}; root {root}/www; {said} }}
}}
"""


@dataclass(slots=True)
class Nginx:
    """A server that can be stopped and started again at the same address."""

    root: Path
    port: int
    said: str
    """What is said in its configuration of the server, as ``limit_rate 4m;``."""
    process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def offer(self, name: str, content: bytes) -> str:
        """Put a file there; give its address."""
        new = self.root / "www" / f".{name}"
        new.write_bytes(content)
        new.rename(self.root / "www" / name)
        return f"{self.address}/{name}"

    def asked(self) -> list[str]:
        """Status, Range and bytes of each answer that has ended."""
        return (self.root / "asked.log").read_text().splitlines()

    def start(self) -> None:
        user = "root" if os.geteuid() == 0 else "nobody"
        text = CONFIGURATION.format(root=self.root, port=self.port, said=self.said, user=user)
        (self.root / "nginx.conf").write_text(text)
        argv = [PROGRAM, "-c", str(self.root / "nginx.conf"), "-e", str(self.root / "error.log")]
        self.process = subprocess.Popen(argv, stderr=subprocess.PIPE)
        for _ in range(200):
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1.0):
                return
            if self.process.poll() is not None:
                assert self.process.stderr is not None
                raise AssertionError(f"nginx ended: {self.process.stderr.read().decode()}")
            time.sleep(0.02)
        raise AssertionError("nginx does not listen")

    def stop(self) -> None:
        """End it and all its connections at once."""
        if self.process is not None:
            self.process.terminate()
            self.process.wait()
            assert self.process.stderr is not None
            self.process.stderr.close()
            self.process = None


@contextlib.contextmanager
def nginx(place: Path, said: str = "") -> Iterator[Nginx]:
    """Run a server until the end of the block."""
    (place / "www").mkdir(parents=True)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = int(free.getsockname()[1])
    server = Nginx(place, port, said)
    server.start()
    try:
        yield server
    finally:
        server.stop()
