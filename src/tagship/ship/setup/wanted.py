"""All that a host needs for a stage, in the order in which it is made: pure, from its settings."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import PurePosixPath

from tagship.ship.setup import rendering
from tagship.ship.setup.rendering import HELPER
from tagship.ship.setup.resources import (
    Act,
    Aside,
    File,
    Folder,
    Keys,
    Link,
    Loads,
    Member,
    Needs,
    Package,
    Port,
    Resource,
    Unit,
    User,
)
from tagship.ship.setup.settings import Settings

MARK = "fab setup"
"""Every file of ours says who wrote it."""
PYTHON = "/usr/bin/python3"
SITES = "/etc/nginx/sites-available", "/etc/nginx/sites-enabled"


def wanted(settings: Settings) -> tuple[Resource, ...]:
    """Every resource of one host. Raises `ConfigError` for a template of the project's that can't be filled in."""
    return (
        *_needs(settings),
        *_users(settings),
        *_folders(settings),
        *_files(settings),
        *_acts(settings),
        *(site(settings) if settings.web else ()),
        _note(settings),
    )


def _needs(settings: Settings) -> Iterator[Resource]:
    yield Needs(PYTHON, "install python3 (3.9 or newer)")
    tls = settings.nginx.tls
    if settings.web and tls is not None:
        cure = "get the certificate first (certbot certonly), or leave `nginx.tls` out until then"
        yield from (Needs(path, cure) for path in (tls.certificate, tls.key))
    yield Package("sudo", "/usr/sbin/visudo")
    if settings.web:
        yield Package("nginx-light", "/usr/sbin/nginx")
        yield from (Port(port, "nginx") for port in ports(settings))


def _users(settings: Settings) -> Iterator[Resource]:
    yield User(settings.user, "service", settings.conf)
    yield User(settings.deploy, "deploy", settings.conf)
    yield Member(settings.deploy, settings.user)
    if settings.keys:
        yield Keys(settings.deploy, settings.keys, settings.keys_shown)


def _folders(settings: Settings) -> Iterator[Resource]:
    root, deploy, group = settings.root, settings.deploy, settings.deploy
    yield Folder(root, deploy, group, "0755", passed=True, ours=True)
    for name in ("releases", "assets"):
        yield Folder(f"{root}/{name}", deploy, group, "0755")
    for name in ("objects", "state"):
        yield Folder(f"{root}/{name}", deploy, group, "0700")
    yield Folder(f"{root}/shared", deploy, group, "0751", loose=True)
    above = {str(parent) for name in settings.shared for parent in PurePosixPath(name).parents} - {"."}
    for name in sorted({*above, *settings.shared}):
        if name in settings.shared:
            mode = "2775" if name in settings.served else "2770"
            yield Folder(f"{root}/shared/{name}", deploy, settings.user, mode, loose=True)
        else:
            yield Folder(f"{root}/shared/{name}", deploy, group, "0751", loose=True)
    yield Folder("/etc/tagship", "root", "root", "0755")


def _files(settings: Settings) -> Iterator[Resource]:
    name = settings.name
    yield File(HELPER, rendering.read("helper.py"), "0755", MARK, newest=True)
    sudoers = rendering.render("sudoers.j2", settings)
    yield File(f"/etc/sudoers.d/tagship-{name}", sudoers, "0440", MARK, check=("visudo", "-cf", "{}"))
    yield File(f"/etc/tmpfiles.d/{name}.conf", rendering.render("tmpfiles.conf.j2", settings), "0644", MARK)
    units = "/etc/systemd/system"
    yield File(f"{units}/{name}@.service", rendering.render("unit.service.j2", settings), "0644", MARK)
    yield File(f"{units}/{name}.service", rendering.render("boot.service.j2", settings), "0644", MARK)


def _acts(settings: Settings) -> Iterator[Resource]:
    again = "run it again; systemd's log (journalctl -b) may say more"
    yield Act(("systemctl", "daemon-reload"), again, back=True)
    yield Loads(f"{settings.name}@0000.service")
    yield Act(("systemd-tmpfiles", "--create", f"/etc/tmpfiles.d/{settings.name}.conf"), again)
    yield Unit(f"{settings.name}.service")


def site(settings: Settings) -> Iterator[Resource]:
    """What makes nginx serve it."""
    available, enabled = (f"{folder}/{settings.name}.conf" for folder in SITES)
    if not settings.nginx.names:
        yield Aside(f"{SITES[1]}/default", ports(settings))
    yield File(available, rendering.site(settings), "0644", MARK)
    yield Link(enabled, available)
    mend = "mend what its last lines say: `nginx` in tagship.yml, or another site of that host"
    yield Act(("nginx", "-t", "-q"), mend)
    yield Unit("nginx.service", active=True)
    yield Act(("systemctl", "reload", "nginx.service"), mend, back=True)


def ports(settings: Settings) -> tuple[str, ...]:
    """The ports that nginx listens on for this stage."""
    plain = [listen.rpartition(":")[2] for listen in settings.nginx.listen]
    return tuple(dict.fromkeys([*plain, *(["443"] if settings.nginx.tls else [])]))


def _note(settings: Settings) -> Resource:
    """Last: its presence says that the host was made ready."""
    same = {"app": settings.app, "stage": settings.stage, "root": settings.root, "user": settings.user}
    nginx = settings.nginx.user if settings.web else ""
    values = {"helper": 1, **same, "deploy": settings.deploy, "nginx": nginx}
    return File(settings.conf, json.dumps(values, indent=1) + "\n", "0644", '"helper"', same=same)
