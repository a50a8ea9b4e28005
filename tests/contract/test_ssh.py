"""Which hosts are spoken to over SSH, and which are refused: by their key, before anything is told to them."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

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
