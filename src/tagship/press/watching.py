"""Which files changed while the site is being served."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

from watchfiles import watch

from tagship import config
from tagship.errors import TagshipError

SiteLoader = Callable[[], config.Site]
"""Reads the site's settings again; raises `TagshipError` while they are wrong."""


def changes(project: Path, site_loader: SiteLoader, ended: threading.Event) -> Iterator[tuple[str, ...]]:
    """Nothing at first, then the paths of each change, as soon as it has settled.

    Only what a site is made from is watched: a virtualenv in the project would cost thousands of watches. The
    watch is on before the first build, so that a change during it is not missed; hence the time-outs. A new
    tagship.yml may name other folders, so then the watch begins anew.
    """
    settings = project / config.FILE_NAME
    pending: tuple[str, ...] | None = ()
    while not ended.is_set():
        every = watch(
            *_watched(project, settings, site_loader),
            watch_filter=_relevant,
            stop_event=ended,
            raise_interrupt=True,
            rust_timeout=200,
            yield_on_timeout=True,
        )
        for batch in every:
            changed = tuple(sorted({Path(path).relative_to(project).as_posix() for _, path in batch}))
            if pending is not None:
                yield tuple(sorted({*pending, *changed}))
                pending = None
            elif changed and config.FILE_NAME not in changed:
                yield changed
            elif changed:
                pending = changed
                break


def _watched(project: Path, settings: Path, site_loader: SiteLoader) -> list[Path]:
    try:
        site = site_loader()
        folders = [project / site.posts, project / site.source]
    except TagshipError:  # the build that follows tells it
        folders = []
    return [path for path in (settings, *folders) if path.exists()] or [project]


def _relevant(_change: object, path: str) -> bool:
    """Leaves out what editors write beside the file that is edited."""
    return not path.endswith(("~", ".swp", ".swx", "4913"))
