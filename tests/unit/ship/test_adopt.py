"""What is adopted and how, without a host; and the relay, on real sockets."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tagship import config
from tagship.errors import UsageError
from tagship.ship.adopt import relay
from tagship.ship.adopt.findings import Found, Site, Upstream, Wishes, refusals, shares_of
from tagship.ship.adopt.outfit import parts_of, return_of
from tagship.ship.adopt.resources import Beside, Current, Out, Share
from tagship.ship.setup.resources import File, Folder
from tagship.ship.setup.settings import Settings, settings_of
from tagship.ship.shipment import Made, Stage

PATIENCE = 20.0
ROOT, RELEASE = "/srv/blog", "0001-adopted"
UPSTREAM = Upstream(200, "", 7, "old.service", "old", names=True)
OLD_SITE = Site("/etc/nginx/sites-enabled/old", "/etc/nginx/sites-available/old", named=True)
OTHER_SITE = Site("/etc/nginx/sites-enabled/other", "", named=False)
FOUND = Found("link", "releases/2026", f"{ROOT}/releases/2026", (), 0, False, None, (OLD_SITE, OTHER_SITE), UPSTREAM)
WISHES = Wishes("127.0.0.1:8001", None, (("data", f"{ROOT}/current/db"),), None)


def settings(*roles: str) -> Settings:
    """Of a host with these roles."""
    app = config.App(name="blog", start=None, shared=config.Shared(dirs=("data",)))
    host = config.Host(host="web1", roles=roles or ("web",))
    stage = config.Stage(hosts=(host,), nginx=config.Nginx(names=("blog.example.org",)))
    return settings_of(app, "lab", stage, host, deploy="deploy", keys=(), keys_shown="", template=None)


def whys(found: Found, wishes: Wishes = WISHES) -> str:
    return "\n".join(why.what for why in refusals("web1", found, wishes, settings()))


def test_what_can_not_be_adopted_is_said_before_anything_is_changed() -> None:
    """Nothing there, something that isn't well, something that can't be told apart: each has its own reason."""
    assert whys(FOUND) == ""
    assert "there is nothing to adopt" in whys(replace(FOUND, upstream=None), Wishes(None, None, (), None))
    assert whys(replace(FOUND, upstream=None, public=("/srv/www",)), Wishes(None, "/srv/www", (), None)) == ""
    assert "no folder /srv/www" in whys(FOUND, replace(WISHES, public="/srv/www"))
    assert "answers 500" in whys(replace(FOUND, upstream=replace(UPSTREAM, status=500)))
    assert "Connection refused" in whys(replace(FOUND, upstream=replace(UPSTREAM, fault="Connection refused")))
    assert "no site blog is enabled" in whys(FOUND, replace(WISHES, site="blog"))
    assert "more than one site" in whys(replace(FOUND, sites=(OLD_SITE, replace(OTHER_SITE, named=True))))
    assert "isn't over" in whys(replace(FOUND, adopted={"release": RELEASE}))
    assert "neither a link nor a folder" in whys(replace(FOUND, current="other"))


def test_a_release_of_ours_is_known_unless_an_adoption_was_cut_off() -> None:
    """Capistrano's releases are links too, by another name; and what a power cut left half done isn't ours yet."""
    ours = replace(FOUND, link="releases/0002-v1")
    assert (FOUND.ours, ours.ours) == (False, True)
    assert not replace(ours, adopted={"release": "0002-v1"}, unfinished=True).ours
    assert replace(ours, unfinished=True).ours  # a setup was, and the next one ends it


def test_paths_through_current_are_those_that_stay() -> None:
    """Data below `current` is linked by where it will be, and looked at where it is; our unit may write there."""
    for current, place in (("link", f"{ROOT}/releases/2026"), ("directory", f"{ROOT}/adopted")):
        found = replace(FOUND, current=current, public=(f"{ROOT}/current/public",))
        parts = parts_of(settings(), found, WISHES, RELEASE)
        (share,) = [one for one in parts.prepare if isinstance(one, Share)]
        assert (share.target, share.now) == (f"{place}/db", f"{ROOT}/current/db")
        assert f"{ROOT}/shared/data" not in {one.path for one in parts.prepare if isinstance(one, Folder)}
        (dropin,) = [one for one in parts.prepare if isinstance(one, File) and one.path.endswith("adopted.conf")]
        assert f"ReadWritePaths=-{place}/db\n" in dropin.text
        (beside,) = parts.beside
        assert isinstance(beside, Beside)
        assert (beside.seen, beside.public) == (place, f"{place}/public")


def test_the_way_back_is_the_way_there_in_reverse() -> None:
    """What was written down leads to the same `current` and the same sites as before."""
    parts = parts_of(settings(), FOUND, WISHES, RELEASE)
    assert [one.path for one in parts.site if isinstance(one, Out)] == [OLD_SITE.path]
    note = {
        "release": RELEASE,
        "current": {"to": "link", "target": FOUND.link, "kept": "adopted"},
        "sites": [{"path": OLD_SITE.path, "target": OLD_SITE.target}],
    }
    back = return_of(settings(), note)
    assert Current(ROOT, "link", FOUND.link, "adopted") in back.switch
    assert Out("/etc/nginx/sites-enabled/blog-lab.conf") == back.site[0]
    assert return_of(settings("worker"), note).site == ()


def test_shares_are_name_and_path() -> None:
    """Anything else is a mistake on the command line."""
    assert shares_of(("media=/srv/uploads/",)) == (("media", "/srv/uploads"),)
    for word in ("media", "=/srv/x", "media=uploads"):
        with pytest.raises(UsageError):
            shares_of((word,))


def test_it_is_staged_like_any_release_but_for_its_virtualenv() -> None:
    """Its probe wants the status that the old service gave."""
    shipment = relay.shipment_of(config.App(name="blog", start=None), "unix:/run/old.sock", 302)
    made = Made("ada", "2026-01-01T00:00:00+00:00")
    steps = relay.staging(shipment, Stage("lab", {"web1": "127.0.0.1:80"}, 5, 30.0), made, RELEASE, ["web1"])["web1"]
    record = steps[0].args["release"]
    assert record["settings"]["start"][-2:] == ["{socket}", "unix:/run/old.sock"]
    assert record["settings"]["probe"]["status"] == 302
    assert record["settings"]["shared"] == {"dirs": [], "links": [], "served": []}


class Relay:
    """A relay that runs, and the old service's listener."""

    def __init__(self, folder: Path) -> None:
        self.front, back = str(folder / "web.sock"), str(folder / "old.sock")
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(back)
        self.listener.listen()
        program = folder / "relay.py"
        program.write_bytes(relay.relay())
        argv = [sys.executable, "-IS", str(program), self.front, f"unix:{back}"]
        self.process = subprocess.Popen(argv, stderr=subprocess.DEVNULL)

    def connect(self) -> socket.socket:
        """Our end of a new connection; waits until the relay listens."""
        ours = socket.socket(socket.AF_UNIX)
        ours.settimeout(PATIENCE)
        deadline = time.monotonic() + PATIENCE
        while ours.connect_ex(self.front):
            assert time.monotonic() < deadline
            time.sleep(0.02)
        return ours

    def accept(self) -> socket.socket:
        """The other end of it."""
        theirs, _ = self.listener.accept()
        theirs.settimeout(PATIENCE)
        return theirs


@pytest.fixture
def relayed(tmp_path: Path) -> Iterator[Relay]:
    """A relay, which ends in order when it is told to."""
    made = Relay(tmp_path)
    try:
        yield made
        made.process.terminate()
        assert made.process.wait(PATIENCE) == 0
    finally:
        made.process.kill()
        made.process.wait()
        made.listener.close()


def read_all(end: socket.socket) -> bytes:
    return b"".join(iter(lambda: end.recv(65536), b""))


def test_one_direction_ends_and_the_other_goes_on(relayed: Relay) -> None:
    """A client that has said all still hears the answer, every byte of it."""
    with relayed.connect() as ours, relayed.accept() as theirs:
        ours.sendall(b"question")
        ours.shutdown(socket.SHUT_WR)
        assert read_all(theirs) == b"question"
        theirs.sendall(b"answer" * 10_000)
        theirs.shutdown(socket.SHUT_WR)
        assert read_all(ours) == b"answer" * 10_000


def test_a_service_that_is_gone_is_said_so(relayed: Relay) -> None:
    """502 in whole, so that nginx and the probe know what it is."""
    relayed.listener.close()
    with relayed.connect() as ours:
        head, _, body = read_all(ours).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 502 ")
    assert f"Content-Length: {len(body)}".encode() in head
