"""A small project on the embedded stage, whose tags take turns, so that each deploy is a whole one.

Of good releases one is kept beside the current one. So objects of the tag that comes next have gone with the last
release that held them: they are sent anew, and as much is pruned as is made.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from crash.matrix import Violated
from crash.oracles import Standing, Visitors, journaled, o5_told, tag_of
from crash.running import Ended, Running
from crash.shim import Shim
from crash.syscalls import Point, counting, met, once_each, points
from crash.worlds import World, embedded

TAGS = ("v1", "v2", "v3")
DISPENSABLE = (".github", "posts", "tasks.py", "site/pages", "site/templates", "site/gunicorn.conf.py")


@dataclass
class Carousel:
    """The world, and what stands between its `fab` and its agents."""

    world: World
    shim: Shim
    log: Path

    def begin(self, **files: str) -> None:
        """Make the tags, each with `files`, and deploy each once: the last is live, the one before it is kept."""
        for tag in TAGS:
            self.world.tag(tag, **files)
            self.world.must("deploy", "--tag", tag)

    @property
    def host(self) -> Standing:
        (host,) = self.world.hosts
        return host

    @property
    def current(self) -> str:
        """The tag that is live."""
        (release,) = self.world.currents().values()
        tag = tag_of(release)
        if tag is None:
            raise Violated("nothing is live")
        return tag

    @property
    def before(self) -> str | None:
        """The good release that a rollback goes to, and that the next deploy removes."""
        (now,) = self.world.currents().values()
        good = standing(self.host, "good")
        return max(
            (name for name in good if name != now and (self.host.root / "releases" / name).is_dir()), default=None
        )

    def after(self, *tags: str) -> str:
        """A tag whose turn has come: none of `tags`."""
        last = TAGS.index(tags[-1])
        return next(tag for tag in (*TAGS[last + 1 :], *TAGS) if tag not in tags)

    def names(self, tag: str) -> dict[str, str]:
        """What points call by `@` words, if `tag` is deployed next, or rolled back to."""
        (now,) = self.world.currents().values()
        highest = max((_serial(name) for name in journaled(self.host, {"staging"})), default=0)
        found = {"@root": str(self.host.root), "@key": _key(tag)}
        for word, release in (("new", f"{highest + 1:04}-{tag}"), ("old", now), ("gone", self.before)):
            if release is not None:
                found |= {f"@{word}": release, f"@n_{word}": release.partition("-")[0]}
                if word != "new":
                    found[f"@key_{word}"] = _key(release.partition("-")[2])
        return found

    def counted(self, *words: str, tag: str) -> list[Point]:
        """The points of a clean run of `fab WORDS`, after which `tag` is live."""
        names = self.names(tag)
        self.shim.next_under(counting(self.log))
        self.world.must(*words)
        self.world.settled()
        return once_each(points(self.log.read_text(errors="replace"), self.host.root, names))

    def deploying(self) -> tuple[str, ...]:
        """A `fab deploy` of the tag whose turn it is."""
        return ("deploy", "--tag", self.after(self.current))

    def going_back(self) -> tuple[str, ...]:
        """A `fab rollback`, and the tag that it leads to; something to go back to is deployed first, if need be."""
        while self.before is None:
            self.world.must(*self.deploying())
        return ("rollback", "--to", str(tag_of(self.before)))

    def struck(self, point: Point, what: str, turn: Callable[[], tuple[str, ...]]) -> tuple[Ended, bool]:
        """Have `what` happen to the agent's call `point` in a run of `turn()`, a verb and a tag: O1, O2, O5, O6.

        Gives how the run ended, and whether the call was met: an object needn't be sent in each run, say. So it is
        tried three times.
        """
        for _ in range(3):
            words = turn()
            self.log.unlink(missing_ok=True)
            self.shim.next_under(point.under(self.log, what, self.names(words[-1])))
            ended = self.watched(*words, tag=words[-1])
            self.shim.nothing_next()
            if met(self.log):
                return ended, True
            if ended.exit:
                raise Violated(f"O5: nothing happened to it, and it ended so: {ended.words}")
        return ended, False

    def watched(
        self, *words: str, tag: str, exits: Sequence[int] = (0, 3, 4), meanwhile: Callable[[Running], object] = id
    ) -> Ended:
        """`fab WORDS`, which leads to `tag` or back, and ends with one of `exits`: O1, O2, O5 and O6."""
        old = self.world.currents()
        with Visitors(self.host) as visitors:
            running = self.world.start(*words)
            meanwhile(running)
            ended = running.ended()
            self.world.whole([*old.values(), tag])
            if ended.exit not in exits:
                raise Violated(f"O5: {ended.words}")
            o5_told(self.world.hosts, ended.exit, ended.result, old=old, new=tag)
        visitors.o6_none_failed()
        return ended


def standing(host: Standing, state: str) -> set[str]:
    """Releases whose last word in the journal, of good and left, is `state`."""
    last = {}
    for line in (host.root / "state" / "journal.jsonl").read_text().splitlines():
        row = json.loads(line)
        if row["event"] in ("good", "left"):
            last[row["release"]] = row["event"]
    return {release for release, said in last.items() if said == state}


def _serial(release: str) -> int:
    return int(release.partition("-")[0])


def _key(tag: str) -> str:
    """The object of version.txt, which is all that tags differ by."""
    return hashlib.sha256(tag.encode()).hexdigest()


@contextmanager
def carousel(folder: Path) -> Iterator[Carousel]:
    """A small project, nothing of which was deployed yet."""
    with embedded(folder) as world:
        project = world.project
        for name in DISPENSABLE:
            path = project.folder / name
            (shutil.rmtree if path.is_dir() else Path.unlink)(path)
        project.edit("tagship.yml", r"(?m)^    front:", "    keep: 1\n    front:")
        # What the press makes tells when the commit was made; so only version.txt differs from tag to tag.
        project.env |= dict.fromkeys(("GIT_AUTHOR_DATE", "GIT_COMMITTER_DATE"), "2026-01-02T03:04:05Z")
        shim = Shim(folder / "shim")
        shim.put_before(project.env)
        yield Carousel(world, shim, folder / "strace.log")
