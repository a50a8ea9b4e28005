"""A new project: the files of `files/`, with the project's name, title and date put in. Nothing is overwritten.

The files are templates only where they must be: `%%NAME%%`, `%%TITLE%%`, `%%DATE%%` and their like are replaced,
`dot-` begins what is hidden in the project, and the first post's name begins with the date.
"""

from __future__ import annotations

import datetime as dt
import os
import re
import unicodedata
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath

import tagship
from tagship.errors import UsageError

FILES = Path(__file__).with_name("files")
FALLBACK_NAME = "site"
"""The app's name where nothing of the folder's name can be kept."""

_NAME = re.compile(r"[a-z][a-z0-9-]{0,30}\Z")
_HOST = re.compile(r"[A-Za-z0-9][A-Za-z0-9.-]{0,252}\Z")
_USER = re.compile(r"[a-z_][a-z0-9_-]{0,31}\Z")


def write(folder: Path, *, today: dt.date, name: str | None = None, hosts: Sequence[str] = ()) -> tuple[Path, ...]:
    """Write a small complete project into `folder`, made where it is missing; returns the files, sorted.

    `today` dates the first post. `name` is the app's; made from the folder's where it is left out. `hosts`, each
    `HOST` or `USER@HOST`, make the stage `production`, and the first one the site's URL. Raises `UsageError`, before
    anything is written, for a bad name or host and for files that are there already.
    """
    fleet = [_read_host(host) for host in hosts]
    words = {
        "NAME": _checked(name) if name is not None else name_from(folder),
        "URL": f"http://{fleet[0][1]}" if fleet else "http://127.0.0.1:8000",
        "PRODUCTION": _production(fleet),
        "TITLE": _title(folder),
        "DATE": today.isoformat(),
        "VERSION": tagship.__version__,
    }
    files = {folder / target: text for target, text in _rendered(words)}
    _refuse_overwriting(folder, files)
    try:
        for path, text in files.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("x", encoding="utf-8", newline="\n") as out:
                out.write(text)
    except OSError as error:
        raise UsageError(
            error.strerror or str(error), where=str(error.filename or folder), cure="choose a folder you may write to"
        ) from None
    return tuple(sorted(files))


def next_steps(folder: Path, hosts: Sequence[str] = ()) -> tuple[str, ...]:
    """What to type after `write`, a line each, to see the project live: on `hosts`, else on this machine."""
    stage = " --stage production" if hosts else ""
    return (
        "",
        "Next:",
        f"  cd {folder}",
        "  git init && git add --all && git commit --message 'Begin'",
        "  git tag --annotate v0.1.0 --message 'First release'",
        *([f"  fab setup{stage}"] if hosts else []),
        f"  fab deploy{stage}",
    )


def name_from(folder: Path) -> str:
    """The app's name that a folder's name suggests: `My Site 2` gives `my-site-2`, `1st` gives `site-1st`."""
    text = unicodedata.normalize("NFKD", _last(folder)).encode("ascii", "ignore").decode().lower()
    text = re.sub(r"[^a-z0-9]+", "-", text).strip("-")
    if not text:
        return FALLBACK_NAME
    return (text if text[0].isalpha() else f"{FALLBACK_NAME}-{text}")[:31].rstrip("-")


def _last(folder: Path) -> str:
    return Path(os.path.abspath(folder)).name  # noqa: PTH100 (`.` and `..` have names of their own only so)


def _title(folder: Path) -> str:
    """The folder's name as a title, made of what YAML takes as plain text."""
    words = re.findall(r"\w+", _last(folder))
    return " ".join(word[:1].upper() + word[1:] for word in words if not word.isdigit()) or "My site"


def _checked(name: str) -> str:
    if not _NAME.match(name):
        raise UsageError(
            f"`{name}` can't be an app's name", where="--name", cure="a-z, 0-9 and `-`, a letter first, at most 31"
        )
    return name


def _read_host(text: str) -> tuple[str, str]:
    """User (empty where none is said) and host of `USER@HOST`."""
    user, _, host = text.rpartition("@")
    if not _HOST.match(host) or (user and not _USER.match(user)) or text.startswith("@"):
        raise UsageError(f"`{text}` is no HOST or USER@HOST", where="--host", cure="--host deploy@web1.example.org")
    return user, host


def _production(fleet: Sequence[tuple[str, str]]) -> str:
    """The stage of these hosts, as lines of tagship.yml."""
    if not fleet:
        return ""
    hosts = "".join(f"      - host: {host}\n" + (f"        user: {user}\n" if user else "") for user, host in fleet)
    return f"  production:\n    hosts:\n{hosts}"


def _rendered(words: dict[str, str]) -> Iterator[tuple[PurePosixPath, str]]:
    for source in sorted(FILES.rglob("*")):
        if source.is_file() and "__pycache__" not in source.parts:
            text = source.read_text(encoding="utf-8")
            for word, value in words.items():
                text = text.replace(f"%%{word}%%", value)
            yield _target(PurePosixPath(source.relative_to(FILES)), words), text


def _target(source: PurePosixPath, words: dict[str, str]) -> PurePosixPath:
    parts = [re.sub(r"\Adot-", ".", part) for part in source.parts]
    if parts[0] == "posts":
        parts[-1] = f"{words['DATE']}-{parts[-1]}"
    return PurePosixPath(*parts)


def _refuse_overwriting(folder: Path, files: dict[Path, str]) -> None:
    taken = [path for path in files if os.path.lexists(path)]
    blocked = {
        parent
        for path in files
        for parent in path.parents
        if (parent == folder or folder in parent.parents)
        and os.path.lexists(parent)
        and not _is_folder(parent, folder)
    }
    if taken or blocked:
        names = ", ".join(str(path.relative_to(folder)) for path in sorted({*taken, *blocked}))
        raise UsageError(
            f"already there: {names}", where=str(folder), cure="nothing was written; choose another folder"
        )


def _is_folder(path: Path, top: Path) -> bool:
    """A real folder; a link would lead what we write out of the project, so only the project itself may be one."""
    return path.is_dir() and (path == top or not path.is_symlink())
