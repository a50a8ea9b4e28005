"""Which tag ships: found, checked against what it named before, and never guessed from hostile names."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tagship.errors import TagRefused
from tagship.release import git, tagbook

_GRAMMAR = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+/-]*\Z")
_LONGEST = 200
_FIELDS = "%00".join(("%(refname)", "%(objecttype)", "%(objectname)", "%(tag)"))
_FIRST_TAG = 'git tag -a v0.1.0 -m "First release"'


@dataclass(frozen=True)
class Tag:
    """A tag that may ship, and how the working tree stands to it."""

    name: str
    commit: str
    """The commit's object id, in full."""
    time: dt.datetime
    """When the commit was made (its committer's time), in UTC: the clock of the build."""
    annotated: bool
    object: str
    """The id of the tag object; of the commit where the tag is lightweight."""
    ahead: int = 0
    """Commits that HEAD has and the tag has not."""
    dirty: bool = False
    """Whether the working tree differs from HEAD."""
    warnings: tuple[str, ...] = ()
    """Sentences for people."""


@dataclass(frozen=True)
class _Ref:
    name: str
    kind: str
    object: str
    header: str
    """The name that the tag object itself carries; empty where the tag is lightweight."""


def resolve(repo: Path, tag: str | None = None) -> Tag:
    """The tag to ship: `tag`, or the newest version tag that HEAD can reach.

    Newest is the highest by PEP 440, so that a prerelease stands before its final. Runs git only to read.

    Raises `TagRefused` (nothing was changed) for a folder that is no repository, no tag, an unknown or hostile
    name, a tag object stored under another name, and a tag that named another commit when it was packed before.
    """
    if tag is not None:
        check_name(tag)
    head = _head(repo)
    ref = _newest(repo, head) if tag is None else _named(repo, tag)
    if ref.kind == "tag" and ref.header != ref.name:
        raise TagRefused(
            f"the tag object says it is `{_shown(ref.header)}`: it is stored under another name",
            where=ref.name,
            cure="make a new tag with `git tag -a`; someone may have put an old signed tag under a new name",
        )
    found = _describe(repo, ref, head)
    check_not_moved(found, tagbook.read(repo))
    return found


def of_head(repo: Path) -> Tag:
    """What HEAD names, as if it were tagged `HEAD`: for what is tried and never shipped. Raises `TagRefused`."""
    head = _head(repo)
    if head.commit is None:
        raise TagRefused("nothing is committed yet", where=str(repo), cure='git commit -m "First"')
    seconds = int(git.run(repo, "rev-list", "--no-walk", "--timestamp", head.commit, "--").split()[0])
    changes = _changes(repo) if head.has_tree else ()
    named = _Ref("HEAD", "tag", head.commit, "HEAD")
    warnings = _warnings(named, changes, off_branch=False)
    return Tag(
        "HEAD", head.commit, dt.datetime.fromtimestamp(seconds, dt.UTC), True, head.commit, 0, bool(changes), warnings
    )


def check_name(name: str) -> None:
    """Raise `TagRefused` unless `name` is one that files, units and hosts can carry safely."""
    what = ""
    if not _GRAMMAR.match(name):
        what = "a tag begins with a letter or digit and holds only letters, digits and . _ + / -"
    elif len(name) > _LONGEST:
        what = f"a tag has at most {_LONGEST} characters"
    elif ".." in name or "//" in name or "/." in name or name.endswith(("/", ".", ".lock")) or ".lock/" in name:
        what = "a tag has no `..`, `//` or `/.`, and does not end in `/`, `.` or `.lock`"
    if what:
        raise TagRefused(what, where=_shown(name), cure="name releases as v1.4.0")


def check_not_moved(tag: Tag, known: Mapping[str, str]) -> None:
    """Raise `TagRefused` when `known` (tag name to commit id) has another commit for this tag's name."""
    before = known.get(tag.name)
    if before is not None and before != tag.commit:
        raise TagRefused(
            f"the tag has moved: it was shipped as commit {before[:12]}, and now names {tag.commit[:12]}",
            where=tag.name,
            cure="a tag names one commit for ever: put it back "
            f"(git tag -f {tag.name} {before[:12]}), and give the new commit a new tag",
        )


@dataclass(frozen=True)
class _Head:
    commit: str | None
    """None before the first commit."""
    has_tree: bool
    """False in a bare repository."""
    shallow: bool


def _head(repo: Path) -> _Head:
    flags = git.run(repo, "rev-parse", "--is-inside-work-tree", "--is-shallow-repository").split()
    try:
        commit = git.run(repo, "rev-parse", "--verify", "--quiet", "HEAD^{commit}").decode().strip()
    except git.GitFailed:
        commit = ""
    return _Head(commit or None, has_tree=flags[0] == b"true", shallow=flags[1] == b"true")


def _refs(repo: Path, *words: str) -> list[_Ref]:
    lines = git.run(repo, "for-each-ref", f"--format={_FIELDS}", *words).decode("utf-8", "replace").split("\n")
    rows = (line.split("\0") for line in lines if line)
    return [_Ref(row[0].removeprefix("refs/tags/"), row[1], row[2], row[3]) for row in rows if len(row) == 4]


def _named(repo: Path, name: str) -> _Ref:
    for ref in _refs(repo, f"refs/tags/{name}"):
        if ref.name == name:
            return ref
    import difflib  # only on the way to an error

    refs = _refs(repo, "refs/tags/")
    near = (
        difflib.get_close_matches(name, [ref.name for ref in refs], 3)
        or [ref.name for ref in _newest_first(refs)[:3]]
        or [ref.name for ref in _newest_first(_refs(repo, "refs/tags/"))[:3]]
    )
    raise TagRefused(
        "there is no such tag",
        where=name,
        cure=f"did you mean {' or '.join(map(_shown, near))}?" if near else f"make it: {_FIRST_TAG}",
    )


def _newest(repo: Path, head: _Head) -> _Ref:
    if head.commit is None:
        raise TagRefused(
            "nothing is committed yet", where=str(repo), cure=f'git commit -m "First", then {_FIRST_TAG}'
        )
    reachable = _newest_first(_refs(repo, f"--merged={head.commit}", "refs/tags/"))
    if reachable:
        return reachable[0]
    everywhere = [ref.name for ref in _refs(repo, "refs/tags/")]
    if head.shallow:
        raise TagRefused(
            "no version tag can be reached in this shallow clone",
            where=str(repo),
            cure="git fetch --unshallow --tags (in CI: check out with the full history and tags)",
        )
    if everywhere:
        shown = ", ".join(_shown(name) for name in everywhere[:3])
        raise TagRefused(
            f"HEAD reaches no version tag, though the repository has tags ({shown})",
            where=str(repo),
            cure=f"name one with --tag, or make one here: {_FIRST_TAG}",
        )
    raise TagRefused("there is no tag yet", where=str(repo), cure=_FIRST_TAG)


def _newest_first(refs: Iterable[_Ref]) -> list[_Ref]:
    """Those of `refs` that are versions, the highest first; equal versions (1.0, v1.0.0) by name."""
    from packaging.version import InvalidVersion, Version  # 4 ms, where no tag is named

    ranked = []
    for ref in refs:
        if not _GRAMMAR.match(ref.name):
            continue
        try:
            ranked.append((Version(ref.name), ref.name, ref))
        except InvalidVersion:
            continue
    ranked.sort(key=lambda row: row[:2], reverse=True)
    return [row[2] for row in ranked]


def _describe(repo: Path, ref: _Ref, head: _Head) -> Tag:
    try:
        named = git.run(repo, "rev-list", "--no-walk", "--timestamp", f"refs/tags/{ref.name}^{{commit}}", "--")
    except git.GitFailed:
        raise TagRefused(
            "the tag names no commit that is here", where=ref.name, cure="fetch it: git fetch --tags"
        ) from None
    seconds, commit = int(named.split()[0]), named.split()[1].decode()
    try:
        time = dt.datetime.fromtimestamp(seconds, dt.UTC)
    except (OverflowError, ValueError, OSError):
        raise TagRefused(f"the commit's time ({seconds} s) is no date", where=ref.name) from None
    behind, ahead = (0, 0)
    if head.commit is not None and head.commit != commit:
        counts = git.run(repo, "rev-list", "--left-right", "--count", f"{commit}...{head.commit}", "--").split()
        behind, ahead = int(counts[0]), int(counts[1])
    changes = _changes(repo) if head.has_tree else ()
    warnings = _warnings(ref, changes, off_branch=bool(behind))
    return Tag(ref.name, commit, time, ref.kind == "tag", ref.object, ahead, bool(changes), warnings)


def _changes(repo: Path) -> Sequence[str]:
    """Paths of the working tree that git would list as changed or new, those of tagship itself left out."""
    rows = git.run(repo, "status", "--porcelain", "-z", "--no-renames", "--ignore-submodules=none", "--", ".")
    paths = (row[3:].decode("utf-8", "replace") for row in rows.split(b"\0") if row)
    return [path for path in paths if ".tagship" not in path.split("/")]


def _warnings(ref: _Ref, changes: Sequence[str], *, off_branch: bool) -> tuple[str, ...]:
    found = []
    if ref.kind != "tag":
        found.append(f"{ref.name} is a lightweight tag: it says neither who made it nor when (git tag -a)")
    if off_branch:
        found.append(f"HEAD does not contain {ref.name}: it is on another branch, or newer")
    if changes:
        files = "1 file" if len(changes) == 1 else f"{len(changes)} files"
        shown = ", ".join(_shown(path) for path in changes[:3]) + (", ..." if len(changes) > 3 else "")
        found.append(f"the working tree is not what ships: {files} not committed ({shown})")
    return tuple(found)


def _shown(text: str) -> str:
    """`text` safe for a terminal: control and odd characters escaped, long ones cut."""
    text = text if text.isprintable() and text else ascii(text)
    return text if len(text) <= 80 else text[:77] + "..."
