"""A lab's network: one switch in a namespace of its own, and a cable to it from the machine and from each host.

The bridge isn't the machine's: the firewalls that many machines have for bridges (Docker's, say) would drop what one
host sends to another.
"""

from __future__ import annotations

import ipaddress
import json
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass

from lab.cell import KEEPER
from lab.cgroup import Cgroup
from lab.errors import LabError

BRIDGE = "lab0"
CANDIDATES = ("10.77", "172.29")
"""Where a lab looks for a /24 that this machine has no route to."""

HOSTS = range(1, 100)
"""Numbers that a host can have."""


@dataclass(frozen=True)
class Subnet:
    """A lab's /24, by its first three numbers, such as `10.77.0`."""

    prefix: str

    @property
    def gateway(self) -> str:
        """This machine's address in it; no host has a route through it."""
        return f"{self.prefix}.1"

    @property
    def link(self) -> str:
        """The machine's end of the cable to the switch; a name of at most 15 characters."""
        return f"lab-{self.prefix.replace('.', '-')}"

    def address(self, number: int) -> str:
        return f"{self.prefix}.{10 + number}"

    def mac(self, address: str) -> str:
        """The same at each boot: neighbours remember it for a while. 02 says that we made it up."""
        return ":".join(["02", "4c", *(f"{int(octet):02x}" for octet in address.split("."))])


def free_subnet() -> Subnet:
    """A subnet that overlaps no address or route of this machine. Raises `LabError` if there is none."""
    taken = list(_networks())
    for candidate in (f"{start}.{third}" for start in CANDIDATES for third in range(256)):
        network = ipaddress.ip_network(f"{candidate}.0/24")
        if not any(network.overlaps(other) for other in taken):
            return Subnet(candidate)
    raise LabError(f"no free /24 in {' or '.join(CANDIDATES)}")


def _networks() -> Iterator[ipaddress.IPv4Network]:
    """Where this machine's routes lead, its own addresses included; the default route leads nowhere in particular."""
    said = ip("-json", "-4", "route", "show", "table", "all")
    for route in json.loads(said or "[]"):
        if route["dst"] != "default":
            network = ipaddress.ip_network(route["dst"], strict=False)
            if isinstance(network, ipaddress.IPv4Network) and network.prefixlen:
                yield network


def switch_steps(subnet: Subnet) -> list[list[str]]:
    """What makes the switch, run in its namespace; its cable ends on this machine."""
    far_end = ["peer", "name", subnet.link, "address", subnet.mac(subnet.gateway), "netns", str(os.getpid())]
    return [
        ["ip", "link", "set", "lo", "up"],
        ["ip", "link", "add", BRIDGE, "type", "bridge"],
        ["ip", "link", "add", "uplink", "type", "veth", *far_end],
        ["ip", "link", "set", "uplink", "master", BRIDGE, "up"],
        ["ip", "link", "set", BRIDGE, "up"],
    ]


def host_steps(subnet: Subnet, number: int, switch: Cgroup) -> list[list[str]]:
    """What cables host `number` to the switch, run in the host's namespace."""
    pid, port = str(switch.child(KEEPER).pid()), f"host{number}"
    far_end = ["peer", "name", port, "netns", pid]
    return [
        ["ip", "link", "set", "lo", "up"],
        ["ip", "link", "add", "eth0", "address", subnet.mac(subnet.address(number)), "type", "veth", *far_end],
        ["ip", "address", "add", f"{subnet.address(number)}/24", "dev", "eth0"],
        ["ip", "link", "set", "eth0", "up"],
        ["nsenter", f"--target={pid}", "--net", "ip", "link", "set", port, "master", BRIDGE, "up"],
    ]


def plug_in(subnet: Subnet) -> None:
    """Give this machine its address on the switch's cable."""
    ip("address", "add", f"{subnet.gateway}/24", "dev", subnet.link)
    ip("link", "set", subnet.link, "up")


def unplug(subnet: Subnet) -> None:
    """Remove the machine's cable at once: the kernel itself takes a moment to, after the switch has ended."""
    _remove_link(subnet.link)


def unplug_host(number: int, switch: Cgroup) -> None:
    """Remove the cable of an ended host from the switch, lest its name be taken for a moment longer."""
    _remove_link(f"host{number}", "nsenter", f"--target={switch.child(KEEPER).pid()}", "--net")


def _remove_link(name: str, *inside: str) -> None:
    # The kernel may remove it between a look and our removal: only one that is still there afterwards is an error.
    subprocess.run([*inside, "ip", "link", "delete", name], capture_output=True, check=False)
    if not subprocess.run([*inside, "ip", "link", "show", name], capture_output=True, check=False).returncode:
        raise LabError(f"the network interface {name} can't be removed")


def ip(*argv: str) -> str:
    """What ip(8) says. Raises `LabError`."""
    done = subprocess.run(["ip", *argv], capture_output=True, text=True, check=False)
    if done.returncode:
        raise LabError(f"ip {' '.join(argv)}: {done.stderr.strip()}")
    return done.stdout
