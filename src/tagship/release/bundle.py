"""A tag packed: its manifest, its objects, its lock, and the digest that is the same on any machine.

`app/` holds the commit's files (and what `build:` commands made of them), `public/` what the press built, each text
with its compressed form beside it, `redirects/` the site's old addresses. The digest covers them and the lock's
meaning; wheels differ by host and are chosen later (`wheels`). docs/adr/0004 says why.
"""

from __future__ import annotations

import dataclasses
import hashlib
import io
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from tagship.config import Config
from tagship.errors import BundleRefused
from tagship.events import Event, Listener, ignore
from tagship.manifest import Entry, File, Link, Manifest
from tagship.release import blobs as known_blobs
from tagship.release import disk, lockfile, packed, tagbook, tags, tree, wheels
from tagship.release.hostpython import HostPython
from tagship.release.lockfile import Lock
from tagship.release.packed import Packed
from tagship.release.store import ObjectStore
from tagship.release.tagged import read_config
from tagship.release.tags import Tag
from tagship.release.wheelcache import Wheel, hash_file

__all__ = ["Bundle", "Press", "open_object", "pack", "read_config", "wheels_for"]

FORMAT = 2
"""Counts up when the same tag would become another bundle."""

Press = Callable[[Path, Path, Config, datetime], object]
"""Builds the site: the scratch copy, the output folder (not there yet), the tag's configuration, the clock (UTC)."""


@dataclass(frozen=True)
class Bundle:
    """A release on this machine; its objects are in the store it was packed into."""

    tag: Tag
    config: Config
    """The configuration as the tag has it."""
    manifest: Manifest
    lock: Lock
    project_wheel: Wheel | None = None
    """The project's own wheel, where `app.package` is true."""
    gzipped: Mapping[str, str] = field(default_factory=dict)
    """Keys of compressed forms, and of the objects that they are made from."""

    @property
    def lock_digest(self) -> str:
        return self.lock.digest

    @cached_property
    def digest(self) -> str:
        """SHA-256 in hex over the format, the manifest and the lock: what identifies the release everywhere.

        Compressed forms are left out: their bytes depend on the zlib of the machine, and what they are made of is in.
        """
        plain = Manifest(tuple(e for e in self.manifest.entries if getattr(e, "key", None) not in self.gzipped))
        text = f"tagship bundle {FORMAT}\n{plain.digest}\n{self.lock.digest}\n"
        return hashlib.sha256(text.encode()).hexdigest()


def open_object(bundle: Bundle, store: ObjectStore, key: str) -> BinaryIO:
    """The contents of a file of the bundle, from `store`; compressed forms are made anew. Raises `BundleRefused`."""
    plain = bundle.gzipped.get(key)
    if plain is None:
        return store.open(key)
    from tagship.release import gzipped  # only where there is a site

    return io.BytesIO(gzipped.compressed(store.read(plain)))


def pack(
    repo: Path,
    tag: Tag,
    config: Config,
    *,
    press: Press | None,
    store: ObjectStore,
    cache: Path,
    progress: Listener = ignore,
) -> Bundle:
    """Pack `tag` of the project at `repo`; what was packed before and is still whole is taken as it is.

    `config` is the tag's (`read_config`), `press` builds the site where the configuration has one, `cache` is
    tagship's cache folder (wheels, build tools). The scratch copy is gone afterwards, also on failure and Ctrl-C.

    Raises `TagRefused` for a moved tag, `BundleRefused` for a tree or lock that can't ship, `CommandFailed` for a
    failing build command, and whatever `press` raises. A tag is pinned to its commit by `tagbook.remember`, once it
    has shipped; a look at a plan pins nothing.
    """
    tags.check_not_moved(tag, tagbook.read(repo))
    if config.site is None:
        press = None
    name = packed.key(repo, tag.commit, pressed=press is not None)
    saved = packed.load(repo, name, store, cache)
    _ignore_own_folder(repo)
    if saved is None:
        saved = _Packing(repo, tag, config, store, cache, progress).pack(press)
        packed.save(repo, name, saved)
        packed.prune(repo, store, now=time.time())
    lock = _app_lock(saved.manifest, config, tag, store)
    return Bundle(tag, config, saved.manifest, lock, saved.project_wheel, saved.gzipped)


def wheels_for(
    bundle: Bundle, host: HostPython, store: ObjectStore, cache: Path, *, progress: Listener = ignore
) -> tuple[Wheel, ...]:
    """All wheels of the bundle's virtualenv on `host`: its lock's, sorted by name, and the project's own last.

    Raises `BundleRefused` as `wheels.select_and_fetch` does, and for a project wheel that `host` doesn't take.
    """
    own = _lay_out_wheels(bundle.manifest.files(), bundle.config.app.wheels, store, cache)
    chosen = wheels.select_and_fetch(bundle.lock, host, cache, extra_dir=own, progress=progress)
    if bundle.project_wheel is None:
        return chosen
    wheels.refuse_unfit(bundle.project_wheel, host)
    return (*(wheel for wheel in chosen if wheel.name != bundle.project_wheel.name), bundle.project_wheel)


def _ignore_own_folder(repo: Path) -> None:
    """A project without a .gitignore must not commit, and then ship, what we keep beside it."""
    path = repo / ".tagship" / ".gitignore"
    if not path.exists():
        disk.write(path, b"*\n")


class _Packing:
    """One pack of one tag, from blobs to manifest."""

    def __init__(
        self, repo: Path, tag: Tag, config: Config, store: ObjectStore, cache: Path, progress: Listener
    ) -> None:
        self.repo = repo
        self.tag = tag
        self.config = config
        self.store = store
        self.cache = cache
        self.progress = progress
        self.epoch = max(0, int(tag.time.timestamp()))

    def pack(self, press: Press | None) -> Packed:
        app = self.commit_entries()
        manifest = self.manifest(app)
        _app_lock(manifest, self.config, self.tag, self.store)
        builds_something = bool(self.config.build) or self.config.app.package
        if press is None and not builds_something:
            return Packed(manifest, None)
        from tagship.release import gzipped, redirects, scratch  # only where something is made of the tree

        with disk.scratch("tagship-pack-") as work:
            copy = work / "tree"
            copy.mkdir()
            scratch.lay_out(_without_prefix(app), copy, self.store, mtime=self.epoch)
            tools = self.tools(manifest) if builds_something else None
            if tools and self.config.build:
                self.build(copy, work, tools)
                app = self.take_in(copy, "app/")
            public = work / "public"
            if press is not None:
                press(copy, public, self.config, self.tag.time)
            site = self.take_in(public, "public/") if public.is_dir() else []
            forms = gzipped.forms(site, self.store)
            if self.config.site is not None:
                site += redirects.entries(self.config.site.redirects, self.store)
            wheel = self.project_wheel(copy, work, tools) if tools and self.config.app.package else None
        return Packed(self.manifest([*app, *site, *forms]), wheel, {form.key: plain for form, plain in forms.items()})

    def commit_entries(self) -> list[Entry]:
        """The commit's own files, their bytes put into the store; what was there before isn't read again."""
        blobs = tree.read_tree(self.repo, self.tag.commit)
        record = dict(known_blobs.read(self.repo))
        files, fresh = known_blobs.split(blobs, record, self.store)
        entries: list[Entry] = [*files]
        for done, (blob, data) in enumerate(tree.read_blobs(self.repo, fresh, commit=self.tag.commit)):
            path = f"app/{blob.path}"
            if blob.is_link:
                entries.append(Link(path, data.decode("utf-8", "replace")))
            else:
                file = self.store.put(data, executable=blob.executable).at(path)
                record[blob.id] = (file.sha256, file.size)
                entries.append(file)
            if done % 500 == 0:
                self.tell(done, len(fresh))
        self.tell(len(fresh), len(fresh))
        if any(not blob.is_link for blob in fresh):
            known_blobs.write(self.repo, blobs, record)
        return entries

    def tools(self, manifest: Manifest) -> Path:
        from tagship.release import builds  # only where something is built

        lock = _lock(manifest, self.config.build_lock, self.tag, self.store)
        own = _lay_out_wheels(manifest.files(), self.config.app.wheels, self.store, self.cache)
        return builds.tools_for(lock, self.cache, extra_dir=own, progress=self.progress)

    def build(self, copy: Path, work: Path, tools: Path) -> None:
        from tagship.release import builds  # as above

        builds.run_all(self.config.build, copy, work=work, tools=tools, epoch=self.epoch, progress=self.progress)

    def project_wheel(self, copy: Path, work: Path, tools: Path) -> Wheel:
        """Last, for backends leave their own folders in the copy."""
        from tagship.release import builds  # as above

        return builds.project_wheel(copy, work=work, tools=tools, epoch=self.epoch, cache=self.cache)

    def take_in(self, folder: Path, prefix: str) -> list[Entry]:
        from tagship.release import scratch  # as above

        return scratch.take_in(folder, self.store, prefix=prefix, where=self.tag.name)

    def manifest(self, entries: list[Entry]) -> Manifest:
        try:
            return Manifest.of(entries)
        except ValueError as error:
            raise BundleRefused(str(error), where=self.tag.name, cure="git fsck shows what is damaged") from None

    def tell(self, done: int, total: int) -> None:
        self.progress(Event("progress", data={"step": "pack", "done": done, "total": total, "unit": "files"}))


def _without_prefix(entries: list[Entry]) -> list[Entry]:
    return [dataclasses.replace(entry, path=entry.path.removeprefix("app/")) for entry in entries]


def _app_lock(manifest: Manifest, config: Config, tag: Tag, store: ObjectStore) -> Lock:
    """The lock of the virtualenv; an empty one where nothing of the application runs, and so nothing is installed."""
    where = config.app.lock
    return _lock(manifest, where, tag, store) if config.app.runs else Lock(f"{tag.name}:{where}", ())


def _lock(manifest: Manifest, path: str, tag: Tag, store: ObjectStore) -> Lock:
    where = f"{tag.name}:{path}"
    entry = manifest.by_path.get(f"app/{PurePosixPath(path)}")
    if not isinstance(entry, File):
        raise BundleRefused(
            "the tag has no such lock",
            where=where,
            cure=f"uv pip compile --generate-hashes requirements.in -o {path}, commit it, and make a new tag",
        )
    try:
        return lockfile.parse(store.read(entry.key).decode("utf-8"), where)
    except UnicodeDecodeError as error:
        raise BundleRefused(f"not UTF-8 (byte {error.start})", where=where, cure="save it as UTF-8") from None


def _lay_out_wheels(files: tuple[File, ...], folder: str, store: ObjectStore, cache: Path) -> Path | None:
    prefix = f"app/{PurePosixPath(folder)}/"
    own = [file for file in files if file.path.startswith(prefix) and file.path.endswith(".whl")]
    if not own:
        return None
    names = {PurePosixPath(file.path).name: file for file in own}
    text = "\n".join(f"{name} {file.sha256}" for name, file in sorted(names.items()))
    place = cache / "tagged" / hashlib.sha256(text.encode()).hexdigest()[:32] / PurePosixPath(folder).name
    for name, file in names.items():
        path = place / name
        if not path.is_file() or hash_file(path)[0] != file.sha256:
            disk.write(path, store.read(file.key))
    return place
