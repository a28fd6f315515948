"""Debian's vsftpd as an archive: a real FTP server on loopback, over a directory, run by whoever runs the test."""

import contextlib
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import trustme

PROGRAM = "/usr/sbin/vsftpd"
"""Where Debian puts it, which is not in everybody's path."""

DAY = 86_400.0

CONFIGURATION = """\
background=NO
listen=YES
listen_address=127.0.0.1
listen_port={port}
run_as_launching_user=YES
seccomp_sandbox=NO
anonymous_enable=YES
no_anon_password=YES
anon_root={directory}
xferlog_enable=YES
log_ftp_protocol=YES
debug_ssl=YES
vsftpd_log_file={log}
"""
SECURED = """\
ssl_enable=YES
allow_anon_ssl=YES
force_anon_logins_ssl=YES
force_anon_data_ssl=YES
ssl_ciphers=HIGH
rsa_cert_file={certificate}
"""


@dataclass(slots=True)
class Vsftpd:
    """A running server; without chroot, so that paths on it are those of this host."""

    process: subprocess.Popen[bytes]
    port: int
    directory: Path
    log: Path
    authority: Path

    @property
    def address(self) -> str:
        """What `archive.address` must say; the certificate is for localhost."""
        return f"ftp://localhost:{self.port}{self.directory}"

    def offer(self, name: str, content: bytes, *, age: float = 2 * DAY) -> Path:
        """Put a file there whose last change is `age` seconds old."""
        new = self.directory / f".{name}.new"
        new.write_bytes(content)
        os.utime(new, (time.time() - age, time.time() - age))
        return new.rename(self.directory / name)

    def cut(self) -> int:
        """End all sessions in the middle, and not the server; return how many."""
        children = psutil.Process(self.process.pid).children(recursive=True)
        for child in children:
            with contextlib.suppress(psutil.NoSuchProcess):
                child.send_signal(signal.SIGKILL)
        return len(children)

    def commands(self) -> list[str]:
        """What clients said, as RETR /…/979412p.fits.fz."""
        lines = self.log.read_text(errors="replace").splitlines() if self.log.exists() else []
        return [line.split('", "', 1)[1].rstrip('"') for line in lines if "FTP command" in line]


@contextlib.contextmanager
def vsftpd(place: Path, *, secured: bool = False, **options: str) -> Iterator[Vsftpd]:
    """Run a server until the end of the block."""
    directory, certificate, authority = place / "served", place / "server.pem", place / "authority.pem"
    directory.mkdir(parents=True)
    port = _free_port()
    log = place / "vsftpd.log"
    text = CONFIGURATION.format(port=port, directory=directory, log=log)
    if secured:
        ca = trustme.CA()
        ca.issue_cert("localhost").private_key_and_cert_chain_pem.write_to_path(str(certificate))
        ca.cert_pem.write_to_path(str(authority))
        text += SECURED.format(certificate=certificate)
    text += "".join(f"{name}={value}\n" for name, value in options.items())
    configuration = place / "vsftpd.conf"
    configuration.write_text(text)
    process = subprocess.Popen([PROGRAM, str(configuration)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    try:
        _until_it_listens(port, process)
        yield Vsftpd(process, port, directory, log, authority)
    finally:
        children = psutil.Process(process.pid).children(recursive=True)
        process.kill()
        for child in children:
            with contextlib.suppress(psutil.NoSuchProcess):
                child.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def _until_it_listens(port: int, process: subprocess.Popen[bytes]) -> None:
    for _ in range(200):
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1.0):
            return
        if process.poll() is not None:
            assert process.stdout is not None
            raise AssertionError(f"vsftpd ended: {process.stdout.read().decode()}")
        time.sleep(0.02)
    raise AssertionError("vsftpd does not listen")
