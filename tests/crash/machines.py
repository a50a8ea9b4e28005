"""One lab host and the faults of machines and networks: cut off, gone silent, dead, rebooted; all from outside."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from crash.matrix import Violated
from crash.oracles import o3_lock_is_free
from crash.seen import AGENT

from lab import cell
from lab.fleet import Lab
from lab.host import Host

SSH = 22
SESSION = b"sshd: deploy"
"""How sshd calls the processes of a connection of who deploys: the one that is root's, and the user's own."""
CLOSING = ("client-socket", "host-socket", "session")
"""The ways in which a connection ends at once; see `Machine.close`."""


@dataclass(frozen=True)
class Machine:
    """Host `host` of `lab`."""

    lab: Lab
    host: Host
    root: str = "/srv/blog"

    @property
    def disk(self) -> Path:
        """The stage's root as it lies on the disk, to be looked at also while the host is off."""
        return self.host.folder / "upper" / self.root.lstrip("/")

    @property
    def inside(self) -> Path:
        """The stage's root as the host itself sees it: only there a lock can be tried. The host must be on."""
        return Path(f"/proc/{self._keeper}/root{self.host.folder}/root{self.root}")

    def lock_is_free(self) -> bool:
        """Whether nobody holds the stage's lock. The host must be on."""
        try:
            o3_lock_is_free(self.host.name, self.inside / "state" / "lock")
        except Violated:
            return False
        return True

    @property
    def _keeper(self) -> int:
        return self.host.group.child(cell.KEEPER).pid()

    # --- the connection ends

    def close(self, way: str) -> None:
        """End every connection of who deploys at once, in one of the `CLOSING` ways."""
        {"client-socket": self._close_here, "host-socket": self._close_there, "session": self.kill_sessions}[way]()

    def _close_here(self) -> None:
        _run("ss", "--kill", "--tcp", "--numeric", "dst", f"{self.host.address}:{SSH}")

    def _close_there(self) -> None:
        ours = ("nsenter", f"--target={self._keeper}", "--net")
        _run(*ours, "ss", "--kill", "--tcp", "--numeric", "src", f"{self.host.address}:{SSH}")

    def kill_sessions(self) -> None:
        """SIGKILL to what sshd runs for who deploys; the sshd that lets others in lives on."""
        self._signal(signal.SIGKILL, lambda line: line.startswith(SESSION))

    def kill_agents(self) -> None:
        """SIGKILL to every agent."""
        self._signal(signal.SIGKILL, _is_agent)

    def hold_agents(self) -> None:
        """SIGSTOP to every agent: what it is asked from now on is not begun."""
        self._signal(signal.SIGSTOP, _is_agent)

    def let_agents_go(self) -> None:
        """SIGCONT to every agent that is held."""
        self._signal(signal.SIGCONT, _is_agent)

    def _signal(self, number: signal.Signals, is_meant: Callable[[bytes], bool]) -> None:
        for pid in self.processes():
            try:
                if is_meant(Path(f"/proc/{pid}/cmdline").read_bytes()):
                    os.kill(pid, number)
            except (FileNotFoundError, ProcessLookupError):
                continue  # its parent's death was its own

    def processes(self) -> Iterator[int]:
        """The pids, as this machine counts them, of all that runs there."""
        for folder, _, _ in os.walk(self.host.group.folder):
            try:
                yield from map(int, (Path(folder) / "cgroup.procs").read_text().split())
            except OSError:
                continue  # a group that has gone meanwhile

    # --- the connection goes silent

    def pull(self) -> None:
        """Pull its cable: from now on nothing comes and nothing is refused, as behind a router that has gone."""
        # With the address of a neighbour known for ever, the kernel doesn't tell at once that there is none.
        known = ("lladdr", self.host.subnet.mac(self.host.address), "dev", self.host.subnet.link, "nud", "permanent")
        _run("ip", "neighbour", "replace", self.host.address, *known)
        self._port("down")

    def plug(self) -> None:
        """Plug it in again; safe if it is."""
        if self.host.alive():
            self._port("up")
        subprocess.run(
            ["ip", "neighbour", "delete", self.host.address, "dev", self.host.subnet.link],
            capture_output=True,
            check=False,
        )

    @contextmanager
    def pulled(self) -> Iterator[None]:
        """Without its cable inside."""
        self.pull()
        try:
            yield
        finally:
            self.plug()

    def _port(self, state: str) -> None:
        switch = self.host.switch.child(cell.KEEPER).pid()
        _run("nsenter", f"--target={switch}", "--net", "ip", "link", "set", f"host{self.host.number}", state)

    # --- the machine ends

    def kill(self) -> None:
        """Cut its power."""
        self.host.kill()

    def boot(self) -> None:
        """Power it on, and return once it lets in and has started everything; safe if it is on."""
        self.lab.boot(self.host.number)


def _run(*argv: str) -> None:
    subprocess.run(argv, capture_output=True, check=True)


def _is_agent(line: bytes) -> bool:
    return AGENT in line and not line.startswith((b"sh", b"bash"))
