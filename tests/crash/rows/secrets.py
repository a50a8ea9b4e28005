"""Secrets: a value that comes in by any door appears in no argument list, log, JSON, journal or traceback."""

from __future__ import annotations

import base64
import os
import subprocess
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

from crash.matrix import Trial, Violated, fault
from crash.worlds import LONG, World, embedded

RAW = "s3ntinel/{}+value of=it"
DOORS = ("fab env", "env file", "variable of the client", "webhook")
ENDS = ("well", "prepare fails", "smoke fails", "start fails", "a hook fails")

SPILL = """\
import base64, os, sys, urllib.parse
for name in ("FED_TOKEN", "FILE_PASSWORD", "CLIENT_TOKEN"):
    value = os.environ.get(name, "")
    print(name, value, repr(value), flush=True)
    print(base64.b64encode(("user:" + value).encode()).decode(), flush=True)
    print("https://user:" + urllib.parse.quote(value, safe="") + "@example.org/?" + urllib.parse.quote_plus(value))
    sys.stderr.write(value[:9])
    sys.stderr.flush()
    sys.stderr.write(value[9:] + "\\n")
raise SystemExit(open("behaviour.txt").read() == sys.argv[1] and "it failed with " + value)
"""


@fault("secrets", holds="in no argv, log, JSON, journal, traceback")
def secrets(trial: Trial) -> None:
    """Values that come in by every door, and commands that print them in every spelling as they fail."""
    values = {door: RAW.format(f"{trial.dice(door).getrandbits(64):016x}") for door in DOORS}
    with embedded(trial.scratch) as world:
        _prepare(world, values)
        for end in trial.choose(ENDS, quick=2):
            with trial.at(end), _arguments() as seen:
                said = _said(world, end, values)
                _look(values, {"what fab said": "".join(said), "an argument list": "\n".join(seen)})
                _look(values, dict(_files(world)))


def _prepare(world: World, values: Mapping[str, str]) -> None:
    """A project whose commands spill what they know, and a value behind each door."""
    project = world.project
    project.write({"spill.py": SPILL})
    project.edit("tagship.yml", r"(?m)^    - python3 hold.py", "    - python3 spill.py prepare")
    project.edit("tagship.yml", r"(?m)^app:", "app:\n  smoke: python3 spill.py smoke\n  env: settings.env")
    text = (project.folder / "tagship.yml").read_text()
    hook = "hooks:\n  - before: flip\n    run: python3 spill.py hook\n"
    notify = "notify:\n  - env: HOOK_URL\n"
    project.write({"tagship.yml": f"{text}\n{hook}{notify}"})
    start = "python3 serve.py"
    project.edit("tagship.yml", start, "sh -c 'python3 spill.py start && exec python3 serve.py $0'")
    project.env |= {
        "CLIENT_TOKEN": values["variable of the client"],
        "HOOK_URL": f"http://127.0.0.1:9/{quote(values['webhook'], safe='')}",
    }
    shared = project.root / "shared"
    shared.mkdir(parents=True)
    with os.fdopen(os.open(shared / "settings.env", os.O_WRONLY | os.O_CREAT, 0o600), "w") as file:
        file.write(f"FILE_PASSWORD={values['env file']}\n")
    argv = ["fab", "env", "set", "FED_TOKEN", "--stage", world.stage]
    fed = values["fab env"] + "\n"
    done = subprocess.run(
        argv,
        cwd=project.folder,
        env=project.env,
        input=fed,
        capture_output=True,
        text=True,
        timeout=LONG,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def _said(world: World, end: str, values: Mapping[str, str]) -> Iterator[str]:
    """All that verbs say around a deploy that ends so: for people and for programs, and a page."""
    del values
    kind = {"prepare fails": "prepare", "smoke fails": "smoke", "start fails": "start", "a hook fails": "hook"}
    for number, flags in enumerate((("--json",), ())):
        tag = f"v{ENDS.index(end) + 1}.{number}"
        world.tag(tag, kind.get(end, "well"))
        page = world.project.home / "page.md"
        words = ("deploy", "--tag", tag, "--summary", str(page), *flags)
        done = _run(world, *words)
        if (done.returncode == 0) != (end == "well"):
            raise Violated(f"exit {done.returncode}: {done.stdout[-1500:]}{done.stderr[-1500:]}")
        yield done.stdout + done.stderr + (page.read_text() if page.exists() else "")
    for words in (("history",), ("logs",), ("status",), ("env",), ("plan",), ("doctor",), ("releases", "--json")):
        done = _run(world, *words)
        yield done.stdout + done.stderr


def _run(world: World, *words: str) -> subprocess.CompletedProcess[str]:
    argv = ["fab", *words, "--stage", world.stage]
    return subprocess.run(
        argv,
        cwd=world.project.folder,
        env=world.project.env,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=LONG,
        check=False,
    )


@contextmanager
def _arguments() -> Iterator[list[str]]:
    """Every argument list on this machine, looked at again and again meanwhile."""
    seen: set[str] = set()
    shown: list[str] = []
    over = threading.Event()

    def look() -> None:
        while not over.wait(0.005):
            for entry in Path("/proc").glob("[0-9]*/cmdline"):
                try:
                    seen.add(entry.read_bytes().replace(b"\0", b" ").decode(errors="replace"))
                except OSError:
                    continue
            shown[:] = seen

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    try:
        yield shown
    finally:
        over.set()
        thread.join()


def _files(world: World) -> Iterator[tuple[str, str]]:
    """What was written, here and on the host, but where a value belongs and what the application has logged."""
    root, folder = world.project.root, world.project.folder
    kept = {root / "shared" / "settings.env"}
    for path in sorted(folder.rglob("*")):
        below_root = path.relative_to(root).parts if path.is_relative_to(root) else ()
        own = below_root[:2] == ("state", "log") and "stage" not in path.name
        if path.is_file() and not path.is_symlink() and path not in kept and below_root[:1] != ("env",) and not own:
            yield str(path.relative_to(folder)), path.read_bytes().decode(errors="replace")


def _look(values: Mapping[str, str], places: Mapping[str, str]) -> None:
    for place, text in places.items():
        for door, value in values.items():
            for spelling, form in _spellings(value).items():
                if form in text:
                    where = text.index(form)
                    around = text[max(0, where - 120) : where].rpartition("\n")[2]
                    raise Violated(f"{place} holds the value of {door}, {spelling}: {around!r}...")


def _spellings(value: str) -> dict[str, str]:
    data = value.encode()
    return {
        "raw": value,
        "in base64": base64.b64encode(data).decode().rstrip("=")[:-1],
        "in base64 behind five others": base64.b64encode(b"user:" + data).decode()[8:-4],
        "URL-encoded": quote(value, safe=""),
        "its second half": value[9:],
    }
