"""A release's files over HTTP by the rules of our nginx site, for a front door with no application behind it.

And its redirects, which stand before an application too. Whoever changes a rule here changes nginx.conf.j2 as well;
a test asks both the same.
"""

from __future__ import annotations

import mimetypes
import os
import re
import stat
from typing import NamedTuple, Optional
from urllib.parse import quote, unquote_to_bytes

from tagship.host import files
from tagship.host import front_heads as heads

_ASSET = re.compile(r"assets/.+\.[0-9a-f]{12}(?:\.[^/.]+)?\Z")
_LOCATION = re.compile(r"/redirects/to/(?:path(/.*)|(https?)/(.+))\^\Z")
_TEXT = re.compile(r"text/|application/(?:javascript|json|xml|.+\+xml)\Z|image/svg\+xml\Z")
_KINDS = {
    ".atom": "application/atom+xml",
    ".avif": "image/avif",
    ".js": "application/javascript",
    ".mjs": "application/javascript",
    ".webmanifest": "application/manifest+json",
    ".webp": "image/webp",
    ".woff2": "font/woff2",
    ".xml": "text/xml",
}
_KEEP = b"public, max-age=31536000, immutable"
_ASK = b"no-cache"


class Reply(NamedTuple):
    """An answer of our own."""

    status: int
    fields: heads.Fields
    file: Optional[int] = None
    """The open file whose content follows; who has the reply closes it."""
    size: int = 0


def answer(root: str, release: str, request: heads.Request) -> Reply:
    """What a release without an application answers: a page, a redirect, 304, 404 or 405. Raises `heads.Bad`."""
    path = _path(request.target)
    redirect = _redirect(root, release, path)
    if redirect is not None:
        return redirect
    if request.method not in (b"GET", b"HEAD"):
        raise heads.Bad(405, "Only GET and HEAD are answered here.")
    public = os.path.join(root, "releases", release, "public")
    if any(part.startswith(".") and part != ".well-known" for part in path.split("/")) or path == "404.html":
        return _not_found(public, request)
    if _ASSET.match(path):
        return _send(200, root, path, request, _KEEP) or _not_found(public, request)
    if not path or path.endswith("/"):
        return _send(200, public, path + "index.html", request) or _not_found(public, request)
    found = _send(200, public, path, request)
    if found is None and os.path.isfile(os.path.join(public, path, "index.html")):
        _, mark, query = request.target.partition(b"?")
        return _moved(quote(os.fsencode("/" + path + "/")).encode() + mark + query)
    return found or _not_found(public, request)


def redirect(root: str, release: str, request: heads.Request) -> Optional[Reply]:
    """Where the release says that an old address leads now; `None` for every other. Raises `heads.Bad`."""
    return _redirect(root, release, _path(request.target))


def _redirect(root: str, release: str, path: str) -> Optional[Reply]:
    folder = os.path.join(root, "releases", release, "redirects")
    link = os.path.join(folder, "from", path.strip("/"), ".to")
    match = _LOCATION.search(os.path.realpath(link)) if path and os.path.islink(link) else None
    if match is None:
        return None
    return _moved(os.fsencode(match.group(1) or "{}://{}".format(match.group(2), match.group(3))))


def _path(target: bytes) -> str:
    """The path of a request, decoded and tidied, without the slash at its beginning."""
    raw = re.sub(rb"\Ahttps?://[^/?#]*", b"", target).partition(b"?")[0]
    text = unquote_to_bytes(raw).decode("utf-8", "surrogateescape")
    kept: list[str] = []
    parts = text.split("/")
    for part in parts:
        if part == ".." and not kept:
            raise heads.Bad(400, "The address leads out of the site.")
        if part == "..":
            kept.pop()
        elif part not in ("", "."):
            kept.append(part)
    if "\0" in text or parts[0]:
        raise heads.Bad(400, "The address is malformed.")
    return "/".join(kept) + ("/" if kept and parts[-1] in ("", ".", "..") else "")


def _send(status: int, top: str, path: str, request: heads.Request, cache: bytes = _ASK) -> Optional[Reply]:
    """A file below `top`, compressed where that is there and wanted; `None` where there is no such file."""
    plain = _open(top, path)
    if plain is None:
        return None
    text = _kind(path)
    fields = [(b"Content-Type", (text + "; charset=utf-8" if _TEXT.match(text) else text).encode())]
    fields += [(b"Cache-Control", cache), (b"X-Content-Type-Options", b"nosniff")]
    packed = _open(top, path + ".gz")
    file = plain
    if packed is not None:
        fields.append((b"Vary", b"Accept-Encoding"))
        file, other = (packed, plain) if request.takes_gzip else (plain, packed)
        os.close(other)
        if request.takes_gzip:
            fields.append((b"Content-Encoding", b"gzip"))
    found = os.fstat(file)
    # The time of a release's file comes from its digest: two contents have two tags, also where their size is equal.
    tag = '"{:x}-{:x}"'.format(int(found.st_mtime), found.st_size).encode()
    fields.append((b"ETag", tag))
    if status == 200 and request.knows(tag):
        os.close(file)
        return Reply(304, [field for field in fields if not field[0].startswith(b"Content-")])
    return Reply(status, fields, file, found.st_size)


def _kind(path: str) -> str:
    kind, coding = mimetypes.guess_type(path, strict=False)
    ours = _KINDS.get(os.path.splitext(path)[1].lower())
    return ours or (kind if kind and coding is None else "application/octet-stream")


def _not_found(public: str, request: heads.Request) -> Reply:
    page = _send(404, public, "404.html", request)
    if page is None:
        raise heads.Bad(404, "There is nothing at this address.")
    return page


def _moved(location: bytes) -> Reply:
    return Reply(301, [(b"Location", location), (b"Cache-Control", _ASK)])


def _open(top: str, path: str) -> Optional[int]:
    """A regular file that really lies below `top`, open for reading."""
    real = os.path.realpath(os.path.join(top, path))
    if not real.startswith(os.path.realpath(top) + "/"):
        return None
    try:
        file = os.open(real, files.READ)
    except OSError:
        return None
    if stat.S_ISREG(os.fstat(file).st_mode):
        return file
    os.close(file)
    return None
