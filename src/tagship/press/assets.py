"""Assets under names that carry their content: `style.css` is published as `/assets/style.<hash>.css`.

A name changes when the content does, so browsers and proxies may keep each for ever. Where a stylesheet names
another asset, the name is rewritten first, so that a new image makes a new stylesheet.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from posixpath import normpath

from tagship.errors import ContentError
from tagship.press import slugs

PREFIX = "/assets/"
_REFERENCE = re.compile(
    r"""/\*.*?\*/|(?P<open>url\(\s*|@import\s+)(?P<quote>["']?)(?P<target>[^"'()\s;]+)(?P=quote)""", re.S
)
_ELSEWHERE = re.compile(r"[a-z][a-z0-9+.-]*:|//|#", re.I)
_HASH_LENGTH = 12


@dataclass(frozen=True)
class Asset:
    """One published asset: its plain name, its URL, its bytes and the file they came from."""

    name: str
    url: str
    content: bytes
    source: str


def theme_assets() -> dict[str, bytes]:
    """The theme's own assets, by name."""
    folder = Path(__file__).parent / "theme" / "assets"
    return {entry.name: entry.read_bytes() for entry in folder.iterdir() if entry.is_file()}


def read_assets(project: Path, folder: str, names: Sequence[str]) -> dict[str, Asset]:
    """The assets `names` (inside the project, below `folder`) over those of the theme, by plain name.

    Raises `ContentError` for a name that is no URL, and for a stylesheet that names what isn't there.
    """
    contents = {name: (content, f"theme:{name}") for name, content in theme_assets().items()}
    for path in names:
        name = PurePosixPath(path).relative_to(folder)
        if any(part.startswith(".") for part in name.parts):
            continue
        for part in name.parts:
            wrong = slugs.problem_of(part)
            if wrong:
                raise ContentError(f"its name `{part}` {wrong}", path=path, cure="rename it")
        contents[str(name)] = ((project / path).read_bytes(), path)
    return _Fingerprints(contents).all()


class _Fingerprints:
    """Gives each asset its name, those that a stylesheet refers to before the stylesheet."""

    def __init__(self, contents: Mapping[str, tuple[bytes, str]]) -> None:
        self.contents = contents
        self.done: dict[str, Asset] = {}
        self.open: list[str] = []

    def all(self) -> dict[str, Asset]:
        for name in sorted(self.contents):
            self.asset(name)
        return {name: self.done[name] for name in sorted(self.done)}

    def asset(self, name: str) -> Asset:
        if name in self.done:
            return self.done[name]
        content, source = self.contents[name]
        self.open.append(name)
        if name.endswith(".css"):
            content = self.stylesheet(name, content, source)
        self.open.pop()
        self.done[name] = Asset(name, PREFIX + fingerprinted(name, content), content, source)
        return self.done[name]

    def stylesheet(self, name: str, content: bytes, source: str) -> bytes:
        try:
            text = content.decode("utf-8")
        except UnicodeDecodeError as error:
            line = content.count(b"\n", 0, error.start) + 1
            raise ContentError("not UTF-8", path=source, line=line, cure="save it as UTF-8") from None

        def point(match: re.Match[str]) -> str:
            target = match["target"]
            if target is None or _ELSEWHERE.match(target):
                return match[0]
            line = text.count("\n", 0, match.start()) + 1
            url = self.target(name, target, source, line)
            return match[0] if url is None else f"{match['open']}{match['quote']}{url}{match['quote']}"

        return _REFERENCE.sub(point, text).encode()

    def target(self, name: str, target: str, source: str, line: int) -> str | None:
        path, mark, rest = re.match(r"([^?#]*)([?#]?)(.*)", target, re.S).groups()  # type: ignore[union-attr]
        if path.startswith("/") and not path.startswith(PREFIX):
            return None  # a file of static/, published under its own name
        other = (
            path.removeprefix(PREFIX) if path.startswith("/") else normpath(str(PurePosixPath(name).parent / path))
        )
        if other not in self.contents:
            raise ContentError(f"there is no asset `{other}`", path=source, line=line, cure=f"it names {target}")
        if other in self.open:
            circle = " -> ".join([*self.open[self.open.index(other) :], other])
            raise ContentError(
                f"stylesheets import each other: {circle}", path=source, line=line, cure="take one import out"
            )
        return self.asset(other).url + mark + rest


def fingerprinted(name: str, content: bytes) -> str:
    """`fonts/a.woff2` as `fonts/a.<first 12 hex digits of its SHA-256>.woff2`."""
    path = PurePosixPath(name)
    digest = hashlib.sha256(content).hexdigest()[:_HASH_LENGTH]
    return str(path.with_name(f"{path.stem}.{digest}{path.suffix}"))
