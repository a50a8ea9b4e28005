"""What happens when an agent dies, stops or can't speak: with real processes."""

from __future__ import annotations

import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import paramiko
import pytest
from contract.projects import APP, shipment
from contract.sshd import Sshd, run_sshd
from contract.test_contract import LOCK, read
from contract.ways import Way, ssh_transport

from tagship.config import Argv
from tagship.errors import Degraded, HostRefused, LinkLost, Overdue, Restored
from tagship.events import Event
from tagship.host import boot
from tagship.ship import changing, deadlines, looking
from tagship.ship.deadlines import Deadline
from tagship.ship.fleet import Pulse
from tagship.ship.link import AgentLink, Channel
from tagship.ship.shipment import Made
from tagship.ship.transport import LocalTransport, Transport

SHORT = Pulse(beat=0.2, silence=5.0)
"""Less than the silence that counts in earnest; more than a busy machine takes to start an agent."""


class Socket:
    """A transport with a plug: pulled, no new connection is made."""

    def __init__(self, transport: Transport) -> None:
        self.transport = transport
        self.pulled = False
        self.links: list[Channel] = []

    @property
    def level(self) -> int:
        return self.transport.level

    def connect(self, argv: Sequence[str]) -> Channel:
        if self.pulled:
            raise HostRefused("it does not answer", host="web2", cure="plug it in")
        return self.transport.connect(argv)


def deploy_killing_web2_at_the_flip(way: Way, tag: str, plug: Socket | None = None) -> Any:
    """Deploy to both hosts; web2's agent is killed as its flip begins."""
    with way.fleet() as fleet:

        def listen(event: Event) -> None:
            at_flip = event.host == "web2" and event.data.get("step", "").startswith("flip")
            if at_flip and event.data["state"] == "begin":
                pid = fleet.link("web2").agent_pid
                assert pid is not None
                os.kill(pid, signal.SIGKILL)
                if plug is not None:
                    plug.pulled = True

        made = Made("me@here", "2026-01-02T03:04:05Z")
        return changing.deploy(fleet, way.stage, shipment(tag), listen, made=made)


@pytest.mark.parametrize("way", ["local", pytest.param("ssh", marks=pytest.mark.lab)], indirect=True)
def test_when_the_second_host_dies_at_the_flip_the_first_goes_back(way: Way) -> None:
    """web2 is gone for good: web1 serves the old release, web2 is reported; plugged in again, a deploy converges."""
    plug = Socket(way.transport("web2"))
    plain = way.transport
    way.transport = lambda name: plug if name == "web2" else plain(name)
    way.names = ["web1", "web2"]
    way.deploy("v1")
    outcome = deploy_killing_web2_at_the_flip(way, "v2", plug)
    assert isinstance(outcome.error, Degraded)
    assert [(host.host, host.release, host.ok) for host in outcome.hosts] == [
        ("web1", "0001-v1", True),
        ("web2", "0001-v1", False),
    ]
    assert read(way, "web1") == ("v1", "0001-v1")
    plug.pulled = False
    assert way.deploy("v2").outcome == "live"
    assert read(way, "web1") == ("v2", "0003-v2")
    assert read(way, "web2") == ("v2", "0003-v2")


@pytest.mark.parametrize("way", ["local", pytest.param("ssh", marks=pytest.mark.lab)], indirect=True)
def test_an_agent_killed_at_the_flip_is_replaced_and_all_goes_back(way: Way) -> None:
    """Only the agent died: over a new connection the second host is put back too."""
    way.names = ["web1", "web2"]
    way.deploy("v1")
    outcome = deploy_killing_web2_at_the_flip(way, "v2")
    assert isinstance(outcome.error, Restored)
    assert read(way, "web1") == read(way, "web2") == ("v1", "0001-v1")
    with way.fleet() as fleet:
        for survey in fleet.surveys.values():
            assert [(release.id, release.pid is not None) for release in survey.releases] == [("0001-v1", True)]


@pytest.mark.parametrize("way", ["local", pytest.param("ssh", marks=pytest.mark.lab)], indirect=True)
def test_an_agent_that_stops_breathing_is_a_typed_error(way: Way) -> None:
    """A connection that is half open, with nobody at the other end, ends after the time of silence."""
    way.pulse = SHORT
    with way.fleet() as fleet:
        link = fleet.link("web1")
        pid = link.agent_pid
        assert pid is not None
        os.kill(pid, signal.SIGSTOP)
        try:
            with pytest.raises(LinkLost, match="nothing came from it for 5 s"):
                link.call("lock", LOCK)
        finally:
            try:
                os.kill(pid, signal.SIGCONT)
            except ProcessLookupError:
                pass  # the local one is killed by its transport


class Hasty:
    """A transport whose agents take as little silence as `SHORT` has for the client's end."""

    def __init__(self, transport: Transport) -> None:
        self.transport = transport

    @property
    def level(self) -> int:
        return self.transport.level

    def connect(self, argv: Sequence[str]) -> Channel:
        return self.transport.connect([*argv, f"{SHORT.silence:g}"])


def parents(pid: int) -> Iterator[tuple[int, str]]:
    """The processes above `pid` with their names, the nearest first."""
    while pid > 1:
        pid = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
        yield pid, Path(f"/proc/{pid}/comm").read_text().strip()


def eventually(is_so: Callable[[], bool], what: str) -> None:
    until = time.monotonic() + 60
    while not is_so():
        assert time.monotonic() < until, what
        time.sleep(0.02)


@pytest.mark.lab
def test_a_stopped_session_of_sshd_is_a_typed_error_and_frees_the_lock(sshd: Sshd, tmp_path: Path) -> None:
    """The connection stays open and nothing passes: both ends notice; a deploy puts back over a new connection."""
    way = Way("ssh", tmp_path, lambda name: Hasty(ssh_transport(sshd, name)), pulse=SHORT)
    way.deploy("v1")
    stopped: list[int] = []
    with way.fleet() as fleet:

        def listen(event: Event) -> None:
            if event.data.get("step", "").startswith("flip") and event.data["state"] == "begin":
                agent = fleet.link("web1").agent_pid
                assert agent is not None
                above = [pid for pid, name in parents(agent) if name.startswith("sshd") and pid != sshd.process.pid]
                stopped.extend(above)
                for pid in above:
                    os.kill(pid, signal.SIGSTOP)

        made = Made("me@here", "2026-01-02T03:04:05Z")
        outcome = changing.deploy(fleet, way.stage, shipment("v2"), listen, made=made)
    for pid in stopped:
        os.kill(pid, signal.SIGKILL)
    assert stopped
    assert isinstance(outcome.error, Restored)
    assert isinstance(outcome.error.__cause__, LinkLost)
    assert "nothing came from it for 5 s" in outcome.error.what
    assert read(way) == ("v1", "0001-v1")
    assert way.deploy("v3").outcome == "live"
    way.stop()


@pytest.mark.parametrize("way", ["local", pytest.param("ssh", marks=pytest.mark.lab)], indirect=True)
def test_a_command_that_never_returns_is_ended_and_all_goes_back(way: Way, tmp_path: Path) -> None:
    """Its agent beats all the while; at the verb's deadline it hears that it is over, and kills what it runs."""
    way.deploy("v1")
    file = tmp_path / "pid"
    code = f"import os, time; open({str(file)!r}, 'w').write(str(os.getpid())); time.sleep(600)"
    app = msgspec.structs.replace(APP, smoke=Argv(("python3", "-c", code)))

    def limits(verb: str, args: Mapping[str, Any]) -> Deadline:
        return Deadline(3.0) if verb == "command" else deadlines.of(verb, args)

    way.pulse = Pulse(limits=limits)
    outcome = way.deploy(shipment("v2", app=app))
    way.pulse = Pulse()
    assert isinstance(outcome.error, Restored)
    assert isinstance(outcome.error.__cause__, Overdue)
    assert outcome.error.what == "`command` did not end: no answer for 3 s, though its agent beats"
    pid = int(file.read_text())
    eventually(lambda: not Path(f"/proc/{pid}").exists(), "what it ran lives on")
    assert read(way) == ("v1", "0001-v1")
    assert way.deploy("v3").outcome == "live"


class Mute(paramiko.ServerInterface):
    """Lets everybody in, opens sessions, and never says whether a command was begun."""

    def __init__(self) -> None:
        self.over = threading.Event()

    def get_allowed_auths(self, username: str) -> str:
        return "publickey"

    def check_auth_publickey(self, username: str, key: paramiko.PKey) -> int:
        return paramiko.common.AUTH_SUCCESSFUL

    def check_channel_request(self, kind: str, chanid: int) -> int:
        return paramiko.common.OPEN_SUCCEEDED

    def check_channel_exec_request(self, channel: paramiko.Channel, command: bytes) -> bool:
        self.over.wait(120)
        return False


@pytest.mark.lab
def test_a_host_that_lets_us_in_and_then_says_nothing_is_refused(
    sshd: Sshd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Paramiko would wait for its answer for ever."""
    config = tmp_path / "config"
    config.write_text("Host *\n ConnectTimeout 1\n")
    monkeypatch.setenv("TAGSHIP_SSH_CONFIG", str(config))
    mute = Mute()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        key = paramiko.Ed25519Key.from_private_key_file(str(sshd.folder / "host_key"))
        known = tmp_path / "known_hosts"
        known.write_text(sshd.known_hosts.read_text().replace(f":{sshd.port} ", f":{port} "))

        def serve() -> None:
            transport = paramiko.Transport(listener.accept()[0])
            transport.add_server_key(key)
            transport.start_server(server=mute)

        server = threading.Thread(target=serve, daemon=True)
        server.start()
        with pytest.raises(HostRefused, match="it gave no answer for 1 s") as caught:
            ssh_transport(sshd, port=port, known_hosts=known).connect(["true"])
        mute.over.set()
        server.join()
    assert caught.value.host == "web1"


@pytest.mark.lab
def test_a_stopped_sshd_is_refused_in_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel takes the connection, and nobody speaks."""
    config = tmp_path / "config"
    config.write_text("Host *\n ConnectTimeout 1\n")
    monkeypatch.setenv("TAGSHIP_SSH_CONFIG", str(config))
    with run_sshd(tmp_path / "server") as server:
        os.kill(server.process.pid, signal.SIGSTOP)
        try:
            with pytest.raises(HostRefused, match="does not answer at"):
                ssh_transport(server).connect(["true"])
        finally:
            os.kill(server.process.pid, signal.SIGCONT)


@pytest.mark.parametrize("way", ["local"], indirect=True)
def test_a_host_that_was_emptied_hides_no_drift_of_the_others(way: Way) -> None:
    """A new disk in one host: that is told, and what was changed on the others too. Nothing anywhere is refused."""
    way.names = ["web1", "web2"]
    with way.fleet() as fleet, pytest.raises(HostRefused, match="nothing to verify"):
        looking.verify(fleet)
    way.names = ["web1"]
    way.deploy("v1")
    (way.root("web1") / "releases" / "0001-v1" / "evil").touch()
    way.names = ["web1", "web2"]
    with way.fleet() as fleet:
        found = [(drift.host, drift.path) for drift in looking.verify(fleet)]
    assert found == [("web1", "evil"), ("web2", "current")]


def test_a_shell_that_talks_first_is_told_as_such() -> None:
    """Words of a .bashrc in front of the agent's are recognised, not taken for frames."""
    link = AgentLink("web1", LocalTransport().connect(["sh", "-c", "echo Welcome to web1; cat"]))
    with pytest.raises(HostRefused, match="Welco") as caught:
        link.open(boot.greeting(), 30)
    assert "bashrc" in caught.value.cure


def test_an_agent_that_can_not_start_shows_its_last_words() -> None:
    """What python3 wrote to stderr is part of the refusal."""
    argv = ["python3", "-c", "import sys; sys.stdin.buffer.read(9); sys.exit('no such module')"]
    link = AgentLink("web1", LocalTransport().connect(argv))
    with pytest.raises(HostRefused, match="did not start") as caught:
        link.open(boot.greeting(), 30)
    assert "no such module" in caught.value.tail


def test_an_agent_that_says_nothing_is_given_up() -> None:
    """A hello that does not come in time is a refusal, not a wait for ever."""
    link = AgentLink("web1", LocalTransport().connect(["sleep", "600"]))
    with pytest.raises(HostRefused, match=r"no hello came from its agent within 0\.3 s"):
        link.open(b"", 0.3)
