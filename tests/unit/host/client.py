"""A small client for the agent over pipes, and hand-made releases to give it; knows nothing of `tagship.ship`."""

from __future__ import annotations

import hashlib
import json
import os
import select
import subprocess
import sys
import time
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from tagship.host import boot, frames

PATIENCE = 60.0
PROBE = {"path": "/", "status": 200, "timeout": 20, "passes": 1, "host": "localhost"}
SERVER = (Path(__file__).parent / "server.py").read_bytes()


class AgentError(Exception):
    """An error frame: `kind`, `what`, `cure`, `tail`, `data`."""

    def __init__(self, error: Mapping[str, Any]) -> None:
        super().__init__(f"{error['kind']}: {error['what']} ({error['tail']})")
        self.kind: str = error["kind"]
        self.what: str = error["what"]
        self.cure: str = error["cure"]
        self.tail: list[str] = error["tail"]
        self.data: dict[str, Any] = error["data"]


class Agent:
    """An agent in a subprocess, spoken to over its stdin and stdout."""

    def __init__(
        self,
        home: Path,
        python: str = sys.executable,
        words: Sequence[str] = (),
        more: Sequence[str] = (boot.FRONT, boot.VERIFY),
    ) -> None:
        self.process = subprocess.Popen(
            [*boot.argv(python), *words],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={"HOME": str(home), "PATH": os.environ["PATH"]},
            start_new_session=True,
        )
        self.progress: list[dict[str, Any]] = []
        self.beats = 0
        self._number = 0
        self._buffer = b""
        self.write(boot.greeting(*more))
        self.hello = self.read()["hello"]

    def write(self, data: bytes) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(data)
        self.process.stdin.flush()

    def read(self) -> dict[str, Any]:
        """The next message that isn't a heartbeat."""
        while True:
            size, kind = frames.HEADER.unpack(self._take(frames.HEADER.size))
            assert kind == frames.JSON
            message = json.loads(self._take(size))
            if "beat" not in message:
                return message
            self.beats += 1

    def _take(self, size: int) -> bytes:
        assert self.process.stdout is not None
        deadline = time.monotonic() + PATIENCE
        while len(self._buffer) < size:
            ready, _, _ = select.select([self.process.stdout], [], [], max(deadline - time.monotonic(), 0))
            if not ready:
                raise TimeoutError(f"the agent said nothing for {PATIENCE} s")
            piece = os.read(self.process.stdout.fileno(), 1 << 16)
            if not piece:
                raise EOFError(self.errors())
            self._buffer += piece
        taken, self._buffer = self._buffer[:size], self._buffer[size:]
        return taken

    def begin(self, verb: str, /, **args: Any) -> None:
        """Ask, and don't wait for the answer."""
        self._number += 1
        self.write(frames.pack_json({"id": self._number, "verb": verb, "args": args}))

    def answer(self) -> dict[str, Any]:
        """The answer to what was asked last."""
        while True:
            message = self.read()
            assert message["id"] == self._number
            if "takes" in message:
                continue
            if "progress" in message:
                self.progress.append(message["progress"])
                continue
            if "error" in message:
                raise AgentError(message["error"])
            return message["ok"]

    def ask(self, verb: str, /, **args: Any) -> dict[str, Any]:
        self.begin(verb, **args)
        return self.answer()

    def put(self, objects: Sequence[Sequence[Any]], packed: bytes, piece: int = 1 << 16) -> dict[str, Any]:
        self.begin("put", objects=[list(item) for item in objects])
        for start in range(0, len(packed), piece):
            self.write(frames.pack_data(packed[start : start + piece]))
        self.write(frames.pack_data(b""))
        return self.answer()

    def hang_up(self) -> None:
        """EOF; returns when the agent has ended."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait(PATIENCE)

    def errors(self) -> str:
        """What it wrote to stderr, once it has ended."""
        assert self.process.stderr is not None
        return self.process.stderr.read().decode()

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        for stream in (self.process.stdin, self.process.stdout, self.process.stderr):
            if stream is not None:
                try:
                    stream.close()
                except BrokenPipeError:
                    pass


class Release:
    """Files, links and settings of a release, and everything that follows from them."""

    def __init__(
        self,
        serial: int,
        tag: str,
        files: Mapping[str, bytes],
        *,
        executable: Sequence[str] = (),
        links: Mapping[str, str] | None = None,
        wheels: Sequence[Path] = (),
        installer: Path | None = None,
        **settings: Any,
    ) -> None:
        self.id = f"{serial:04d}-{tag}"
        self.contents = {}
        rows: list[list[Any]] = [[path, "l", target] for path, target in (links or {}).items()]
        for path, content in files.items():
            sha = hashlib.sha256(content).hexdigest()
            rows.append([path, "x" if path in executable else "f", sha, len(content)])
            self.contents[sha + ("x" if path in executable else "")] = content
        self.rows = sorted(rows)
        self.manifest = digest(self.rows)
        self.wheels = [self._wheel(path) for path in wheels]
        self.installer = self._wheel(installer) if installer else None
        self.record = {
            "id": self.id,
            "serial": serial,
            "tag": tag,
            "commit": "c" * 40,
            "digest": self.manifest,
            "lock": "0" * 64,
            "app": "blog",
            "stage": "local",
            "by": "ann",
            "at": "2026-01-02T03:04:05Z",
            "roles": ["web"],
            "settings": {
                "start": ["python", "server.py", "{socket}"],
                "units": {},
                "generated": [],
                "python": "python3",
                "env": None,
                "shared": {"dirs": [], "links": [], "served": []},
                "probe": PROBE,
                **settings,
            },
        }

    def _wheel(self, path: Path) -> list[Any]:
        content = path.read_bytes()
        sha = hashlib.sha256(content).hexdigest()
        self.contents[sha] = content
        return [path.name, sha, len(content)]

    def declaration(self, base: Release | None = None) -> dict[str, Any]:
        old = {row[0]: row for row in base.rows} if base else {}
        new = {row[0]: row for row in self.rows}
        return {
            "release": self.record,
            "base": base.id if base else None,
            "put": [row for row in self.rows if old.get(row[0]) != row],
            "drop": [path for path in old if path not in new],
            "manifest": self.manifest,
            "wheels": self.wheels,
            "installer": self.installer,
        }

    def packed(self, keys: Sequence[str]) -> bytes:
        return zlib.compress(b"".join(self.contents[key] for key in keys), 1)


def digest(rows: Sequence[Sequence[Any]]) -> str:
    text = json.dumps(rows, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()


class Host:
    """A host: a home folder, a root, and the agents that were sent to it."""

    def __init__(self, home: Path, root: Path) -> None:
        self.home = home
        self.root = root
        self.agents: list[Agent] = []
        self.python = sys.executable
        self.more: tuple[str, ...] = (boot.FRONT, boot.VERIFY)
        """Parts of the agent that are sent beside what always is."""

    def connect(self, *words: str) -> Agent:
        agent = Agent(self.home, self.python, words, self.more)
        self.agents.append(agent)
        return agent

    def survey(self, agent: Agent, **changed: Any) -> dict[str, Any]:
        args = {
            "root": str(self.root),
            "app": "blog",
            "stage": "local",
            "python": "python3",
            "links": [],
            "env": None,
            "front": "127.0.0.1:1",
        }
        return agent.ask("survey", **{**args, **changed})

    def locked(self, *words: str) -> Agent:
        agent = self.connect(*words)
        self.survey(agent)
        agent.ask("lock", owner="ann", release=None, verb="deploy")
        return agent

    def look(self) -> dict[str, Any]:
        """What a fresh session's survey says."""
        agent = self.connect()
        try:
            return self.survey(agent)
        finally:
            agent.hang_up()

    def path(self, *parts: str) -> Path:
        return self.root.joinpath(*parts)

    def journal(self) -> list[tuple[str, str | None]]:
        """What became of releases: event and release, oldest first, without how each change began and ended."""
        return [row for row in self.rows() if row[0] not in ("begun", "ended")]

    def rows(self) -> list[tuple[str, str | None]]:
        """Event and release of every row of the journal, oldest first."""
        text = self.path("state", "journal.jsonl").read_text() if self.path("state", "journal.jsonl").exists() else ""
        return [(row["event"], row["release"]) for row in map(json.loads, text.splitlines())]


STAGING: tuple[str, ...] = ("declare", "put", "tree", "venv", "furnish", "seal")


def stage_until(agent: Agent, release: Release, last: str = "seal", base: Release | None = None) -> None:
    """Stage a release up to and including the verb `last`."""
    missing: list[list[Any]] = []
    for verb in STAGING[: STAGING.index(last) + 1]:
        if verb == "declare":
            missing = agent.ask("declare", **release.declaration(base))["missing"]
        elif verb == "put":
            agent.put(missing, release.packed([key for key, _ in missing]))
        else:
            agent.ask(verb, release=release.id)


def blog(serial: int, text: str = "", **more: Any) -> Release:
    """A release with a real small HTTP application."""
    files = {
        "app/server.py": SERVER,
        "app/text.txt": (text or f"release {serial}").encode(),
        "public/index.html": f"<h1>{serial}</h1>".encode(),
        f"public/assets/site.{serial}.css": f"/* {serial} */".encode(),
    }
    return Release(serial, more.pop("tag", f"v{serial}"), {**files, **more.pop("files", {})}, **more)


def go_live(agent: Agent, release: Release, previous: Release | None, listen: str | None = None) -> None:
    """Stage, start, flip, stop the old one, mark good; through the front door where there is one."""
    stage_until(agent, release, base=previous)
    agent.ask("start", release=release.id)
    if listen:
        agent.ask("front", listen=listen)
    agent.ask("flip", to=release.id, **{"from": previous.id if previous else None})
    if listen:
        agent.ask("probe", release=release.id, front=listen)
    if previous:
        agent.ask("halt", release=previous.id, drain=10)
    agent.ask("mark", release=release.id, state="good")


def names(folder: Path) -> set[str]:
    """The names in a folder."""
    return {path.name for path in folder.iterdir()}


def until(true: Callable[[], Any], seconds: float = PATIENCE) -> Any:
    """Wait until something holds, and give it; fails the test where it never does."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if found := true():
            return found
        time.sleep(0.01)
    raise AssertionError("it never came to hold")


def tree(top: Path) -> Iterator[str]:
    """Every path below a folder, relative, folders included."""
    for path in sorted(top.rglob("*")):
        yield str(path.relative_to(top))
