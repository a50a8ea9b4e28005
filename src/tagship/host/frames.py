"""Frames: what travels between client and agent, in both directions; usable by either side.

A frame is `!IB` (bytes of payload, kind) and the payload. Kind `JSON` is one JSON object, kind `DATA` a piece of a
stream that an empty `DATA` frame ends.
"""

from __future__ import annotations

import json
import struct
from typing import Any, BinaryIO, Dict, Union

JSON = 1
DATA = 2
MAX_JSON = 64 << 20
MAX_DATA = 1 << 20
HEADER = struct.Struct("!IB")

Message = Union[Dict[str, Any], bytes]


class FrameError(Exception):
    """What arrived isn't a frame; the session can't go on."""


def pack_json(value: dict[str, Any]) -> bytes:
    """A whole `JSON` frame; raises `FrameError` above `MAX_JSON` bytes."""
    payload = json.dumps(value, separators=(",", ":"), ensure_ascii=True).encode()
    if len(payload) > MAX_JSON:
        raise FrameError("a message of {:,} bytes is larger than {:,}".format(len(payload), MAX_JSON))
    return HEADER.pack(len(payload), JSON) + payload


def pack_data(chunk: bytes) -> bytes:
    """A whole `DATA` frame; `b""` ends the stream. Raises `FrameError` above `MAX_DATA` bytes."""
    if len(chunk) > MAX_DATA:
        raise FrameError("a data frame of {:,} bytes is larger than {:,}".format(len(chunk), MAX_DATA))
    return HEADER.pack(len(chunk), DATA) + chunk


def read(source: BinaryIO) -> Message:
    """The next frame: a dict or bytes. Raises `EOFError` where the stream ends, `FrameError` for anything else.

    `source.read(n)` must return n bytes unless the stream ends (a buffered reader does).
    """
    header = source.read(HEADER.size)
    if len(header) < HEADER.size:
        raise EOFError
    length, kind = HEADER.unpack(header)
    if kind not in (JSON, DATA) or length > (MAX_JSON if kind == JSON else MAX_DATA):
        raise FrameError("not a frame: kind {}, {:,} bytes".format(kind, length))
    payload = source.read(length)
    if len(payload) < length:
        raise EOFError
    if kind == DATA:
        return payload
    try:
        value = json.loads(payload)
    except ValueError as error:
        raise FrameError("not JSON: {}".format(error)) from None
    if not isinstance(value, dict):
        raise FrameError("not a JSON object")
    return value
