"""The front door: each TCP client is joined to the socket behind `current`, one request a connection.

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

from tagship.host import heads

_RETRY = 1.0  # seconds in which a release must become reachable
_BUSY = 30.0  # seconds in which a full backlog must give way
_PAUSE = 0.01
_HEAD_TIME = 30.0  # seconds for a request's head
_PIECE = 64 << 10
_LINGER = 2.0  # seconds for a client to take the answer before what it still sends is cut off
_GRACE = 5.0  # seconds for open connections when the door is told to stop


class Upstream:
    """A connection to the service of the release that was current when it was made."""

    def __init__(self, release: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.release = release
        self.reader = reader
        self.writer = writer


class Front:
    """The front door of one stage."""

    def __init__(self, root: str) -> None:
        self._current = os.path.join(root, "current")
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
                await self._answer(request, reader, writer)
                await _linger(reader, writer)
        except heads.Bad as bad:
            writer.write(heads.own(bad.status, str(bad)))
            await writer.drain()
            await _linger(reader, writer)

    async def _answer(
        self, request: heads.Request, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        for _ in range(2 if request.repeatable else 1):
            upstream = await self._connect()
            try:
                if await self._splice(request, upstream, reader, writer):
                    return
            finally:
                upstream.writer.close()
        raise heads.Bad(502, "The application ended the connection without an answer.")

    async def _connect(self) -> Upstream:
        """Connect to whatever is current, and make sure that it still is."""
        loop = asyncio.get_running_loop()
        deadline, busy = loop.time() + _RETRY, loop.time() + _BUSY
        while True:
            release, path = self._resolve()
            connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
            full = False
            try:
                # On a unix socket connect(2) never waits: it is done, or EAGAIN says that the backlog is full.
                connection.connect(path)
            except BlockingIOError:
                full = True
                connection.close()
            except OSError:
                connection.close()
            else:
                if self._resolve()[1] == path:
                    reader, writer = await asyncio.open_unix_connection(sock=connection, limit=_PIECE)
                    return Upstream(release, reader, writer)
                connection.close()
                continue
            if loop.time() > (busy if full else deadline):
                raise heads.Bad(503, "Nothing is deployed here at the moment.")
            await asyncio.sleep(_PAUSE)

    def _resolve(self) -> tuple[str, str]:
        try:
            release = os.path.basename(os.readlink(self._current))
            return release, os.path.join(os.readlink(os.path.join(self._current, "run")), "web.sock")
        except OSError:
            return "", "\0nothing-is-current"  # refuses like any socket that isn't there

    async def _splice(
        self,
        request: heads.Request,
        upstream: Upstream,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> bool:
        """Pass everything both ways; gives False where not a byte of an answer came."""
        upload = asyncio.ensure_future(_upload(request.head, reader, upstream.writer))
        try:
            answer = await self._pass_heads(request, upstream, writer)
            if answer is None:
                return False
            await _pass_body(upstream.reader, writer, answer.length)
            return True
        finally:
            upload.cancel()
            with contextlib.suppress(OSError, EOFError, asyncio.CancelledError):
                await upload

    async def _pass_heads(
        self, request: heads.Request, upstream: Upstream, writer: asyncio.StreamWriter
    ) -> Optional[heads.Response]:
        while True:
            try:
                head = await upstream.reader.readuntil(b"\r\n\r\n")
            except asyncio.IncompleteReadError as end:
                if not end.partial:
                    return None
                raise
            except asyncio.LimitOverrunError:
                raise EOFError from None
            except ConnectionError:
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


async def _upload(head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """The request's head and whatever the client sends after it, at the pace of the application."""
    with contextlib.suppress(ConnectionError):  # it may answer without reading; its answer is what counts
        writer.write(head)
        await writer.drain()
        while True:
            piece = await reader.read(_PIECE)
            if not piece:
                break
            writer.write(piece)
            await writer.drain()
        if writer.can_write_eof():
            writer.write_eof()


async def _pass_body(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, length: Optional[int]) -> None:
    """`length` bytes, or all there are, at the pace of the client."""
    left = length
    while left is None or left > 0:
        piece = await reader.read(_PIECE if left is None else min(left, _PIECE))
        if not piece:
            if left is not None:
                writer.transport.abort()  # too short: the client must not take it for whole
            return
        writer.write(piece)
        await writer.drain()
        if left is not None:
            left -= len(piece)


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
