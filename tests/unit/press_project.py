"""What the tests of the press share: a project from a mapping of paths to texts, and its build."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tagship import config
from tagship.errors import ContentError
from tagship.press.build import BuildReport, build

CLOCK = datetime(2026, 11, 20, 12, tzinfo=UTC)
SITE = config.Site(title="A <site>", url="https://example.org", author=config.Author(name="Ada & Co"))
HELLO = {"posts/2026-11-01-hello.md": "---\ntitle: Hello\ntags: [one]\n---\nThe *first* words.\n"}


def write(folder: Path, files: Mapping[str, str | bytes]) -> Path:
    """Write `files` below `folder`; returns it."""
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return folder


def site(**changes: Any) -> config.Site:
    """`SITE` with some settings changed."""
    return msgspec.structs.replace(SITE, **changes)


def made(tmp_path: Path, files: Mapping[str, str | bytes], settings: config.Site = SITE, **flags: Any) -> BuildReport:
    """Build `files` into `tmp_path / "out"`."""
    flags.setdefault("clock", CLOCK)
    return build(write(tmp_path / "project", files), tmp_path / "out", settings, **flags)


def read(tmp_path: Path, url: str) -> str:
    """What answers `url` in the site that `made` made."""
    return (tmp_path / "out" / url.removeprefix("/") / ("index.html" if url.endswith("/") else "")).read_text()


def refused(tmp_path: Path, files: Mapping[str, str | bytes], settings: config.Site = SITE, **flags: Any) -> str:
    """The message of the `ContentError` that building `files` ends with; nothing may be left behind."""
    with pytest.raises(ContentError) as caught:
        made(tmp_path, files, settings, **flags)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["project"]
    return str(caught.value)


def snapshot(folder: Path) -> dict[str, tuple[int, bytes]]:
    """Every file below `folder`: its mode and content."""
    return {
        path.relative_to(folder).as_posix(): (path.stat().st_mode & 0o7777, path.read_bytes())
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
