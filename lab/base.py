"""The base: one installed Debian that is the lower layer of every host's disk, built once and kept.

It lies in a folder named by the digest of its recipe, so that a changed recipe makes another one. Old ones may be
deleted at any time while no lab runs on them.
"""

from __future__ import annotations

import hashlib
import json
import os
import shlex
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from lab import cell
from lab.cgroup import Cgroup
from lab.errors import LabError
from lab.needs import KEYRING


@dataclass(frozen=True)
class Recipe:
    """All that decides what a base contains, but for the versions of its packages."""

    suite: str = "bookworm"
    packages: tuple[str, ...] = (
        "systemd",
        "systemd-sysv",
        "dbus",
        "libpam-systemd",  # as on any Debian: who logs in gets a session of systemd's
        "openssh-server",
        "python3",
        "iproute2",
        "procps",
        "sudo",
        "curl",
        "ca-certificates",
        "nginx-light",
    )
    disabled: tuple[str, ...] = ("nginx.service",)
    """Units that a test which wants them enables itself."""
    users: tuple[str, ...] = ("deploy",)
    """Besides root, whom the lab's key lets in. No right beyond those of any user."""
    revision: int = 1
    """To be raised when what is done below changes."""

    @property
    def digest(self) -> str:
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()[:12]


RECIPE = Recipe()


@dataclass(frozen=True)
class Base:
    """One base, whole."""

    folder: Path

    @property
    def root(self) -> Path:
        """The lower layer. Nothing may change in it, ever: hosts are running on it."""
        return self.folder / "root"

    @property
    def key(self) -> Path:
        """The private key that root and the users of every host on this base let in."""
        return self.folder / "key"


def find(folder: Path, recipe: Recipe = RECIPE) -> Base | None:
    """The base of `recipe` in `folder`, if it was built."""
    base = Base(folder / f"base-{recipe.digest}")
    return base if base.folder.is_dir() else None


def build(folder: Path, group: Cgroup, say: Callable[[str], None], recipe: Recipe = RECIPE) -> Base:
    """Build the base of `recipe` in `folder`; about a minute, and 350 MB. Raises `LabError`.

    It appears whole or not at all. Nobody else may be building: what an earlier, interrupted build left, its
    processes in `group` included, is cleared away first.
    """
    unfinished = folder / "building"
    group.remove()
    if unfinished.exists():
        shutil.rmtree(unfinished)
    unfinished.mkdir(mode=0o755, parents=True)
    say(f"building the base of the hosts, Debian {recipe.suite}, once: about a minute")
    group.child(cell.KEEPER).make()
    try:
        if said := cell.run(group.folder, _steps(unfinished / "root", recipe)):
            raise LabError(f"the base can't be built: {said}")
    finally:
        group.remove()
    _finish(Base(unfinished), recipe)
    base = Base(folder / f"base-{recipe.digest}")
    unfinished.rename(base.folder)
    return base


def _steps(root: Path, recipe: Recipe) -> Iterator[list[str]]:
    debootstrap = ["debootstrap", "--variant=minbase", f"--keyring={KEYRING}"]
    in_root = ["chroot", str(root)]
    source = [mirror] if (mirror := _mirror(recipe.suite)) else []
    proxied = ["env", f"http_proxy={proxy}"] if (proxy := _proxy()) else []
    yield [*proxied, *debootstrap, f"--include={','.join(recipe.packages)}", recipe.suite, str(root), *source]
    for user in recipe.users:
        yield [*in_root, "useradd", "--create-home", "--shell=/bin/bash", user]
    for unit in recipe.disabled:
        yield [*in_root, "systemctl", "disable", unit]
    yield [*in_root, "apt-get", "clean"]


def _mirror(suite: str) -> str:
    """Where this machine's apt gets Debian's `suite` from; empty if it doesn't, and debootstrap knows where."""
    wanted = ("Created-By: Packages", "Label: Debian", f"Codename: {suite}", "Component: main")
    sources = _said("apt-get", "indextargets", "--format", "$(REPO_URI)", *wanted).split()
    return next((source for source in sources if source.startswith(("http:", "https:", "file:"))), "")


def _proxy() -> str:
    """The proxy that this machine's apt goes through, if it has one; debootstrap doesn't ask apt for it."""
    said = _said("apt-config", "shell", "PROXY", "Acquire::http::Proxy")
    return shlex.split(said.partition("=")[2])[0] if said else ""


def _said(*argv: str) -> str:
    """What a program of apt's says; empty where there is no apt (debootstrap is elsewhere too)."""
    try:
        return subprocess.run(argv, capture_output=True, text=True, check=False).stdout.strip()
    except FileNotFoundError:
        return ""


def _finish(base: Base, recipe: Recipe) -> None:
    """Write the files that differ from those of any new Debian."""
    make_key(base.key)
    public = base.key.with_suffix(".pub").read_text()
    for user in ("root", *recipe.users):
        _let_in(base.root, user, public)
    for key in (base.root / "etc/ssh").glob("ssh_host_*"):
        key.unlink()  # each host has its own
    # A resolver that never answers would make every program wait for it that asks for a name.
    resolver = base.root / "etc/resolv.conf"
    resolver.unlink(missing_ok=True)
    resolver.touch(0o644)


def _let_in(root: Path, user: str, public: str) -> None:
    fields = next(
        line.split(":") for line in (root / "etc/passwd").read_text().splitlines() if line.startswith(f"{user}:")
    )
    uid, gid, home = int(fields[2]), int(fields[3]), root / fields[5].lstrip("/")
    ssh = home / ".ssh"
    ssh.mkdir(exist_ok=True)
    ssh.chmod(0o700)
    (ssh / "authorized_keys").write_text(public)
    (ssh / "authorized_keys").chmod(0o600)
    for path in (ssh, ssh / "authorized_keys"):
        os.chown(path, uid, gid)


def make_key(path: Path) -> None:
    """A new key pair, `path` and `path`.pub; its comment names nobody."""
    argv = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", str(path)]
    subprocess.run(argv, check=True, stdin=subprocess.DEVNULL)
