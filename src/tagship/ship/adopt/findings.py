"""What serves a host now, as a value, and why it can't be adopted: pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from tagship.errors import HostRefused, UsageError
from tagship.ship.setup.settings import Settings

_OURS = re.compile(r"releases/[0-9]{4,9}-[A-Za-z0-9._-]{1,40}\Z")


@dataclass(frozen=True)
class Wishes:
    """What the command line says of the old service."""

    upstream: str | None
    """Where it listens: `ADDRESS:PORT` or `unix:/path`; `None`: there are only files."""
    public: str | None
    """Its document root on the hosts."""
    shares: tuple[tuple[str, str], ...]
    """Name below shared/, and the path on the hosts where that data lives."""
    site: str | None
    """The name of its site in nginx's sites-enabled; `None`: the one that names it."""
    files: frozenset[str] = frozenset()
    """Names of shares that are files."""

    @property
    def writable(self) -> tuple[str, ...]:
        """Folders that the service must be able to write to: beside a database there are its journals."""
        paths = [path.rpartition("/")[0] if name in self.files else path for name, path in self.shares]
        return tuple(dict.fromkeys(paths))


def shares_of(words: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
    """`NAME=PATH` each. Raises `UsageError`."""
    found = []
    for word in words:
        name, _, path = word.partition("=")
        if not name or not path.startswith("/"):
            raise UsageError(f"`{word}` is not NAME=PATH", where="--share", cure="--share media=/srv/old/uploads")
        found.append((name.strip("/"), path.rstrip("/")))
    return tuple(found)


@dataclass(frozen=True)
class Upstream:
    """The old service, as it answered once."""

    status: int
    fault: str
    """Why it didn't; empty if it did."""
    pid: int | None
    unit: str
    """The unit that runs it; empty where none does."""
    user: str
    names: bool
    """Its unit names `current`, which will lead elsewhere."""


@dataclass(frozen=True)
class Site:
    """An enabled site of nginx's that isn't ours."""

    path: str
    target: str
    """Where its link leads; empty where it is no link."""
    named: bool
    """It names the old service, its `current` or its document root."""


@dataclass(frozen=True)
class Found:
    """What serves on one host, as its agent saw it."""

    current: str
    """`none`, `link`, `directory` or `other`."""
    link: str
    """Where `current` leads, as it is written."""
    leads: str
    """The folder that `current` is in the end."""
    public: tuple[str, ...]
    """Document roots that are there: the one named, and `current/public`."""
    highest: int
    """The highest serial that was ever given there; 0: none."""
    unfinished: bool
    """A setup or an adoption was cut off."""
    adopted: Mapping[str, Any] | None
    """What was written down when it was adopted; `None`: it wasn't."""
    sites: tuple[Site, ...]
    upstream: Upstream | None

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> Found:
        """Read an agent's answer to `scan`."""
        return Found(
            current=data["current"],
            link=data["link"],
            leads=data["leads"],
            public=tuple(data["public"]),
            highest=int(data["highest"]),
            unfinished=bool(data["unfinished"]),
            adopted=data["adopted"],
            sites=tuple(Site(**site) for site in data["sites"]),
            upstream=Upstream(**data["upstream"]) if data["upstream"] else None,
        )

    @property
    def ours(self) -> bool:
        """`current` names a release of ours already, and nothing was cut off."""
        is_ours = self.current == "link" and bool(_OURS.match(self.link))
        return is_ours and not (self.unfinished and self.adopted is not None)

    def old_sites(self, name: str | None) -> tuple[Site, ...]:
        """The site called `name`, else those that name the old service."""
        if name is None:
            return tuple(site for site in self.sites if site.named)
        return tuple(site for site in self.sites if site.path.rpartition("/")[2] in (name, f"{name}.conf"))


def refusals(host: str, found: Found, wishes: Wishes, settings: Settings) -> Iterator[HostRefused]:
    """Why a host can't be adopted as wished, each with its cure."""

    def no(what: str, cure: str) -> HostRefused:
        return HostRefused(what, host=host, cure=cure)

    if found.adopted is not None:
        yield no(
            "an adoption was begun there, and isn't over", f"fab adopt --undo --stage {settings.stage}, then again"
        )
    if found.current == "other":
        yield no(f"{settings.root}/current is neither a link nor a folder", "move it away")
    if not settings.web:
        return
    if wishes.upstream is None and not found.public:
        what = "there is nothing to adopt: no service was named, and no files that are served"
        yield no(what, "--upstream ADDRESS:PORT (or unix:/path), --public DIR, or both")
    if wishes.public is not None and wishes.public not in found.public:
        yield no(f"there is no folder {wishes.public}", "--public the document root, a folder on the host")
    if found.upstream is not None and (found.upstream.fault or found.upstream.status >= 500):
        how = found.upstream.fault or f"answers {found.upstream.status}"
        cure = "start it, or name where it listens (`ss -ltnp` on the host tells)"
        yield no(f"what should be adopted isn't well: {wishes.upstream}: {how}", f"{cure}; app.probe.path is asked")
    if wishes.site is not None and not found.old_sites(wishes.site):
        known = ", ".join(site.path.rpartition("/")[2] for site in found.sites) or "none"
        yield no(f"no site {wishes.site} is enabled in nginx", f"--site one of: {known}")
    if wishes.site is None and len(found.old_sites(None)) > 1:
        names = ", ".join(site.path.rpartition("/")[2] for site in found.old_sites(None))
        yield no(f"more than one site of nginx's names it: {names}", "--site the one that is to be replaced")
