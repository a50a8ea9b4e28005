"""Hostile YAML and front matter: a clear error, at once, and in little memory."""

from __future__ import annotations

import json
import os
import resource
import subprocess
from collections.abc import Mapping
from pathlib import Path

from crash.matrix import Trial, Violated, fault
from crash.worlds import World, embedded

SECONDS = 1.0
"""Of processor time beyond that of a clean run: a busy machine is no violation."""
BYTES = 100_000_000
"""Of memory beyond that of a clean run."""
MARKER = "was-executed"

BOMB = "a: &a [x,x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{new}: &{new} [{','.join(['*' + old] * 10)}]\n" for old, new in zip("abcdefgh", "bcdefghi", strict=True)
)
YAML: Mapping[str, str] = {
    "python object": f"x: !!python/object/apply:os.system ['touch {MARKER}']\n",
    "python name": "x: !!python/name:os.system\n",
    "python module": "x: !!python/module:os\n",
    "tag of its own": "x: !boom {a: 1}\n",
    "binary": "x: !!binary aG9zdGlsZQ==\n",
    "alias bomb": BOMB,
    "merge bomb": "a: &a {x: 1}\n" + "".join(f"b{n}: &b{n}\n  <<: [{'*a,' * 50}*a]\n" for n in range(2000)),
    "alias to itself": "a: &a [*a]\n",
    "100 MB scalar": "x: HUGE\n",
    "100 MB key": "HUGE: x\n",
    "a hundred thousand brackets": "x: " + "[" * 100_000 + "\n",
    "a hundred thousand levels": "".join(" " * n + "a:\n" for n in range(2000)),
    "NUL": "x: a\0b\n",
    "tab": "x:\n\t- y\n",
    "the same key twice": "x: 1\nx: 2\n",
    "another document": "x: 1\n--- \ny: 2\n",
    "a list": "- x\n",
    "unclosed quote": 'x: "' + "y" * 10_000 + "\n",
    "a number of a million digits": "x: " + "9" * 900_000 + "\n",
    "a sexagesimal of a million parts": "x: " + "9:59" * 200_000 + "\n",
}
SLUGS = ("../../etc/passwd", "/etc/passwd", "a/../../b", "..", ".", "a\\b", "a b", "%2e%2e", "a\nb", "x" * 300)
HUGE = 100_000_000


@fault("hostile-front-matter", holds="a clear error in < 1 s and < 100 MB")
def front_matter(trial: Trial) -> None:
    """As a post's front matter, in `inv build`."""
    cases = {name: f"---\ntitle: Bad\n{text}---\nText.\n" for name, text in YAML.items()}
    cases |= {f"slug {slug!r}": f"---\ntitle: Bad\nslug: {json.dumps(slug)}\n---\nText.\n" for slug in SLUGS}
    _each(trial, cases, lambda world: world.project.folder / "posts" / "2026-01-02-bad.md")


@fault("hostile-configuration", holds="a clear error in < 1 s and < 100 MB")
def configuration(trial: Trial) -> None:
    """As tagship.yml itself, behind what is good in it."""
    _each(trial, dict(YAML), lambda world: world.project.folder / "tagship.yml")


def _each(trial: Trial, cases: Mapping[str, str], place: object) -> None:
    with embedded(trial.scratch) as world:
        assert callable(place)
        path: Path = place(world)
        good = path.read_text() if path.exists() else ""
        clean = _build(world)
        if clean.status:
            raise AssertionError(clean.said)
        worst = (0.0, 0)
        for name in trial.choose(list(cases), quick=len(cases)):
            with trial.at(name):
                _write(path, good, cases[name])
                built = _build(world)
                spent, taken = built.seconds - clean.seconds, built.memory - clean.memory
                worst = (max(worst[0], spent), max(worst[1], taken))
                _check(world, built, path, spent, taken)
        trial.notes.append(f"at most {worst[0]:.2f} s and {worst[1] / 1e6:.0f} MB more than a clean build")


class _Built:
    """How a build ended, and what it took: processor seconds, and bytes at its peak."""

    def __init__(self, status: int, said: str, usage: resource.struct_rusage) -> None:
        self.status = status
        self.said = said
        self.seconds = usage.ru_utime + usage.ru_stime
        self.memory = usage.ru_maxrss * 1024


def _build(world: World) -> _Built:
    """`inv build`; waited for by itself, because the resources of children are told for all of them together."""
    said = world.project.home / "said"
    with said.open("wb") as out:
        process = subprocess.Popen(
            ["inv", "build"],
            cwd=world.project.folder,
            env=world.project.env,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
        )
        _pid, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    return _Built(process.returncode, said.read_text(errors="replace"), usage)


def _write(path: Path, good: str, text: str) -> None:
    before, huge, after = text.partition("HUGE")
    with path.open("w") as file:
        file.write(good + before)
        for _piece in range(HUGE // 1_000_000 if huge else 0):
            file.write("x" * 1_000_000)
        file.write(after)


def _check(world: World, built: _Built, path: Path, spent: float, taken: int) -> None:
    name = str(path.relative_to(world.project.folder))
    if built.status != 2:
        raise Violated(f"exit {built.status}, and a clear error is exit 2: {built.said[:2000]}")
    if name not in built.said or "cure" not in built.said or "Traceback" in built.said:
        raise Violated(f"the message doesn't say where and what to do: {built.said[:2000]}")
    if len(built.said) > 2000:
        raise Violated(f"the message has {len(built.said)} characters: {built.said[:300]}")
    if spent > SECONDS or taken > BYTES:
        raise Violated(f"it took {spent:.2f} s and {taken / 1e6:.0f} MB more than a clean build")
    if any(world.project.folder.parent.rglob(MARKER)):
        raise Violated("what it named was executed")
