"""Our own stages on lab hosts: described for tagship.yml, and made ready by `fab setup`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from lab.host import Host

KIND = "process"


def describe(name: str, hosts: Sequence[Host], port: int) -> dict[str, object]:
    """The stage `name` of tagship.yml on these hosts, answering on `port` of each."""
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
    served: dict[str, object] = {"front": f"0.0.0.0:{port}", "service": {"kind": "process"}}
    return {"name": name, "hosts": entries, "root": f"/srv/tagship-{name}", **served}


def set_up(home: Path, name: str) -> None:
    """Make the hosts of a stage ready for its first deploy."""
