"""Redirects as entries of a release: `redirects/from/OLD/.to` is a link to a file whose very path is the new address.

nginx can't read a file into a header, but it can tell where a link leads. So a redirect needs no line of any server's
configuration and no reload: it flips with `current`, as the pages do. No old address has a part that begins with a
dot, so `.to` is in no other's way; no encoded one holds a `^`, which keeps a slash at the end from getting lost.
"""

from __future__ import annotations

from collections.abc import Mapping

from tagship.config import redirects
from tagship.manifest import Entry, File, Link
from tagship.release.store import ObjectStore

FOLDER = "redirects"


def entries(wanted: Mapping[str, str], store: ObjectStore) -> list[Entry]:
    """The links and files of `site.redirects`, which the configuration has checked; the store gets the empty file."""
    found: dict[str, Entry] = {}
    for old, new in wanted.items():
        name, place = redirects.answered(old), _place(redirects.target(new))
        found[place] = _nothing(store, f"{FOLDER}/{place}")
        climb = "../" * (name.count("/") + 2)
        found[f"from/{name}"] = Link(f"{FOLDER}/from/{name}/.to", climb + place)
    return list(found.values())


def _place(target: str) -> str:
    scheme, colon, rest = target.partition("://")
    return f"to/{scheme}/{rest}^" if colon and not target.startswith("/") else f"to/path{target}^"


def _nothing(store: ObjectStore, path: str) -> File:
    return store.put(b"", executable=False).at(path)
