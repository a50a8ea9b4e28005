"""The built site as a WSGI application: WhiteNoise over the release's own files.

`site` is also a module of Python's own, so this is found by being in the working folder:
`gunicorn --chdir site wsgi:application`.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING
from wsgiref.headers import Headers

from whitenoise import WhiteNoise

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIEnvironment

PROJECT = Path(__file__).resolve().parents[1]


def find_public() -> Path:
    """The built site: in a release beside the tag's tree (`app/` there), in a checkout what `inv build` made."""
    released = PROJECT.parent / "public"
    folder = released if PROJECT.name == "app" and released.is_dir() else PROJECT / "build" / "site"
    if not folder.is_dir():
        raise FileNotFoundError(f"there is no built site at {folder}: run inv build")
    return folder.resolve()


def add_headers(headers: Headers, path: str, url: str) -> None:  # noqa: ARG001 - WhiteNoise passes three
    """An ETag from the content: times and sizes can be equal where two releases differ.

    A weak one: the page and its compressed form share it.
    """
    headers["ETag"] = f'W/"{hashlib.sha256(Path(path).read_bytes()).hexdigest()[:32]}"'
    headers["X-Content-Type-Options"] = "nosniff"


def not_found(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """The site's own page for a wrong address."""
    headers = [("Content-Type", "text/html; charset=utf-8"), ("Cache-Control", "no-cache")]
    start_response("404 Not Found", [*headers, ("Content-Length", str(len(NOT_FOUND)))])
    return [] if environ["REQUEST_METHOD"] == "HEAD" else [NOT_FOUND]


def application(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """Answer by content alone: `Last-Modified` and what is asked by it are left out."""
    environ.pop("HTTP_IF_MODIFIED_SINCE", None)

    def start(status: str, headers: list[tuple[str, str]], *error: object) -> object:
        return start_response(status, [pair for pair in headers if pair[0] != "Last-Modified"], *error)  # type: ignore[arg-type]

    answer: Iterable[bytes] = PAGES(environ, start)
    return answer


PUBLIC = find_public()
NOT_FOUND = (PUBLIC / "404.html").read_bytes()
KINDS = {
    "max_age": 0,
    "immutable_file_test": r"^/assets/.+\.[0-9a-f]{12}(?:\.[^/.]+)?$",
    "add_headers_function": add_headers,
}
# Fingerprinted files of other releases, which come and go: looked for only where ours has none.
ASSETS = os.environ.get("TAGSHIP_ASSETS")
OTHERS = WhiteNoise(not_found, root=ASSETS, prefix="assets/", autorefresh=True, **KINDS) if ASSETS else not_found
PAGES = WhiteNoise(OTHERS, root=PUBLIC, index_file=True, **KINDS)
