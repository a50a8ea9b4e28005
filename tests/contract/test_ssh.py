"""Which hosts are spoken to over SSH, and which are refused: by their key, before anything is told to them."""

from __future__ import annotations

import contextlib
import shlex
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import paramiko
import pytest
from contract.projects import free_port
from contract.sshd import Sshd, make_key, run_sshd
from contract.ways import ssh_transport

from tagship.errors import HostRefused
from tagship.ship.crew import Crew
from tagship.ship.fleet import Fleet, Place, Question
from tagship.ship.link import AgentLink
from tagship.ship.ssh import SshTransport
from tagship.ship.transport import Transport

pytestmark = pytest.mark.lab


def survey(transport: Transport, root: Path) -> Fleet:
    """Connect by `transport` and survey; closed again at once."""
    fleet = Fleet([Place("web1", str(root), "127.0.0.1:1", transport)], Question("app", "production"))
    with fleet:
        return fleet.connect()


def test_an_unknown_host_key_is_refused_before_authentication(sshd: Sshd, tmp_path: Path) -> None:
    """The refusal shows the fingerprint and how to make the key known; no user was tried on the server."""
    empty = tmp_path / "known_hosts"
    empty.touch()
    before = len(sshd.log())
    with pytest.raises(HostRefused) as caught:
        survey(ssh_transport(sshd, known_hosts=empty), tmp_path / "root")
    shown = subprocess.run(
        ["ssh-keygen", "-lf", str(sshd.folder / "host_key.pub")], capture_output=True, text=True, check=True
    ).stdout.split()[1]
    assert "not known" in caught.value.what
    assert shown in caught.value.what
    assert f"ssh-keyscan -p {sshd.port} 127.0.0.1 >> {empty}" in caught.value.cure
    assert caught.value.tail[0].startswith(f"{sshd.name} ssh-ed25519 ")
    assert "user" not in sshd.ended(before)


def test_a_changed_host_key_is_refused(sshd: Sshd, tmp_path: Path) -> None:
    """Another key of the same type than the known one: both fingerprints are shown."""
    known = tmp_path / "known_hosts"
    known.write_text(f"{sshd.name} {make_key(tmp_path / 'old')}\n")
    with pytest.raises(HostRefused, match="has changed") as caught:
        survey(ssh_transport(sshd, known_hosts=known), tmp_path / "root")
    assert caught.value.what.count("SHA256:") == 2


def test_a_revoked_host_key_is_refused(sshd: Sshd, tmp_path: Path) -> None:
    """`@revoked` wins over a line that knows the key."""
    known = tmp_path / "known_hosts"
    line = sshd.known_hosts.read_text()
    known.write_text(f"{line}@revoked {line}")
    with pytest.raises(HostRefused, match="revoked"):
        survey(ssh_transport(sshd, known_hosts=known), tmp_path / "root")


@pytest.mark.parametrize("kind", ["host_key", "other_host_key"])
def test_a_host_known_by_one_key_type_is_asked_for_that_one(sshd: Sshd, tmp_path: Path, kind: str) -> None:
    """A server with several host keys must show the one that is known, whichever is preferred otherwise."""
    known = tmp_path / "known_hosts"
    known.write_text(f"{sshd.name} {(sshd.folder / f'{kind}.pub').read_text()}")
    assert survey(ssh_transport(sshd, known_hosts=known), tmp_path / "root").surveys["web1"].highest == 0


def test_a_host_that_lost_its_known_key_type_is_refused(sshd: Sshd, tmp_path: Path) -> None:
    """Known by a type that the server no longer has: that is a changed key too."""
    known = tmp_path / "known_hosts"
    known.write_text(f"{sshd.name} {make_key(tmp_path / 'old', 'rsa')}\n")
    with pytest.raises(HostRefused, match="no key of a known type"):
        survey(ssh_transport(sshd, known_hosts=known), tmp_path / "root")


def test_hashed_names_are_known(sshd: Sshd, tmp_path: Path) -> None:
    """A known_hosts file that ssh-keygen has hashed works as before."""
    known = tmp_path / "known_hosts"
    shutil.copy(sshd.known_hosts, known)
    subprocess.run(["ssh-keygen", "-q", "-H", "-f", str(known)], check=True, capture_output=True)
    assert known.read_text().startswith("|1|")
    assert survey(ssh_transport(sshd, known_hosts=known), tmp_path / "root").surveys["web1"].highest == 0


def test_a_wrong_user_key_is_refused(sshd: Sshd, tmp_path: Path) -> None:
    """The refusal names the user, the keys that were tried, and the command to try by hand."""
    make_key(tmp_path / "stranger")
    before = len(sshd.log())
    with pytest.raises(HostRefused, match="does not let") as caught:
        survey(ssh_transport(sshd, identity=tmp_path / "stranger"), tmp_path / "root")
    assert f"user {sshd.user}" in sshd.ended(before)
    assert f"ssh -p {sshd.port}" in caught.value.cure


def test_a_locked_private_key_is_refused_with_its_cure(sshd: Sshd, tmp_path: Path) -> None:
    """Nobody is asked for a passphrase in the middle of a deploy: ssh-add is the way."""
    argv = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "secret words", "-f", str(tmp_path / "locked")]
    subprocess.run(argv, check=True)
    with pytest.raises(HostRefused) as caught:
        survey(ssh_transport(sshd, identity=tmp_path / "locked"), tmp_path / "root")
    assert "ssh-add" in caught.value.cure


def test_a_missing_private_key_is_refused(sshd: Sshd, tmp_path: Path) -> None:
    """The file that tagship.yml names must be there."""
    with pytest.raises(HostRefused, match="no private key"):
        survey(ssh_transport(sshd, identity=tmp_path / "nowhere"), tmp_path / "root")


def test_a_dead_port_is_refused(sshd: Sshd, tmp_path: Path) -> None:
    """A host that does not answer is told with its address."""
    port = free_port()
    with pytest.raises(HostRefused, match=f"does not answer at 127.0.0.1:{port}"):
        survey(ssh_transport(sshd, port=port), tmp_path / "root")


def test_a_host_without_python_is_refused(sshd: Sshd) -> None:
    """A shell that finds no python3 says so by its exit status."""
    link = AgentLink("web1", ssh_transport(sshd).connect(["/nowhere/python3", "-c", "pass"]))
    with pytest.raises(HostRefused, match="there is no python3"):
        link.open(b"code", 30)


@pytest.fixture
def inner(tmp_path: Path, sshd: Sshd, monkeypatch: pytest.MonkeyPatch) -> Iterator[Sshd]:
    """A second sshd, called `inner` and reached through the first one as OpenSSH's configuration tells."""
    user_key = sshd.identity.with_suffix(".pub").read_text().strip()
    with run_sshd(tmp_path / "inner", authorized=user_key) as server:
        config = tmp_path / "ssh_config"
        config.write_text(
            f"Host inner\n HostName 127.0.0.1\n Port {server.port}\n ProxyJump {sshd.user}@127.0.0.1:{sshd.port}\n"
            f"Host *\n User {sshd.user}\n IdentityFile {sshd.identity}\n UserKnownHostsFile {tmp_path}/known_hosts\n"
        )
        monkeypatch.setenv("TAGSHIP_SSH_CONFIG", str(config))
        yield server


def test_a_jump_host_of_ssh_config_is_used(inner: Sshd, sshd: Sshd, tmp_path: Path) -> None:
    """Host name, port, user, keys and ProxyJump are what `ssh -G` says."""
    (tmp_path / "known_hosts").write_text(inner.known_hosts.read_text() + sshd.known_hosts.read_text())
    assert survey(SshTransport("web1", "inner"), tmp_path / "root").surveys["web1"].highest == 0


def test_a_configuration_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Where TAGSHIP_SSH_CONFIG names a file, that one counts alone."""
    monkeypatch.setenv("TAGSHIP_SSH_CONFIG", str(tmp_path / "missing"))
    with pytest.raises(HostRefused, match="can't tell how to reach it") as caught:
        SshTransport("web1", "inner").connect(["true"])
    assert str(tmp_path / "missing") in caught.value.cure


def test_an_unknown_jump_host_is_refused(inner: Sshd, tmp_path: Path) -> None:
    """The machine in between is judged like every other, and named."""
    shutil.copy(inner.known_hosts, tmp_path / "known_hosts")
    with pytest.raises(HostRefused, match="not known") as caught:
        survey(SshTransport("web1", "inner"), tmp_path / "root")
    assert "jump host 127.0.0.1" in caught.value.where


def test_a_jump_host_with_a_changed_key_is_refused(inner: Sshd, sshd: Sshd, tmp_path: Path) -> None:
    """Before anybody is let in there, and before what is behind it is asked for."""
    other = f"{sshd.name} {make_key(tmp_path / 'old')}\n"
    (tmp_path / "known_hosts").write_text(inner.known_hosts.read_text() + other)
    before, behind = len(sshd.log()), len(inner.log())
    with pytest.raises(HostRefused, match="has changed") as caught:
        survey(SshTransport("web1", "inner"), tmp_path / "root")
    assert "jump host 127.0.0.1" in caught.value.where
    assert "user" not in sshd.ended(before)
    assert inner.log()[behind:] == ""


def test_an_unknown_host_behind_a_jump_host_is_refused(inner: Sshd, sshd: Sshd, tmp_path: Path) -> None:
    """Knowing the machine in between is not enough."""
    shutil.copy(sshd.known_hosts, tmp_path / "known_hosts")
    with pytest.raises(HostRefused, match="not known") as caught:
        survey(SshTransport("web1", "inner"), tmp_path / "root")
    assert "jump" not in caught.value.where


def test_a_fleet_behind_one_sshd_does_not_break_down_its_door(tmp_path: Path) -> None:
    """An sshd drops some where more than ten knock at once, by default; a jump host bears a whole fleet."""
    with run_sshd(tmp_path / "server", startups="10:100:10") as sshd:
        crew = Crew(lambda _: ssh_transport(sshd).connect(["true"]).close(), map(str, range(32)), 32)
        assert crew.wait(60)
        assert crew.errors == {}


def test_a_fleet_behind_a_jump_host_does_not_break_down_that_ones_door(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who passes through it is let in there too, and counts until the machine in between has taken note."""
    with run_sshd(tmp_path / "jump", startups="10:100:10") as jump:
        user_key = jump.identity.with_suffix(".pub").read_text().strip()
        with run_sshd(tmp_path / "inner", authorized=user_key) as server:
            config = tmp_path / "ssh_config"
            config.write_text(
                f"Host inner\n HostName 127.0.0.1\n Port {server.port}\n"
                f" ProxyJump {jump.user}@127.0.0.1:{jump.port}\n"
                f"Host *\n User {jump.user}\n IdentityFile {jump.identity}\n UserKnownHostsFile {tmp_path}/known\n"
            )
            (tmp_path / "known").write_text(jump.known_hosts.read_text() + server.known_hosts.read_text())
            monkeypatch.setenv("TAGSHIP_SSH_CONFIG", str(config))
            crew = Crew(lambda _: SshTransport("web", "inner").connect(["true"]).close(), map(str, range(32)), 32)
            assert crew.wait(60)
            assert crew.errors == {}


def test_the_agents_of_these_tests_have_a_home_of_their_own(sshd: Sshd, home: Path) -> None:
    """Nothing that a test leaves may land in the home of whoever runs it."""
    channel = ssh_transport(sshd).connect(["sh", "-c", "echo $HOME"])
    assert channel.read(1000).decode().strip() == str(home)


# --- what the way itself must be like


@contextmanager
def configured(tmp_path: Path, server: Sshd, monkeypatch: pytest.MonkeyPatch, *more: str) -> Iterator[SshTransport]:
    """The way to `server` as a file of OpenSSH's configuration tells it, with `more` lines for that host."""
    config = tmp_path / "ssh_config"
    lines = "".join(f" {line}\n" for line in more)
    config.write_text(
        f"Host web\n HostName 127.0.0.1\n Port {server.port}\n User {server.user}\n IdentityFile {server.identity}\n"
        f" UserKnownHostsFile {server.known_hosts}\n GlobalKnownHostsFile none\n{lines}"
    )
    monkeypatch.setenv("TAGSHIP_SSH_CONFIG", str(config))
    yield SshTransport("web1", "web")


def said(transport: Transport, *argv: str) -> str:
    """What a command says there."""
    channel = transport.connect(argv)
    try:
        return b"".join(iter(lambda: channel.read(1000), b"")).decode()
    finally:
        channel.close()


def test_key_exchange_is_strict_and_nothing_weak_is_agreed_on(sshd: Sshd) -> None:
    """With an sshd of today: what protects from CVE-2023-48795 is on, and neither CBC nor SHA-1 is in use."""
    channel = ssh_transport(sshd).connect(["true"])
    transport = channel._opened[-1].transport  # type: ignore[attr-defined]
    agreed = (transport.local_cipher, transport.remote_cipher, transport.local_mac, transport.remote_mac)
    channel.close()
    assert transport.agreed_on_strict_kex is True
    assert not [name for name in agreed if "cbc" in name or "sha1" in name or "md5" in name]


@pytest.mark.parametrize(
    "weak",
    [
        "Ciphers aes256-cbc,3des-cbc",
        "Ciphers aes128-ctr\nMACs hmac-sha1,hmac-md5",
        "KexAlgorithms diffie-hellman-group14-sha1",
        "Ciphers chacha20-poly1305@openssh.com",
    ],
)
def test_a_server_that_offers_only_what_is_weak_is_refused(tmp_path: Path, weak: str) -> None:
    """Before authentication, and not as if its key had changed. (ChaCha20 is not weak: Paramiko doesn't know it.)"""
    with run_sshd(tmp_path / "server", more=f"{weak}\n") as server:
        with pytest.raises(HostRefused, match="nothing in common with its SSH server") as caught:
            survey(ssh_transport(server), tmp_path / "root")
        assert "no acceptable" in caught.value.what
        deadline = time.monotonic() + 30
        while "Unable to negotiate" not in server.log():
            assert time.monotonic() < deadline, server.log()
            time.sleep(0.05)
        assert "user" not in server.log()


class Lax(paramiko.ServerInterface):
    """Counts who tries to log in."""

    tried = 0

    def get_allowed_auths(self, username: str) -> str:
        self.tried += 1
        return "publickey"

    def check_auth_none(self, username: str) -> int:
        self.tried += 1
        return paramiko.AUTH_FAILED  # type: ignore[attr-defined,no-any-return]


def test_a_server_without_strict_key_exchange_is_refused_before_authentication(tmp_path: Path) -> None:
    """Its key is known and right; but who sits in between could drop the first packets unseen."""
    make_key(tmp_path / "user_key")
    lax, key = Lax(), paramiko.ECDSAKey.generate()  # half of those that ssh-keygen makes Paramiko can't read
    public = f"{key.get_name()} {key.get_base64()}"
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        (tmp_path / "known_hosts").write_text(f"[127.0.0.1]:{port} {public}\n")

        def serve() -> None:
            transport = paramiko.Transport(listener.accept()[0], strict_kex=False)  # type: ignore[call-arg]
            transport.add_server_key(key)
            with contextlib.suppress(EOFError, paramiko.SSHException):
                transport.start_server(server=lax)
            transport.join(30)

        thread = threading.Thread(target=serve)
        thread.start()
        way = SshTransport(
            "web1",
            "127.0.0.1",
            user="ada",
            port=port,
            identity=tmp_path / "user_key",
            known_hosts=tmp_path / "known_hosts",
        )
        with pytest.raises(HostRefused, match="no strict key exchange") as caught:
            way.connect(["true"])
        thread.join(30)
    assert "CVE-2023-48795" in caught.value.what
    assert lax.tried == 0


def test_no_agent_is_forwarded_whatever_the_configuration_says(
    sshd: Sshd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """OpenSSH itself forwards it with the same file."""
    with socket_of_agent(tmp_path) as agent, configured(tmp_path, sshd, monkeypatch, "ForwardAgent yes") as way:
        monkeypatch.setenv("SSH_AUTH_SOCK", str(agent))
        asked = ["sh", "-c", "echo agent=$SSH_AUTH_SOCK"]
        assert said(way, *asked) == "agent=\n"
        argv = ["ssh", "-F", str(tmp_path / "ssh_config"), "-T", "web", shlex.join(asked)]
        by_hand = subprocess.run(argv, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=True)
        assert by_hand.stdout.startswith("agent=/")


@contextmanager
def socket_of_agent(folder: Path) -> Iterator[Path]:
    """A real ssh-agent with nothing in it."""
    path = Path(tempfile.mkdtemp(prefix="ts")) / "agent"
    process = subprocess.Popen(["ssh-agent", "-D", "-a", str(path)], stdout=subprocess.DEVNULL)
    try:
        until_there(path)
        yield path
    finally:
        process.terminate()
        process.wait()
        shutil.rmtree(path.parent)


def until_there(path: Path) -> None:
    while not path.exists():
        time.sleep(0.01)


def test_a_proxy_command_carries_the_connection_and_the_host_key_counts(
    sshd: Sshd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Host, port and user are put in where it says so, words stay words; behind it the key is judged as ever."""
    seen = tmp_path / "seen words"
    relay = tmp_path / "relay.py"
    relay.write_text(RELAY)
    command = f"ProxyCommand {sys.executable} {relay} '{seen}' %h %p %r %n 100%%"
    with configured(tmp_path, sshd, monkeypatch, command) as way:
        assert said(way, "echo", "through") == "through\n"
        assert seen.read_text().split("\n") == ["127.0.0.1", str(sshd.port), sshd.user, "web", "100%"]
        known = tmp_path / "other"
        known.write_text(f"{sshd.name} {make_key(tmp_path / 'old')}\n")
        with pytest.raises(HostRefused, match="has changed"):
            said(SshTransport("web1", "web", known_hosts=known), "true")
    with (
        configured(tmp_path, sshd, monkeypatch, "ProxyCommand /nowhere/to/be/found %h") as way,
        pytest.raises(HostRefused, match="ProxyCommand can't be run"),
    ):
        said(way, "true")


RELAY = """\
import os, pathlib, select, socket, sys
pathlib.Path(sys.argv[1]).write_text("\\n".join(sys.argv[2:]))
there = socket.create_connection((sys.argv[2], int(sys.argv[3])))
while True:
    for ready in select.select([0, there], [], [])[0]:
        data = os.read(0, 65536) if ready == 0 else there.recv(65536)
        if not data:
            sys.exit()
        there.sendall(data) if ready == 0 else os.write(1, data)
"""


def test_an_authority_is_no_substitute_for_a_known_key(tmp_path: Path) -> None:
    """Certificates aren't taken: a host that only `@cert-authority` vouches for is unknown, and the words say so."""
    public = make_key(tmp_path / "authority")
    with run_sshd(tmp_path / "server", authority=tmp_path / "authority") as server:
        assert survey(ssh_transport(server), tmp_path / "root").surveys["web1"].highest == 0
        known = tmp_path / "known_hosts"
        known.write_text(f"@cert-authority {server.name} {public}\n")
        with pytest.raises(HostRefused, match=r"not known: .*certificates are not taken"):
            survey(ssh_transport(server, known_hosts=known), tmp_path / "root")
    only = "HostKeyAlgorithms ssh-ed25519-cert-v01@openssh.com\n"
    with run_sshd(tmp_path / "strict", authority=tmp_path / "authority", more=only) as server:
        known.write_text(f"@cert-authority {server.name} {public}\n")
        with pytest.raises(HostRefused):
            survey(ssh_transport(server, known_hosts=known), tmp_path / "root")


def test_revoked_host_keys_of_the_configuration_are_refused(
    sshd: Sshd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`RevokedHostKeys` counts as OpenSSH has it: a file that can't be read refuses every host."""
    revoked = tmp_path / "revoked"
    revoked.write_text(f"# none of these\n{make_key(tmp_path / 'old')} old\n")
    with configured(tmp_path, sshd, monkeypatch, f"RevokedHostKeys {revoked}") as way:
        assert said(way, "echo", "in") == "in\n"
        revoked.write_text(f"# this one\n{(sshd.folder / 'host_key.pub').read_text()}")
        with pytest.raises(HostRefused, match="is revoked"):
            said(way, "true")
        revoked.write_bytes(b"SSHKRL\n\0" + bytes(40))
        with pytest.raises(HostRefused, match="can't be read"):
            said(way, "true")
        revoked.unlink()
        with pytest.raises(HostRefused, match="can't be read"):
            said(way, "true")


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("HostName -oProxyCommand=touch", "is no host name"),
        ("HostName a;b", "is no host name"),
        ("HostName a@b", "is no host name"),
        ("User -oProxyCommand=x", "is no user"),
        ('User "a b"', "is no user"),
    ],
)
def test_what_is_no_name_never_becomes_part_of_a_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, line: str, words: str
) -> None:
    """What OpenSSH's configuration says is held to a grammar too."""
    config = tmp_path / "ssh_config"
    config.write_text(f"Host web\n {line}\n ProxyCommand touch {tmp_path}/pwned %h %r\n")
    monkeypatch.setenv("TAGSHIP_SSH_CONFIG", str(config))
    with pytest.raises(HostRefused) as caught:
        SshTransport("web1", "web").connect(["true"])
    assert words in caught.value.what or "can't tell how to reach it" in caught.value.what
    assert not (tmp_path / "pwned").exists()
