"""Cleanup: what is still in use stays until it no longer is, and failed deploys push no good release out."""

from __future__ import annotations

import time
import urllib.request
from concurrent.futures import Future, ThreadPoolExecutor

from crash.carousel import Carousel, carousel
from crash.matrix import Trial, Violated, fault
from crash.oracles import o1_old_or_new, o2_answers, o5_told, whole

LAZY = '''\
"""Answers on the unix socket of its first argument; /long=SECONDS only then imports and reads what it says."""

import http.server
import pathlib
import socketserver
import sys
import time

VERSION = pathlib.Path("version.txt").read_bytes().strip()

if pathlib.Path("behaviour.txt").read_text().strip() == "exits":
    sys.exit("no such table: visitors")


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        said = VERSION
        if self.path.startswith("/long"):
            time.sleep(float(self.path.partition("=")[2]))
            import lazily

            said = lazily.SAID + pathlib.Path("version.txt").read_bytes()
        self.send_response(200)
        self.send_header("Content-Length", str(len(said)))
        self.end_headers()
        self.wfile.write(said)

    def address_string(self):
        return "unix"

    def log_message(self, *words):
        pass


class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True
    request_queue_size = 64

    def handle_error(self, *words):
        pass


Server(sys.argv[1], Handler).serve_forever()
'''
FILES = {"serve.py": LAZY, "lazily.py": 'SAID = b"whole "\n'}


@fault("cleanup-of-a-release-in-use", holds="what has a live process stays; its request ends whole: O1-O3, O6")
def in_use(trial: Trial) -> None:
    """A long request that loads lazily at its end, of a release that deploys leave behind: one, or one after another.

    The first deploy's client may be killed while it waits for the request; what comes next waits for it too.
    """
    seconds, deploys = (60.0, 4) if trial.full else (6.0, 2)
    with carousel(trial.scratch) as turns, ThreadPoolExecutor(1) as pool:
        turns.world.project.edit("tagship.yml", r"(?m)^    front:", f"    drain: {3 * seconds:g}s\n    front:")
        turns.begin(**FILES)
        for point in trial.choose(["waited-for", "client-killed-in-the-drain"], quick=2):
            with trial.at(point):
                (used,) = turns.world.currents().values()
                asked = pool.submit(_long, turns, seconds)
                time.sleep(0.5)  # so that it is under way
                for number in range(deploys):
                    _deploy(turns, asked, str(used), killed=number == 0 and point != "waited-for")
                said, wanted = asked.result(), f"whole {str(used).partition('-')[2]}"
                if said != wanted:
                    raise Violated(f"O6: the request of {used} ended as {said!r}")
                turns.world.converges(turns.current)


def _deploy(turns: Carousel, asked: Future[str], used: str, *, killed: bool) -> None:
    """A deploy under way: as long as the request is, its release is whole, though the new one is public."""
    new = turns.after(turns.current)
    running = turns.world.start("deploy", "--tag", new)
    running.until_begins("drain and stop" if not asked.done() else "flip")
    if killed:
        o2_answers(turns.host)
        running.kill()
        running.ended()
        turns.world.settled()
    if not asked.done():
        whole(turns.host, used)
        if asked.done():
            raise Violated("the harness: the request ended too early to show anything")
    ended = running.ended()
    if not killed and ended.exit:
        raise Violated(f"O3: {ended.words}")
    o1_old_or_new(turns.host, [new])


def _long(turns: Carousel, seconds: float) -> str:
    with urllib.request.urlopen(f"{turns.host.url}/long={seconds}", timeout=10 * seconds) as answer:
        return str(answer.read().decode())


@fault("failed-deploys-evict-nothing", holds="however many deploys fail, good releases stay, and can be gone back to")
def failed(trial: Trial) -> None:
    """Deploys of a release that never starts, one after another, with one good release kept."""
    with carousel(trial.scratch) as turns:
        turns.begin(**FILES)
        turns.world.tag("bad", behaviour="exits", **FILES)
        old, before = turns.world.currents(), turns.before
        assert before is not None
        for number in trial.times(full=30, quick=4):
            with trial.at(number):
                ended = turns.world.fab("deploy", "--tag", "bad")
                if ended.exit != 4:
                    raise Violated(f"O5: {ended.words}")
                o5_told(turns.world.hosts, ended.exit, ended.result, old=old, new="bad")
                turns.world.clean()
                turns.world.whole(list(old.values()))
                whole(turns.host, before)
        with trial.told("rollback"):
            turns.world.must("rollback")
            turns.world.whole([before])
