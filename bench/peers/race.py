"""The same work by every tool in turn: the second tag to one host and to four, and back on four."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from bench import project
from bench.figures import Figure, print_table
from bench.hosts import own, run_hosts, send_wheels, serve_repositories, write
from bench.peers.ansible import Ansible
from bench.peers.capistrano import Capistrano
from bench.peers.ours import Tagship
from bench.peers.peer import WHEELS, Fleet, Ground, Peer
from bench.peers.pyinfra import Pyinfra
from bench.peers.surroundings import make_virtualenv
from bench.stages import describe, set_up
from lab.host import Host
from lab.needs import missing

LOCK = Path(__file__).parent.parent / "requirements.lock"
IMPORTS = "import flask, gunicorn, whitenoise"
MANY = 4
TITLE = "The second tag: 331 files, nine wheels in a virtualenv of its own, hosts without internet"
GOALS = {"1 host": 0.25, f"{MANY} hosts": 0.25, f"rollback of {MANY}": 0.25}


def main(folder: Path, times: int) -> None:
    """Measure in `folder`, each kind of work `times` times by each tool in turn, and print the table."""
    if why := missing():
        print(f"peers: skipped, {why}")
        return
    present = list(_present(folder))
    with run_hosts(MANY) as hosts:
        fleets = (_fleet("one", hosts[:1], present, 8010), _fleet("four", hosts, present, 8040))
        home = folder / "project"
        project.write(
            home, LOCK.read_text(), [describe(fleet.name, fleet.hosts, fleet.ports["tagship"]) for fleet in fleets]
        )
        _equip(hosts, fleets, present, folder)
        for fleet in fleets:
            set_up(home, fleet.name)
        with serve_repositories(folder, hosts[0]) as url:
            ground = Ground(home, f"{url}/project", folder, fleets)
            figures = _race(ground, present, times)
    print_table(TITLE, figures, "tagship", GOALS)


def _fleet(name: str, hosts: Sequence[Host], tools: Sequence[Peer], port: int) -> Fleet:
    return Fleet(name, tuple(hosts), {tool.name: port + number for number, tool in enumerate(tools)})


def _present(folder: Path) -> Iterator[Peer]:
    absent = make_virtualenv(folder / "peers")
    programs = folder / "peers/bin"
    for peer in (Tagship(), Capistrano(), Pyinfra(programs, absent), Ansible(programs, absent)):
        if why := peer.missing():
            print(f"{peer.name}: skipped, {why}")
        else:
            yield peer


def _equip(hosts: Sequence[Host], fleets: Sequence[Fleet], tools: Sequence[Peer], folder: Path) -> None:
    """Give every host the wheels and folders that the others would otherwise have to bring."""
    send_wheels(hosts, LOCK, folder / "wheels", WHEELS)
    for fleet in fleets:
        for host in fleet.hosts:
            own(host, *(fleet.root(tool.name) for tool in tools))
            for tool in tools:
                if not tool.runs_units:
                    _write_unit(host, fleet, tool.name)


def _write_unit(host: Host, fleet: Fleet, tool: str) -> None:
    """What a careful administrator writes: gunicorn from `current`, and the right to restart just that."""
    unit, current = fleet.unit(tool), f"{fleet.root(tool)}/current"
    start = f"{current}/venv/bin/gunicorn --bind 127.0.0.1:{fleet.ports[tool]} --workers 1 --keep-alive 0 web:app"
    settings = f"[Service]\nUser=deploy\nType=notify\nWorkingDirectory={current}\nExecStart={start}\n"
    right = f"deploy ALL=(root) NOPASSWD: /usr/bin/systemctl restart {unit}\n"
    write(host, f"/etc/systemd/system/{unit}", settings)
    write(host, f"/etc/sudoers.d/{unit.removesuffix('.service')}", right)
    host.run("systemctl", "daemon-reload", user="root")


def _race(ground: Ground, tools: Sequence[Peer], times: int) -> list[Figure]:
    one, four = ground.fleets
    seconds: dict[tuple[str, str], list[float]] = {}

    def did(tool: Peer, work: str, took: float, fleet: Fleet, number: int) -> None:
        _check(tool, fleet, number)
        seconds.setdefault((work, tool.name), []).append(took)
        print(f"  {tool.name}: {work}, {took:.2f} s", file=sys.stderr, flush=True)

    for tool in tools:
        tool.prepare(ground)
        for fleet in ground.fleets:
            tool.deploy(fleet, "v1.0.0")
            _check(tool, fleet, 0)
    for turn in range(times):
        number = turn + 1
        project.edit(ground.home, number)
        tag = f"v1.{number}.0"
        for tool in [*tools[turn % len(tools) :], *tools[: turn % len(tools)]]:
            did(tool, "1 host", tool.deploy(one, tag), one, number)
            did(tool, f"{MANY} hosts", tool.deploy(four, tag), four, number)
            if tool.can_roll_back:
                did(tool, f"rollback of {MANY}", tool.roll_back(four), four, 0)
    versions = {tool.name: tool.version() for tool in tools}
    return [Figure(work, versions[name], tuple(each)) for (work, name), each in seconds.items()]


def _check(tool: Peer, fleet: Fleet, number: int) -> None:
    """End the run unless every host of the fleet has tag v1.`number`.0, its dependencies included, and serves it."""
    for host in fleet.hosts:
        current = f"{fleet.root(tool.name)}/current"
        look = f"{IMPORTS}; import modules.m000 as m; print(m.VALUE)"
        inside = 'cd "$1/$2" && exec "$1/venv/bin/python" -Bc "$3"'
        found = host.run("sh", "-c", inside, "sh", current, tool.code, look, user="root").stdout.strip()
        if found != str(number):
            raise SystemExit(f"{tool.name} left {host.name} of {fleet.name} at {found}, not {number}")
        url = f"http://127.0.0.1:{fleet.ports[tool.name]}/"
        page = host.run("curl", "-sS", url).stdout
        if page != f"value {number}":
            raise SystemExit(f"{tool.name} left {host.name} of {fleet.name} serving {page!r}, not value {number}")
