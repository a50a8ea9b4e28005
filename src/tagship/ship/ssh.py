"""Hosts over SSH: Fabric opens the connection, but only to a host whose key is known beforehand."""

from __future__ import annotations

import logging
import shlex
import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

# `ssh` is imported only where a stage has SSH hosts: these two cost more than all else that a verb imports.
import fabric
import paramiko

from tagship.errors import HostRefused
from tagship.ship.hostkeys import HostKey, KnownKeys, name_in_file, read_known, read_revoked
from tagship.ship.link import Channel
from tagship.ship.sshconfig import Endpoint, resolve, split_jump
from tagship.ship.transport import StderrTail

KEEPALIVE = (("TCP_KEEPIDLE", 5), ("TCP_KEEPALIVE", 5), ("TCP_KEEPINTVL", 2), ("TCP_KEEPCNT", 3))
"""Seconds idle, seconds between probes, probes; macOS calls the first one TCP_KEEPALIVE."""
AUTH_TIMEOUT = 15.0
FAREWELL = 2.0
"""Seconds for the end of an agent's stdin to be sent, and for it to end."""
KNOCKS = 8
"""Connections to one sshd that aren't let in yet, at most: from the eleventh on it drops some (MaxStartups)."""
PASSED = "keepalive@openssh.com"
"""A question that sshd answers only once it has stopped counting a connection as one that isn't let in yet."""

WEAK = {
    "ciphers": ("aes128-cbc", "aes192-cbc", "aes256-cbc", "3des-cbc"),
    "macs": ("hmac-sha1", "hmac-md5", "hmac-sha1-96", "hmac-md5-96"),
}
"""What Paramiko would still take and OpenSSH no longer offers; of its key exchanges, none is of that kind."""

_DOORS: dict[str, threading.BoundedSemaphore] = {}
"""Who is at which sshd's door; a jump host has one for the whole fleet behind it."""

logging.getLogger("paramiko").addHandler(logging.NullHandler())


@dataclass(frozen=True)
class SshTransport:
    """One host as the stage names it; what isn't given is asked of OpenSSH's configuration."""

    name: str
    """How messages call it."""
    host: str
    user: str | None = None
    port: int | None = None
    identity: Path | None = None
    known_hosts: Path | None = None
    usual: str | None = None
    """Who logs in where neither `user` nor OpenSSH's configuration says who does."""

    level = 6

    def endpoint(self) -> Endpoint:
        """Where and how it is reached, everything resolved. Raises `HostRefused`."""
        return resolve(
            self.host,
            user=self.user,
            port=self.port,
            identity=self.identity,
            known_hosts=self.known_hosts,
            usual=self.usual,
        )

    def between(self, endpoint: Endpoint) -> Iterator[tuple[str, Endpoint]]:
        """The machines on the way to `endpoint`, the nearest first, and how messages call each."""
        for jump in endpoint.jumps:
            host, user, port = split_jump(jump)
            yield f"{self.name} (jump host {host})", resolve(host, user=user, port=port, known_hosts=self.known_hosts)

    def connect(self, argv: Sequence[str]) -> Channel:
        """Run `argv` there and return its channel. Raises `HostRefused`; before authentication for a wrong key."""
        opened: list[Any] = []
        try:
            endpoint = self.endpoint()
            gateway: Any = None
            for called, between in self.between(endpoint):
                with _door(between):
                    gateway = self._open(between, gateway, called, opened)
                    with _within(between.connect_timeout, opened, called):
                        gateway.transport.global_request(PASSED)  # answered, with a no, by who has let us in
            with _door(endpoint):
                connection = self._open(endpoint, gateway, self.name, opened)
                channel = connection.transport.open_session(timeout=endpoint.connect_timeout)
            # The one place that quotes: SSH carries one string, which the login shell of the host splits.
            with _within(endpoint.connect_timeout, opened, self.name):
                channel.exec_command(shlex.join(argv))
        except (OSError, EOFError, paramiko.SSHException) as error:
            _close_all(opened)
            raise HostRefused(f"it ends the connection ({_words(error)})", host=self.name) from None
        except BaseException:
            _close_all(opened)
            raise
        return SshChannel(channel, opened)

    def _open(self, endpoint: Endpoint, gateway: Any, called: str, opened: list[Any]) -> Any:
        texts = [path.read_text(errors="replace") for path in endpoint.known_hosts if path.is_file()]
        alias = endpoint.key_alias
        key_name = alias if alias else name_in_file(endpoint.hostname, endpoint.port)
        known = _with_revoked(read_known(texts, key_name), endpoint, called)
        sock = {"sock": _through(endpoint.proxy, called)} if endpoint.proxy else {}
        connection = fabric.Connection(
            endpoint.hostname,
            user=endpoint.user,
            port=endpoint.port,
            gateway=gateway,
            forward_agent=False,
            connect_timeout=int(endpoint.connect_timeout),
            # An explicit, empty SSHConfig: Fabric would read ~/.ssh/config again, and differently from ssh.
            config=fabric.Config(ssh_config=paramiko.SSHConfig(), lazy=True),
            connect_kwargs={
                "key_filename": [str(path) for path in endpoint.identities],
                "allow_agent": not endpoint.identities_only,
                "look_for_keys": False,
                "banner_timeout": endpoint.connect_timeout,
                "auth_timeout": AUTH_TIMEOUT,
                "disabled_algorithms": {"keys": known.refused_algorithms(), **WEAK},
                **sock,
            },
        )
        judge = KnownKeysOnly(called, key_name, known, endpoint)
        connection.client.set_missing_host_key_policy(judge)
        opened.append(connection)
        with _within(2 * endpoint.connect_timeout + AUTH_TIMEOUT, opened, called):
            try:
                connection.open()
            except HostRefused:
                raise
            except Exception as error:
                raise _refused(error, called, endpoint, judge) from error
        _tune(connection.transport.sock)
        return connection


class KnownKeysOnly(paramiko.MissingHostKeyPolicy):
    """Judges every host key, for Paramiko is told of none; it asks before it authenticates."""

    def __init__(self, host: str, key_name: str, known: KnownKeys, endpoint: Endpoint) -> None:
        self.host = host
        self.key_name = key_name
        self.known = known
        self.file = endpoint.known_hosts[0] if endpoint.known_hosts else Path("~/.ssh/known_hosts")
        self.scan = f"ssh-keyscan -p {endpoint.port} {endpoint.hostname}"

    def missing_host_key(self, client: Any, _hostname: str, key: paramiko.PKey) -> None:
        """Return for a known key; raise `HostRefused` for a revoked, changed or unknown one, or a weak exchange."""
        shown = HostKey(key.get_name(), key.asbytes())
        if shown in self.known.revoked:
            raise HostRefused(
                f"its host key {shown.fingerprint} ({shown.type}) is revoked",
                host=self.host,
                cure="do not connect; ask whoever keeps the host what happened",
            )
        if shown in self.known.keys:
            self._must_be_strict(client.get_transport())
            return
        if self.known.keys:
            raise self.changed(f"it showed {shown.fingerprint} ({shown.type})")
        signed = "; an authority is known, but certificates are not taken" if self.known.by_authority else ""
        raise HostRefused(
            f"its host key is not known: {shown.fingerprint} ({shown.type}){signed}",
            host=self.host,
            cure=f"compare the fingerprint with the host's own (ssh-keygen -lf on it), then: "
            f"{self.scan} >> {self.file}",
            tail=[shown.line(self.key_name)],
        )

    def _must_be_strict(self, transport: paramiko.Transport) -> None:
        """Without it, who sits in between can drop the first packets of a connection unseen (CVE-2023-48795)."""
        if not transport.agreed_on_strict_kex:  # type: ignore[attr-defined]
            raise HostRefused(
                f"its SSH server ({transport.remote_version}) knows no strict key exchange (CVE-2023-48795)",
                host=self.host,
                cure="update it: OpenSSH 9.6, or any that its distribution has updated since December 2023",
            )

    def changed(self, shown: str) -> HostRefused:
        """The refusal of a host that is known by another key."""
        known = ", ".join(sorted(f"{key.fingerprint} ({key.type})" for key in self.known.keys))
        return HostRefused(
            f"its host key has changed: {shown}, known is {known}",
            host=self.host,
            cure=f"someone may be listening in; if the host was made anew: ssh-keygen -f {self.file} "
            f"-R '{self.key_name}', then {self.scan} >> {self.file}",
        )


class SshChannel:
    """The agent's three streams over one SSH session, and the connections below it."""

    def __init__(self, channel: paramiko.Channel, opened: list[Any]) -> None:
        self._channel = channel
        self._opened = opened
        self._errors = StderrTail(channel.recv_stderr)

    def read(self, size: int) -> bytes:
        """At most `size` bytes as soon as there are any; empty at the end. Raises `OSError`."""
        return self._channel.recv(size)

    def write(self, data: bytes) -> None:
        """All of `data`. Raises `OSError`."""
        self._channel.sendall(data)

    def stderr(self) -> bytes:
        """The last 8 KB of stderr."""
        return self._errors.bytes()

    def status(self) -> int | None:
        """The exit status, once it has ended; waits for a second."""
        self._channel.status_event.wait(1.0)
        return self._channel.exit_status if self._channel.exit_status >= 0 else None

    def close(self) -> None:
        """End its stdin, leave it a moment to end, then close the connection."""
        # In a thread, for a host that reads nothing any more lets nothing be written, not even a farewell.
        farewell = threading.Thread(target=self._part, name="farewell", daemon=True)
        farewell.start()
        farewell.join(FAREWELL)
        _close_all(self._opened)

    def _part(self) -> None:
        try:
            self._channel.shutdown_write()
            self.status()
        except (OSError, EOFError, paramiko.SSHException):
            pass  # the connection ended first

    def abort(self) -> None:
        """Close the connection at once; sshd then ends the agent's stdin."""
        for connection in reversed(self._opened):
            if connection.transport is not None:
                connection.transport.close()


def _through(proxy: Sequence[str], called: str) -> paramiko.ProxyCommand:
    try:
        return paramiko.ProxyCommand(shlex.join(proxy))  # which splits it again, and has no shell
    except OSError as error:
        cure = "mend ProxyCommand; it is a program and its words, for no shell runs it"
        raise HostRefused(f"its ProxyCommand can't be run ({error})", host=called, cure=cure) from None


def _with_revoked(known: KnownKeys, endpoint: Endpoint, called: str) -> KnownKeys:
    """As OpenSSH does it, a file of revoked keys that can't be read refuses every host."""
    if endpoint.revoked is None:
        return known
    try:
        more = read_revoked(endpoint.revoked.read_bytes())
    except OSError:
        more = None
    if more is None:
        raise HostRefused(
            f"RevokedHostKeys {endpoint.revoked} can't be read",
            host=called,
            cure="make it a file with one public key a line; binary revocation lists (KRL) are not read here",
        )
    return replace(known, revoked=known.revoked | more)


def _door(endpoint: Endpoint) -> threading.BoundedSemaphore:
    """Held until sshd has answered something behind the login: it lets in a moment before it stops counting."""
    # What a proxy command goes through, only it knows: perhaps the same host for all.
    key = "a proxy" if endpoint.proxy else f"{endpoint.hostname}:{endpoint.port}"
    return _DOORS.setdefault(key, threading.BoundedSemaphore(KNOCKS))


@contextmanager
def _within(seconds: float, opened: list[Any], called: str) -> Iterator[None]:
    """Give up what is done within, by closing all that was `opened`, where it takes longer: Paramiko would wait on.

    It waits without an end for some answers, and for others anew with each key. Raises `HostRefused`.
    """
    late = threading.Event()

    def end() -> None:
        late.set()
        for connection in reversed(opened):
            transport = connection.client.get_transport()
            if transport is not None:
                transport.close()

    timer = threading.Timer(seconds, end)
    timer.daemon = True
    timer.start()
    try:
        yield
    except Exception:
        if not late.is_set():
            raise
    finally:
        timer.cancel()
    if late.is_set():
        cure = "look at that host: its sshd takes connections, and then hangs"
        raise HostRefused(f"it gave no answer for {seconds:g} s", host=called, cure=cure)


def _close_all(opened: list[Any]) -> None:
    for connection in reversed(opened):
        connection.client.close()


def _tune(sock: Any) -> None:
    if not isinstance(sock, socket.socket):
        return  # a channel through a jump host, whose own socket is kept alive
    # Questions are small and answers awaited: without this, Nagle and delayed acks cost some 40 ms now and then.
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in KEEPALIVE:
        option = getattr(socket, name, None)
        if option is not None:
            sock.setsockopt(socket.IPPROTO_TCP, option, value)


def _refused(error: Exception, called: str, endpoint: Endpoint, judge: KnownKeysOnly) -> HostRefused:
    address = f"{endpoint.hostname}:{endpoint.port}"
    by_hand = f"ssh -p {endpoint.port} {endpoint.user}@{endpoint.hostname}"
    if isinstance(error, paramiko.PasswordRequiredException):
        keys = ", ".join(map(str, endpoint.identities))
        return HostRefused(f"the private key is locked ({keys})", host=called, cure="ssh-add it first")
    if isinstance(error, paramiko.AuthenticationException):
        tried = ", ".join(map(str, endpoint.identities)) or "no key file, only an SSH agent's keys"
        return HostRefused(
            f"it does not let {endpoint.user} in (tried {tried})",
            host=called,
            cure=f"put your public key into that user's authorized_keys, or name another user, then try: {by_hand}",
        )
    if isinstance(error, paramiko.ssh_exception.IncompatiblePeer):
        if "host key" in str(error) and judge.known.keys:
            return judge.changed("it has no key of a known type")
        cure = "update its SSH server: what it offers is weak, or unknown here"
        return HostRefused(f"nothing in common with its SSH server ({_words(error)})", host=called, cure=cure)
    if isinstance(error, socket.gaierror):
        return HostRefused(f"there is no address for {endpoint.hostname}", host=called, cure="mend `host:`, or DNS")
    return HostRefused(f"it does not answer at {address} ({_words(error)})", host=called, cure=f"try: {by_hand}")


def _words(error: BaseException) -> str:
    return str(error) or type(error).__name__
