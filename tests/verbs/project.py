"""A project as a user has one: made by `tagship init`, a git repository, and real commands run in it.

`run` and `told` are the only ways in which tests here run a verb: `test_readme.py` reads their arguments.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import shutil
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from contract.projects import free_port

BIN = Path(sys.executable).parent
RESULT = {"event", "outcome", "exit", "release", "previous", "hosts", "seconds", "bytes_sent"}
PATIENCE = 120.0
"""Seconds after which a command counts as stuck; none takes a tenth of it."""

SERVER = '''\
"""Answers every request with version.txt on the unix socket of its first argument; behaviour.txt says how well."""

import http.server
import pathlib
import socketserver
import sys
import time

BEHAVIOUR = pathlib.Path("behaviour.txt").read_text().strip()
VERSION = pathlib.Path("version.txt").read_bytes().strip()


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path == "/slow":
            time.sleep(3)
        self.send_response(500 if BEHAVIOUR == "broken" else 200)
        self.send_header("Content-Length", str(len(VERSION)))
        self.end_headers()
        self.wfile.write(VERSION)

    def address_string(self):
        return "unix"

    def log_message(self, *words):
        if BEHAVIOUR == "broken":
            print("answering", BEHAVIOUR, file=sys.stderr, flush=True)


class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True
    request_queue_size = 64

    def handle_error(self, *words):
        pass  # a prober that has heard enough hangs up


if BEHAVIOUR == "exits":
    sys.exit("no such table: visitors")
if BEHAVIOUR == "silent":
    print("waiting for a database that never comes", flush=True)
    time.sleep(600)
Server(sys.argv[1], Handler).serve_forever()
'''

HOLD = '''\
"""Keeps a deploy at its prepare step for as long as the stage's root holds a file called `hold`."""

import pathlib
import time

while pathlib.Path("../../../hold").exists():
    time.sleep(0.02)
'''


@dataclass(frozen=True)
class Ran:
    """A command that has ended: its exit code and what it said."""

    exit: int
    out: str
    err: str

    @property
    def said(self) -> str:
        return self.out + self.err


@dataclass(frozen=True)
class Told:
    """A command that has ended and spoke JSON: every event, the result last."""

    exit: int
    events: tuple[dict[str, Any], ...]

    @property
    def result(self) -> dict[str, Any]:
        return self.events[-1]

    @property
    def error(self) -> dict[str, Any]:
        """The one error that was told; fails unless there is exactly one."""
        (error,) = self.of("error")
        return error

    def of(self, name: str) -> list[dict[str, Any]]:
        return [event for event in self.events if event["event"] == name]


class Project:
    """The project in `folder`; its front door listens at `front`, and `home` is its user's home."""

    def __init__(self, folder: Path, home: Path) -> None:
        self.folder = folder
        self.home = home
        self.front = f"127.0.0.1:{free_port()}"
        self.stages = ["local"]
        self.tags = 0
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("GIT_", "TAGSHIP_"))}
        self.env = {
            **kept,
            "PATH": os.pathsep.join([str(BIN), os.environ.get("PATH", os.defpath)]),
            "HOME": str(home),
            "XDG_CONFIG_HOME": os.environ.get("XDG_CONFIG_HOME", str(Path.home() / ".config")),  # pip's own settings
            "XDG_CACHE_HOME": str(home / ".cache"),
            "GIT_CONFIG_GLOBAL": os.devnull,
            "GIT_CONFIG_NOSYSTEM": "1",
        }

    @property
    def root(self) -> Path:
        """The host's root of the embedded stage."""
        return self.folder / ".tagship" / "local"

    @property
    def current(self) -> str | None:
        link = self.root / "current"
        return link.readlink().name if link.is_symlink() else None

    def begin(self) -> None:
        """What a user does first: init, an address of its own, a repository with an identity."""
        done = self.run("tagship", "init", str(self.folder), cwd=self.folder.parent)
        assert done.exit == 0, done.said
        self.edit("tagship.yml", r"(?m)^    front: .*", f"    front: {self.front}")
        self.edit("tagship.yml", r"(?m)^  url: .*", f"  url: http://{self.front}")
        self.git("init", "--quiet", "--initial-branch", "main")
        self.git("config", "user.name", "Ada")
        self.git("config", "user.email", "ada@example.org")

    def lighten(self) -> None:
        """Serve the project with the standard library alone, so that no wheel has to be fetched."""
        self.write({"serve.py": SERVER, "hold.py": HOLD, "version.txt": "one", "behaviour.txt": "well"})
        self.write({"requirements.in": "", "requirements.lock": ""})
        self.edit("tagship.yml", r"(?m)^  smoke: .*\n", "")
        start = "  start: python3 serve.py {socket}\n  prepare:\n    - python3 hold.py"
        self.edit("tagship.yml", r"(?m)^  start: .*", start)

    # --- the author's side

    def write(self, files: Mapping[str, str | bytes]) -> None:
        for name, content in files.items():
            path = self.folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content.encode() if isinstance(content, str) else content)

    def edit(self, name: str, pattern: str, replacement: str) -> None:
        """Replace what `pattern` matches in a file; fails if nothing does."""
        path = self.folder / name
        text, count = re.subn(pattern, lambda _match: replacement, path.read_text(encoding="utf-8"))
        assert count, (name, pattern)
        path.write_text(text, encoding="utf-8")

    def git(self, *words: str) -> str:
        done = subprocess.run(
            ["git", *words], cwd=self.folder, env=self.env, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def tag(self, name: str, files: Mapping[str, str | bytes] | None = None) -> None:
        """Write `files`, commit everything and tag it."""
        self.write(files or {})
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "--message", name)
        self.git("tag", "--annotate", name, "--message", name)

    def tag_next(self, files: Mapping[str, str | bytes] | None = None) -> str:
        """`tag`, with a version that this project never had: its tags are remembered. Returns it."""
        self.tags += 1
        name = f"v1.{self.tags}.0"
        self.tag(name, files)
        return name

    # --- the commands

    def run(self, *argv: str, cwd: Path | None = None) -> Ran:
        """Run a command to its end, in the project unless `cwd` is given."""
        done = subprocess.run(
            argv,
            cwd=cwd or self.folder,
            env=self.env,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        assert "Traceback" not in done.stdout + done.stderr, done.stdout + done.stderr
        return Ran(done.returncode, done.stdout, done.stderr)

    def told(self, *argv: str) -> Told:
        """Run a verb with `--json`; fails unless it speaks JSON Lines alone, which end in a whole result."""
        ran = self.run(*argv, "--json")
        assert ran.err == ""
        return told(ran.exit, ran.out)

    def begun(self, *argv: str) -> Begun:
        """Start a verb, to look at and to signal while it works."""
        return Begun(argv, self.folder, self.env)

    # --- the host's side

    def snapshot(self) -> dict[str, tuple[object, ...]]:
        """Everything below the host's root: kinds, modes, sizes, times and targets; and what `current` names."""
        found: dict[str, tuple[object, ...]] = {"current": (self.current,)}
        for path in sorted(self.root.rglob("*")):
            status = path.lstat()
            name = str(path.relative_to(self.root))
            if stat.S_ISLNK(status.st_mode):
                found[name] = ("link", str(path.readlink()))
            elif stat.S_ISREG(status.st_mode):
                found[name] = (status.st_mode, status.st_size, status.st_mtime_ns)
            else:
                found[name] = (status.st_mode,)
        return found

    def released(self) -> dict[str, tuple[object, ...]]:
        """A snapshot without `state/`, where a deploy that is put back leaves its journal and its logs."""
        return {name: seen for name, seen in self.snapshot().items() if name.split("/")[0] != "state"}

    def journal(self) -> list[dict[str, Any]]:
        path = self.root / "state" / "journal.jsonl"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def sockets(self) -> list[str]:
        """The serials that have a folder for their socket."""
        elsewhere = self.home / ".local" / "state" / "tagship" / "run"  # where the root's own path is too long
        return sorted(path.name for path in (*(self.root / "run").glob("*"), *elsewhere.glob("*/*")))

    def processes(self) -> dict[int, str]:
        """Every process that lives with our home: pid to command line."""
        return dict(processes_of(b"HOME=" + os.fsencode(self.home)))

    def services(self) -> list[int]:
        """The pids of the application's processes."""
        return [pid for pid, line in self.processes().items() if "serve.py" in line or "gunicorn" in line]

    def end(self) -> None:
        """Stop what runs, however the test ended."""
        if (self.folder / "fabfile.py").exists():
            for stage in self.stages:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    self.run_quietly("fab", "stop", "--stage", stage)
        for pid in {*self.processes(), *processes_below(self.folder.parent)}:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        shutil.rmtree(self.home, ignore_errors=True)

    def run_quietly(self, *argv: str) -> None:
        subprocess.run(argv, cwd=self.folder, env=self.env, capture_output=True, timeout=PATIENCE, check=False)


class Begun:
    """A verb under way, which speaks JSON; a context manager, so that it never outlives its test."""

    def __init__(self, argv: tuple[str, ...], folder: Path, env: Mapping[str, str]) -> None:
        self.lines: list[str] = []
        self.process = subprocess.Popen(
            [*argv, "--json"],
            cwd=folder,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,  # a process group of its own, as a terminal gives each command
            # A runner in the background may have it ignored, which children inherit.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509
        )

    def until(self, step: str) -> None:
        """Read on until a step whose title holds `step` has begun."""
        assert self.process.stdout
        for line in self.process.stdout:
            self.lines.append(line)
            event = json.loads(line)
            if event["event"] == "step" and event["state"] == "begin" and step in event["step"]:
                return
        raise AssertionError(f"no step `{step}` began:\n{''.join(self.lines)}")

    def noted(self, words: str) -> str:
        """Read on until a note holds `words`; all of its text."""
        assert self.process.stdout
        for line in self.process.stdout:
            self.lines.append(line)
            event = json.loads(line)
            if event["event"] == "note" and words in event["text"]:
                return str(event["text"])
        raise AssertionError(f"nothing was said of `{words}`:\n{''.join(self.lines)}")

    def signal(self, number: signal.Signals, *, group: bool = False) -> None:
        if group:
            os.killpg(self.process.pid, number)
        else:
            self.process.send_signal(number)

    def ended(self) -> Told:
        """Wait for its end; fails as `Project.told` does."""
        out, err = self.process.communicate(timeout=PATIENCE)
        assert err == ""
        return told(self.process.returncode, "".join(self.lines) + out)

    def __enter__(self) -> Begun:
        return self

    def __exit__(self, *_error: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate()


def told(status: int, out: str) -> Told:
    """Read JSON Lines and hold them to what is promised of every verb and every end."""
    events = tuple(json.loads(line) for line in out.splitlines())
    assert events, "nothing was said"
    assert all(isinstance(event, dict) and event["event"] for event in events)
    result = events[-1]
    assert [event["event"] for event in events].count("result") == 1
    assert result["event"] == "result", "the result comes last"
    assert result.keys() >= RESULT
    assert result["exit"] == status
    assert all(host.keys() == {"host", "release", "ok"} for host in result["hosts"])
    assert result["seconds"] > 0
    failed = any(event["event"] == "error" for event in events)
    assert failed == bool(status), "an error is told if, and only if, it failed"
    return Told(status, events)


def processes_of(setting: bytes) -> Iterator[tuple[int, str]]:
    """Processes other than our own whose environment holds `setting`, as pid and command line."""
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if int(entry.name) != os.getpid() and setting in entry.joinpath("environ").read_bytes().split(b"\0"):
                yield int(entry.name), entry.joinpath("cmdline").read_bytes().replace(b"\0", b" ").decode()


def processes_below(folder: Path) -> Iterator[int]:
    """Processes that work in `folder` or below, whatever their home: those of a stage that is reached by SSH."""
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if entry.joinpath("cwd").readlink().is_relative_to(folder):
                yield int(entry.name)


def eventually(is_so: Any, what: str) -> None:
    """Return once `is_so()` is true; fails after a time in which it must have become so."""
    deadline = time.monotonic() + PATIENCE
    while not is_so():
        assert time.monotonic() < deadline, what
        time.sleep(0.02)


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
