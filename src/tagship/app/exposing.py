"""What a release shows that its URLs don't tell: drafts that become public, and posts that feed readers show as new.

Read from what this machine has of the live release: the objects that it packed, else the repository's history. Where
it has neither, nothing is said.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tagship.config import Site
from tagship.errors import ContentError, TagshipError
from tagship.manifest import File, Manifest
from tagship.release import git
from tagship.release.store import ObjectStore
from tagship.ship.survey import HostSurvey

Read = Callable[[File], bytes | None]
"""The contents of a manifest's file; None where this machine hasn't got them."""

Surveys = Mapping[str, HostSurvey]

_FEEDS = (".xml", ".atom")


@dataclass(frozen=True)
class Exposed:
    """`feed_ids` are changes `OLD -> NEW` of entries that are the same otherwise; `drafts` the files of texts."""

    feed_ids: tuple[str, ...] = ()
    drafts: tuple[str, ...] = ()


def since(
    root: Path, site: Site | None, live: Mapping[str, Manifest], survey: Surveys, new: Manifest
) -> dict[str, Any]:
    """What `new` exposes beyond what is live on the first host whose manifest is known, as data of a plan."""
    host = next(iter(live), None)
    release = survey[host].live if host is not None else None
    if host is None or release is None:
        return {}
    return asdict(exposed(site, live[host], new, reader(root, release.commit), reader(root)))


def exposed(site: Site | None, old: Manifest, new: Manifest, read_old: Read, read_new: Read) -> Exposed:
    """Compare two releases' texts and feeds, both sorted by what they are called."""
    if site is None:
        return Exposed()
    pairs = list(_changed(old, new))
    return Exposed(
        tuple(change for pair in pairs for change in _feed_changes(*pair, read_old, read_new)),
        tuple(
            after.path.removeprefix("app/")
            for before, after in pairs
            if _is_text(after, site) and _is_draft(before, read_old) and not _is_draft(after, read_new)
        ),
    )


def reader(root: Path, commit: str = "") -> Read:
    """Reads from the objects of the project at `root`; files of the tree also from the repository at `commit`."""
    store = ObjectStore.of(root)

    def read(file: File) -> bytes | None:
        try:
            return store.path(file.key).read_bytes()
        except OSError:
            pass
        if not commit or not file.path.startswith("app/"):
            return None
        try:
            return git.run(root, "show", f"{commit}:{file.path.removeprefix('app/')}")
        except TagshipError:
            return None  # a shallow clone, or a commit that was never fetched

    return read


def _changed(old: Manifest, new: Manifest) -> Iterator[tuple[File, File]]:
    for after in new.files():
        before = old.by_path.get(after.path)
        if isinstance(before, File) and before.sha256 != after.sha256:
            yield before, after


def _is_text(file: File, site: Site) -> bool:
    folders = (f"app/{site.posts}/", f"app/{site.source}/pages/")
    return file.path.startswith(folders) and file.path.lower().endswith((".md", ".html"))


def _is_draft(file: File, read: Read) -> bool:
    from tagship.press import frontmatter  # YAML: only where a text has changed

    data = read(file)
    try:
        return data is not None and frontmatter.parse(data, file.path).fields.get("draft") is True
    except ContentError:
        return False


def _feed_changes(before: File, after: File, read_old: Read, read_new: Read) -> Iterator[str]:
    if not (after.path.startswith("public/") and after.path.endswith(_FEEDS)):
        return
    from tagship.press.checks.identities import identities  # as above

    old, new = read_old(before), read_new(after)
    if old is None or new is None:
        return
    known = identities(old)
    for name, identity in identities(new).items():
        if name in known and known[name] != identity:
            yield f"{known[name]} -> {identity}"
