"""Where everything lies below a stage's root on the host."""

from __future__ import annotations

import hashlib
import os
import re
from typing import Optional

from tagship.host.faults import usage
from tagship.host.ready import Ready

ID = re.compile(r"([0-9]{4,9})-[A-Za-z0-9._-]{1,40}\Z")
SOCKET = "web.sock"
LONGEST_SOCKET = 107
"""Bytes that a unix socket's path may have on Linux (`sun_path` holds 108, with the final NUL)."""
_LONGEST_RUNS = LONGEST_SOCKET - len("/123456789/" + SOCKET)


def serial_of(release: str) -> int:
    """The serial of a release id: 7 of `0007-v1.4.0`. Raises `usage` for anything that isn't one."""
    match = ID.match(release)
    if match is None:
        raise usage("`{}` is not a release id".format(release))
    return int(match.group(1))


class Layout:
    """Paths of one stage; makes nothing and looks at nothing but real paths."""

    def __init__(self, root: str, ready: Optional[Ready] = None) -> None:
        self.root = os.path.realpath(root)
        self.ready = ready if ready is not None and os.path.realpath(ready.root) == self.root else None
        """How `fab setup` made this root ready for units; `None`: plain processes serve it."""
        self.current = self.below("current")
        self.releases = self.below("releases")
        self.serials = self.below("releases", "by-serial")
        self.objects = self.below("objects")
        self.assets = self.below("assets")
        self.shared = self.below("shared")
        self.state = self.below("state")
        self.journal = self.below("state", "journal.jsonl")
        self.lock = self.below("state", "lock")
        self.owner = self.below("state", "owner.json")
        self.front = self.below("state", "front.json")
        self.log = self.below("state", "log")
        self.reserve = self.below("state", "reserve")
        self.tools = self.below("state", "tools")
        self.wheels = self.below("state", "wheels")
        self.cache = self.below("state", "uv-cache")
        self.runs = self.below("run") if self.ready is None else "/run/" + self.ready.unit
        self._short_runs = os.path.join("tagship", "run", hashlib.sha256(os.fsencode(self.root)).hexdigest()[:10])
        if len(os.fsencode(self.runs)) > _LONGEST_RUNS:
            self.runs = os.path.join(os.path.expanduser("~"), ".local", "state", self._short_runs)

    def below(self, *parts: str) -> str:
        """A path below the root."""
        return os.path.join(self.root, *parts)

    def folders(self) -> list[str]:
        """The folders that the lock makes where they are missing, parents first."""
        return [self.root, self.releases, self.objects, self.assets, self.shared, self.state, self.log]

    def release(self, release: str, *parts: str) -> str:
        """A path inside a release."""
        serial_of(release)
        return os.path.join(self.releases, release, *parts)

    def run(self, release: str) -> str:
        """The release's run folder: short, because a socket's path must be.

        Once it is furnished its `run` link says where: whoever looks, with whatever HOME, finds the same socket.
        """
        name = "{:04d}".format(serial_of(release))
        if self.ready is not None:
            return os.path.join(self.runs, name)
        try:
            folder, found = os.path.split(os.readlink(self.release(release, "run")))
        except OSError:
            folder = found = ""
        ours = found == name and (folder == self.below("run") or folder.endswith("/" + self._short_runs))
        return os.path.join(folder if ours else self.runs, name)

    def socket(self, release: str) -> str:
        """The absolute path that the release's service listens on."""
        return os.path.join(self.run(release), SOCKET)

    def service_log(self, release: str, part: str = "web") -> str:
        """Where the output of a part of the release goes, where no journal takes it."""
        name = "{:04d}.log" if part == "web" else "{:04d}.unit-{}.log"
        return os.path.join(self.log, name.format(serial_of(release), part))

    def command_log(self, release: str) -> str:
        """Where the output of the release's prepare and smoke commands goes."""
        return os.path.join(self.log, "{:04d}.stage.log".format(serial_of(release)))
