"""Hostile trees: what a tag, or a client that isn't ours, may try to write outside or beside its release."""

from __future__ import annotations

import hashlib
import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from crash.matrix import Trial, Violated, fault
from crash.worlds import World, embedded
from unit.host.client import AgentError, Host, Release, blog, digest
from unit.host.client import tree as names_below

HOLDS = "the whole bundle refused, nothing written outside"
MARK = "hostile-mark"
"""In the name or the contents of everything hostile, so that a trace of it is found wherever it is."""

FILE, EXEC, LINK, TREE, COMMIT = "100644", "100755", "120000", "040000", "160000"
Entry = tuple[str, bytes, bytes]
"""Mode, name, and content (of a tree: its id)."""

IN_A_TAG: Mapping[str, Sequence[Entry]] = {
    "absolute link": [(LINK, b"l", b"/etc/passwd")],
    "link out": [(LINK, b"l", b"../hostile-mark")],
    "link out through a folder": [(LINK, b"l", b"posts/../../hostile-mark")],
    "link out through a link": [(LINK, b"a", b"."), (LINK, b"b", b"a/../hostile-mark")],
    "link to itself": [(LINK, b"l", b"l")],
    "empty link": [(LINK, b"l", b"")],
    "NUL in a link": [(LINK, b"l", b"a\0b")],
    "submodule": [(COMMIT, b"hostile-mark", b"1" * 40)],
    "up": [(FILE, b"..", b"hostile-mark")],
    "dot": [(FILE, b".", b"hostile-mark")],
    ".git": [(FILE, b".git", b"hostile-mark")],
    ".GIT": [(FILE, b".GIT", b"hostile-mark")],
    "newline": [(FILE, b"hostile-mark\nx", b"")],
    "escape": [(FILE, b"hostile-mark\x1b[31m", b"")],
    "not UTF-8": [(FILE, b"hostile-mark\xff", b"")],
    "long name": [(FILE, b"hostile-mark" + b"x" * 250, b"")],
    "missing blob": [(FILE, b"hostile-mark", b"OID:" + b"1" * 40)],
    "twice": [(FILE, b"hostile-mark", b"one"), (FILE, b"hostile-mark", b"two")],
    "file and folder": [(FILE, b"hostile-mark", b"one"), (TREE, b"hostile-mark", b"LEAF")],
    "a million entries": [(TREE, b"hostile-mark", b"BOMB")],
    "a folder in a folder, 2000 deep": [(TREE, b"hostile-mark", b"DEEP")],
}
"""What git's plumbing can write, though git itself wouldn't."""

SHA = hashlib.sha256(MARK.encode()).hexdigest()
SIZE = len(MARK)
FROM_A_CLIENT: Mapping[str, list[Any]] = {
    "absolute": [["/hostile-mark", "f", SHA, SIZE]],
    "up": [["app/../../hostile-mark", "f", SHA, SIZE]],
    "beside its rooms": [["hostile-mark", "f", SHA, SIZE]],
    "its own record": [["release.json", "f", SHA, SIZE]],
    "a room": [["app", "f", SHA, SIZE]],
    "a room that is a link": [["app", "l", "/tmp"]],
    "NUL": [["app/hostile-mark\0", "f", SHA, SIZE]],
    "newline": [["app/hostile-mark\n", "f", SHA, SIZE]],
    "lone surrogate": [["app/hostile-mark\ud800", "f", SHA, SIZE]],
    "long name": [["app/" + "x" * 256, "f", SHA, SIZE]],
    "long path": [["app/" + "x/" * 3000 + "y", "f", SHA, SIZE]],
    "empty part": [["app//hostile-mark", "f", SHA, SIZE]],
    "twice": [["app/hostile-mark", "f", SHA, SIZE], ["app/hostile-mark", "x", SHA, SIZE]],
    "file and folder": [["app/hostile-mark", "f", SHA, SIZE], ["app/hostile-mark/x", "f", SHA, SIZE]],
    "link and folder": [["app/a", "l", "b"], ["app/a/hostile-mark", "f", SHA, SIZE]],
    "absolute link": [["app/l", "l", "/etc/passwd"]],
    "link out": [["app/l", "l", "../../hostile-mark"]],
    "link out through a link": [["app/a", "l", "."], ["app/b", "l", "a/../../hostile-mark"]],
    "links in a circle": [["app/a", "l", "b"], ["app/b", "l", "a"]],
    "device": [["app/hostile-mark", "c", SHA, SIZE]],
    "fifo": [["app/hostile-mark", "p", SHA, SIZE]],
    "setuid": [["app/hostile-mark", "s", SHA, SIZE]],
    "mode as a number": [["app/hostile-mark", 0o104755, SHA, SIZE]],
    "path for a digest": [["app/hostile-mark", "f", "../../../etc/passwd", SIZE]],
    "negative size": [["app/hostile-mark", "f", SHA, -1]],
    "no list": ["app/hostile-mark"],
    "a million entries": [],
}
"""Rows of a manifest, as an altered client could declare them."""


@fault("hostile-tree-in-a-tag", holds=HOLDS)
def in_a_tag(trial: Trial) -> None:
    """Made by git's plumbing beside the files of a good tag; this side refuses it before a host hears of it."""
    with embedded(trial.scratch / "w") as world:
        world.tag("v1")
        world.must("deploy", "--tag", "v1")
        for number, name in enumerate(trial.choose(list(IN_A_TAG), quick=len(IN_A_TAG))):
            with trial.at(name):
                tag = f"v9.{number}"
                if not _tag_of(world, tag, IN_A_TAG[name]):
                    trial.notes.append(f"{name}: git itself can't write it")
                    continue
                before = world.project.snapshot()
                ended = world.fab("deploy", "--tag", tag)
                if ended.exit not in (2, 3):
                    raise Violated(f"it was not refused: {ended.words}")
                if world.project.snapshot() != before:
                    raise Violated("something changed on the host")
                _unmarked(trial.scratch)
                world.whole(["v1"])


@fault("hostile-tree-from-a-client", holds=HOLDS)
def from_a_client(trial: Trial) -> None:
    """Declared to the agent itself, which trusts no client."""
    home, root = trial.scratch / "home", trial.scratch / "root"
    home.mkdir()
    for name in trial.choose(list(FROM_A_CLIENT), quick=len(FROM_A_CLIENT)):
        with trial.at(name):
            host = Host(home, root)
            agent = host.locked()
            try:
                before = list(names_below(trial.scratch))
                _declare(agent, name)
                if list(names_below(trial.scratch)) != before:
                    raise Violated("something was written")
                _unmarked(trial.scratch)
            finally:
                agent.close()


def _declare(agent: Any, name: str) -> None:
    rows = FROM_A_CLIENT[name]
    if name == "a million entries":
        rows = [[f"app/n{number}", "l", "x"] for number in range(1_000_000)]
    good: Release = blog(1)
    try:
        whole = sorted([*rows, *good.rows])
        manifest = digest(whole)
    except TypeError:
        whole, manifest = [*rows, *good.rows], "0" * 64
    try:
        agent.ask("declare", **{**good.declaration(), "put": whole, "manifest": manifest})
    except AgentError as error:
        if error.kind not in ("refused", "usage"):
            raise Violated(f"it was not refused, but: {error}") from None
    except (EOFError, BrokenPipeError):
        pass  # more than a frame may hold: the session ends
    else:
        raise Violated("it was taken")


def _tag_of(world: World, tag: str, entries: Sequence[Entry]) -> bool:
    """A tag of the project's tree and `entries`; false where git can't write such a tree."""
    listing = _git(world, "ls-tree", "-z", "HEAD")
    for mode, name, content in entries:
        kind = {COMMIT: "commit", TREE: "tree"}.get(mode, "blob")
        listing += f"{mode} {kind} {_object(world, mode, content)}\t".encode() + name + b"\0"
    try:
        tree = _git(world, "mktree", "-z", "--missing", stdin=listing).decode().strip()
        commit = _git(world, "commit-tree", tree, "-m", tag).decode().strip()
    except subprocess.CalledProcessError:
        return False
    _git(world, "tag", "--annotate", tag, "--message", tag, commit)
    return True


def _object(world: World, mode: str, content: bytes) -> str:
    if mode == COMMIT:
        return content.decode()
    if content.startswith(b"OID:"):
        return content[4:].decode()
    if mode != TREE:
        return _git(world, "hash-object", "-w", "--stdin", stdin=content).decode().strip()
    leaf = _git(world, "hash-object", "-w", "--stdin", stdin=b"").decode().strip()
    wide, levels = {b"LEAF": (1, 1), b"BOMB": (10, 6), b"DEEP": (1, 2000)}[content]
    entry = f"{FILE} blob {leaf}"
    for _level in range(levels):
        below = _git(world, "mktree", "-z", stdin="".join(f"{entry}\tn{n}\0" for n in range(wide)).encode())
        entry = f"{TREE} tree {below.decode().strip()}"
    return entry.split()[2]


def _git(world: World, *words: str, stdin: bytes = b"") -> bytes:
    argv = ["git", *words]
    done = subprocess.run(
        argv, cwd=world.project.folder, env=world.project.env, input=stdin, capture_output=True, check=True
    )
    return done.stdout


def _unmarked(scratch: Path) -> None:
    """Nothing that was hostile lies anywhere on the host, nor beside it."""
    for top in (scratch, Path("/tmp"), Path("/etc")):
        deep = top == scratch
        for folder, folders, files in os.walk(top):
            if ".git" in folders:
                folders.remove(".git")
            marked = [name for name in (*folders, *files) if MARK in name]
            if marked:
                raise Violated(f"{folder} holds {marked}")
            if not deep:
                break
