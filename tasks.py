"""What `inv` can do here: the verbs that every project has, and the development of tagship itself."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from invoke import Context, Exit, task

from lab import needs
from tagship.report import Report
from tagship.verbs.local import build, check, clean, new, next, serve
from tagship.verbs.rehearsal import check_migrations

SYSTEM = {
    "git": "git",
    "sshd": "openssh-server",
    "strace": "strace",
    "faketime": "faketime",
    "mkfs.ext4": "e2fsprogs",
    "wrk": "wrk",
    "pg_createcluster": "postgresql",
}
"""Programs and files that some tests need, and the Debian packages that bring them."""

LOCKS = {
    "requirements/run.lock": ("3.11", ["pyproject.toml", "--group", "build"]),
    "requirements/dev.lock": ("3.11", ["pyproject.toml", "--group", "dev"]),
    "requirements.lock": ("3.9", ["requirements.in"]),
    "bench/requirements.lock": ("3.11", ["bench/requirements.in"]),
    "bench/peers/requirements.lock": ("3.11", ["bench/peers/requirements.in"]),
    "bench/press/requirements.lock": ("3.11", ["bench/press/requirements.in"]),
    **{
        f"examples/{name}/requirements.lock": ("3.10", [f"examples/{name}/requirements.in"])
        for name in ("django-notes", "django-polls", "fastapi-hello", "flask-hello")
    },
}
"""Each lock: the oldest Python that must be able to install it, and what it is compiled from."""

SAME_LOCK = Path("src/tagship/scaffold/files/requirements.lock")
"""What new projects begin with is what we run ourselves."""


@task
def demo(_context: Context) -> None:
    """Run the whole main job on this machine, in a scratch folder (KEEP=1 leaves it running)."""
    from tagship.scaffold import demo as whole  # kept out of `inv --list`

    raise SystemExit(whole.main(keep=os.environ.get("KEEP", "") not in {"", "0"}))


@task(help={"only": "a test file or folder, or a test after `::`"})
def test(context: Context, only: str = "") -> None:
    """Lint, check types, run the tests (LAB=1, CI=true: on real hosts too, with what they need installed)."""
    if os.environ.get("LAB") == "1" or os.environ.get("CI") == "true":
        _install_system_packages()
    lint(context)
    # Slow tests stand together: who has nothing left takes over from the other.
    _run(_tool("pytest"), "-n", "2", "--dist", "worksteal", *([only] if only else []))


@task
def lint(_context: Context) -> None:
    """Check style, format and types."""
    _run(_tool("ruff"), "check")
    _run(_tool("ruff"), "format", "--check")
    _run(_tool("mypy"))


# Invoke knows no positional argument that may be missing: the number is one where somebody typed a number.
@task(
    positional=["verb", *(["number"] if any(map(str.isdigit, sys.argv)) else [])],
    help={"verb": "up N, down, ssh I or reset I", "name": "which lab"},
)
def lab(_context: Context, verb: str, number: str | None = None, name: str = "dev") -> None:
    """Have real hosts on this machine: boot N of them, end all, open a shell on one, install one anew (as root)."""
    _run(sys.executable, "-m", "lab", "--name", name, verb, *([number] if number else []))


@task(
    help={
        "only": "starting, building, deploying, peers, many; or press; or serving, which writes docs/serving.md",
        "times": "repetitions of each kind of run (5; serving: 20)",
        "posts": "of how many posts the blog of `press` is (1000)",
    }
)
def bench(_context: Context, only: str = "", times: int = 0, posts: int = 0) -> None:
    """Measure what we promise about speed, on real hosts beside other tools too, and print it as ratios."""
    numbers = [
        word for flag, value in (("--times", times), ("--posts", posts)) if value for word in (flag, str(value))
    ]
    _run(sys.executable, "-m", "bench", *numbers, *([only] if only else []))


@task(
    help={
        "quick": "a part of the points of each fault, in under 10 minutes (the default)",
        "full": "every point, and the repetitions that docs/faults.md tells of: hours",
        "only": "one fault",
        "point": "one point of that fault, as a violation names it",
        "seed": "of all that is chance",
        "page": "write what a full run shows into docs/faults.md",
    }
)
def faults(
    _context: Context,
    quick: bool = False,
    full: bool = False,
    only: str = "",
    point: str = "",
    seed: int = 1,
    json: bool = False,
    page: bool = False,
) -> None:
    """Kill, cut, fill, tamper and race: inject every fault that we promise to survive, and tell what held."""
    told = (("quick", quick), ("full", full), ("json", json), ("page", page))
    switches = [f"--{name}" for name, on in told if on]
    named = [word for flag, value in (("--only", only), ("--point", point)) if value for word in (flag, value)]
    argv = [sys.executable, "-m", "crash", *switches, *named, "--seed", str(seed)]
    _run(*argv, env={**os.environ, "PYTHONPATH": os.pathsep.join(("tests", "."))}, told=not json)


@task(help={"pictures": "write docs/screenshots too"})
def check_theme(_context: Context, pictures: bool = False) -> None:
    """Look at the default theme in headless Chromium: axe-core, 360 px, print, light and dark (npm, chromium)."""
    _run(sys.executable, "-m", "browser", *(["--pictures"] if pictures else []))


@task(help={"sequences": "how many random sequences of edits (1000)"})
def never_stale(_context: Context, sequences: str = "1000") -> None:
    """Edit sites at random, break what is remembered, and hold every build against a clean one: the long run."""
    env = {**os.environ, "NEVER_STALE": str(int(sequences) if sequences.isdigit() else 1000)}
    _run(_tool("pytest"), "-q", "tests/unit/test_press_never_stale.py", env=env)


@task
def upstream(_context: Context) -> None:
    """Run Python-Markdown's own tests against our faster one, fetched as source; they must all pass."""
    _run(sys.executable, "-m", "upstream", env={**os.environ, "PYTHONPATH": os.pathsep.join(("tests", "."))})


@task(name="schema-proof", help={"only": "one part: pairs, alembic, sql, ladder, ladder-sqlite, load, lab (as root)"})
def schema_proof(_context: Context, only: str = "") -> None:
    """Prove what docs/schema.md promises on real PostgreSQL: each pair of ten releases, ten up and nine down."""
    argv = [sys.executable, "-m", "schema.proof", *(["--only", only] if only else [])]
    here = os.pathsep.join(str(Path(name).resolve()) for name in ("tests", "."))
    _run(*argv, env={**os.environ, "PYTHONPATH": here})


@task
def lock(_context: Context) -> None:
    """Compile every lock again, hash by hash, with the newest versions that fit."""
    uv = [found] if (found := shutil.which("uv")) else [sys.executable, "-m", "uv"]
    if subprocess.run([*uv, "--version"], capture_output=True, check=False).returncode:
        raise Exit("`inv lock` needs uv: put it on PATH, or `python -m pip install uv`", 2)
    flags = ["--quiet", "--upgrade", "--universal", "--generate-hashes", "--no-header", "--no-annotate"]
    for out, (python, sources) in LOCKS.items():
        _run(*uv, "pip", "compile", *flags, "--no-emit-index-url", "--python-version", python, *sources, "-o", out)
    shutil.copyfile("requirements.lock", SAME_LOCK)


def _tool(name: str) -> str:
    """A program of this virtualenv, also where it isn't activated."""
    return str(Path(sys.executable).with_name(name))


def _run(*argv: str, env: dict[str, str] | None = None, told: bool = True) -> None:
    """Show a command, if `told`, run it with our own input and output, and leave with its exit code if it fails."""
    if told:
        Report().lines(f"$ {' '.join([Path(argv[0]).name, *argv[1:]])}")
    try:
        done = subprocess.run(argv, check=False, env=env)
    except FileNotFoundError:
        raise Exit(f"there is no {argv[0]}: `make test` sets up what the checks need", 2) from None
    if done.returncode:
        raise Exit(code=done.returncode)


def _install_system_packages() -> None:
    missing = needs.absent({**SYSTEM, **needs.SYSTEM})
    if not missing:
        return
    as_root: Sequence[str] = () if os.geteuid() == 0 else ("sudo", "-n")
    if not all(map(shutil.which, ("apt-get", *as_root[:1]))):
        raise Exit(f"install these packages yourself, apt-get can't be used here: {', '.join(missing)}", 2)
    env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    _run(*as_root, "apt-get", "update", "-qq", env=env)
    _run(*as_root, "apt-get", "install", "-y", "-qq", "--no-install-recommends", *missing, env=env)
