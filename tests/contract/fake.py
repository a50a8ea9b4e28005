"""A host in memory that speaks docs/agent.md over a real socket pair; held to the same cases as the real agent.

`FakeHost.fail`, `die` and `hang` make one question go wrong, so that the executor can be tried at every step.
"""

from __future__ import annotations

import hashlib
import json
import socket
import threading
import time
import zlib
from collections.abc import Sequence
from typing import Any

from contract.fake_schema import Databases, SchemaFault, SchemaVerbs, holds

from tagship.errors import HostRefused
from tagship.host import frames, roster
from tagship.manifest import Manifest

QUICK = ("survey", "history", "status", "manifest", "verify", "audit", "drift", "sound", "lock", "unlock", "holder")
QUICK += ("heads", "schema", "statements", "loss", "settled")
AT = "2026-01-02T03:04:05Z"
"""When everything happens."""
MARKERS = {
    "python_version": "3.11",
    "python_full_version": "3.11.2",
    "sys_platform": "linux",
    "implementation_name": "cpython",
}


class Fault(Exception):
    """An error that the fake answers."""

    def __init__(self, kind: str, what: str, data: dict[str, Any] | None = None) -> None:
        super().__init__(what)
        self.kind = kind
        self.data = data or {}


class FakeHost:
    """The state of one machine; outlives sessions as a disk does."""

    def __init__(self) -> None:
        self.releases: dict[str, dict[str, Any]] = {}
        self.journal: list[dict[str, Any]] = []
        self.objects: dict[str, int] = {}
        self.running: set[str] = set()
        self.sick: set[str] = set()
        """Releases whose running process hangs, until it is halted."""
        self.clinging: set[str] = set()
        """Releases whose connections outlast any drain."""
        self.front: str | None = None
        self.current: str | None = None
        self.owner: tuple[str, str] | None = None
        self.highest = 0
        self.holder: tuple[FakeSession, dict[str, str]] | None = None
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self.reachable = True
        self.guard = threading.RLock()
        self.slow_began = threading.Event()
        self.databases = Databases()
        """Of the whole fleet: hosts may share one."""
        self.midway = False
        """A step began, and nothing tells how it ended."""
        self.change: dict[str, Any] | None = None
        """What the holder of the lock is about."""
        self.fails_after: threading.Event | None = None
        """Failing waits for this, so that another host can be brought to a point first."""
        self._faults: dict[tuple[str, int], tuple[str, str]] = {}
        self._counts: dict[str, int] = {}

    def fail(self, verb: str, nth: int = 1, what: str = "it broke") -> None:
        """The nth time `verb` is asked, answer `failed` without doing it."""
        self._faults[verb, nth] = ("fail", what)

    def die(self, verb: str, nth: int = 1, *, after: bool = False) -> None:
        """The nth time `verb` is asked, end the session without a word, before or after doing it."""
        self._faults[verb, nth] = ("die-after" if after else "die", "")

    def hang(self, verb: str, nth: int = 1) -> None:
        """The nth time `verb` is asked, go silent for ever: no answer, no heartbeat."""
        self._faults[verb, nth] = ("hang", "")

    def slow(self, verb: str, nth: int = 1) -> threading.Event:
        """The nth time `verb` is asked, work until the client goes; the event is set once the work began."""
        self._faults[verb, nth] = ("slow", "")
        return self.slow_began

    def next_fault(self, verb: str) -> tuple[str, str]:
        """What shall go wrong with this question: a word and a sentence."""
        self._counts[verb] = self._counts.get(verb, 0) + 1
        return self._faults.get((verb, self._counts[verb]), ("", ""))

    def verbs(self) -> list[str]:
        """The verbs asked so far, without those that only look or lock."""
        return [verb for verb, _args in self.asked if verb not in QUICK]

    def note(self, event: str, release: str | None, **more: Any) -> None:
        """Journal a row of the change under way, which begins with its first."""
        change, by = self.change, self.holder[1]["owner"] if self.holder else ""
        also = {"at": AT, "by": by, "change": change["change"] if change else 0}
        if change is not None and not change["begun"]:
            change["begun"] = True
            opening = {"event": "begun", **{key: change[key] for key in ("release", "verb", "origin")}}
            self.journal.append({**opening, **also})
        if event != "begun":
            self.journal.append({"event": event, "release": release, **more, **also})

    def end(self, outcome: str, why: str | None) -> None:
        """Journal how the change ended, if it began."""
        change, self.change = self.change, None
        if change is not None and change["begun"]:
            self.change = change
            self.note("ended", change["release"], verb=change["verb"], outcome=outcome, why=why)
            self.change = None

    def marked(self, release: str) -> list[int]:
        """The change that marked a release last, and how many-eth mark of that change it was."""
        found = [0, 0]
        for row in self.journal:
            if row["event"] in ("good", "left") and row["release"] == release:
                found = [row["change"], found[1] + 1 if row["change"] == found[0] else 1]
        return found


def runs_of(record: dict[str, Any]) -> list[str]:
    """The names of the processes that a release has on its host."""
    settings = record["settings"]
    return [*(["web"] if settings["start"] else []), *sorted(settings["units"])]


class FakeTransport:
    """Starts sessions on a `FakeHost`; every one in a thread, over a socket pair."""

    level = 1

    def __init__(self, host: FakeHost) -> None:
        self.host = host

    def connect(self, argv: Sequence[str]) -> FakeChannel:
        if not self.host.reachable:
            raise HostRefused("it does not answer", host="fake", cure="plug it in")
        ours, theirs = socket.socketpair()
        FakeSession(self.host, theirs).begin()
        return FakeChannel(ours)


class FakeChannel:
    """The client's end of the socket pair."""

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock

    def read(self, size: int) -> bytes:
        return self._socket.recv(size)

    def write(self, data: bytes) -> None:
        self._socket.sendall(data)

    def stderr(self) -> bytes:
        return b""

    def status(self) -> int | None:
        return 0

    def close(self) -> None:
        try:
            self._socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass  # the other end was first

    def abort(self) -> None:
        self.close()


class FakeSession(SchemaVerbs):
    """One agent's life."""

    def __init__(self, host: FakeHost, sock: socket.socket) -> None:
        self.host = host
        self.socket = sock
        self.source = sock.makefile("rb")
        self.declared: set[str] = set()
        self.root = ""
        self.wanted: dict[str, int] = {}

    def begin(self) -> None:
        threading.Thread(target=self.live, daemon=True).start()

    def live(self) -> None:
        for _part in ("the loader", "the archive"):
            self.source.read(int.from_bytes(self.source.read(4), "big"))
        try:
            self.socket.sendall(frames.pack_json({"hello": {"protocol": 1, "python": "3.11.2", "pid": 1}}))
            while True:
                message = frames.read(self.source)
                if isinstance(message, dict) and "beat" in message:
                    self.socket.sendall(frames.pack_json({"beat": 1}))
                elif isinstance(message, dict):
                    self.answer(message)
        except (EOFError, OSError):
            pass
        with self.host.guard:
            self.end()
        self.socket.close()

    def end(self) -> None:
        for release in self.declared:
            if release in self.host.releases and release != self.host.current and not holds(self.host, release):
                self.remove(release, "abandoned")
        if self.host.holder and self.host.holder[0] is self:
            self.host.end("lost", "the client went away")
            self.host.holder = None

    def answer(self, message: dict[str, Any]) -> None:
        verb, args = message["verb"], message["args"]
        fault, what = self.host.next_fault(verb)
        if fault == "die":
            raise EOFError
        if fault == "hang":
            threading.Event().wait(3600)
        if fault == "slow":
            self.host.slow_began.set()
            while True:
                frames.read(self.source)
        if fault == "fail" and self.host.fails_after is not None:
            self.host.fails_after.wait(30)
        with self.host.guard:
            self.host.asked.append((verb, args))
            try:
                data = self.data() if verb == "put" else b""
                if fault == "fail":
                    raise Fault("failed", what)
                work = getattr(self, f"do_{verb}", None)
                if work is None:
                    raise Fault("usage", f"there is no verb `{verb}`")
                if verb not in QUICK and (self.host.holder is None or self.host.holder[0] is not self):
                    raise Fault("usage", f"`{verb}` needs the lock")
                if verb not in (*QUICK, "declare", "flip", "mark"):
                    self.host.note("begun", None)
                reply = {"ok": work(data, **args)}
            except SchemaFault as error:
                reply = {"error": {"kind": "failed", "what": str(error), "cure": "", "tail": [], "data": error.data}}
            except Fault as error:
                reply = {
                    "error": {"kind": error.kind, "what": str(error), "cure": "", "tail": [], "data": error.data}
                }
        if fault == "die-after":
            raise EOFError
        self.socket.sendall(frames.pack_json({"id": message["id"], **reply}))

    def data(self) -> bytes:
        parts = []
        while True:
            part = frames.read(self.source)
            if isinstance(part, dict):
                continue
            if not part:
                break
            parts.append(part)
        return zlib.decompress(b"".join(parts)) if parts else b""

    def do_survey(self, _data: bytes, root: str, app: str, stage: str, **_rest: Any) -> dict[str, Any]:
        host = self.host
        if host.owner not in (None, (app, stage)):
            raise Fault("refused", f"{root} belongs to another app or stage")
        self.root, self.app, self.stage = root, app, stage
        rows = [
            {
                "id": name,
                **{key: kept["record"][key] for key in ("serial", "tag", "commit", "digest")},
                "manifest": kept["manifest"].digest,
                "state": kept["state"],
                "marked": host.marked(name),
                "staged": kept["staged"],
                "pid": 100 + kept["record"]["serial"] if name in host.running else None,
                "roles": kept["record"]["roles"],
                "runs": runs_of(kept["record"]),
                "schema": self.heads_of(kept),
                "holds": holds(host, name),
            }
            for name, kept in sorted(host.releases.items())
        ]
        return {
            "root": root,
            "exists": host.owner is not None,
            "writable": True,
            "app": app,
            "stage": stage,
            "current": host.current,
            "current_kind": "link" if host.current else "none",
            "fled": roster.fled(host.journal),
            "releases": rows,
            "highest": host.highest,
            "change": max((row["change"] for row in host.journal), default=0),
            "fleet": roster.told(host.journal),
            "midway": host.midway,
            "serving": host.current if host.current in host.running and "web" in self.runs(host.current) else None,
            "well": bool(host.current and self.is_well(host.current)),
            "fault": "GET / had no answer" if host.current in host.running & host.sick else "",
            "front": {"listen": host.front, "pid": 99} if host.front else None,
            "lock": dict(host.holder[1]) if host.holder else None,
            "missing": [],
            "env": "ok",
            "installer": None,
            "versions": {"newest": 0, "used": {}},
            "disk_free": 10**12,
            "inodes_free": 10**9,
            "uid": 1000,
            "user": "deploy",
            "python": {"executable": "/usr/bin/python3", "markers": MARKERS},
        }

    def do_lock(self, _data: bytes, owner: str, release: str, verb: str, change: int | None = None) -> dict[str, Any]:
        if self.host.holder is not None and self.host.holder[0] is not self:
            what = "locked by {owner} ({verb} {release}) since {since}".format_map(self.host.holder[1])
            raise Fault("locked", what, self.host.holder[1])
        since = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        self.host.holder = (self, {"owner": owner, "release": release, "verb": verb, "since": since})
        self.host.owner = (self.app, self.stage)
        number = change or 1 + max((row["change"] for row in self.host.journal), default=0)
        about = {"release": release, "verb": verb, "origin": self.host.current}
        self.host.change = {"change": number, **about, "begun": False}
        return {}

    def do_unlock(self, _data: bytes, outcome: str = "done", why: str | None = None) -> dict[str, Any]:
        self.declared.clear()
        if self.host.holder and self.host.holder[0] is self:
            self.host.end(outcome, why)
            self.host.holder = None
        return {}

    def do_holder(self, _data: bytes) -> dict[str, Any]:
        return {"holder": dict(self.host.holder[1]) if self.host.holder else None}

    def do_declare(
        self,
        _data: bytes,
        release: dict[str, Any],
        base: str | None,
        put: list[Any],
        drop: list[str],
        manifest: str,
        wheels: list[Any],
        installer: list[Any] | None,
    ) -> dict[str, Any]:
        entries = dict(self.host.releases[base]["manifest"].by_path) if base else {}
        entries.update(Manifest.from_rows(put).by_path)
        whole = Manifest.of(entry for path, entry in entries.items() if path not in drop)
        if whole.digest != manifest:
            raise Fault("refused", "the manifest doesn't come out as announced")
        if release["serial"] <= self.host.highest:
            raise Fault("refused", f"the serial {release['serial']} was given before")
        wanted = {file.key: file.size for file in whole.files()}
        wanted.update({row[1]: row[2] for row in (*wheels, *([installer] if installer else []))})
        self.wanted = {key: size for key, size in wanted.items() if key not in self.host.objects}
        self.host.highest = release["serial"]
        self.host.releases[release["id"]] = {
            "record": release,
            "manifest": whole,
            "state": "unfinished",
            "staged": False,
        }
        self.host.note("staging", release["id"])
        self.declared.add(release["id"])
        return {"missing": [[key, size] for key, size in self.wanted.items()]}

    def do_put(self, data: bytes, objects: list[list[Any]]) -> dict[str, Any]:
        start = 0
        for key, size in objects:
            if hashlib.sha256(data[start : start + size]).hexdigest() != key.removesuffix("x"):
                raise Fault("failed", f"the object {key} isn't what it is called")
            self.host.objects[key] = size
            start += size
        return {"bytes": start}

    def do_tree(self, _data: bytes, release: str) -> dict[str, Any]:
        files = self.known(release)["manifest"].files()
        if any(file.key not in self.host.objects for file in files):
            raise Fault("failed", "an object is missing")
        return {"files": len(files)}

    def do_venv(self, _data: bytes, release: str) -> dict[str, Any]:
        self.known(release)
        return {"seconds": 0.0, "installer": "none"}

    def do_furnish(self, _data: bytes, release: str) -> dict[str, Any]:
        self.known(release)
        return {}

    def do_command(self, _data: bytes, release: str, argv: list[str], title: str) -> dict[str, Any]:
        self.known(release)
        return {"seconds": 0.0}

    def do_seal(self, _data: bytes, release: str) -> dict[str, Any]:
        self.known(release)["staged"] = True
        self.host.note("staged", release)
        return {}

    def do_unstage(self, _data: bytes, release: str, objects: str = "drop") -> dict[str, Any]:
        if release == self.host.current:
            raise Fault("refused", f"{release} is current")
        if release in self.host.releases:
            self.remove(release, "removed")
        return {}

    def remove(self, release: str, word: str) -> None:
        self.host.running.discard(release)
        del self.host.releases[release]
        self.host.note(word, release)

    def do_start(self, _data: bytes, release: str) -> dict[str, Any]:
        if not self.known(release)["staged"]:
            raise Fault("refused", f"{release} isn't sealed")
        if release in self.host.sick:
            raise Fault("failed", f"{release} is not well")
        if self.runs(release):
            self.host.running.add(release)
        return {"pid": 1, "seconds": 0.0}

    def do_halt(self, _data: bytes, release: str, drain: float) -> dict[str, Any]:
        self.host.running.discard(release)
        self.host.sick.discard(release)
        return {"seconds": 0.0, "cut": release in self.host.clinging and drain > 0, "killed": False}

    def do_front(self, _data: bytes, listen: str) -> dict[str, Any]:
        started = self.host.front != listen
        self.host.front = listen
        return {"pid": 99, "started": started}

    def do_unfront(self, _data: bytes) -> dict[str, Any]:
        self.host.front = None
        return {}

    def do_flip(self, _data: bytes, **names: str | None) -> dict[str, Any]:
        to, before = names["to"], names["from"]
        if self.host.current not in (before, to):
            raise Fault("refused", f"current is {self.host.current}, not {before}")
        if to is not None:
            self.known(to)
        self.host.current = to
        self.host.note("flipped", to or "nothing")
        return {}

    def runs(self, release: str) -> list[str]:
        return runs_of(self.known(release)["record"])

    def is_well(self, release: str) -> bool:
        return not self.runs(release) or release in self.host.running - self.host.sick

    def do_probe(self, _data: bytes, release: str, front: str | None) -> dict[str, Any]:
        reached = front is None or self.host.front == front
        if not (self.host.current == release and self.is_well(release) and reached):
            raise Fault("failed", f"{release} does not answer")
        return {"pid": 1, "seconds": 0.0}

    def do_mark(self, _data: bytes, release: str, state: str, fleet: list[str] | None = None) -> dict[str, Any]:
        more = {} if fleet is None else {"fleet": fleet}
        self.known(release)["state"] = state
        self.host.note(state, release, **more)
        return {}

    def do_prune(self, _data: bytes, keep: int) -> dict[str, Any]:
        good = [name for name, kept in sorted(self.host.releases.items()) if kept["state"] == "good"]
        flipped = [row["release"] for row in self.host.journal if row["event"] == "flipped"][-3:]
        left = [name for name, kept in self.host.releases.items() if kept["state"] == "left" and name in flipped]
        kept = {
            self.host.current,
            *left,
            *(n for n in self.host.releases if holds(self.host, n)),
            *self.host.running,
            *[n for n in good if n != self.host.current][-keep:],
        }
        removed = [name for name in sorted(self.host.releases) if name not in kept]
        for name in removed:
            self.remove(name, "removed")
        return {"removed": removed}

    def do_history(self, _data: bytes, limit: int = 0, changes: int | None = None) -> dict[str, Any]:
        if changes is None:
            return {"rows": self.host.journal[-limit:]}
        rows = [row for row in self.host.journal if row["event"] in ("begun", "ended")]
        numbers = sorted({row["change"] for row in rows})[-changes:]
        return {"rows": [row for row in rows if row["change"] in numbers]}

    def do_manifest(self, _data: bytes, release: str) -> dict[str, Any]:
        manifest = self.known(release)["manifest"]
        return {"rows": json.loads(json.dumps(manifest.rows())), "manifest": manifest.digest}

    def do_verify(self, _data: bytes, release: str) -> dict[str, Any]:
        self.known(release)
        return {"drift": []}

    def do_audit(self, _data: bytes, **_front: Any) -> dict[str, Any]:
        return {"drift": [], "lock": None}

    def do_sound(self, _data: bytes, release: str) -> dict[str, Any]:
        self.known(release)
        return {}

    def do_drift(self, _data: bytes, release: str) -> dict[str, Any]:
        self.known(release)
        return {"drift": [], "count": 0}

    def heads_of(self, kept: dict[str, Any]) -> dict[str, list[str] | None]:
        rows = kept["record"]["settings"].get("schema", [])
        heads = kept.get("heads") or {}
        return {name: heads.get(name) for row in rows for name in row["databases"]}

    def known(self, release: str) -> dict[str, Any]:
        if release not in self.host.releases:
            raise Fault("refused", f"there is no release {release}")
        return self.host.releases[release]
