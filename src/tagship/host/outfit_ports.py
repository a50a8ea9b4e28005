"""Who listens on a TCP port.

`port`: `number` (as text), `program`: the name of the only process that may.
"""

from __future__ import annotations

import os
from typing import Iterator

from tagship.host import files
from tagship.host.context import Args
from tagship.host.faults import refused
from tagship.host.outfit_work import State, Work

_LISTENS = "0A"  # TCP_LISTEN of the kernel's tcp_states.h, as proc_net_tcp has it


def look_port(work: Work, row: Args) -> State:  # noqa: ARG001
    """Raises `refused` where another program listens there."""
    number, program = row.text("number"), row.text("program")
    sockets = set(listening(int(number)))
    if sockets:
        for pid, name in owners(sockets):
            if name != program:
                what = "port {} is taken by {} (process {})".format(number, name, pid)
                raise refused(what, "stop and disable that, or set `nginx.listen` to another port")
    return State(False)


def make_port(work: Work, row: Args) -> None:
    """Never asked for: it never differs."""


def listening(port: int) -> Iterator[str]:
    """Inodes of sockets that listen on a port, of whatever address."""
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        for line in (files.read(table) or b"").decode().splitlines()[1:]:
            fields = line.split()
            if fields[3] == _LISTENS and int(fields[1].rpartition(":")[2], 16) == port:
                yield fields[9]


def owners(sockets: set[str]) -> Iterator[tuple[int, str]]:
    """Processes that hold one of the sockets, and their names."""
    wanted = {"socket:[{}]".format(inode) for inode in sockets}
    for name in filter(str.isdigit, os.listdir("/proc")):
        folder = "/proc/{}/fd".format(name)
        for fd in files.names(folder):
            try:
                held = os.readlink(os.path.join(folder, fd))
            except OSError:
                continue  # closed meanwhile
            if held in wanted:
                yield int(name), (files.read("/proc/{}/comm".format(name)) or b"").decode(errors="replace").strip()
                break
