"""The front door: each TCP client is joined to the socket behind `current`, one request a connection.

A release without a `start` has no socket: then the door answers from its files. Redirects are always the door's.

`current` is read again once connected: while it still names the same release, no drain of that release can have
begun that doesn't count this connection. So a flip never shows, neither as an error nor as an old answer.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import resource
import signal
import socket
import sys
import time
from typing import Optional

from tagship.host import front_heads as heads
from tagship.host import front_static as static

_RETRY = 1.0  # seconds in which a release must become reachable
_BUSY = 30.0  # seconds in which a full backlog must give way
_PAUSE = 0.01
_HEAD_TIME = 30.0  # seconds for a request's head
_PIECE = 64 << 10
_LINGER = 2.0  # seconds for a client to take the answer before what it still sends is cut off
_GRACE = 5.0  # seconds for open connections when the door is told to stop


class Upstream:
    """A connection to the service of the release that was current when it was made.

    Bare reads and writes of the socket: an asyncio stream drops what it has read once a write fails, and an
    application may well answer and close while there is still something to write to it.
    """

    def __init__(self, release: str, connection: socket.socket) -> None:
        self.release = release
        self._connection = connection
        self._loop = asyncio.get_running_loop()
        self._read = b""

    async def read(self, most: int) -> bytes:
        """At most `most` bytes; none at the end. Raises `ConnectionError`."""
        if self._read:
            taken, self._read = self._read[:most], self._read[most:]
            return taken
        return await self._loop.sock_recv(self._connection, most)

    async def read_head(self) -> bytes:
        """Bytes to the first empty line; none where the connection ends before a first byte. Raises `heads.Bad`."""
        while True:
            end = self._read.find(b"\r\n\r\n")
            if end >= 0:
                break
            if len(self._read) > _PIECE:
                raise heads.Bad(502, "The head of the application's answer is larger than 64 KiB.")
            piece = await self._loop.sock_recv(self._connection, _PIECE)
            if not piece:
                if self._read:
                    raise heads.Bad(502, "The application's answer ends within its head.")
                return b""
            self._read += piece
        head, self._read = self._read[: end + 4], self._read[end + 4 :]
        return head

    async def write(self, data: bytes) -> None:
        """All of `data`, at the application's pace. Raises `ConnectionError`."""
        await self._loop.sock_sendall(self._connection, data)

    def end_writing(self) -> None:
        """Tell the application that no more comes. Raises `OSError`."""
        self._connection.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()


class Front:
    """The front door of one stage."""

    def __init__(self, root: str) -> None:
        self._root = root
        self.clients: set[asyncio.Task[None]] = set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One client, from its first byte to its last."""
        task = asyncio.current_task()
        if task is not None:
            self.clients.add(task)
        try:
            await self._serve(reader, writer)
        except (OSError, EOFError, asyncio.TimeoutError):
            pass  # a client or an application that went away in the middle: both know
        except asyncio.CancelledError:
            pass  # the door closes
        finally:
            writer.close()
            if task is not None:
                self.clients.discard(task)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await asyncio.wait_for(_read_head(reader), _HEAD_TIME)
            if head:
                peer = writer.get_extra_info("peername")
                request = heads.request(head, peer[0] if isinstance(peer, tuple) else "")
                if not await self._reply(request, writer):
                    await self._answer(request, reader, writer)
                await _linger(reader, writer)
        except heads.Bad as bad:
            writer.write(heads.own(bad.status, str(bad)))
            await writer.drain()
            await _linger(reader, writer)

    async def _reply(self, request: heads.Request, writer: asyncio.StreamWriter) -> bool:
        """Answer what needs no application; gives False where one is asked for."""
        release = self._current()
        folder = os.path.join(self._root, "releases", release or "")
        if release is None or not os.path.isdir(folder):
            return False
        alone = not os.path.lexists(os.path.join(folder, "start"))
        made = (static.answer if alone else static.redirect)(self._root, release, request)
        if made is None:
            return False
        try:
            writer.write(heads.reply(made.status, made.fields, made.size, release))
            await _pass_file(made, request, writer)
        finally:
            if made.file is not None:
                os.close(made.file)
        return True

    async def _answer(
        self, request: heads.Request, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        for _ in range(2 if request.repeatable else 1):
            upstream = await self._connect()
            try:
                if await self._splice(request, upstream, reader, writer):
                    return
            finally:
                upstream.close()
        raise heads.Bad(502, "The application ended the connection without an answer.")

    async def _connect(self) -> Upstream:
        """Connect to whatever is current, and make sure that it still is."""
        loop = asyncio.get_running_loop()
        deadline, busy = loop.time() + _RETRY, loop.time() + _BUSY
        while True:
            resolved = self._resolve()
            full = False
            if resolved is not None:
                connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
                try:
                    # On a unix socket connect(2) never waits: it is done, or EAGAIN says that the backlog is full.
                    connection.connect(resolved[1])
                    if self._resolve() == resolved:
                        return Upstream(resolved[0], connection)
                except OSError as error:
                    full = isinstance(error, BlockingIOError)
                connection.close()
            if loop.time() > (busy if full else deadline):
                raise heads.Bad(503, "Nothing answers here at the moment.")
            await asyncio.sleep(_PAUSE)

    def _resolve(self) -> Optional[tuple[str, str]]:
        """The current release and its socket, or `None`; `current` is read once, so that the two belong together."""
        release = self._current()
        if release is None:
            return None
        try:
            run = os.readlink(os.path.join(self._root, "releases", release, "run"))
        except OSError:
            return None
        return release, os.path.join(run, "web.sock")

    def _current(self) -> Optional[str]:
        try:
            return os.path.basename(os.readlink(os.path.join(self._root, "current")))
        except OSError:
            return None

    async def _splice(
        self,
        request: heads.Request,
        upstream: Upstream,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> bool:
        """Pass everything both ways; gives False where not a byte of an answer came."""
        upload = asyncio.ensure_future(_upload(request.head, reader, upstream))
        try:
            answer = await _pass_heads(request, upstream, writer)
            if answer is None:
                return False
            await _pass_body(upstream, writer, answer.length)
            return True
        finally:
            upload.cancel()
            with contextlib.suppress(OSError, EOFError, asyncio.CancelledError):
                await upload


async def _pass_heads(
    request: heads.Request, upstream: Upstream, writer: asyncio.StreamWriter
) -> Optional[heads.Response]:
    """Pass the answer's head, and informational ones before it; `None` where not a byte of an answer came."""
    while True:
        try:
            head = await upstream.read_head()
        except ConnectionError:
            return None
        if not head:
            return None
        answer = heads.response(head, request, upstream.release)
        writer.write(answer.head)
        await writer.drain()
        if answer.final:
            return answer


async def _read_head(reader: asyncio.StreamReader) -> bytes:
    try:
        return await reader.readuntil(b"\r\n\r\n")
    except asyncio.LimitOverrunError:
        raise heads.Bad(431, "The request's head is larger than 64 KiB.") from None
    except asyncio.IncompleteReadError as end:
        if end.partial.strip():
            raise heads.Bad(400, "The request ends within its head.") from None
        return b""


async def _upload(head: bytes, reader: asyncio.StreamReader, upstream: Upstream) -> None:
    """The request's head and whatever the client sends after it, at the pace of the application."""
    with contextlib.suppress(OSError):  # it may answer without reading; its answer is what counts
        await upstream.write(head)
        while True:
            piece = await reader.read(_PIECE)
            if not piece:
                break
            await upstream.write(piece)
        upstream.end_writing()


async def _pass_body(upstream: Upstream, writer: asyncio.StreamWriter, length: Optional[int]) -> None:
    """`length` bytes, or all there are, at the pace of the client; one that comes too short is cut off as such."""
    left = length
    try:
        while left is None or left > 0:
            piece = await upstream.read(_PIECE if left is None else min(left, _PIECE))
            if not piece:
                break
            writer.write(piece)
            await writer.drain()
            if left is not None:
                left -= len(piece)
    except ConnectionError:
        writer.transport.abort()
        raise
    if left:
        writer.transport.abort()


async def _pass_file(made: static.Reply, request: heads.Request, writer: asyncio.StreamWriter) -> None:
    """The content of a file of our own, at the pace of the client."""
    left = made.size if made.file is not None and request.method != b"HEAD" else 0
    while left and made.file is not None:
        piece = os.read(made.file, min(left, _PIECE))
        if not piece:
            writer.transport.abort()  # somebody cut it short meanwhile
            return
        writer.write(piece)
        await writer.drain()
        left -= len(piece)
    await writer.drain()


async def _linger(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Close our side, and keep reading for a moment: a close with unread input would destroy the answer."""
    with contextlib.suppress(OSError, RuntimeError, asyncio.TimeoutError):
        writer.write_eof()
        await asyncio.wait_for(_swallow(reader), _LINGER)


async def _swallow(reader: asyncio.StreamReader) -> None:
    while await reader.read(_PIECE):
        pass


def _say(text: str) -> None:
    stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    sys.stderr.write("{} {}\n".format(stamp, text))
    sys.stderr.flush()


async def _run(listener: socket.socket, root: str, listen: str) -> None:
    front = Front(root)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    server = await asyncio.start_server(front.serve, sock=listener, limit=_PIECE)
    _say("listening at {} for {} (pid {})".format(listen, root, os.getpid()))
    await stop.wait()
    server.close()
    if front.clients:
        await asyncio.wait(set(front.clients), timeout=_GRACE)
    _say("stopped")


def main(words: list[str]) -> None:
    """Serve on an inherited listening socket: its descriptor, the stage's root, and the address for the log."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    with open(os.devnull, "rb") as nothing:
        os.dup2(nothing.fileno(), 0)
    listener = socket.socket(fileno=int(words[0]))
    listener.setblocking(False)
    asyncio.run(_run(listener, words[1], words[2]))
