"""The whole main job on this machine, with the real commands: a project, two tags, two deploys, a rollback.

Everything happens in a scratch folder: a project written by `tagship init`, its own git repository and its own
port. At the end all of it is stopped and removed, also after a failure or Ctrl-C, unless it is to be kept.
"""

from __future__ import annotations

import http.client
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

from tagship.errors import Interrupted, TagshipError, UsageError
from tagship.report import Report
from tagship.scaffold.reader import Reader, get

_BIN = Path(sys.executable).parent
_ENDINGS = (signal.SIGTERM, signal.SIGHUP)
_SECOND_POST = """\
---
title: The second release
tags: [news]
---
This post came with v0.2.0, while somebody was reading all the while.
"""


def main(*, keep: bool) -> int:
    """Run the demo and return its exit code; `keep` leaves the project running in its folder."""
    for number in _ENDINGS:
        signal.signal(number, _interrupt)
    demo = Demo(Path(tempfile.mkdtemp(prefix="tagship-demo-")) / "demo", f"127.0.0.1:{_free_port()}", Report())
    try:
        code = demo.attempt(demo.run)
    finally:
        end = demo.attempt(demo.tell if keep else demo.remove)
    return code or end


class Demo:
    """The acts, in order; `folder` is where the project will be, `front` the `ADDRESS:PORT` where it will answer."""

    def __init__(self, folder: Path, front: str, report: Report) -> None:
        self.folder = folder
        self.front = front
        self.report = report
        # The commands are those of this virtualenv, and git does what it does for somebody without settings.
        self.env = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
        self.env["PATH"] = os.pathsep.join([str(_BIN), os.environ.get("PATH", os.defpath)])
        self.env |= {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}

    def run(self) -> None:
        """The whole job; raises `TagshipError` as soon as something isn't as it must be."""
        self.begin()
        self.report.heading("Build the site here, to look at it before it ships")
        self.command("inv", "build")
        self.report.heading("Put v0.1.0 live")
        self.command("fab", "deploy")
        first = self.look()
        self.edit()
        self.report.heading("Put v0.2.0 live, while a client reads all the while")
        self.read_during("fab", "deploy")
        second = self.look()
        self.report.heading("Go down again, while the client reads on")
        self.read_during("fab", "rollback")
        last = self.look()
        if not (first != second and last == first):
            raise TagshipError(f"{first}, then {second}, then {last} was live", where="demo")
        self.report.heading("What happened")
        self.command("fab", "releases")
        self.command("fab", "history")

    def begin(self) -> None:
        """A project, its first commit and its first tag."""
        self.report.heading("Begin a project")
        self.command("tagship", "init", self.folder.name, cwd=self.folder.parent)
        config = self.folder / "tagship.yml"
        text = re.sub(r"(?m)^    front: .*", f"    front: {self.front}", config.read_text(encoding="utf-8"))
        config.write_text(re.sub(r"(?m)^  url: .*", f"  url: http://{self.front}", text), encoding="utf-8")
        self.report.lines("", f"(its front door is set to a free port: {self.front})", "")
        self.command("git", "init", "--quiet", "--initial-branch", "main")
        self.command("git", "config", "user.name", "Demo")
        self.command("git", "config", "user.email", "demo@localhost")
        self.ship("v0.1.0", "Begin")

    def edit(self) -> None:
        """A post changed, another one added, a tag of posts given up; committed and tagged."""
        self.report.heading("Edit a post, write another one, tag v0.2.0")
        post = self.first_post()
        text = post.read_text(encoding="utf-8").replace("tags: [notes]", "tags: [news]")
        post.write_text(f"{text}\nThis line was added for v0.2.0.\n", encoding="utf-8")
        second = post.with_name(post.name.replace("hello", "second-release"))
        second.write_text(_SECOND_POST, encoding="utf-8")
        self.ship("v0.2.0", "Say more")

    def ship(self, tag: str, message: str) -> None:
        """Commit everything there is and tag it."""
        self.command("git", "add", "--all")
        self.command("git", "commit", "--quiet", "--message", message)
        self.command("git", "tag", "--annotate", tag, "--message", message)

    def first_post(self) -> Path:
        """The post that `tagship init` wrote."""
        return next((self.folder / "posts").glob("*-hello.md"))

    def look(self) -> str:
        """Ask for the first page as any client would; returns the release that answered."""
        answer = get(self.front, "/")
        title = re.search(rb"<title>(.*?)</title>", answer.body, re.S)
        if answer.status != 200 or title is None or not answer.release:
            raise TagshipError(f"status {answer.status}, release {answer.release!r}", where=f"http://{self.front}/")
        shown = f"{len(answer.body)} bytes, <title>{title[1].decode().strip()}</title>"
        self.report.lines("", f"GET http://{self.front}/ -> {answer.status} from {answer.release}: {shown}")
        return answer.release

    def read_during(self, *argv: str) -> None:
        """Run a verb under the eyes of a client; raises `TagshipError` if even one of its requests failed."""
        year, month = self.first_post().name.split("-")[:2]
        with Reader(self.front, ["/", f"/{year}/{month}/hello/"]) as reader:
            self.command(*argv)
        seen = reader.reading
        answers = ", ".join(f"{count} from {release}" for release, count in seen.releases.items())
        self.report.lines("", f"the client: {seen.requests} requests, {seen.failed} failed ({answers})")
        if seen.failed:
            raise TagshipError("requests failed", where=shlex.join(argv), tail=seen.failures)

    def command(self, *argv: str, cwd: Path | None = None) -> None:
        """Show a command and run it in the project, on our own stdout; raises `TagshipError` if it fails."""
        self.report.lines(f"$ {shlex.join(argv)}")
        with _Held() as held, subprocess.Popen(self.found(argv), cwd=cwd or self.folder, env=self.env) as process:
            try:
                held.release()
                status = process.wait()
            except KeyboardInterrupt as signalled:
                if signalled.args:  # it came to us alone, whereas Ctrl-C goes to everything in the terminal
                    process.terminate()
                process.wait()  # until what had begun is put back
                raise
        if status:
            raise TagshipError(f"ended with exit code {status}", where=shlex.join(argv))

    def found(self, argv: tuple[str, ...]) -> list[str]:
        """`argv` with the program's full path, because our own PATH may be another one than the command's."""
        program = shutil.which(argv[0], path=self.env["PATH"])
        if program is None:
            raise UsageError("there is no such program", where=argv[0], cure="install it")
        return [program, *argv[1:]]

    def attempt(self, act: Callable[[], None]) -> int:
        """Do it, and say what went wrong if it did; returns the exit code."""
        try:
            act()
        except KeyboardInterrupt:
            error: TagshipError = Interrupted("the demo was stopped")
        except TagshipError as failed:
            error = failed
        except (OSError, http.client.HTTPException) as failed:
            error = TagshipError(f"{type(failed).__name__}: {failed}", where="demo")
        else:
            return 0
        self.report.failure(error)
        return error.exit_code

    def tell(self) -> None:
        """Say what is running, where, how to look at it and how to stop it."""
        go = f"cd {shlex.quote(str(self.folder))}"
        self.report.heading("Kept, and running")
        self.report.lines(
            f"  site   http://{self.front}/",
            f"  files  {self.folder}",
            f"  look   {go} && {_BIN}/fab status",
            f"  stop   {go} && {_BIN}/fab stop && cd / && rm -r {shlex.quote(str(self.folder.parent))}",
        )

    def remove(self) -> None:
        """Stop what runs and remove the folder; raises `TagshipError`, and keeps the folder, if that fails."""
        for number in (signal.SIGINT, *_ENDINGS):
            signal.signal(number, signal.SIG_IGN)
        self.report.heading("Stop, and leave nothing behind (make demo KEEP=1 keeps it running)")
        if (self.folder / ".tagship").exists():
            self.command("fab", "stop")
            if _is_taken(self.front):
                raise TagshipError(
                    "something still answers", where=self.front, cure=f"its files are in {self.folder}"
                )
        # A socket's path must be short, so the folders of the sockets lie elsewhere; each release links to its own.
        for run in {link.resolve().parent for link in self.folder.glob(".tagship/local/releases/*/run")}:
            shutil.rmtree(run, ignore_errors=True)
        shutil.rmtree(self.folder.parent)
        self.report.lines(f"removed {self.folder.parent}")


class _Held:
    """Keeps signals waiting until `release`: one that came while a command starts would leave it to nobody."""

    def __init__(self) -> None:
        self.came: list[int] = []
        self.before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> _Held:
        for number in (signal.SIGINT, *_ENDINGS):
            self.before[number] = signal.signal(number, lambda number, _frame: self.came.append(number))
        return self

    def __exit__(self, *_error: object) -> None:
        for number, handler in self.before.items():
            signal.signal(number, handler)

    def release(self) -> None:
        """Let signals through again, the one that came first of all; raises KeyboardInterrupt for it."""
        self.__exit__()
        if self.came:
            signal.raise_signal(self.came[0])


def _interrupt(number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt(number)


def _free_port() -> int:
    """A TCP port that nobody listens on now; the front door takes it a moment later."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


def _is_taken(front: str) -> bool:
    address, _, port = front.rpartition(":")
    with socket.socket() as probe:
        return probe.connect_ex((address, int(port))) == 0
