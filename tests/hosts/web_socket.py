"""A client's end of a WebSocket, as much of RFC 6455 as short texts need."""

from __future__ import annotations

import base64
import os
import socket
import struct
from types import TracebackType

PATIENCE = 30.0


class WebSocket:
    """A WebSocket to `path` of `domain`, which is at `address`; raises `OSError` where it is cut."""

    def __init__(self, address: str, domain: str, path: str) -> None:
        self._socket = socket.create_connection((address, 80), timeout=PATIENCE)
        key = base64.b64encode(os.urandom(16)).decode()
        fields = [
            f"GET {path} HTTP/1.1",
            f"Host: {domain}",
            "Upgrade: websocket",
            "Connection: Upgrade",
            f"Sec-WebSocket-Key: {key}",
            "Sec-WebSocket-Version: 13",
        ]
        self._socket.sendall("\r\n".join([*fields, "", ""]).encode())
        self._read = b""
        while b"\r\n\r\n" not in self._read:
            self._read += self._piece()
        head, _, self._read = self._read.partition(b"\r\n\r\n")
        if b" 101 " not in head.split(b"\r\n")[0]:
            raise ConnectionError(head.decode())

    def __enter__(self) -> WebSocket:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        self._socket.close()

    def say(self, text: str) -> str:
        """Send `text`, at most 125 bytes, and give what is answered."""
        self._send(0x1, text.encode())
        head = self._take(2)
        if head[0] != 0x81:
            raise ConnectionError(f"a frame that is no text: {head!r}")
        return self._take(head[1]).decode()

    def close(self) -> None:
        """Say goodbye, and hear it."""
        self._send(0x8, struct.pack("!H", 1000))
        if self._take(1)[0] != 0x88:
            raise ConnectionError("no goodbye came back")

    def _send(self, kind: int, content: bytes) -> None:
        mask = os.urandom(4)
        masked = bytes(byte ^ mask[index % 4] for index, byte in enumerate(content))
        self._socket.sendall(bytes([0x80 | kind, 0x80 | len(content)]) + mask + masked)

    def _take(self, size: int) -> bytes:
        while len(self._read) < size:
            self._read += self._piece()
        taken, self._read = self._read[:size], self._read[size:]
        return taken

    def _piece(self) -> bytes:
        piece = self._socket.recv(4096)
        if not piece:
            raise ConnectionError("it ended")
        return piece
