"""Where a built site is put: `build/site`, a link to a whole tree, or a plain folder that somebody names.

A build that fails changes neither. What was written into a plain folder is remembered in `build/outs/`, path and
SHA-256 of each file: a later build replaces the folder only if nothing else is in it.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from tagship import config
from tagship.errors import UsageError
from tagship.press import told, turns
from tagship.press.build import Ask, BuildReport, build
from tagship.press.turns import Turns

FOLDER = "build"
PROFILE = "profile.html"
LINK = turns.LINK


@dataclass(frozen=True)
class Published:
    """What a build made, and what was asked about it."""

    report: BuildReport
    explained: tuple[str, ...] = ()


def publish(
    project: Path,
    site: config.Site,
    *,
    clock: datetime,
    drafts: bool = False,
    future: bool = False,
    workers: int | None = None,
    out: Path | None = None,
) -> BuildReport:
    """Build the site and put it at `build/site`, or into the folder `out`.

    The swap is one rename. Raises `ContentError` for bad input and `UsageError` for an `out` that holds anything
    that an earlier build did not write; the last good tree then stays as it was.
    """
    if out is not None:
        with _alone(project) as folder:
            return _to_folder(project, folder, out, site, clock, drafts, future)
    ask = Ask(project.resolve(), site, clock, drafts, future, workers)
    return bring_up_to_date(ask).report


def bring_up_to_date(ask: Ask, *, explain: str = "", profile: bool = False) -> Published:
    """Build the site of `ask` at `build/site`; what is the same as at the last build stays.

    `explain` is an address of the site: why it was made or wasn't. `profile` writes build/profile.html.
    """
    with _alone(ask.project) as folder:
        link = folder / LINK
        if link.exists() and not link.is_symlink():
            raise UsageError("is no link of ours", where=f"{FOLDER}/{LINK}", cure="inv clean, or move it away")
        turns_taken = Turns(folder)
        done = turns_taken.build(ask)
        if profile:
            (folder / PROFILE).write_text(told.profile(turns_taken.timing, done), encoding="utf-8")
        return Published(done.report, tuple(told.explain(done, explain)) if explain else ())


def compare(ask: Ask) -> tuple[str, ...]:
    """Bring the site up to date, build it once more from nothing, and name the files that differ."""
    bring_up_to_date(ask)
    with tempfile.TemporaryDirectory(prefix="tagship-compare-") as scratch:
        clean_tree = Path(scratch) / "site"
        build(ask.project, clean_tree, ask.site, clock=ask.clock, drafts=ask.drafts, future=ask.future)
        fresh, shown = _digests(clean_tree), _digests((ask.project / FOLDER / LINK).resolve())
    return tuple(sorted(name for name in fresh.keys() | shown.keys() if fresh.get(name) != shown.get(name)))


def clean(project: Path) -> bool:
    """Remove `build/` with everything in it; False when there was nothing to remove."""
    folder = project / FOLDER
    if folder.is_symlink():
        raise UsageError("is a link", where=FOLDER, cure="remove it by hand: what it leads to may be somebody's")
    if not folder.exists():
        return False
    shutil.rmtree(folder)
    return True


def _to_folder(
    project: Path, folder: Path, out: Path, site: config.Site, clock: datetime, drafts: bool, future: bool
) -> BuildReport:
    place = out.resolve()
    _check_place(project.resolve(), place, site)
    note = folder / "outs" / f"{hashlib.sha256(os.fsencode(place)).hexdigest()[:16]}.json"
    _check_ours(place, note)
    fresh = place.with_name(f".{place.name}.{secrets.token_hex(4)}")
    report = build(project, fresh, site, clock=clock, drafts=drafts, future=future)
    older = place.with_name(f".{place.name}.{secrets.token_hex(4)}")
    note.parent.mkdir(exist_ok=True)
    written = _digests(fresh)
    if place.exists():
        place.rename(older)
    fresh.rename(place)
    shutil.rmtree(older, ignore_errors=True)
    note.write_text(json.dumps(written, indent=0, sort_keys=True))
    return report


def _check_place(project: Path, place: Path, site: config.Site) -> None:
    inputs = (project / site.posts, project / site.source, project / ".git")
    if project.is_relative_to(place) or any(place.is_relative_to(folder) for folder in inputs):
        raise UsageError("would bury the project's own files", where=str(place), cure="name a folder beside them")
    if place.exists() and not place.is_dir():
        raise UsageError("is not a folder", where=str(place), cure="name a folder, new or empty")


def _check_ours(place: Path, note: Path) -> None:
    """Raise `UsageError` unless each file in `place` is, byte for byte, what an earlier build wrote there."""
    if not place.exists():
        return
    try:
        known = json.loads(note.read_text())
    except (FileNotFoundError, ValueError):
        known = {}
    for name, digest in _digests(place).items():
        if known.get(name) != digest:
            raise UsageError(
                f"holds {name}, which no build wrote there",
                where=str(place),
                cure="name a new or empty folder; nothing was changed",
            )


def _digests(folder: Path) -> dict[str, str]:
    found = {}
    for path in folder.rglob("*"):
        name = path.relative_to(folder).as_posix()
        if path.is_symlink():
            found[name] = f"-> {path.readlink()}"
        elif path.is_file():
            found[name] = hashlib.sha256(path.read_bytes()).hexdigest()
        elif not path.is_dir():
            found[name] = "special"
    return found


@contextmanager
def _alone(project: Path) -> Iterator[Path]:
    """`build/`, with its lock held: of two builds at once, one waits for the other."""
    folder = project / FOLDER
    try:
        folder.mkdir(exist_ok=True)
        lock = (folder / ".lock").open("w")
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        cure = "make it yours (chown), or remove it: everything in it is made anew"
        raise UsageError(f"can't be written: {reason}", where=FOLDER, cure=cure) from None
    with lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield folder
