"""Asking the release's own Python about one item of its schema: `schema_program`, over pipes, in its environment."""

from __future__ import annotations

import importlib.util
import json
import os
import select
import signal
import time
from typing import Any, Callable, Optional

from tagship.host import environment, files, procs, schema_program, stored
from tagship.host.faults import Problem, failed, refused
from tagship.host.layout import Layout, serial_of
from tagship.host.masking import mask

_LOOK = 100  # milliseconds between two looks whether anybody still waits
_GRACE = 5.0  # seconds between our last question and SIGTERM, and between that and SIGKILL
_HELPER = 25.0  # seconds for the helper to end another user's processes
_TAIL = 64 << 10  # bytes of what it said that are looked at for its last words
_LINES = 20
_BEFORE = {"schema_program": ("schema_tables",), "schema_django": ("schema_operations",)}
"""Modules whose text stands before another's: over there they are one."""
_FUTURE = "from __future__ import annotations\n"
MOVER, LOOKER = "tagship-", "tagship look "
"""How the names of sessions in the database begin: of those that migrate, and of those that only look."""


def name(kind: str, release: str) -> str:
    """What this process's sessions in databases are called: `tagship-0007-123`."""
    return "{}{:04d}-{}".format(kind, serial_of(release), os.getpid())


def text_of(module: str) -> str:
    """The text of a module of this package, behind what it needs; it need not be one that can be imported here."""
    first, *others = map(_text, (*_BEFORE.get(module, ()), module))
    return "\n".join([first, *(other.replace(_FUTURE, "", 1) for other in others)])


def _text(module: str) -> str:
    spec = importlib.util.find_spec("tagship.host." + module)
    loader: Any = spec.loader if spec is not None else None
    return str(loader.get_source("tagship.host." + module))


class Ended(Exception):
    """The program ended without an answer."""


class Talk:
    """A program that runs; `end` it."""

    def __init__(
        self,
        layout: Layout,
        declared: stored.Declared,
        item: dict[str, Any],
        *,
        session: str,
        limits: dict[str, Any],
        pause: Callable[[], None],
    ) -> None:
        import subprocess  # 10 ms that a session without a schema doesn't pay

        release = declared.release
        python = layout.release(release, "venv", "bin", "python")
        if not os.path.exists(python):
            raise refused(
                "{} has no virtualenv on this host".format(release), "let `migrate_on` name a host that has"
            )
        self._layout = layout
        self._release = release
        self._secrets = environment.secrets(layout, declared)
        self._pause = pause
        self._buffer = b""
        self._said = _unnamed(layout.command_log(release))
        words = [python, "-X", "utf8", "-c", schema_program.BOOT, session]  # by that name `settled` finds it
        try:
            self._child = subprocess.Popen(
                environment.inside(layout, release, words),
                env=environment.base(layout, release),
                cwd=layout.root,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._said,
                bufsize=0,
                start_new_session=True,
            )
        except OSError as error:
            os.close(self._said)
            raise failed("{}: {}".format(python, error.strerror), "deploy again") from None
        try:
            text = self.program().encode()
            begin = {"item": item, "text": text_of("schema_" + item["kind"]), "session": session, "limits": limits}
            self._write(b"%d\n%s" % (len(text), text))
            self.ask(begin)
        except BaseException:
            self.end()
            raise

    def program(self) -> str:
        """What is sent to the release's own Python."""
        return text_of("schema_program")

    def ask(self, question: dict[str, Any]) -> dict[str, Any]:
        """Its answer, however long that takes: `pause` is called meanwhile, and may raise.

        Raises `failed` with what it says instead, and `Ended` where it ends.
        """
        self._write(json.dumps(question).encode() + b"\n")
        return self.answer()

    def answer(self) -> dict[str, Any]:
        """The answer to what was asked last."""
        line = self._line()
        while line[:6] not in (b'{"ok":', b'{"erro'):
            line = self._line()  # what an interpreter's own startup files print comes before all
        answer = json.loads(line)
        if "ok" in answer:
            found: dict[str, Any] = answer["ok"]
            return found
        error = answer["error"]
        log = os.path.relpath(self._layout.command_log(self._release), self._layout.root)
        cure = error["cure"] or "mend what it says; the whole output is in {} on the host".format(log)
        problem = failed(mask([error["what"]], self._secrets)[0], cure, self.last_words())
        problem.data = error["data"]
        raise problem

    def _write(self, data: bytes) -> None:
        assert self._child.stdin is not None  # PIPE gives it
        try:
            files.write_all(self._child.stdin.fileno(), data)
        except BrokenPipeError:
            pass  # it has ended: reading tells how

    def _line(self) -> bytes:
        assert self._child.stdout is not None
        ready = select.poll()
        ready.register(self._child.stdout.fileno(), select.POLLIN)
        while b"\n" not in self._buffer:
            if ready.poll(_LOOK):
                piece = os.read(self._child.stdout.fileno(), 1 << 16)
                if not piece:
                    raise Ended
                self._buffer += piece
            else:
                self._pause()
        line, _, self._buffer = self._buffer.partition(b"\n")
        return line

    def last_words(self) -> list[str]:
        """The last lines that it said, secrets masked."""
        size = os.fstat(self._said).st_size
        text = os.pread(self._said, _TAIL, max(size - _TAIL, 0)).decode(errors="replace")
        return mask(text.splitlines(), self._secrets)[-_LINES:]

    def how(self) -> Problem:
        """That it ended, and how."""
        status = self._wait(_GRACE)
        how = "still runs" if status is None else "exit status {}".format(status)
        if status is not None and (status < 0 or status > 128):
            how = "signal {}".format(-status if status < 0 else status - 128)
        return failed("the migrating process ended: {}".format(how), "", self.last_words())

    def end(self) -> None:
        """No more questions: it ends, if need be by force; what it said goes to the log of the release's commands."""
        if self._said < 0:
            return
        for pipe in (self._child.stdin, self._child.stdout):
            if pipe is not None:
                pipe.close()
        if self._layout.ready is not None:
            self._wait(_HELPER)  # another user's: the helper ends it, now that nobody reads what it answers
        for number in (signal.SIGTERM, signal.SIGKILL):
            if self._wait(_GRACE) is None:
                procs.send_group(self._child.pid, number)
        procs.send_group(self._child.pid, signal.SIGKILL)  # what it left in the background
        self._wait(_GRACE)
        self._keep()

    def _wait(self, seconds: float) -> Optional[int]:
        until = time.monotonic() + seconds
        while self._child.poll() is None and time.monotonic() < until:
            time.sleep(0.005)
        return self._child.returncode

    def _keep(self) -> None:
        said, self._said = self._said, -1
        os.lseek(said, 0, os.SEEK_SET)
        with os.fdopen(said, "r", errors="replace") as source:
            lines = source.read().splitlines()
        if lines:
            flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
            log = os.open(self._layout.command_log(self._release), flags, 0o640)
            try:
                files.write_all(log, "".join(line + "\n" for line in mask(lines, self._secrets)).encode())
            finally:
                os.close(log)


def _unnamed(log: str) -> int:
    """A file without a name, beside the log: nobody else sees what a secret may stand in."""
    name = "{}.{}.raw".format(log, os.getpid())
    files.remove(name)
    raw = os.open(name, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    os.unlink(name)
    return raw
