"""requirements.lock, as pip-compile and uv write it: every package pinned, every file known by its SHA-256.

The digest is over what the lock means (names, versions, markers, hashes), not over its bytes: comments, order and
line ends may change without a new virtualenv on any host.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from tagship.errors import BundleRefused

if TYPE_CHECKING:
    from packaging.requirements import Requirement  # it takes 25 ms to import, and most lines don't need it

_PLAIN = re.compile(r"([A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?)==((?:0|[1-9]\d*)(?:\.(?:0|[1-9]\d*))*)\Z", re.A)
"""A requirement without extras and marker, of a version that is written as it is compared."""
_COMMENT = re.compile(r"(^|\s)#.*$")
_HASH = re.compile(r"--hash[=\s]\s*(\S+)")
_SHA256 = re.compile(r"sha256:([0-9a-f]{64})\Z")
_MAKE = "uv pip compile --generate-hashes --no-emit-index-url requirements.in -o requirements.lock"
_OPTIONS = {
    ("-r", "--requirement", "-c", "--constraint"): "a lock is one file: compile the others into it",
    ("-e", "--editable"): "a release has no editable packages; `app.package: true` installs the project itself",
    ("-i", "--index-url", "--extra-index-url", "-f", "--find-links", "--no-index", "--trusted-host"): (
        "where packages come from is a setting of this machine's pip (pip config set global.index-url ...); "
        f"leave it out of the lock: {_MAKE}"
    ),
}


@dataclass(frozen=True)
class Pin:
    """One requirement of the lock."""

    name: str
    """Canonical: lower case, `-` between words."""
    version: str
    hashes: frozenset[str]
    """SHA-256 in hex of every file that may be installed for it."""
    marker: str = ""
    """The PEP 508 marker that says where it is needed; empty: everywhere."""
    line: int = 0
    """Its line in the lock, from 1."""

    def wanted(self, environment: Mapping[str, str]) -> bool:
        """Whether a Python with this full marker environment needs it."""
        if not self.marker:
            return True
        from packaging.markers import Marker  # as above

        return Marker(self.marker).evaluate({**environment, "extra": ""})

    def __str__(self) -> str:
        return f"{self.name}=={self.version}"


@dataclass(frozen=True)
class Lock:
    """A whole lock; `path` is how messages call it."""

    path: str
    pins: tuple[Pin, ...]

    @cached_property
    def digest(self) -> str:
        """SHA-256 in hex of the pins' meaning, in canonical order."""
        rows = sorted([pin.name, pin.version, pin.marker, sorted(pin.hashes)] for pin in self.pins)
        return hashlib.sha256(json.dumps(rows, separators=(",", ":")).encode()).hexdigest()


def parse(text: str, path: str) -> Lock:
    """Read a lock; `path` (`v1.4.0:requirements.lock`) is for messages only.

    Raises `BundleRefused` naming the line of whatever is not a pinned, hashed requirement: no hash, no `==`, a URL or
    path, `-e`, `-r`, an index, the same pin twice.
    """
    pins: list[Pin] = []
    seen: dict[tuple[str, str, str], int] = {}
    for line, words in _logical_lines(text):
        pin = _pin(words, f"{path}:{line}", line)
        first = seen.setdefault((pin.name, pin.version, pin.marker), line)
        if first != line:
            raise BundleRefused(
                f"{pin} is there twice (first on line {first})", where=f"{path}:{line}", cure="keep one of them"
            )
        pins.append(pin)
    return Lock(path, tuple(pins))


def _logical_lines(text: str) -> Iterator[tuple[int, str]]:
    """Number of the first line, and text, of each requirement: continuations joined, comments and blanks left out."""
    begun, parts = 0, list[str]()
    for number, raw in enumerate([*text.removeprefix("\ufeff").splitlines(), ""], 1):
        line = _COMMENT.sub("", raw).rstrip()
        more = line.endswith("\\")
        begun = begun or number
        parts.append(line.removesuffix("\\").strip())
        if not more:
            joined = " ".join(part for part in parts if part)
            if joined:
                yield begun, joined
            begun, parts = 0, []


def _pin(words: str, where: str, line: int) -> Pin:
    if words.startswith("-"):
        raise _option(words, where)
    hashes = _HASH.findall(words)
    text = _HASH.sub("", words).strip()
    plain = _PLAIN.match(text)
    if plain is not None:
        name, version, marker = plain[1], plain[2], ""
    else:
        name, version, marker = _required(text, where)
    if not hashes:
        raise BundleRefused(f"{name} has no --hash", where=where, cure=_MAKE)
    known = {match[1] for match in map(_SHA256.match, hashes) if match}
    if not known:
        raise BundleRefused(f"{name} has no sha256 hash of 64 hex digits", where=where, cure=_MAKE)
    canonical = re.sub(r"[-_.]+", "-", name).lower()  # PEP 503
    return Pin(canonical, version, frozenset(known), marker, line)


def _required(text: str, where: str) -> tuple[str, str, str]:
    """Name, version and marker of a requirement. Raises `BundleRefused`."""
    from packaging.requirements import InvalidRequirement, Requirement  # as above

    try:
        requirement = Requirement(text)
    except InvalidRequirement:
        raise BundleRefused(
            f"`{_cut(text)}` is not a pinned requirement", where=where, cure=f"name==version --hash=...; {_MAKE}"
        ) from None
    if requirement.url is not None:
        raise BundleRefused(
            f"{requirement.name} comes from an address, which may serve something else tomorrow",
            where=where,
            cure="build its wheel into the `wheels/` folder and pin it with its hash",
        )
    return requirement.name, _version(requirement, where), str(requirement.marker or "")


def _version(requirement: Requirement, where: str) -> str:
    from packaging.version import InvalidVersion, Version  # as above

    specifiers = list(requirement.specifier)
    if len(specifiers) == 1 and specifiers[0].operator in {"==", "==="}:
        try:
            return str(Version(specifiers[0].version))
        except InvalidVersion:
            pass  # `==1.*` is no version: the same answer as for a range
    raise BundleRefused(f"{requirement.name} is not pinned to one version with ==", where=where, cure=_MAKE)


def _option(words: str, where: str) -> BundleRefused:
    name = re.split(r"[\s=]", words, maxsplit=1)[0]
    for names, cure in _OPTIONS.items():
        if name in names or (not name.startswith("--") and name[:2] in names):
            return BundleRefused(f"`{name}` has no place in a lock", where=where, cure=cure)
    return BundleRefused(f"the option `{_cut(name)}` has no place in a lock", where=where, cure=_MAKE)


def _cut(text: str) -> str:
    """`text` safe to show: short, printable, and without an address, which may hold a password."""
    if "://" in text:
        return "an address"
    text = text if text.isprintable() else ascii(text)[1:-1]
    return text if len(text) <= 80 else text[:77] + "..."
