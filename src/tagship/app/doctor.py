"""`fab doctor`: everything that a deploy of a stage needs, looked at before it is needed."""

from __future__ import annotations

import os
import shutil
import stat
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from tagship import config
from tagship.app.outfits import Outfits, outfits
from tagship.app.stage import OnStage
from tagship.errors import TagshipError
from tagship.events import Event
from tagship.release import tags
from tagship.release.tagged import read_config
from tagship.ship import connecting, doctor
from tagship.ship.doctor import Asked, Finding
from tagship.ship.examining import examine
from tagship.ship.outcome import HostOutcome, Outcome
from tagship.ship.readiness import Wanted
from tagship.ship.setup.settings import service_user

if TYPE_CHECKING:
    from tagship.ship.ssh import SshTransport
    from tagship.ship.sshconfig import Endpoint


def examine_stage(on: OnStage) -> Outcome:
    """Tell every finding on this machine and on the hosts; the outcome's error names how many are bad.

    Raises `UsageError` and `ConfigError` only where the stage itself makes no sense.
    """
    began = time.monotonic()
    places = connecting.places(on.name, on.stage, on.project.config.app.name, on.project.root)
    findings, app = _here(on)
    asked = {place.name: _asked(on, app, place.name, place.front) for place in places}
    outfits, faults = _outfits(on, app)
    findings += faults
    seen = examine(
        places,
        asked,
        outfits,
        name=on.name,
        app=app,
        tls=(on.stage.nginx.names or ("",))[0] if on.stage.runs_units and on.stage.nginx.tls else None,
        parallel=on.stage.rollout.parallel,
    )
    findings += doctor.judge(seen, asked, on.name)
    found = doctor.grouped(findings)
    for one in found:
        data = {"check": one.check, "level": one.level, "text": one.text, "cure": one.cure, "hosts": list(one.hosts)}
        on.listener(Event("finding", data=data))
    bad = {host for one in found if one.level == "bad" for host in one.hosts}
    hosts = tuple(
        HostOutcome(one.host, one.survey.current if one.survey else None, one.host not in bad) for one in seen
    )
    error = doctor.refused(found, on.name)
    seconds = time.monotonic() - began
    if error is None:
        return Outcome("unchanged", hosts=hosts, seconds=seconds)
    return Outcome(error.outcome, error.exit_code, hosts=hosts, seconds=seconds, error=error)


def _here(on: OnStage) -> tuple[list[Finding], config.App]:
    """What this machine needs; and the application's settings, from the tag if there is one that can be read."""
    app = on.project.config.app
    found = [Finding("project", "ok", f"{config.FILE_NAME} makes sense")]
    if shutil.which("git") is None:
        return [*found, Finding("tag", "bad", "there is no git here", "install git")], app
    try:
        tag = tags.resolve(on.project.root)
        app = read_config(on.project.root, tag).app
        found.append(Finding("tag", "ok", f"{tag.name} is what ships next"))
        meant = "if it isn't meant: commit what shall ship, and git tag --annotate it"
        found += [Finding("tag", "warn", warning, meant) for warning in tag.warnings]
    except TagshipError as error:
        found.append(Finding("tag", "bad", error.what, error.cure))
    for host in on.stage.hosts:
        found += _way(host.name or host.host, connecting.transport(host, on.stage, on.project.root))
    return found, app


def _way(host: str, transport: SshTransport) -> Iterator[Finding]:
    """Keys of ours and of the host's, as they are on this machine."""
    try:
        endpoint = transport.endpoint()
        ends = [(host, endpoint), *transport.between(endpoint)]
    except TagshipError as error:
        yield Finding("ssh", "bad", error.what, error.cure, (host,))
        return
    reasons = [finding for called, end in ends for finding in (*_keys(host, end), *_known(host, called, end))]
    yield from reasons or [
        Finding("ssh", "ok", "a key of ours to log in with, and the host's own is known", hosts=(host,))
    ]


def _keys(host: str, endpoint: Endpoint) -> Iterator[Finding]:
    for path in endpoint.identities:
        mode = stat.S_IMODE(path.stat().st_mode)
        if mode & 0o077:
            what = f"{path} can be read by others (mode {mode:04o}): OpenSSH refuses such a key"
            yield Finding("ssh", "warn", what, f"chmod 0600 {path}", (host,))
    agent = bool(os.environ.get("SSH_AUTH_SOCK")) and not endpoint.identities_only
    if not endpoint.identities and not agent:
        cure = "ssh-keygen -t ed25519, or name a key with `identity:` of this host"
        yield Finding("ssh", "bad", "there is no private key here, and no SSH agent", cure, (host,))


def _known(host: str, called: str, endpoint: Endpoint) -> Iterator[Finding]:
    from tagship.ship.hostkeys import name_in_file, read_known

    texts = [path.read_text(errors="replace") for path in endpoint.known_hosts if path.is_file()]
    name = endpoint.key_alias or name_in_file(endpoint.hostname, endpoint.port)
    if not read_known(texts, name).keys:
        file = endpoint.known_hosts[0] if endpoint.known_hosts else Path("~/.ssh/known_hosts")
        scan = f"ssh-keyscan -p {endpoint.port} {endpoint.hostname} >> {file}"
        cure = f"{scan}; then compare its fingerprint with the host's own (ssh-keygen -lf on it)"
        yield Finding("ssh", "bad", f"no host key of {called} is known", cure, (host,))


def _asked(on: OnStage, app: config.App, name: str, front: str) -> Asked:
    stage = on.stage
    roles = next((host.roles for host in stage.hosts if name == (host.name or host.host)), ("web",))
    user = service_user(app.name, on.name, stage) if stage.runs_units else ""
    web = "web" in roles
    wanted = Wanted(on.name, stage.runs_units, user, stage.nginx.user if web else None, front)
    return Asked(wanted, app.env, app.python if app.runs else None, web)


def _outfits(on: OnStage, app: config.App) -> tuple[Outfits, list[Finding]]:
    """What `fab setup` makes on each host; and why that can't be told."""
    try:
        return outfits(on, app), []
    except TagshipError as error:
        return {}, [Finding("setup", "bad", error.what, error.cure)]
