"""What a machine must have so that hosts can boot on it."""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

from lab.cgroup import hierarchy
from lab.errors import LabError

KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
SYSTEM = {
    "debootstrap": "debootstrap",
    KEYRING: "debian-archive-keyring",
    "systemd-nspawn": "systemd-container",
    "ip": "iproute2",
    "ssh": "openssh-client",
    "ssh-keygen": "openssh-client",
}
"""Programs and files that the lab needs, and the Debian packages that bring them."""

LINUX = (5, 14)
"""The first version whose control groups can be killed as one (`cgroup.kill`)."""

CAP_SYS_ADMIN = 21
"""The bit of capabilities(7) without which there is no mounting, also not for root."""


def absent(wanted: dict[str, str]) -> list[str]:
    """The packages, each once, whose program (or file, if it begins with a slash) isn't here."""
    path = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"])
    found = {name: Path(name).exists() if name.startswith("/") else shutil.which(name, path=path) for name in wanted}
    return list(dict.fromkeys(wanted[name] for name in wanted if not found[name]))


def missing() -> str:
    """Why no host can boot here, in one line; empty if one can."""
    return next(_reasons(), "")


def _reasons() -> Iterator[str]:
    """Each reason supposes that those before it don't hold."""
    if not sys.platform.startswith("linux"):
        yield f"the lab needs Linux, and this is {sys.platform}"
    release = os.uname().release
    if tuple(map(int, re.findall(r"\d+", release)[:2])) < LINUX:
        yield f"the lab needs Linux {'.'.join(map(str, LINUX))}, and this is {release}"
    if os.geteuid() != 0 or not _may_mount():
        yield "the lab needs root, with the right to mount (sudo LAB=1 make test)"
    try:
        if not os.access(hierarchy(), os.W_OK):
            yield f"the lab needs to write below {hierarchy()}"
    except LabError as error:
        yield str(error)
    if packages := absent(SYSTEM):
        yield f"the lab needs {', '.join(packages)} (LAB=1 make test installs them)"


def _may_mount() -> bool:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("CapEff:"):
            return bool(int(line.split()[1], 16) >> CAP_SYS_ADMIN & 1)
    return False
