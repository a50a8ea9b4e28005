"""Our own stages on lab hosts, as a user would have them: units and nginx, made ready by `fab setup`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from bench import timing
from lab.host import Host

FAB = str(Path(sys.executable).with_name("fab"))


def describe(name: str, hosts: Sequence[Host], port: int, *, memory: str | None = None) -> dict[str, object]:
    """The stage `name` of tagship.yml on these hosts, where nginx listens on `port` of each."""
    entries = [
        {
            "host": host.address,
            "name": host.name,
            "user": "deploy",
            "identity": str(host.identity),
            "known_hosts": str(host.known_hosts),
        }
        for host in hosts
    ]
    service = {"kind": "systemd"} | ({"memory": memory} if memory else {})
    return {
        "name": name,
        "hosts": entries,
        "root": f"/srv/tagship-{name}",
        "service": service,
        "nginx": {"listen": [str(port)]},
    }


def set_up(home: Path, name: str) -> None:
    """Make the hosts of a stage ready for its first deploy."""
    timing.run([FAB, "setup", "--stage", name, "--json"], home)
