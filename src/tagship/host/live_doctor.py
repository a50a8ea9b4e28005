"""The verb `doctor`: what a deploy depends on here, as who deploys sees it; the client judges, nothing is changed."""

from __future__ import annotations

import base64
import os
import stat
import time
from typing import Any, Optional

from tagship.host import files, helper, procs
from tagship.host.accounts import group_name, user_name
from tagship.host.context import Args, Context
from tagship.host.layout import ID, Layout

_PATIENCE = 3.0  # seconds for a TLS greeting of the host's own web server
_SITES = "/etc/nginx/sites-enabled"


def doctor(context: Context, args: Args) -> dict[str, Any]:
    """Clock, folders, filesystems, ports, virtualenvs of `releases`; and where units run, what `fab setup` made."""
    layout = context.layout
    front = args.text("front")
    return {
        "time": time.time(),
        "umask": _umask(),
        "groups": sorted(map(group_name, {os.getegid(), *os.getgroups()})),
        "folders": {path: _folder(path) for path in layout.folders()},
        "filesystems": {name: _device(layout, name) for name in ("objects", "releases", "state", "assets")},
        "disk": _disk(layout.root),
        "listeners": _listeners(front),
        "links": {name: _target(layout, name) for name in files.names(layout.shared)},
        "venvs": [_venv(context, layout, release) for release in args.texts("releases")],
        "certificate": _certificate(front, args.optional("tls")),
        "lost": [name for name in files.names(layout.releases) if _is_lost(layout, name)],
        "service": _service(context) if context.ready is not None else None,
    }


def _service(context: Context) -> dict[str, Any]:
    """The helper, the units, nginx and the journal of a host that was made ready."""
    ready, lifeline = context.ready, context.lifeline
    assert ready is not None
    status, said = helper.quietly(lifeline, helper.argv(ready, "version"))
    site = os.path.join(_SITES, ready.unit + ".conf")
    return {
        "name": ready.unit,
        "row": ready.row,
        "helper": {"status": status, "said": said[-1] if said else ""},
        "boot": _first(helper.quietly(lifeline, ["systemctl", "is-enabled", ready.unit + ".service"])),
        "nginx": _first(helper.quietly(lifeline, ["systemctl", "is-active", "nginx.service"])),
        "site": (files.read(os.path.realpath(site)) or b"").decode("utf-8", "replace"),
        "run": _folder("/run/" + ready.unit),
        "journal": os.path.isdir("/var/log/journal"),
    }


def _first(said: tuple[int, list[str]]) -> str:
    return said[1][0] if said[1] else "exit status {}".format(said[0])


def _umask() -> str:
    mask = os.umask(0o022)
    os.umask(mask)
    return "{:04o}".format(mask)


def _folder(path: str) -> Optional[dict[str, Any]]:
    try:
        found = os.stat(path)
    except OSError:
        return None
    mode = "{:04o}".format(stat.S_IMODE(found.st_mode))
    return {"mode": mode, "owner": user_name(found.st_uid), "group": group_name(found.st_gid)}


def _device(layout: Layout, name: str) -> Optional[int]:
    try:
        return os.stat(layout.below(name)).st_dev
    except OSError:
        return None


def _disk(path: str) -> dict[str, Any]:
    while not os.path.exists(path):
        path = os.path.dirname(path)
    found = os.statvfs(path)
    return {
        "free": found.f_bavail * found.f_frsize,
        "size": found.f_blocks * found.f_frsize,
        "inodes_free": found.f_favail if found.f_files else None,
        "inodes": found.f_files or None,
    }


def _target(layout: Layout, name: str) -> str:
    """`ok`, or that a link of `shared/` leads nowhere."""
    path = os.path.join(layout.shared, name)
    return "ok" if os.path.exists(path) else "leads nowhere: {}".format(os.readlink(path))


def _is_lost(layout: Layout, name: str) -> bool:
    """Whether a release's environment, a version by its link, is gone."""
    link = os.path.join(layout.releases, name, "env")
    return bool(ID.match(name)) and os.path.islink(link) and not os.path.exists(link)


def _listeners(front: str) -> list[dict[str, Any]]:
    """Who listens on the port of `front`: the user, and the program where we may see it."""
    wanted = ":{:04X}".format(int(front.rpartition(":")[2]))
    found = []
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        for line in (_text(table)).splitlines()[1:]:
            fields = line.split()
            if len(fields) > 9 and fields[3] == "0A" and fields[1].endswith(wanted):
                uid, inode = int(fields[7]), fields[9]
                found.append({"user": user_name(uid), "program": _program(inode)})
    return [one for number, one in enumerate(found) if one not in found[:number]]


def _text(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""


def _program(inode: str) -> str:
    """The name of a process that has a socket open; empty where it is another user's."""
    wanted = "socket:[{}]".format(inode)
    for pid in procs.pids():
        folder = "/proc/{}/fd".format(pid)
        for name in files.names(folder):
            try:
                if os.readlink(os.path.join(folder, name)) == wanted:
                    return _text("/proc/{}/comm".format(pid)).strip()
            except OSError:
                continue
    return ""


def _venv(context: Context, layout: Layout, release: str) -> dict[str, Any]:
    """Whether the interpreter that a release's virtualenv was made of is there, runs, and is of the same version."""
    venv = layout.release(release, "venv")
    python = os.path.join(venv, "bin", "python")
    row: dict[str, Any] = {"release": release, "there": os.path.isdir(venv), "python": os.path.realpath(python)}
    if row["there"]:
        script = "import sys; print('.'.join(map(str, sys.version_info[:2])))"
        status, said = helper.quietly(context.lifeline, [python, "-IS", "-c", script])
        row["says"] = said[-1] if said and status == 0 else ""
        row["fault"] = "" if status == 0 else (said[-1] if said else "exit status {}".format(status))
        row["noted"] = _noted(_text(os.path.join(venv, "pyvenv.cfg")))
    return row


def _noted(text: str) -> str:
    """The version in a pyvenv.cfg, `3.11`."""
    for line in text.splitlines():
        name, _, value = line.partition("=")
        if name.strip() in ("version", "version_info"):
            return ".".join(value.strip().split(".")[:2])
    return ""


def _certificate(front: str, name: Optional[str]) -> Optional[dict[str, str]]:
    """What the web server shows to who asks for `name`: the certificate as DER in base64, or why there is none."""
    if name is None:
        return None
    import socket  # only where TLS is asked for
    import ssl

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE  # its dates are wanted, whoever signed it
    address, _, port = front.rpartition(":")
    try:
        plain = socket.create_connection((address.strip("[]"), int(port)), _PATIENCE)
        with plain, context.wrap_socket(plain, server_hostname=name or None) as secure:
            shown = secure.getpeercert(binary_form=True) or b""
    except (OSError, ValueError) as error:
        return {"fault": str(error)}
    return {"der": base64.b64encode(shown).decode()}
