"""The heads of HTTP messages that pass the front door: what is checked, and the little that is changed."""

from __future__ import annotations

import ipaddress
import re
from typing import List, NamedTuple, Optional, Tuple

_TOKEN = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+\Z")
_REQUEST = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+ [\x21-\xff]+ HTTP/1\.[01]\Z")
_STATUS = re.compile(rb"HTTP/1\.[01] ([1-5][0-9][0-9])(?: |\Z)")
_REASONS = {
    200: "OK",
    301: "Moved Permanently",
    304: "Not Modified",
    400: "Bad Request",
    404: "Not Found",
    405: "Method Not Allowed",
    431: "Request Header Fields Too Large",
    502: "Bad Gateway",
    503: "Service Unavailable",
}
_BODILESS = (204, 304)

Fields = List[Tuple[bytes, bytes]]  # as they came


class Bad(Exception):
    """A head that can't pass; `status` is what to answer."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


class Request(NamedTuple):
    """A request's head as it goes to the application."""

    head: bytes
    method: bytes
    target: bytes
    repeatable: bool
    """Asking twice does no harm: it has no body and changes nothing."""
    takes_gzip: bool
    tags: List[bytes]
    """What the client has of it already: the values of If-None-Match."""

    def knows(self, tag: bytes) -> bool:
        """Whether the client has what `tag` names, so that it needn't be sent again."""
        return tag in self.tags or self.tags == [b"*"]


class Response(NamedTuple):
    """An answer's head as it goes to the client."""

    head: bytes
    final: bool
    """False for 100 Continue and its like: another head follows."""
    length: Optional[int]
    """Bytes of body, `None` for all until the connection ends."""


def request(head: bytes, client: str) -> Request:
    """What the application gets of a client's head; raises `Bad`."""
    first, fields = _split(head)
    if not _REQUEST.match(first):
        raise Bad(400, "The request line is malformed.")
    lengths = _values(fields, b"content-length")
    if lengths and (_values(fields, b"transfer-encoding") or len(set(lengths)) > 1 or not lengths[0].isdigit()):
        raise Bad(400, "The length of the request's body is ambiguous.")
    upgrade = b"upgrade" in _tokens(fields, b"connection") and bool(_values(fields, b"upgrade"))
    trusted = _is_loopback(client)
    dropped = {b"connection", b"keep-alive", b"proxy-connection", b"x-forwarded-for"}
    protocols = _values(fields, b"x-forwarded-proto")
    forwarded = _values(fields, b"x-forwarded-for") if trusted else []
    if not (trusted and protocols):
        dropped.add(b"x-forwarded-proto")
    kept = [(name, value) for name, value in fields if name.lower() not in dropped]
    kept.append((b"X-Forwarded-For", b", ".join([*forwarded, client.encode()])))
    if not (trusted and protocols):
        kept.append((b"X-Forwarded-Proto", b"http"))
    kept.append((b"Connection", b"Upgrade" if upgrade else b"close"))
    method, target, _ = first.split(b" ", 2)
    empty = not upgrade and not _values(fields, b"transfer-encoding") and all(length == b"0" for length in lengths)
    repeatable = empty and method in (b"GET", b"HEAD", b"OPTIONS")
    tags = [tag.strip() for value in _values(fields, b"if-none-match") for tag in value.split(b",")]
    strong = [tag[2:] if tag.startswith(b"W/") else tag for tag in tags]
    return Request(_join(first, kept), method, target, repeatable, _takes_gzip(fields), strong)


def response(head: bytes, asked: Request, release: str) -> Response:
    """What the client gets of an application's head; raises `Bad` for what isn't HTTP."""
    try:
        first, fields = _split(head)
    except Bad:
        raise Bad(502, "The application's answer is malformed.") from None
    match = _STATUS.match(first)
    if match is None:
        raise Bad(502, "The application's answer is malformed.")
    status = int(match.group(1))
    if status < 200 and status != 101:
        return Response(head, False, None)
    kept = [(name, value) for name, value in fields if name.lower() != b"tagship-release"]
    if status != 101:
        kept = [(name, value) for name, value in kept if name.lower() not in (b"connection", b"keep-alive")]
        kept.append((b"Connection", b"close"))
    kept.append((b"Tagship-Release", release.encode()))
    return Response(_join(first, kept), True, _length(status, fields, asked))


def reply(status: int, fields: Fields, size: int, release: str) -> bytes:
    """The head of an answer of the door's own, with `size` bytes behind it."""
    kept = fields if status == 304 else [*fields, (b"Content-Length", str(size).encode())]
    ours = [(b"Connection", b"close"), (b"Tagship-Release", release.encode())]
    return _join("HTTP/1.1 {} {}".format(status, _REASONS[status]).encode(), [*kept, *ours])


def own(status: int, text: str) -> bytes:
    """A whole answer of the door's own."""
    body = text + "\n"
    more = "Retry-After: 1\r\n" if status == 503 else ""
    return (
        (
            "HTTP/1.1 {} {}\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: {}\r\n"
            "Cache-Control: no-store\r\n{}Connection: close\r\n\r\n{}"
        )
        .format(status, _REASONS[status], len(body.encode()), more, body)
        .encode()
    )


def _length(status: int, fields: Fields, asked: Request) -> Optional[int]:
    if asked.method == b"HEAD" or status in _BODILESS:
        return 0
    lengths = _values(fields, b"content-length")
    if status == 101 or _values(fields, b"transfer-encoding") or not lengths or not lengths[0].isdigit():
        return None
    return int(lengths[0])


def _split(head: bytes) -> tuple[bytes, Fields]:
    first, *lines = head.lstrip(b"\r\n")[: -len(b"\r\n\r\n")].split(b"\r\n")
    fields = []
    for line in lines:
        name, colon, value = line.partition(b":")
        if not colon or not _TOKEN.match(name) or b"\n" in line or b"\r" in line or b"\0" in line:
            raise Bad(400, "A header line is malformed.")
        fields.append((name, value.strip(b" \t")))
    return first, fields


def _join(first: bytes, fields: Fields) -> bytes:
    return b"\r\n".join([first, *(name + b": " + value for name, value in fields), b"", b""])


def _values(fields: Fields, name: bytes) -> list[bytes]:
    return [value for found, value in fields if found.lower() == name]


def _tokens(fields: Fields, name: bytes) -> set[bytes]:
    return {token.strip().lower() for value in _values(fields, name) for token in value.split(b",")}


def _takes_gzip(fields: Fields) -> bool:
    for coding in _tokens(fields, b"accept-encoding"):
        name, _, weight = coding.replace(b" ", b"").partition(b";q=")
        if name == b"gzip":
            return not weight or weight.strip(b"0.") != b""
    return False


def _is_loopback(client: str) -> bool:
    try:
        return ipaddress.ip_address(client).is_loopback
    except ValueError:
        return False
