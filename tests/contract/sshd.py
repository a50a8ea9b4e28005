"""A real sshd on loopback: its own port, host key and authorized key, all below one folder."""

from __future__ import annotations

import getpass
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from contract.projects import free_port

NEEDED = ("sshd", "ssh-keygen", "ssh")
PATHS = os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin", "/sbin"))


ENDS = ("Connection closed by", "Connection reset by", "Disconnected from")
"""How the log tells of the end of a connection."""


@dataclass(frozen=True)
class Sshd:
    """Where it listens, and the files with which it lets us in."""

    folder: Path
    port: int
    process: subprocess.Popen[bytes]
    user: str

    @property
    def identity(self) -> Path:
        return self.folder / "user_key"

    @property
    def known_hosts(self) -> Path:
        return self.folder / "known_hosts"

    @property
    def name(self) -> str:
        """How known_hosts calls it."""
        return f"[127.0.0.1]:{self.port}"

    def ended(self, before: int) -> str:
        """What the log says, once they have ended, of the connections that began after its first `before` characters.

        Earlier ones may well be told of as ended later; each line that counts has the port of one that began.
        """
        deadline = time.monotonic() + 30
        while True:
            lines = self.log()[before:].splitlines()
            ports = {line.split()[4] for line in lines if line.startswith("Connection from ")}
            said = {port: [line for line in lines if port in line.split()] for port in ports}
            if ports and all(any(line.startswith(ENDS) for line in of_port) for of_port in said.values()):
                return "\n".join(line for of_port in said.values() for line in of_port)
            assert time.monotonic() < deadline, lines
            time.sleep(0.05)

    def log(self) -> str:
        return (self.folder / "log").read_text()


def missing() -> str:
    """Why no sshd can be started here; empty if one can."""
    lacking = [name for name in NEEDED if shutil.which(name, path=PATHS) is None]
    return f"needs {', '.join(lacking)} (apt install openssh-server; LAB=1 does it)" if lacking else ""


def make_key(path: Path, kind: str = "ed25519") -> str:
    """A new key pair at `path`; returns the public half, without its comment."""
    subprocess.run(["ssh-keygen", "-q", "-t", kind, "-N", "", "-C", "", "-f", str(path)], check=True)
    return path.with_suffix(".pub").read_text().strip()


@contextmanager
def run_sshd(
    folder: Path,
    *,
    authorized: str | None = None,
    startups: str = "100",
    home: Path | None = None,
    authority: Path | None = None,
    more: str = "",
) -> Iterator[Sshd]:
    """Start an sshd below `folder`, which must not be writable by others.

    `authorized` is a public key's line, `startups` how many connections it bears that aren't let in yet, `home` the
    HOME of who logs in (ours), `authority` a private key that signs a certificate for the host key, `more` lines of
    its configuration.
    """
    folder.mkdir(mode=0o700, parents=True)
    port = free_port()
    host_key = make_key(folder / "host_key")
    make_key(folder / "other_host_key", "ecdsa")
    user_key = authorized or make_key(folder / "user_key")
    (folder / "authorized_keys").write_text(f"{user_key}\n")
    (folder / "known_hosts").write_text(f"[127.0.0.1]:{port} {host_key}\n")
    if authority is not None:
        argv = ["ssh-keygen", "-q", "-s", str(authority), "-h", "-I", "host", "-n", "127.0.0.1"]
        subprocess.run([*argv, str(folder / "host_key.pub")], check=True)
        more += f"HostCertificate {folder}/host_key-cert.pub\n"
    config = folder / "sshd_config"
    config.write_text(
        f"Port {port}\nListenAddress 127.0.0.1\nPidFile none\n"
        f"HostKey {folder}/host_key\nHostKey {folder}/other_host_key\n"
        f"AuthorizedKeysFile {folder}/authorized_keys\nStrictModes no\nUsePAM no\n"
        "LogLevel VERBOSE\nPasswordAuthentication no\n"
        "KbdInteractiveAuthentication no\nPermitRootLogin prohibit-password\n"
        f"AllowTcpForwarding yes\nMaxStartups {startups}\nSetEnv HOME={home or os.environ['HOME']}\n{more}"
    )
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)  # sshd's own place to give privileges up in
    binary = shutil.which("sshd", path=PATHS)
    assert binary is not None
    log = (folder / "log").open("wb")
    process = subprocess.Popen([binary, "-D", "-e", "-f", str(config)], stderr=log, start_new_session=True)
    try:
        wait_until_open(port, process)
        running = Sshd(folder, port, process, getpass.getuser())
        running.ended(0)  # of that knock the log tells late
        yield running
    finally:
        process.terminate()
        process.wait()
        log.close()


def wait_until_open(port: int, process: subprocess.Popen[bytes]) -> None:
    """Return once something listens at `port` of loopback; fails if the process ends first."""
    while process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            continue
        return
    raise AssertionError(f"sshd ended with {process.returncode}")


@pytest.fixture(scope="session")
def sshd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    """One sshd for the whole run, with our HOME; skips, by the name of what is missing, where there can't be one."""
    if missing():
        pytest.skip(missing())
    with run_sshd(tmp_path_factory.mktemp("sshd") / "server") as running:
        yield running
