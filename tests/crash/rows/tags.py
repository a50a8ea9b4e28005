"""A tag that isn't what it was: refused before anybody is connected to."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from crash.matrix import Trial, Violated, fault, waits
from crash.worlds import World, embedded

HOLDS = "exit 3 before any connection"

MOVES: dict[str, Callable[[World], object]] = {
    "update-ref to another tag object": lambda world: world.project.git("update-ref", "refs/tags/v1", "v2"),
    "update-ref to a commit": lambda world: world.project.git("update-ref", "refs/tags/v1", "v2^{commit}"),
    "tag --force": lambda world: world.project.git("tag", "--force", "--annotate", "v1", "--message", "v1", "HEAD"),
    "tag --force, lightweight": lambda world: world.project.git("tag", "--force", "v1", "HEAD"),
    "deleted and made again": lambda world: (
        world.project.git("tag", "--delete", "v1"),
        world.project.git("tag", "--annotate", "v1", "--message", "v1", "HEAD"),
    ),
}
"""Ways in which v1, which has shipped, comes to name another commit."""


@fault("moved-tag", holds=HOLDS)
def moved(trial: Trial) -> None:
    """A tag that has shipped names another commit: no host of any stage is spoken to, and nothing has changed."""
    with embedded(trial.scratch) as world, _listening() as far:
        _add_stage(world, far)
        for tag in ("v1", "v2"):
            world.tag(tag)
        world.must("deploy", "--tag", "v1")
        world.must("deploy", "--tag", "v2")
        was = world.project.git("rev-parse", "refs/tags/v1")
        for point in trial.choose(list(MOVES), quick=len(MOVES)):
            with trial.at(point):
                MOVES[point](world)
                before = world.project.snapshot()
                # Where the object is another tag's, that is said first: it may have been signed.
                _refused(world, far, "v1", "v2" if point.endswith("tag object") else "moved")
                if world.project.snapshot() != before:
                    raise Violated("something on the host has changed")
                world.project.git("update-ref", "refs/tags/v1", was)
                far.met.clear()
                world.project.run("fab", "deploy", "--tag", "v1", "--stage", "far")
                if not far.met:
                    raise Violated("the harness: no connection is seen, even with the tag as it was")


@fault("tag-object-under-another-name", holds=HOLDS)
def renamed(trial: Trial) -> None:
    """The object of an old tag, with its old signature if it has one, lies under the name of a new one."""
    with embedded(trial.scratch) as world, _listening() as far:
        _add_stage(world, far)
        world.tag("v1")
        world.must("deploy", "--tag", "v1")
        world.project.tag("v2", {"version.txt": "v2"})
        for point, where in (("a new name", "v3"), ("over another tag", "v2")):
            with trial.at(point):
                world.project.git("update-ref", f"refs/tags/{where}", "v1")
                _refused(world, far, where, "v1")


class Far:
    """Somebody who listens where a host should be, and remembers who came."""

    def __init__(self, door: socket.socket) -> None:
        self.port = door.getsockname()[1]
        self.met: list[object] = []
        self._door = door

    def answer(self) -> None:
        """Take every connection, and close it."""
        while True:
            try:
                connection, whom = self._door.accept()
            except OSError:
                return
            self.met.append(whom)
            connection.close()


@contextmanager
def _listening() -> Iterator[Far]:
    with socket.create_server(("127.0.0.1", 0)) as door:
        far = Far(door)
        threading.Thread(target=far.answer, daemon=True).start()
        try:
            yield far
        finally:
            door.shutdown(socket.SHUT_RDWR)


def _add_stage(world: World, far: Far) -> None:
    host = f"{{host: 127.0.0.1, port: {far.port}, user: nobody, root: /srv/blog}}"
    world.project.edit("tagship.yml", r"(?m)^stages:\n", f"stages:\n  far:\n    hosts: [{host}]\n")


def _refused(world: World, far: Far, tag: str, word: str) -> None:
    far.met.clear()
    for stage in ("local", "far"):
        for verb in ("deploy", "plan"):
            ended = world.project.told("fab", verb, "--tag", tag, "--stage", stage)
            if ended.exit != 3 or word not in ended.error["what"]:
                raise Violated(f"`fab {verb} --tag {tag}` on {stage}: {ended.events}")
    if far.met:
        raise Violated("somebody was connected to before the tag was refused")


waits("unsigned-tag", holds=HOLDS, part="signed tags")
waits("unknown-signer", holds=HOLDS, part="signed tags")
waits("revoked-signer", holds=HOLDS, part="signed tags")
