"""What a plan tells beside URLs: drafts that become public, and entries that feed readers will show as new."""

from __future__ import annotations

import hashlib
import subprocess
from collections.abc import Mapping
from pathlib import Path

from tagship import config
from tagship.app.exposing import Exposed, exposed, reader
from tagship.manifest import File, Manifest
from tagship.release.store import ObjectStore

SITE = config.Site(title="Blog", url="https://blog.example")
ENTRY = "<entry><title>{title}</title><id>{id}</id><published>2026-11-01T00:00:00Z</published></entry>"
DRAFT = "---\ntitle: A\ndraft: true\n---\n"


def feed(**ids: str) -> str:
    entries = "".join(ENTRY.format(title=title, id=value) for title, value in ids.items())
    return f'<feed xmlns="http://www.w3.org/2005/Atom"><id>x:feed</id>{entries}</feed>'


def manifest(store: ObjectStore, files: Mapping[str, str]) -> Manifest:
    return Manifest.of(store.put(text.encode()).at(path) for path, text in files.items())


def test_drafts_and_ids_that_change_are_told(tmp_path: Path) -> None:
    """Of texts and feeds in both releases; what is new, still a draft, or the same, is nothing to tell."""
    store = ObjectStore.of(tmp_path)
    before = {"app/posts/a.md": DRAFT, "app/posts/b.md": DRAFT, "app/site/pages/p.html": DRAFT, "app/other.md": DRAFT}
    after = {name: text.replace("draft: true\n", "") for name, text in before.items()}
    old = manifest(store, {**before, "public/feed.xml": feed(One="x:1", Two="x:2", Three="x:3")})
    new = manifest(
        store,
        {
            **after,
            "app/posts/b.md": DRAFT + "more",
            "app/posts/new.md": DRAFT,
            "public/feed.xml": feed(Zero="x:0", One="x:1", Two="x:two"),
        },
    )
    read = reader(tmp_path)
    told = exposed(SITE, old, new, read, read)
    assert told == Exposed(("x:2 -> x:two",), ("posts/a.md", "site/pages/p.html"))
    assert exposed(None, old, new, read, read) == Exposed()


def test_what_this_machine_never_packed_is_read_from_the_repository(tmp_path: Path) -> None:
    """Texts from the live commit; of a feed, which nobody committed, nothing is said."""
    git = ["git", "-C", str(tmp_path), "-c", "user.name=a", "-c", "user.email=a@b.example"]
    (tmp_path / "posts").mkdir()
    (tmp_path / "posts/a.md").write_text(DRAFT)
    for words in (["init", "-q"], ["add", "-A"], ["commit", "-qm", "one"]):
        subprocess.run([*git, *words], check=True)
    commit = subprocess.run([*git, "rev-parse", "HEAD"], check=True, capture_output=True, text=True).stdout.strip()
    new = manifest(
        ObjectStore.of(tmp_path), {"app/posts/a.md": "---\ntitle: A\n---\n", "public/feed.xml": feed(A="x:2")}
    )
    away = {"app/posts/a.md": DRAFT, "public/feed.xml": feed(A="x:1")}
    old = Manifest.of(File(path, hashlib.sha256(text.encode()).hexdigest(), len(text)) for path, text in away.items())
    read_new = reader(tmp_path)
    assert exposed(SITE, old, new, reader(tmp_path, commit), read_new) == Exposed((), ("posts/a.md",))
    assert exposed(SITE, old, new, reader(tmp_path, "0" * 40), read_new) == Exposed()
