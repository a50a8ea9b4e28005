"""Just enough of an HTTP client to ask a service whether it is well (http.client would cost 28 ms to import)."""

from __future__ import annotations

import os
import socket
import struct
import time
from typing import Callable, NamedTuple, Optional

_HEAD = 64 << 10


class Answer(NamedTuple):
    """The head of an answer; header names in lower case, the last of several with one name."""

    status: int
    headers: dict[str, str]
    pid: Optional[int]
    """The process at the other end of a unix socket, from SO_PEERCRED."""
    body: bytes = b""
    """Its first bytes, where they were wanted."""


def connect_unix(path: str, timeout: float) -> socket.socket:
    """A connected unix socket; raises `OSError`."""
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connection.settimeout(timeout)
        connection.connect(path)
    except BaseException:
        connection.close()
        raise
    return connection


def split_listen(listen: str) -> tuple[str, int]:
    """`127.0.0.1:8000` or `[::1]:8000` as host and port; raises `ValueError`."""
    host, colon, port = listen.rpartition(":")
    if not colon or not port.isdigit() or not 0 < int(port) < 65536:
        raise ValueError("`{}` is not ADDRESS:PORT".format(listen))
    return host.strip("[]"), int(port)


def connect_tcp(listen: str, timeout: float) -> socket.socket:
    """A connection to where a front door listens; one that listens everywhere is asked on the loopback."""
    host, port = split_listen(listen)
    host = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104
    return socket.create_connection((host, port), timeout)


def connect_tls(listen: str, name: str, timeout: float) -> socket.socket:
    """`connect_tcp` and TLS for `name`, whatever certificate it shows: it is this very host that is asked."""
    import ssl  # only where a front speaks it

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    plain = connect_tcp(listen, timeout)
    try:
        return context.wrap_socket(plain, server_hostname=name.partition(":")[0])
    except BaseException:
        plain.close()
        raise


def peer(connection: socket.socket) -> int:
    """The pid of the process that listens at the other end of a unix socket."""
    form = struct.Struct("3i")
    pid, _, _ = form.unpack(connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, form.size))
    return int(pid)


def ask(connect: Callable[[float], socket.socket], path: str, host: str, timeout: float, wanted: int = 0) -> Answer:
    """GET `path` and read the head of the answer, and `wanted` bytes of its body, within `timeout` seconds.

    Raises `OSError` or `ValueError`.
    """
    deadline = time.monotonic() + timeout
    with connect(timeout) as connection:
        pid = peer(connection) if connection.family == socket.AF_UNIX else None
        request = "GET {} HTTP/1.1\r\nHost: {}\r\nUser-Agent: tagship-probe\r\nConnection: close\r\n\r\n"
        connection.sendall(request.format(path, host).encode())
        data = b""
        while b"\r\n\r\n" not in data:
            connection.settimeout(max(deadline - time.monotonic(), 0.001))
            piece = connection.recv(_HEAD)
            if not piece:
                raise ValueError("the connection ended before the answer did")
            data += piece
            if len(data) > _HEAD:
                raise ValueError("the answer's head is larger than {:,} bytes".format(_HEAD))
            if data[9:10] == b"1" and b"\r\n\r\n" in data:  # 100 Continue, 103 Early Hints
                data = data.partition(b"\r\n\r\n")[2]
        head, _, body = data.partition(b"\r\n\r\n")
        while len(body) < wanted:
            connection.settimeout(max(deadline - time.monotonic(), 0.001))
            piece = connection.recv(wanted)
            if not piece:
                break
            body += piece
    return _parse(head, pid)._replace(body=body[:wanted])


def _parse(head: bytes, pid: Optional[int]) -> Answer:
    first, *lines = head.decode("latin-1").split("\r\n")
    words = first.split(" ", 2)
    if len(words) < 2 or not words[0].startswith("HTTP/1.") or not words[1].isdigit():
        raise ValueError("not an HTTP answer: {!r}".format(first[:80]))
    headers = {}
    for line in lines:
        name, _, value = line.partition(":")
        headers[name.strip().lower()] = value.strip()
    return Answer(int(words[1]), headers, pid)


def words(error: Exception) -> str:
    """What went wrong, for people."""
    if isinstance(error, PermissionError):
        return "no right to connect to its socket: have the application make it with mode 0666"
    if isinstance(error, socket.timeout):
        return "no answer in time"
    if isinstance(error, OSError):
        return os.strerror(error.errno) if error.errno else str(error)
    return str(error)
