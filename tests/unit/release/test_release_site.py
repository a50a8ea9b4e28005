"""What a site adds to a bundle: compressed forms and redirects; and what it doesn't need where it is alone."""

from __future__ import annotations

import gzip
import hashlib
import random
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import pytest
from unit.release.release_case import Repo

from tagship.config import Config
from tagship.errors import BundleRefused
from tagship.manifest import File, Link, Manifest, url_changes
from tagship.release import bundle, gzipped, tags
from tagship.release.bundle import Bundle
from tagship.release.store import ObjectStore

ALONE = """\
app: {name: demo}
site:
  title: Demo
  url: https://example.org
"""
WORDS = "<p>It says the same thing over and over.</p>\n" * 100


def press(_tree: Path, out: Path, _config: Config, _clock: datetime) -> None:
    (out / "deep").mkdir(parents=True)
    (out / "index.html").write_text(WORDS)
    (out / "deep/small.html").write_text("<p>small</p>")


def pack(repo: Repo, config: str = ALONE) -> Bundle:
    repo.commit({"tagship.yml": config})
    repo.tag(f"v1.0.{repo.seconds}")
    return pack_again(repo)


def pack_again(repo: Repo) -> Bundle:
    found = tags.resolve(repo.path, None)
    read = bundle.read_config(repo.path, found)
    cache = repo.path.parent / "cache"
    return bundle.pack(repo.path, found, read, press=press, store=ObjectStore.of(repo.path), cache=cache)


def test_a_site_alone_needs_no_lock(repo: Repo) -> None:
    """Nothing of it runs, so nothing is installed; what runs needs one as ever."""
    assert pack(repo).lock.pins == ()
    for running in ("smoke: python3 -V", "units: {worker: {start: python3 w.py}}", "prepare: [python3 -V]"):
        with pytest.raises(BundleRefused, match="the tag has no such lock"):
            pack(repo, ALONE.replace("{name: demo}", f"{{name: demo, {running}}}"))


def test_compressed_forms_are_part_of_the_release(repo: Repo) -> None:
    """Each as its own file of the manifest, and no URL of its own; what is small has none."""
    made = pack(repo)
    paths = [entry.path for entry in made.manifest.entries if entry.path.startswith("public/")]
    assert paths == ["public/deep/small.html", "public/index.html", "public/index.html.gz"]
    entry = made.manifest.by_path["public/index.html.gz"]
    assert isinstance(entry, File)
    store = ObjectStore.of(repo.path)
    with bundle.open_object(made, store, entry.key) as file:
        content = file.read()
    assert hashlib.sha256(content).hexdigest() == entry.sha256
    assert gzip.decompress(content).decode() == WORDS
    assert not store.has(entry.key)
    again = pack_again(repo)
    assert (again.manifest, again.gzipped) == (made.manifest, made.gzipped)
    assert url_changes(None, made.manifest).added == ("/", "/deep/small.html")


def test_the_digest_is_the_same_with_another_zlib(repo: Repo) -> None:
    """Other compressed bytes of the same page make another manifest, and the same release."""
    made = pack(repo)
    page = made.manifest.by_path["public/index.html"]
    ours = made.manifest.by_path["public/index.html.gz"]
    assert isinstance(page, File)
    other = File("public/index.html.gz", hashlib.sha256(gzip.compress(WORDS.encode(), 1)).hexdigest(), 99)
    manifest = Manifest.of([*(entry for entry in made.manifest.entries if entry is not ours), other])
    elsewhere = replace(made, manifest=manifest, gzipped={other.key: page.key})
    assert elsewhere.manifest.digest != made.manifest.digest
    assert elsewhere.digest == made.digest


def test_redirects_are_part_of_the_digest(repo: Repo) -> None:
    """A release that differs by one redirect is another release."""
    one = pack(repo, ALONE + "  redirects: {/old/: /}\n")
    two = pack(repo, ALONE + "  redirects: {/old/: /deep/small.html}\n")
    assert one.digest != two.digest
    assert [entry.path for entry in one.manifest.entries if entry.path.startswith("redirects/")] == [
        "redirects/from/old/.to",
        "redirects/to/path/^",
    ]


def test_the_same_content_is_compressed_to_the_same_bytes() -> None:
    """No time, no name, no system: what differs between two machines is left out of the header."""
    content = WORDS.encode()
    packed = gzipped.compressed(content)
    assert packed == gzipped.compressed(content)
    assert packed[:10] == b"\x1f\x8b\x08\0\0\0\0\0\x02\xff"
    assert gzip.decompress(packed) == content


def test_only_what_gains_by_it_is_compressed(tmp_path: Path) -> None:
    """Text of a kilobyte to 16 MB; neither pictures, nor noise, nor what the project compressed itself."""
    store = ObjectStore(tmp_path / "objects")
    files = {
        "a.html": WORDS.encode(),
        "b.CSS": WORDS.encode(),
        "c.png": WORDS.encode(),
        "d.txt": b"x" * 1023,
        "e.svg": random.Random(1).randbytes(4000),
        "f.js": WORDS.encode(),
        "f.js.gz": b"their own",
        "g.tar.gz": WORDS.encode(),
        "h.csv": b"1;2\n" * (gzipped.MOST // 4) + b"3\n",
    }
    entries = [store.put(content).at(f"public/{name}") for name, content in files.items()]
    made = gzipped.forms([*entries, Link("public/link.html", "a.html")], store)
    plain = next(entry.key for entry in entries)
    assert {form.path: key for form, key in made.items()} == {"public/a.html.gz": plain, "public/b.CSS.gz": plain}
