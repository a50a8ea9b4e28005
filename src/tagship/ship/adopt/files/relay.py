"""The application of an adopted release: passes each connection, byte by byte, to the service that was there before.

relay.py SOCKET UPSTREAM      UPSTREAM: ADDRESS:PORT, or unix:/path
"""

from __future__ import annotations

import asyncio
import pathlib
import signal
import sys

PIECE = 64 * 1024
QUEUE = 511
"""Connections that wait to be taken, as many as nginx's own default."""
PATIENCE = 5.0
"""Seconds that a request which can't be passed on may pause."""
SORRY = b"the service that was here before doesn't answer\n"
UNREACHABLE = (
    b"HTTP/1.1 502 Bad Gateway\r\nContent-Type: text/plain\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s"
    % (len(SORRY), SORRY)
)


async def reach(upstream: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A new connection to the old service."""
    if upstream.startswith("unix:"):
        return await asyncio.open_unix_connection(upstream[len("unix:") :])
    host, _, port = upstream.rpartition(":")
    return await asyncio.open_connection(host.strip("[]"), int(port))


async def pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    """Pass on all that comes, and then that no more does; the other direction may go on."""
    while piece := await source.read(PIECE):
        sink.write(piece)
        await sink.drain()
    if sink.can_write_eof():
        sink.write_eof()


async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Say so, and hear the request out: a socket closed with something unread in it takes the answer along."""
    writer.write(UNREACHABLE)
    writer.write_eof()
    try:
        while await asyncio.wait_for(reader.read(PIECE), PATIENCE):
            continue
    except (OSError, asyncio.TimeoutError):  # noqa: UP041  its own until Python 3.11
        writer.transport.abort()  # nobody is left who could be told
    writer.close()


async def both(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, upstream: str) -> None:
    """Both directions of one connection; one that breaks takes the other with it, and no end is made up."""
    try:
        their_reader, their_writer = await reach(upstream)
    except OSError as error:
        sys.stderr.write(f"{upstream}: {error}\n")
        await refuse(reader, writer)
        return
    pumps = [asyncio.ensure_future(pump(reader, their_writer)), asyncio.ensure_future(pump(their_reader, writer))]
    try:
        await asyncio.gather(*pumps)
        for end in (their_writer, writer):
            end.close()
    except OSError:
        for end in (their_writer, writer):
            end.transport.abort()
    finally:
        for one in pumps:
            one.cancel()


async def main(path: str, upstream: str) -> None:
    """Listen until SIGTERM."""
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    tasks: set[asyncio.Future[None]] = set()

    def accepted(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.ensure_future(both(reader, writer, upstream))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    server = await asyncio.start_unix_server(accepted, path, backlog=QUEUE)
    pathlib.Path(path).chmod(0o666)  # nginx is another user; the folder says who may come here
    await stop.wait()
    server.close()
    if tasks:
        await asyncio.wait(tasks)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2]))
