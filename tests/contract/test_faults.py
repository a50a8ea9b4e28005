"""What happens when an agent dies, stops or can't speak: with real processes."""

from __future__ import annotations

import os
import signal
from collections.abc import Sequence
from typing import Any

import pytest
from contract.test_contract import LOCK, read
from contract.ways import Way

from tagship.errors import Degraded, HostRefused, LinkLost, Restored
from tagship.events import Event
from tagship.host import boot
from tagship.ship.fleet import Pulse
from tagship.ship.link import AgentLink, Channel
from tagship.ship.transport import LocalTransport, Transport


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
    from contract.projects import shipment

    from tagship.ship import changing
    from tagship.ship.shipment import Made

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
    way.pulse = Pulse(beat=0.2, silence=1.0)
    with way.fleet() as fleet:
        link = fleet.link("web1")
        pid = link.agent_pid
        assert pid is not None
        os.kill(pid, signal.SIGSTOP)
        try:
            with pytest.raises(LinkLost, match="nothing came from it for 1 s"):
                link.call("lock", LOCK)
        finally:
            try:
                os.kill(pid, signal.SIGCONT)
            except ProcessLookupError:
                pass  # the local one is killed by its transport


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
    with pytest.raises(HostRefused, match="did not come in time"):
        link.open(b"", 0.3)
