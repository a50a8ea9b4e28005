"""Where and how OpenSSH would connect to a host: asked of `ssh -G`, or of Paramiko's reader where there is no ssh."""

from __future__ import annotations

import getpass
import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from tagship.errors import HostRefused

CONNECT_TIMEOUT = 10.0
CONFIG_VARIABLE = "TAGSHIP_SSH_CONFIG"
"""The environment variable that names a file to read instead of ~/.ssh/config, as `ssh -F` does; CI has one."""
_HOST = re.compile(r"[A-Za-z0-9_:](?:[A-Za-z0-9._:%-]{0,252})\Z")
_USER = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9._@+\\$-]{0,63})\Z")
_FILES = ("~/.ssh/known_hosts", "~/.ssh/known_hosts2"), ("/etc/ssh/ssh_known_hosts", "/etc/ssh/ssh_known_hosts2")
_IDENTITIES = ("~/.ssh/id_rsa", "~/.ssh/id_ecdsa", "~/.ssh/id_ed25519")

Options = Mapping[str, tuple[str, ...]]
"""Lower-case option names of ssh_config(5), each with the values of its lines."""


@dataclass(frozen=True)
class Endpoint:
    """One machine as SSH reaches it, everything resolved."""

    hostname: str
    port: int
    user: str
    identities: tuple[Path, ...]
    """Private key files that exist."""
    identities_only: bool
    """Keys of an SSH agent are not wanted."""
    known_hosts: tuple[Path, ...]
    key_alias: str | None
    """The name under which its host key is known, if not its own."""
    connect_timeout: float
    jumps: tuple[str, ...]
    """`user@host:port` of the machines in between, the first one nearest to us."""
    proxy: tuple[str, ...]
    """The command that carries the connection, where there is one: no shell runs it."""
    revoked: Path | None
    """A file of host keys that must never be taken."""


def resolve(
    host: str,
    *,
    user: str | None = None,
    port: int | None = None,
    identity: Path | None = None,
    known_hosts: Path | None = None,
    usual: str | None = None,
) -> Endpoint:
    """Everything OpenSSH's configuration says of `host`, with what is given here in its place.

    `usual` is who logs in where nobody says who does: OpenSSH then takes the user of this machine. Raises
    `HostRefused` if the configuration can't be read, names a host or user that can't be one, or `identity` isn't
    there.
    """
    if identity is not None and not identity.is_file():
        raise HostRefused(f"there is no private key {identity}", host=host, cure="mend `identity:` of this host")
    options = _ask_ssh(host, user, port) if shutil.which("ssh") else _read_config(host)
    jumps = [jump for jump in _one(options, "proxyjump").split(",") if jump not in ("", "none")]
    command = _one(options, "proxycommand")
    alias = _one(options, "hostkeyalias")
    timeout = _one(options, "connecttimeout")
    files = (known_hosts,) if known_hosts else _known_hosts(options)
    here = getpass.getuser()
    asked = _one(options, "user") or here
    who = user or (usual if usual and asked == here else asked)
    where, number = _one(options, "hostname") or host, port or int(_one(options, "port") or 22)
    for value, grammar, kind in ((where, _HOST, "host name"), (who, _USER, "user")):
        if not grammar.match(value):
            raise HostRefused(f"{value!r} is no {kind}", host=host, cure=f"mend {_config_file() or '~/.ssh/config'}")
    return Endpoint(
        hostname=where,
        port=number,
        user=who,
        identities=(identity,) if identity else _existing(options.get("identityfile") or _IDENTITIES),
        identities_only=_one(options, "identitiesonly") == "yes",
        known_hosts=files,
        key_alias=alias if alias not in ("", "none") else None,
        connect_timeout=float(timeout) if timeout.isdigit() and int(timeout) else CONNECT_TIMEOUT,
        jumps=tuple(jumps),
        proxy=_proxy(command, host, where, number, who) if command not in ("", "none") and not jumps else (),
        revoked=_path(_one(options, "revokedhostkeys")),
    )


def _proxy(command: str, name: str, hostname: str, port: int, user: str) -> tuple[str, ...]:
    """The words of a ProxyCommand; what is put into them can't make two of one, for they are split before."""
    tokens = {"%": "%", "h": hostname, "n": name, "p": str(port), "r": user}

    def put_in(found: re.Match[str]) -> str:
        if found[1] not in tokens:
            raise HostRefused(
                f"its ProxyCommand has {found[0]}, which isn't known here", host=name, cure="use %h %p %r"
            )
        return tokens[found[1]]

    try:
        words = shlex.split(command.removeprefix("exec "))
    except ValueError as error:
        raise HostRefused(f"its ProxyCommand can't be read ({error})", host=name, cure="mend it") from None
    return tuple(re.sub("%(.?)", put_in, word) for word in words)


def _path(text: str) -> Path | None:
    return None if text in ("", "none") else Path(text).expanduser()


def split_jump(jump: str) -> tuple[str, str | None, int | None]:
    """`[user@]host[:port]` as host, user and port; IPv6 addresses stand in brackets."""
    user, _at, rest = jump.removeprefix("ssh://").rpartition("@")
    if rest.startswith("["):
        host, _bracket, port = rest[1:].partition("]")
        port = port.removeprefix(":")
    else:
        host, _colon, port = rest.partition(":")
    return host, user or None, int(port) if port else None


def _ask_ssh(host: str, user: str | None, port: int | None) -> Options:
    flags = [*(["-l", user] if user else []), *(["-p", str(port)] if port else [])]
    file = _config_file()
    argv = ["ssh", *(["-F", str(file)] if file else []), "-G", *flags, "--", host]
    try:
        done = subprocess.run(
            argv, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=CONNECT_TIMEOUT, check=False
        )
    except subprocess.TimeoutExpired:
        what = f"ssh -G doesn't tell within {CONNECT_TIMEOUT:g} s how to reach it"
        cure = f"look at {file or '~/.ssh/config'}: a `Match exec` in it may hang"
        raise HostRefused(what, host=host, cure=cure) from None
    if done.returncode != 0:
        raise HostRefused(
            "ssh -G can't tell how to reach it",
            host=host,
            cure=f"mend {file or '~/.ssh/config'}",
            tail=done.stderr.strip().splitlines(),
        )
    return _group(line.partition(" ") for line in done.stdout.splitlines())


def _config_file() -> Path | None:
    """The file to read instead of the user's own; it counts alone."""
    given = os.environ.get(CONFIG_VARIABLE)
    return Path(given).expanduser() if given else None


def _read_config(host: str) -> Options:
    import paramiko  # only where an SSH stage is used

    path = _config_file() or Path("~/.ssh/config").expanduser()
    if not path.is_file():
        return {}
    found = paramiko.SSHConfig.from_path(str(path)).lookup(host)
    values = ((key, "", value) for key, value in found.items())
    return _group(
        (key, "", item) for key, _sep, value in values for item in ([value] if isinstance(value, str) else value)
    )


def _group(lines: Iterable[tuple[str, str, str]]) -> Options:
    options: dict[str, tuple[str, ...]] = {}
    for key, _separator, value in lines:
        options[key.lower()] = (*options.get(key.lower(), ()), value)
    return options


def _one(options: Options, name: str) -> str:
    return next(iter(options.get(name, ())), "")


def _known_hosts(options: Options) -> tuple[Path, ...]:
    found: list[str] = []
    for name, default in zip(("userknownhostsfile", "globalknownhostsfile"), _FILES, strict=True):
        text = _one(options, name)
        found += shlex.split(text) if text else default
    return tuple(Path(path).expanduser() for path in found if path != "none")


def _existing(names: Iterable[str]) -> tuple[Path, ...]:
    home = str(Path.home())
    paths = [Path(name.strip('"').replace("%d", home)).expanduser() for name in names]
    return tuple(path for path in paths if path.is_file())
