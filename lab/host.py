"""One host: a disk of two layers, a name, an address, keys; it boots, dies, and boots again."""

from __future__ import annotations

import shlex
import shutil
import subprocess
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lab import cell
from lab.base import Base, make_key
from lab.cgroup import Cgroup
from lab.errors import LabError
from lab.network import Subnet, host_steps, unplug_host

PATIENCE = 120.0
"""Seconds that a host is given to boot; it needs one or two, on a machine that does little else."""

NO_ANSWER = 255
"""The exit status by which ssh says that it, not the command there, has failed."""

SETTLED = {"running", "degraded"}
"""What `systemctl is-system-running` says when nothing is left to be started."""

HOST_KEY = Path("etc/ssh/ssh_host_ed25519_key")


@dataclass(frozen=True)
class Host:
    """Host `number` of a lab; its files are below `folder`, and the lab's own in the folder above."""

    number: int
    folder: Path
    group: Cgroup
    switch: Cgroup
    subnet: Subnet
    base: Base

    @property
    def name(self) -> str:
        """What it calls itself."""
        return f"lab{self.number}"

    @property
    def address(self) -> str:
        return self.subnet.address(self.number)

    @property
    def identity(self) -> Path:
        """The private key that lets in as `deploy` and as `root`."""
        return self.base.key

    @property
    def known_hosts(self) -> Path:
        """Where the lab keeps the public keys of all its hosts."""
        return self.folder.parent.parent / "known_hosts"

    @property
    def known_key(self) -> str:
        """Its line in `known_hosts`; empty if it was never installed."""
        public = self._upper / HOST_KEY.with_suffix(".pub")
        return f"{self.name},{self.address} {public.read_text().strip()}\n" if public.exists() else ""

    @property
    def log(self) -> Path:
        """What systemd wrote on the console, at each boot."""
        return self.folder / "console"

    @property
    def _upper(self) -> Path:
        return self.folder / "upper"

    def installed(self) -> bool:
        """Whether it has a disk."""
        return (self.folder / "root").exists()

    def alive(self) -> bool:
        """Whether it is powered on."""
        return self.group.alive()

    def install(self) -> None:
        """Give it a new disk, with a name and keys of its own; what was on the old one is gone. It must be off."""
        if self.folder.exists():
            shutil.rmtree(self.folder)
        for name in ("", "upper", "upper/etc", "upper/etc/ssh", "work"):
            (self.folder / name).mkdir()
            (self.folder / name).chmod(0o755)  # whatever the umask: these are the directories that the host sees
        self._write("etc/hostname", f"{self.name}\n")
        self._write("etc/hosts", f"127.0.0.1 localhost\n127.0.1.1 {self.name}\n::1 localhost\n")
        self._write("etc/machine-id", f"{uuid.uuid4().hex}\n")  # without one systemd takes each boot for the first
        make_key(self._upper / HOST_KEY)
        (self.folder / "root").mkdir()  # last: now it is installed

    def _write(self, name: str, text: str) -> None:
        path = self._upper / name
        path.write_text(text)
        path.chmod(0o644)

    def boot(self) -> None:
        """Power it on; returns before it answers (see `wait`). Raises `LabError`."""
        for name in (cell.KEEPER, cell.INSIDE):
            self.group.child(name).make()
        unplug_host(self.number, self.switch)
        deadline = time.monotonic() + PATIENCE
        while said := cell.start(self.group.folder, self._steps(), self._nspawn(), self.log):
            # The kernel lets go of a disk a moment after the last process: `index=on` makes it refuse until then,
            # instead of letting two hosts write to one disk.
            if "busy" not in said.lower() or time.monotonic() > deadline:
                raise LabError(f"{self.name} can't be booted: {said}")
            time.sleep(0.05)

    def _steps(self) -> list[list[str]]:
        layers = f"lowerdir={self.base.root},upperdir={self._upper},workdir={self.folder}/work,index=on"
        return [
            ["mount", "-t", "overlay", "-o", layers, "overlay", f"{self.folder}/root"],
            ["mount", "-t", "tmpfs", "tmpfs", "/run"],  # what nspawn leaves there when it is killed stays in here
            *host_steps(self.subnet, self.number, self.switch),
        ]

    def _nspawn(self) -> list[str]:
        return [
            "systemd-nspawn",
            "--quiet",
            f"--directory={self.folder}/root",
            f"--machine={self.name}",
            "--network-namespace-path=/proc/self/ns/net",  # the cell's: without it, it would count as the machine's
            "--boot",
            "--register=no",
            "--keep-unit",
            "--resolv-conf=off",
            "--timezone=off",
            "--link-journal=no",
            "--console=pipe",
        ]

    def wait(self) -> str:
        """Return once it lets users in and has started everything: `running` or `degraded`. Raises `LabError`."""
        deadline = time.monotonic() + PATIENCE
        while True:
            said = self._ask(["systemctl", "is-system-running", "--wait"], deadline - time.monotonic())
            state = said.stdout.strip()
            if state in SETTLED:
                return state
            why = state or said.stderr.strip()
            if not self.alive():
                raise LabError(f"{self.name} has ended: {why}\n{self._last_words()}")
            if time.monotonic() > deadline:
                raise LabError(f"{self.name} doesn't get ready: {why}\n{self._last_words()}")
            time.sleep(0.02)

    def reboot(self) -> None:
        """Let it shut down in order and boot again, by its own `systemctl reboot`; returns as `wait` does."""
        before = self._boot_id()
        self.run("systemctl", "reboot", user="root", check=False)  # it may be gone before ssh has heard of it
        deadline = time.monotonic() + PATIENCE
        while self._boot_id() in {"", before}:
            if not self.alive() or time.monotonic() > deadline:
                raise LabError(f"{self.name} doesn't reboot\n{self._last_words()}")
            time.sleep(0.05)
        self.wait()

    def _boot_id(self) -> str:
        return self._ask(["cat", "/proc/sys/kernel/random/boot_id"], PATIENCE).stdout

    def _ask(self, argv: Sequence[str], seconds: float) -> subprocess.CompletedProcess[str]:
        try:
            return self.run(*argv, user="root", check=False, timeout=max(seconds, 1))
        except subprocess.TimeoutExpired:
            return subprocess.CompletedProcess(argv, NO_ANSWER, "", "no answer in time")

    def _last_words(self) -> str:
        text = self.log.read_text(errors="replace") if self.log.exists() else ""
        return "\n".join(text.splitlines()[-15:])

    def kill(self) -> None:
        """Cut its power: all its processes end at the same instant. Its disk stays as it is. Safe if it is off."""
        self.group.kill()

    def ssh(self, *argv: str, user: str = "deploy") -> list[str]:
        """The command that runs `argv` there, or opens a shell; only if it shows the key that it was made with."""
        options = [
            "BatchMode=yes",
            "StrictHostKeyChecking=yes",
            f"UserKnownHostsFile={self.known_hosts}",
            "GlobalKnownHostsFile=none",
            "UpdateHostKeys=no",
            "IdentitiesOnly=yes",
            f"IdentityFile={self.identity}",
            "ConnectTimeout=5",
            "LogLevel=ERROR",
        ]
        words = [word for option in options for word in ("-o", option)]
        return ["ssh", "-F", "none", *words, f"{user}@{self.address}", *([shlex.join(argv)] if argv else [])]

    def run(
        self, *argv: str, user: str = "deploy", check: bool = True, stdin: str = "", timeout: float = 60
    ) -> subprocess.CompletedProcess[str]:
        """Run `argv` there and return what it said.

        Raises `LabError` where `check` and its status isn't 0, `subprocess.TimeoutExpired` after `timeout` seconds.
        """
        command = self.ssh(*argv, user=user)
        done = subprocess.run(command, input=stdin, capture_output=True, text=True, timeout=timeout, check=False)
        if check and done.returncode:
            said = (done.stderr or done.stdout).strip()
            raise LabError(f"{user}@{self.name}: {shlex.join(argv)}: exit status {done.returncode}: {said}")
        return done
