"""What a verb works with: the stage's layout, journal and lock, the client's data, and the lifeline."""

from __future__ import annotations

from typing import Any, Callable, Iterator, Optional

from tagship.host.faults import Problem, usage
from tagship.host.journal import Change, Journal
from tagship.host.layout import Layout, serial_of
from tagship.host.lifeline import Lifeline
from tagship.host.lock import Lock
from tagship.host.ready import Ready
from tagship.host.ready import read as read_ready


class Args:
    """A question's arguments; every getter raises `usage` where the contract is broken."""

    def __init__(self, values: dict[str, Any]) -> None:
        self._values = values

    def text(self, name: str) -> str:
        """A string that isn't empty and holds no NUL."""
        value = self._values.get(name)
        if not isinstance(value, str) or not value or "\0" in value:
            raise usage("`{}` must be text".format(name))
        return value

    def optional(self, name: str) -> Optional[str]:
        """Such a string, or `None`."""
        return None if self._values.get(name) is None else self.text(name)

    def release(self, name: str = "release") -> str:
        """A release id."""
        value = self.text(name)
        serial_of(value)
        return value

    def optional_release(self, name: str) -> Optional[str]:
        """A release id, or `None`."""
        return None if self._values.get(name) is None else self.release(name)

    def number(self, name: str, least: float = 0) -> float:
        """A number of at least `least`."""
        value = self._values.get(name)
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not value >= least:
            raise usage("`{}` must be a number from {}".format(name, least))
        return value

    def texts(self, name: str) -> list[str]:
        """A list of strings, possibly empty."""
        value = self._values.get(name)
        if not isinstance(value, list) or not all(isinstance(item, str) and "\0" not in item for item in value):
            raise usage("`{}` must be a list of text".format(name))
        return value

    def items(self, name: str) -> list[Any]:
        """A list of anything."""
        value = self._values.get(name)
        if not isinstance(value, list):
            raise usage("`{}` must be a list".format(name))
        return value

    def inner(self, name: str) -> "Args":
        """An object."""
        value = self._values.get(name)
        if not isinstance(value, dict):
            raise usage("`{}` must be an object".format(name))
        return Args(value)

    def raw(self) -> dict[str, Any]:
        """The values as they came."""
        return self._values


class Context:
    """One session's view of one stage. `survey` opens it; until then every other verb is `usage`."""

    def __init__(
        self,
        lifeline: Lifeline,
        pieces: Callable[[], Iterator[bytes]],
        progress: Callable[[float, float, str], None],
        takes: Callable[[float], None],
    ) -> None:
        self.lifeline = lifeline
        self.pieces = pieces
        """Gives the pieces of the data stream that follows the question."""
        self.progress = progress
        """`progress(done, total, unit)`: tells the client, as often as you like."""
        self.takes = takes
        """`takes(seconds)`: tells the client that it may take so much longer, by settings that only the host has."""
        self.app = ""
        self.stage = ""
        self.declared: set[str] = set()
        """Releases that go away when the client does, unless `current` names them."""
        self.started: set[str] = set()
        """Releases whose process this session started: stopped when the client goes, with the same exception."""
        self.asked: set[str] = set()
        """The verbs that this session was asked."""
        self.shown: set[str] = set()
        """Releases that this session made current: since then, the world may be connected to them."""
        self.endings: list[Callable[[], None]] = []
        """What the session does when the client goes, before all else: it ends what only the client wanted."""
        self.worked = False
        """A verb that needs the lock was asked."""
        self.opened: dict[str, Any] = {}
        """Things one verb keeps for later ones of the session, by name."""
        self.ready: Optional[Ready] = None
        """How `fab setup` made the host ready for the stage, at whatever root."""
        self.change: Optional[Change] = None
        """What it is about, from `lock` to `unlock`."""
        self._layout: Optional[Layout] = None
        self._lock: Optional[Lock] = None

    def open(self, root: str, app: str, stage: str) -> None:
        """Turn to the stage at `root`; the lock of another root must have been freed."""
        self.ready = read_ready(app, stage)
        layout = Layout(root, self.ready)
        if self._lock is not None and self._lock.held and self.layout.root != layout.root:
            raise usage("another root is locked in this session")
        if self._layout is None or self._layout.root != layout.root:
            self._layout = layout
            self._lock = Lock(layout.lock)
        self.app, self.stage = app, stage

    @property
    def layout(self) -> Layout:
        """Where things are."""
        if self._layout is None:
            raise usage("survey comes first: it opens the root")
        return self._layout

    @property
    def lock(self) -> Lock:
        """The stage's lock."""
        if self._lock is None:
            raise usage("survey comes first: it opens the root")
        return self._lock

    @property
    def journal(self) -> Journal:
        """The stage's journal, read as far as it was last."""
        found: Optional[Journal] = self.opened.get("journal")
        if found is None or found.path != self.layout.journal:
            found = self.opened["journal"] = Journal(self.layout.journal)
        return found

    def note(self, event: str, release: Optional[str], **more: Any) -> None:
        """Journal a row, on disk before this returns; the change that it is the first of begins with it."""
        self._write({"event": event, "release": release, **more})

    def note_all(self, event: str, releases: list[str]) -> None:
        """`note` of each, with one wait for the disk."""
        if releases:
            self._write(*({"event": event, "release": release} for release in releases))

    def begin(self) -> None:
        """Journal that the change begins, unless it has: before whatever journals no intent of its own."""
        self._write()

    def end(self, outcome: str, why: Optional[str] = None) -> None:
        """Journal how the change ended, if it began."""
        if self.change is not None and self.change.begun:
            self._write(self.change.closing(outcome, why))
        self.change = None

    def _write(self, *rows: dict[str, Any]) -> None:
        """Every row says who did it, the owner of the lock, and of which change it is."""
        change = self.change
        found = [*(change.opening() if change else ()), *rows]
        if found:
            also = {"by": self.lock.owner, "change": change.number if change else 0}
            self.journal.append(*({**row, **also} for row in found))
        if change is not None:
            change.begun = True

    def check(self) -> None:
        """Raise `Gone` if the client is; not while what it left is put back."""
        self.lifeline.check()

    def must_hold(self) -> None:
        """Raise unless this session holds the lock."""
        if not self.lock.held:
            raise Problem("usage", "this verb needs the lock", "this is a bug in tagship; please report it")
        self.worked = True
