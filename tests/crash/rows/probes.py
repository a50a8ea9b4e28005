"""A release that isn't well: put back, with its last words in the error, and never seen by anybody."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from crash.matrix import Trial, Violated, fault
from crash.oracles import Visitors, current, o5_told, releases
from crash.worlds import World, embedded
from verbs.project import SERVER

BACK = 30.0
"""Seconds from the failed probe in which all is put back."""

ANSWERING = """\
'''Answers on the unix socket of its first argument: 200 where %s, else 500.'''

import ctypes
import http.server
import itertools
import os
import pathlib
import socketserver
import sys

VERSION = pathlib.Path("version.txt").read_bytes().strip()
CURRENT = pathlib.Path("../../../current")
ASKED = itertools.count(1)


def is_well(number):
    return %s


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        well = is_well(next(ASKED))
        self.send_response(200 if well else 500)
        self.send_header("Content-Length", str(len(VERSION)))
        self.end_headers()
        self.wfile.write(VERSION)
        if not well:
            print("moody", file=sys.stderr, flush=True)

    def address_string(self):
        return "unix"

    def log_message(self, *words):
        pass


class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True
    request_queue_size = 64

    def handle_error(self, *words):
        pass


%s
Server(sys.argv[1], Handler).serve_forever()
"""


def answering(well: str, first: str = "") -> str:
    """A server that answers 200 where the expression `well` is true, and 500 elsewhere; it does `first` before."""
    return ANSWERING % (well, well, first)


POSES = """\
if "POSING" not in os.environ:
    if os.fork():
        print("moody", file=sys.stderr, flush=True)
        os.wait()
    os.setsid()
    ctypes.CDLL(None).prctl(1, 9)  # it dies with its parent: nobody else would know whose it is
    older = pathlib.Path(sys.argv[1]).parent.parent / "0001" / pathlib.Path(sys.argv[1]).name
    os.environ.update(TAGSHIP_RELEASE="0001-v1", TAGSHIP_SOCKET=str(older), POSING="1")
    os.execv(sys.executable, [sys.executable, *sys.argv])
"""
"""What listens says that it is of another release."""

BAD: dict[str, tuple[dict[str, str], str]] = {
    "starts-nothing": ({"start": "no-such-program {socket}"}, "no-such-program"),
    "cannot-be-imported": ({"serve.py": "import nothing_of_that_name\n"}, "No module named 'nothing_of_that_name'"),
    "exits": ({"behaviour.txt": "exits"}, "no such table: visitors"),
    "is-silent": ({"behaviour.txt": "silent"}, "waiting for a database that never comes"),
    "answers-500": ({"behaviour.txt": "broken"}, "answering broken"),
    "flaps": ({"serve.py": answering("number % 2 == 0")}, "moody"),
    "is-another": ({"serve.py": answering("True", POSES)}, "moody"),
}
"""Releases that are bad on their own socket: the files that make them so, and a word of the log that must be told."""
SOURS = answering("os.path.realpath('..') != os.path.realpath(CURRENT)")
"""Well until it is public."""


@fault("service-is-not-well", holds="put back within 30 s, its log in the error, never public; O1-O6")
def unwell(trial: Trial) -> None:
    """It can't start, exits, hangs, answers 500, flaps, or another answers in its place: nobody ever sees it."""
    with _probing(trial.scratch) as world:
        took = [0.0]
        for point in trial.choose(list(BAD), quick=len(BAD)):
            with trial.at(point):
                files, word = BAD[point]
                _tag(world, point, **files)
                with Visitors(world.hosts[0]) as visitors:
                    took.append(_put_back(world, point, word))
                visitors.o6_none_failed()
                if visitors.seen != {"v1"}:
                    raise Violated(f"visitors have seen {visitors.seen}")
                world.converges("v1")
        trial.notes.append(f"put back at most {max(took):.1f} s after the failed probe")


@fault("service-is-not-well-in-public", holds="put back within 30 s of its failed probe; O1-O5")
def sours(trial: Trial) -> None:
    """It is well on its own socket, and answers 500 once it is current: canary or not, it doesn't stay."""
    with _probing(trial.scratch) as world:
        took = [0.0]
        for number in trial.times(full=20, quick=1):
            with trial.at(number):
                _tag(world, f"sours-{number}", **{"serve.py": SOURS})
                took.append(_put_back(world, f"sours-{number}", "moody"))
        trial.notes.append(f"put back at most {max(took):.1f} s after the failed probe")


@fault("service-flaps-and-settles", holds="so many passes in a row within the deadline count, and no fewer")
def settles(trial: Trial) -> None:
    """It answers 200 and 500 in turn, and then 200 for good: with enough passes in a row it goes live."""
    with _probing(trial.scratch) as world:
        for number in trial.times(full=20, quick=1):
            with trial.at(number):
                tag = _tag(
                    world, f"settles-{number}", **{"serve.py": answering(f"number % 2 == 0 or number > {number}")}
                )
                with Visitors(world.hosts[0]) as visitors:
                    world.converges(tag)
                visitors.o6_none_failed()
                world.converges("v1")


@contextmanager
def _probing(folder: Path) -> Iterator[World]:
    """An embedded world in which v1, which is well, is live, and two good answers in a row count as well."""
    with embedded(folder) as world:
        world.project.edit(
            "tagship.yml", r"(?m)^  start:", "  probe: {path: /version, timeout: 2s, passes: 2}\n  start:"
        )
        world.tag("v1")
        world.must("deploy", "--tag", "v1")
        yield world


def _tag(world: World, name: str, *, start: str = "python3 serve.py {socket}", **files: str) -> str:
    world.project.edit("tagship.yml", r"(?m)^  start: .*", f"  start: {start}")
    return world.tag(name, files.pop("behaviour.txt", "well"), **{"serve.py": SERVER, **files})


def _put_back(world: World, tag: str, word: str) -> float:
    """A deploy of `tag`, which must leave all as it was. Gives the seconds from its failed probe to its end."""
    (host,) = world.hosts
    old, lay = world.currents(), releases(host)
    failed = None
    running = world.start("deploy", "--tag", tag)
    while (event := running.next()) is not None:
        if event["event"] == "step" and event["state"] == "failed":
            failed = time.monotonic()
    ended = running.ended()
    done = time.monotonic()
    if ended.exit != 4 or failed is None:
        raise Violated(f"a release that isn't well: {ended.words}")
    if done - failed > BACK:
        raise Violated(f"put back only {done - failed:.1f} s after its probe had failed")
    o5_told(world.hosts, ended.exit, ended.result, old=old, new=tag)
    (error,) = [event for event in ended.events if event["event"] == "error"]
    if not any(word in line for line in error["tail"]):
        raise Violated(f"its log said `{word}`, and its error says {error}")
    world.whole([current(host)])
    world.clean()
    if releases(host) != lay:
        raise Violated(f"releases were {lay}, and are {releases(host)}")
    return done - failed
