"""`inv new "Title"`: a post to begin with."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from tagship import config
from tagship.errors import UsageError
from tagship.press import slugs


def new_post(project: Path, site: config.Site, title: str, *, now: datetime) -> Path:
    """Write a draft called `title`, dated `now` (aware) in the site's time zone; returns its path.

    Raises `UsageError` for a title without a letter or digit, and when the file is there already.
    """
    title = " ".join(title.split())
    slug = slugs.slugify(title)
    if not slug or not title.isprintable():
        raise UsageError(f"no address can be made from the title {title!r}", cure="use letters or digits")
    local = now.astimezone(ZoneInfo(site.timezone))
    path = project / site.posts / f"{local.date().isoformat()}-{slug}.md"
    path.parent.mkdir(parents=True, exist_ok=True)
    quoted = title.replace("\\", "\\\\").replace('"', '\\"')
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(f'---\ntitle: "{quoted}"\ntags: []\ndraft: true\n---\n\n')
    except FileExistsError:
        name = path.relative_to(project).as_posix()
        raise UsageError("is there already", where=name, cure="choose another title, or go on writing it") from None
    return path
