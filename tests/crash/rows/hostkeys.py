"""The key that a host shows isn't the one that is known, or none is: nobody is told who we are."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from contract.projects import free_port
from contract.sshd import Sshd, make_key, missing, run_sshd
from crash.matrix import Trial, Violated, fault
from crash.oracles import Standing
from crash.worlds import World, add_stage, light_project
from verbs.project import Project

VERBS = ("deploy", "rollback", "plan", "status", "stop")
FAULTS = ("unknown", "changed", "revoked")


@dataclass(frozen=True)
class Way:
    """A host behind a jump host, each an sshd of this machine."""

    world: World
    host: Sshd
    jump: Sshd
    known: Path


@fault(
    "host-key-unknown-changed-or-revoked",
    holds="refused before authentication, exit 3, nothing changed",
    needs=missing,
)
def keys(trial: Trial) -> None:
    """Of the host, and of the jump host before it: another sshd answers there than the one that is known."""
    with _behind_a_jump(trial.scratch) as way:
        points = [f"{verb}-{where}-{how}" for verb in VERBS for where in ("host", "jump") for how in FAULTS]
        for point in trial.choose(points, quick=6):
            with trial.at(point):
                _refused(way, *point.split("-"))


@contextmanager
def _behind_a_jump(folder: Path) -> Iterator[Way]:
    """One host with two good releases, reached through another machine."""
    project = light_project(folder)
    with run_sshd(folder / "jump", home=project.home) as jump:
        user_key = jump.identity.with_suffix(".pub").read_text().strip()
        with run_sshd(folder / "host", authorized=user_key, home=project.home) as host:
            known = folder / "known_hosts"
            known.write_text(host.known_hosts.read_text() + jump.known_hosts.read_text())
            try:
                world = _stage(project, folder, host, jump, known)
                for tag in ("v1", "v2"):
                    world.tag(tag)
                    world.must("deploy", "--tag", tag)
                yield Way(world, host, jump, known)
            finally:
                project.end()


def _stage(project: Project, folder: Path, host: Sshd, jump: Sshd, known: Path) -> World:
    config = folder / "ssh_config"
    config.write_text(
        f"Host inner\n HostName 127.0.0.1\n Port {host.port}\n ProxyJump {jump.user}@127.0.0.1:{jump.port}\n"
        f"Host *\n User {jump.user}\n IdentityFile {jump.identity}\n"
    )
    project.env["TAGSHIP_SSH_CONFIG"] = str(config)
    standing = Standing("web1", folder / "w", f"http://127.0.0.1:{free_port()}", "/version")
    entry = {"name": "web1", "host": "inner", "known_hosts": str(known), "root": str(standing.root)}
    front = standing.url.removeprefix("http://")
    add_stage(project, "far", {"hosts": [{**entry, "front": front}], "service": {"kind": "process"}, "drain": "3s"})
    return World(project, "far", [standing])


def _refused(way: Way, verb: str, where: str, how: str) -> None:
    server = {"host": way.host, "jump": way.jump}[where]
    others = (way.jump if where == "host" else way.host).known_hosts.read_text()
    way.known.write_text(others + _known(server, how))
    before, said = _everything(way.world), len(server.log())
    try:
        ended = way.world.fab(verb)
    finally:
        way.known.write_text(way.host.known_hosts.read_text() + way.jump.known_hosts.read_text())
    if ended.exit != 3:
        raise Violated(f"O5: {ended.words}")
    if (log := server.ended(said)) and ("user" in log or "Accepted" in log):
        raise Violated(f"it was told who we are: {log}")
    if _everything(way.world) != before:
        raise Violated("something was changed on the host")


def _known(server: Sshd, how: str) -> str:
    line = server.known_hosts.read_text()
    name = line.split(" ", 1)[0]
    if how == "changed":
        key = server.folder / "stranger"
        return f"{name} {key.with_suffix('.pub').read_text().strip() if key.exists() else make_key(key)}\n"
    return "" if how == "unknown" else f"{line}@revoked {line}"


def _everything(world: World) -> dict[str, str]:
    """Each path below the host's root, with a digest of what it is."""
    (host,) = world.hosts
    found = {}
    for path in sorted(host.root.rglob("*")):
        status = path.lstat()
        content = str(path.readlink()) if path.is_symlink() else path.read_bytes() if path.is_file() else ""
        digest = hashlib.sha256(content if isinstance(content, bytes) else content.encode()).hexdigest()
        found[str(path)] = f"{status.st_mode:o} {status.st_mtime_ns} {digest}"
    return found
