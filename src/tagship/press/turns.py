"""Builds that follow one another in one folder: what the last one left, two trees in turn, and a link to one of them.

::

    site            a link to one of the trees, which is whole
    site.a site.b   the trees
    .press/state    what the last build read, asked and made
    .press/site.?   what each tree holds
    .press/bodies-* rendered bodies
"""

from __future__ import annotations

import os
import secrets
import shutil
from pathlib import Path

from tagship.press import inputs, sources
from tagship.press.bodies import LostBody, wasted
from tagship.press.build import Ask, Build, Done, report_of
from tagship.press.content import Settings
from tagship.press.share import SourceChanged
from tagship.press.state import Head, Memory, State
from tagship.press.timing import Timing
from tagship.press.trees import Branch

LINK = "site"
_NAMES = ("site.a", "site.b")
_MEMORY = ".press"
_TRIES = 3


class Turns:
    """The folder of such builds. Whoever uses it is alone in it.

    `resident`: this process makes all builds there, and keeps in memory what they leave.
    """

    def __init__(self, folder: Path, *, resident: bool = False) -> None:
        self.folder = folder
        self.memory = Memory(folder / _MEMORY / "state")
        self.timing = Timing()
        self.resident = resident
        self.past: tuple[Head, State] | None = None
        self.kept: dict[str, Branch] = {}

    def build(self, ask: Ask) -> Done:
        """Build `ask`; the link then leads to the whole site. Raises `ContentError`; the link then stays."""
        (self.folder / _MEMORY).mkdir(parents=True, exist_ok=True)
        for _ in range(_TRIES - 1):
            try:
                return self.build_once(ask)
            except SourceChanged:  # somebody is writing just now
                continue
            except LostBody:
                self.memory.path.unlink(missing_ok=True)
        return self.build_once(ask)

    def build_once(self, ask: Ask) -> Done:
        with self.timing.phase("sources"):
            found = sources.find(ask.project, ask.site)
            head = self.past[0] if self.past else self.memory.head()
            if head is not None and head.code != inputs.code():
                head = None
            if head is not None:
                found.compare(head.files)
        live, other = self.branches()
        if head is not None and live is not None and same_sources(head, ask, found):
            with self.timing.phase("trees"):
                if live.root.name not in self.kept:
                    live.look()
            state = self.past[1] if self.past else self.memory.state()
            if state is not None and live.is_exactly(head.manifest):
                return Done(head, state, report_of(head, state.outputs), None, site_url=ask.site.url)
        state = None if head is None else self.past[1] if self.past else self.memory.state()
        past = (head, state) if head and state and self.may_go_on(state, ask) else None
        return self.build_changed(ask, found, past, live, other)

    def build_changed(
        self, ask: Ask, found: sources.Sources, past: tuple[Head, State] | None, live: Branch | None, target: Branch
    ) -> Done:
        with self.timing.phase("trees"):
            if past and live and not target.root.exists():
                if not live.files:
                    live.look()
                target.begin_as(live)
            elif target.root.name not in self.kept:
                target.look()
            if live is not None and not live.files:
                live.recall()  # what is copied from it is hashed on the way
        own = f"bodies-{secrets.token_hex(4)}"
        build = Build(ask, target, self.segments, own=own, past=past, live=live, timing=self.timing)
        self.kept.pop(target.root.name, None)  # until it is whole again, what is known of it counts for nothing
        done = build.run(found)
        with self.timing.phase("trees"):
            target.begin()
            target.finish(done.head.manifest, done.written)
            self.show(target.root)
        with self.timing.phase("state"):
            if self.resident:
                self.past = (done.head, done.state)
                self.kept = {branch.root.name: branch for branch in (live, target) if branch is not None}
            else:
                self.memory.write(done.head, done.state)
        build.pool.share.segments.clean(done.state.bodies)
        self.clean()
        return done

    def may_go_on(self, state: State, ask: Ask) -> bool:
        """Whether texts are still read as they were, and it pays to keep the bodies."""
        return state.settings == Settings.of(ask.site).key and not wasted(self.segments, state.bodies)

    @property
    def segments(self) -> Path:
        return self.folder / _MEMORY

    def branches(self) -> tuple[Branch | None, Branch]:
        """The tree that is shown, if one is, and the one to be written."""
        every = {name: Branch(self.folder / name, self.folder / _MEMORY / name) for name in _NAMES} | self.kept
        try:
            shown = every.pop(os.readlink(self.folder / LINK))  # noqa: PTH115 - a name, no path
        except (OSError, KeyError):
            return None, every[_NAMES[0]]
        return shown, next(iter(every.values()))

    def show(self, tree: Path) -> None:
        """Lead the link to `tree`."""
        fresh = self.folder / f".{LINK}.{secrets.token_hex(4)}"
        fresh.symlink_to(tree.name)
        fresh.rename(self.folder / LINK)

    def clean(self) -> None:
        """Remove what is not of now: links that a crash left, trees of an earlier tagship."""
        for path in self.folder.glob(f".{LINK}.*"):
            path.unlink(missing_ok=True)
        for path in self.folder.glob(f"{LINK}.*"):
            if path.name not in _NAMES:
                shutil.rmtree(path, ignore_errors=True)


def same_sources(head: Head, ask: Ask, found: sources.Sources) -> bool:
    """Whether a build would make what the last one made."""
    now = ask.clock.timestamp()
    return (
        head.settings == ask.settings
        and head.since <= now < head.until
        and (not head.clock or head.moment == now)
        and not found.changed
        and head.files == found.files
    )
