"""Behaviour 20: a secret, by whichever door it came in, is in no output, argument list, log, journal or traceback."""

from __future__ import annotations

import base64
import html
import json
import os
import re
import shutil
import subprocess
import textwrap
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote, quote_plus

from verbs.project import PATIENCE, Project

KEY = "-----BEGIN KEY-----\n" + "\n".join(textwrap.wrap("Mi7/sentinel+Ke" * 40, 64)) + "\n-----END KEY-----"
"""Of many lines: an env file has it on one, with `\\n` between them."""
VALUES = {
    "KEY": KEY.replace("\n", "\\n"),
    "FED": "fed-s3ntinel/+value of=it",
    "FILE": "file-s3ntinel/'\"<value>&é",
    "CLIENT_TOKEN": "client-s3ntinel/?value=1",
    "HOOK_URL": "http://127.0.0.1:9/services/hook-s3ntinel%2Fvalue",
}
SPILL = '''\
"""Prints all that it knows in every spelling, split over writes and folded over lines; then it may fail."""

import base64, html, json, os, re, sys, urllib.parse

for name in ("KEY", "FED", "FILE", "CLIENT_TOKEN", "HOOK_URL"):
    value = os.environ.get(name, "").replace("\\\\n", "\\n")
    print(name, value, repr(value), json.dumps(value), html.escape(value), flush=True)
    print(base64.b64encode(("user:" + value).encode()).decode())
    print(urllib.parse.quote(value, safe=""), re.sub("%..", lambda m: m[0].lower(), urllib.parse.quote_plus(value)))
    sys.stdout.flush()
    sys.stderr.write(value[:9])
    sys.stderr.flush()
    sys.stderr.write(value[9:] + "\\n")
    sys.stderr.flush()
print(base64.encodebytes(("k:" + os.environ.get(sys.argv[2], "")).encode()).decode(), flush=True)
if open("behaviour.txt").read() == sys.argv[1]:
    raise RuntimeError("it failed with " + os.environ.get(sys.argv[2], "nothing"))
'''
FUNCTION = """

@tagship.after("stage")
def spill(_change):
    if pathlib.Path("behaviour.txt").read_text() == "function":
        raise RuntimeError("it failed with " + os.environ["CLIENT_TOKEN"])
"""


def spill_everywhere(project: Project) -> None:
    """A project whose commands, service and hooks spill what they know, and a value behind each door."""
    project.write({"spill.py": SPILL})
    project.edit("tagship.yml", r"(?m)^    - python3 hold.py", "    - python3 spill.py prepare KEY")
    project.edit("tagship.yml", r"(?m)^app:", "app:\n  env: settings.env\n  smoke: python3 spill.py smoke KEY")
    spilling = "sh -c 'python3 spill.py start KEY && exec python3 serve.py $0' {socket}"
    project.edit("tagship.yml", r"(?m)^  start: .*", f'  start: "{spilling}"')
    text = (project.folder / "tagship.yml").read_text()
    more = "hooks:\n  - {before: flip, run: python3 spill.py hook CLIENT_TOKEN}\nnotify:\n  - env: HOOK_URL\n"
    project.write({"tagship.yml": f"{text}\n{more}"})
    fabfile = (project.folder / "fabfile.py").read_text()
    project.write({"fabfile.py": f"import os\nimport pathlib\n\nimport tagship\n{fabfile}{FUNCTION}"})
    project.env |= {name: VALUES[name] for name in ("CLIENT_TOKEN", "HOOK_URL")}
    shared = project.root / "shared"
    shared.mkdir(parents=True)
    with os.fdopen(os.open(shared / "settings.env", os.O_WRONLY | os.O_CREAT, 0o600), "w") as file:
        file.write(f"FILE={VALUES['FILE']}\n")


def fed(project: Project, name: str) -> str:
    """`fab env set`, which reads the value from its standard input; what it said."""
    argv = ["fab", "env", "set", name]
    done = subprocess.run(
        argv,
        cwd=project.folder,
        env=project.env,
        input=VALUES[name] + "\n",
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def spellings(value: str) -> Iterator[str]:
    """What of a value can be read in a text from which line breaks were taken, in any spelling."""
    plain = value.replace("\\n", "\n")
    for one in (value, plain, *(line for line in plain.split("\n") if "KEY" not in line)):
        yield from (one.replace("\n", ""), repr(one)[1:-1], json.dumps(one)[1:-1], html.escape(one))
        yield from (
            quote(one, safe=""),
            quote(one),
            quote_plus(one),
            re.sub("%..", lambda m: m[0].lower(), quote_plus(one)),
        )
        for before in range(3):
            coded = base64.b64encode(b"x" * before + one.encode()).decode()
            yield coded[4:-4]


def read(text: str) -> list[str]:
    """Names of the values of which something can be read: 12 characters in a row of any spelling."""
    bare = text.replace("\n", "").replace("\\n", "")
    found = []
    for name, value in VALUES.items():
        pieces = {form[at : at + 12] for form in spellings(value) for at in range(0, max(1, len(form) - 11), 3)}
        common = {piece for piece in pieces if piece in "http://127.0.0.1:9/services/hook-"}
        if any(piece in bare for piece in pieces - common if len(piece) == 12):
            found.append(name)
    return found


@contextmanager
def arguments() -> Iterator[set[str]]:
    """Every argument list on this machine, looked at again and again meanwhile."""
    seen: set[str] = set()
    over = threading.Event()

    def look() -> None:
        while not over.is_set():
            for entry in Path("/proc").glob("[0-9]*/cmdline"):
                try:
                    seen.add(entry.read_bytes().replace(b"\0", b" ").decode(errors="replace"))
                except OSError:
                    continue  # it has ended

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield seen
    finally:
        over.set()
        thread.join()


def kept(project: Project) -> Iterator[tuple[str, str]]:
    """What lies on disk of project and host, but for the files that hold the values, and the service's own log."""
    own = {project.root / "shared" / "settings.env"}
    for path in sorted(project.folder.rglob("*")):
        is_log = path.parent.name == "log" and path.suffixes == [".log"] and path.name[:4].isdigit()
        if not path.is_file() or path.is_symlink() or path in own or path.parent == project.root / "env":
            continue
        if not (is_log and not path.name.endswith(".stage.log")):
            yield str(path.relative_to(project.folder)), path.read_bytes().decode(errors="replace")


def test_a_secret_is_nowhere_to_be_read(project: Project) -> None:
    """However a deploy ends, whatever is asked afterwards: raw, quoted, URL-encoded, in base64, split and folded."""
    spill_everywhere(project)
    said = {"env set": fed(project, "KEY") + fed(project, "FED")}
    page = project.home / "page.md"
    ends = ("well", "prepare", "smoke", "start", "hook", "function")
    with arguments() as seen:
        for end in ends:
            tag = project.tag_next({"behaviour.txt": end, "version.txt": end})
            for flags in ((), ("--json",)) if end in ("prepare", "function") else ((),):
                done = run(project, "fab", "deploy", "--tag", tag, "--summary", str(page), *flags)
                assert (done.returncode == 0) == (end == "well"), done.stdout + done.stderr
                said[f"{end} {flags}"] = done.stdout + done.stderr
        for verb in ("history", "status", "doctor", "plan", "logs"):
            done = run(project, "fab", verb)
            said[verb] = done.stdout + done.stderr
        for verb in ("history", "env", "verify", "logs"):
            done = run(project, "fab", verb, "--json")
            said[f"{verb} --json"] = done.stdout + done.stderr
        printed = run(project, "fab", "run", "--", "python3", "spill.py", "run", "KEY")
        said["run"] = printed.stdout + printed.stderr
    assert "it failed with" in said["prepare ()"]
    assert "it failed with" in said["function ()"]
    assert len(said["run"]) > 200
    assert len(seen) > 10
    assert {what: read(text) for what, text in said.items() if read(text)} == {}
    assert [line for line in seen if read(line)] == []
    assert read(page.read_text()) == []
    assert {where: read(text) for where, text in kept(project) if read(text)} == {}
    assert read(VALUES["FED"]) == ["FED"], "it finds what is there"


def run(project: Project, *argv: str) -> subprocess.CompletedProcess[str]:
    """A command to its end; a traceback of the project's own function is no bug of ours."""
    return subprocess.run(
        argv,
        cwd=project.folder,
        env=project.env,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


def test_credentials_of_a_remote_are_not_shown_where_git_fails(project: Project) -> None:
    """A partial clone fetches what is missing from its remote, whose address may hold a password nobody named."""
    address = "http://ann:s3ntinel-of-a-remote@127.0.0.1:9/blog.git"
    project.git("remote", "add", "origin", address)
    project.git("config", "remote.origin.promisor", "true")
    project.git("config", "extensions.partialClone", "origin")
    project.git("config", "remote.origin.partialclonefilter", "blob:none")
    blob = project.git("rev-parse", "v1.0.0:version.txt")
    (project.folder / ".git" / "objects" / blob[:2] / blob[2:]).unlink()
    shutil.rmtree(project.folder / ".tagship", ignore_errors=True)
    for flags in ((), ("--json",)):
        done = run(project, "fab", "deploy", *flags)
        assert done.returncode == 3, done.stdout + done.stderr
        assert "s3ntinel" not in done.stdout + done.stderr
        assert "Traceback" not in done.stderr
