"""The agent's main loop: questions in, answers out, heartbeats both ways, and what happens when the client goes."""

from __future__ import annotations

import os
import queue
import select
import signal
import sys
import threading
import time
from typing import TYPE_CHECKING, Any, BinaryIO, Iterator, Optional

from tagship.host import frames
from tagship.host.context import Args, Context
from tagship.host.faults import Gone, Problem, from_os_error, usage
from tagship.host.lifeline import Lifeline

if TYPE_CHECKING:
    from tagship.host.verbs import Verb

PROTOCOL = 1
SILENCE = 30.0
"""Seconds without any frame that count as the client's end."""
BEATS = 6
"""Heartbeats in that time."""
LAST = 10
"""Times that of silence for what is to be put back once the client is gone, and for what hangs."""
_ATOMIC = 4096  # bytes that a pipe or socket that polls writable takes without blocking
_AHEAD = 16  # frames read before a verb asks for them
_OFTEN = 0.1  # seconds between two progress frames


class Session:
    """One client, from hello to its end."""

    def __init__(self, source: BinaryIO, sink: int, silence: float = SILENCE) -> None:
        self._source = source
        self._sink = sink
        self._silence = silence
        self._lifeline = Lifeline()
        self._inbox: queue.Queue[Optional[frames.Message]] = queue.Queue(_AHEAD)
        self._writing = threading.Lock()
        self._question = 0
        self._told = 0.0
        self._streaming = False
        self._context = Context(self._lifeline, self._pieces, self._progress, self._takes)

    def run(self) -> None:
        """Answer until the client goes; then take back what only it wanted."""
        for work in (self._listen, self._beat):
            threading.Thread(target=work, daemon=True).start()
        try:
            python = ".".join(str(part) for part in sys.version_info[:3])
            self._send({"hello": {"protocol": PROTOCOL, "python": python, "pid": os.getpid()}})
            while True:
                message = self._next()
                if isinstance(message, bytes):
                    raise frames.FrameError("data came where a question was due")
                self._answer(message)
        except Gone:
            pass
        except (Problem, frames.FrameError) as error:
            sys.stderr.write("the session can't go on: {}\n".format(error))
        finally:
            self._take_back()

    def keep(self) -> None:
        """Where something was changed, let the next agent of this kind find itself compiled."""
        keep = getattr(globals().get("__loader__"), "keep", None)
        if keep is not None and self._context.worked:
            keep(self._context.layout.state)

    def _take_back(self) -> None:
        context = self._context
        for ending in context.endings:
            try:
                ending()
            except (Problem, OSError):
                _print_traceback()
        if context.declared or context.started or context.change is not None:
            from tagship.host import removal  # only on the way out of a session that left something

            context.lifeline = Lifeline()
            try:
                removal.abandon(context)
            except (Problem, OSError):
                _print_traceback()

    def _answer(self, message: dict[str, Any]) -> None:
        self._question = message.get("id", 0)
        try:
            answer = {"id": self._question, "ok": self._ask(message)}
        except Problem as problem:
            answer = {"id": self._question, "error": problem.row()}
        except OSError as error:
            answer = {"id": self._question, "error": from_os_error(error).row()}
        except Exception as error:  # a bug must reach the client as an answer, or it would wait for one
            _print_traceback()
            what = "{}: {}".format(type(error).__name__, error)
            answer = {"id": self._question, "error": usage(what).row()}
        self._send(answer)
        for _ in self._pieces() if self._streaming else ():
            pass  # what a failed verb left unread

    def _ask(self, message: dict[str, Any]) -> dict[str, Any]:
        from tagship.host import verbs  # after the hello: the client sends its question meanwhile

        name, args = message.get("verb"), message.get("args", {})
        if not isinstance(name, str) or not isinstance(args, dict):
            raise usage("a question has an id, a verb and args")
        verb = verbs.find(name)
        self._context.asked.add(name)
        self._streaming = verb.takes_data
        try:
            return self._do(verb, Args(args))
        except OSError as error:
            from tagship.host import reserve  # only on a full disk, or a broken one

            if not verb.reserved or not reserve.give(self._context.layout, error):
                raise
        return self._do(verb, Args(args))

    def _do(self, verb: Verb, args: Args) -> dict[str, Any]:
        if verb.needs_lock:
            self._context.must_hold()
            if not verb.notes:
                self._context.begin()
        return verb.load()(self._context, args)

    def _next(self) -> frames.Message:
        message = self._inbox.get()
        if message is None or self._lifeline.is_cut:
            raise Gone
        return message

    def _pieces(self) -> Iterator[bytes]:
        while self._streaming:
            piece = self._next()
            if not isinstance(piece, bytes):
                raise usage("a question came where data was due")
            if not piece:
                self._streaming = False
                return
            yield piece

    def _progress(self, done: float, total: float, unit: str) -> None:
        if time.monotonic() - self._told >= _OFTEN:
            self._told = time.monotonic()
            self._send({"id": self._question, "progress": {"done": done, "total": total, "unit": unit}})

    def _takes(self, seconds: float) -> None:
        self._send({"id": self._question, "takes": seconds})

    def _send(self, message: dict[str, Any]) -> None:
        """Write a frame, but never wait for ever: a client that stops reading ends by its silence."""
        view = memoryview(frames.pack_json(message))
        ready = select.poll()
        ready.register(self._sink, select.POLLOUT)
        with self._writing:
            while view:
                while not ready.poll(1000):
                    if self._lifeline.silence() > self._silence:
                        self.end()
                    self._lifeline.check()
                try:
                    view = view[os.write(self._sink, view[:_ATOMIC]) :]
                except OSError:
                    self.end()
                    raise Gone from None

    def _listen(self) -> None:
        try:
            while True:
                message = frames.read(self._source)
                self._lifeline.heard()
                if isinstance(message, bytes) or "beat" not in message:
                    self._inbox.put(message)
                    self._lifeline.heard()  # however long that verb took
        except (EOFError, OSError, ValueError):
            pass
        except frames.FrameError as error:
            sys.stderr.write("{}\n".format(error))
        self.end()

    def _beat(self) -> None:
        every = self._silence / BEATS
        while not self._lifeline.is_cut:
            time.sleep(every)
            if self._lifeline.silence() > self._silence and not self._inbox.full():
                self.end()
                return
            try:
                self._send({"beat": 1})
            except Gone:
                return

    def end(self) -> None:
        """Take the client for gone; whatever hangs then, in the end the lock is freed by the end of this process."""
        if not self._lifeline.is_cut:
            last = threading.Timer(LAST * self._silence, os._exit, (1,))
            last.daemon = True
            last.start()
        self._lifeline.cut()
        try:
            self._inbox.put_nowait(None)
        except queue.Full:
            pass  # then there is something to wake up by already


def _print_traceback() -> None:
    import traceback  # only for a bug of ours

    traceback.print_exc()


def main(source: BinaryIO, words: list[str]) -> None:
    """Serve one client on stdin and stdout; `words` may hold another number of seconds for `SILENCE`."""
    # Handlers, not SIG_IGN: a command we run must not inherit that. Ctrl-C on a terminal reaches the whole
    # foreground group, and what to do about it is the client's business.
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: None)
    session = Session(source, 1, float(words[0]) if words else SILENCE)
    # In a thread: the handler runs in the middle of anything, also where the main thread holds a lock.
    signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=session.end, daemon=True).start())
    try:
        session.run()
        session.keep()
    except BaseException:  # os._exit would swallow it
        _print_traceback()
        sys.stderr.flush()
        os._exit(1)
    else:
        sys.stderr.flush()
        os._exit(0)  # the reader's thread may wait on stdin for ever, and holds its lock
