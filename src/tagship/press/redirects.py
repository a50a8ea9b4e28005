"""`site.redirects` against the site that was built: an old address must be free, and a new one must be there."""

from __future__ import annotations

from collections.abc import Mapping

from tagship import config
from tagship.config import redirects
from tagship.errors import ConfigError
from tagship.press.tree import Claims

_ALWAYS = "robots.txt"


def check(wanted: Mapping[str, str], claims: Claims) -> None:
    """Raise `ConfigError` for a redirect over a page that exists, or to one of this site that doesn't."""
    there = claims.paths() | {_ALWAYS}
    for old, new in wanted.items():
        name = redirects.answered(old)
        hidden = next((path for path in (name, f"{name}/index.html") if path in there), None)
        if hidden is not None:
            raise _error(f"the site has that address itself: /{hidden}", old, "take the redirect out")
        file = redirects.file_of(new)
        if file is not None and file not in there:
            near = f"{new}/" if f"{file}/index.html" in there else "a page of the site, or a whole URL"
            raise _error(f"leads to {new}, which the site doesn't have", old, f"name {near}")


def _error(what: str, old: str, cure: str) -> ConfigError:
    return ConfigError(what, path=config.FILE_NAME, key=f"site.redirects.{old}", cure=cure)
