"""What a build tells of itself on request: why a file was made or wasn't, and where the time went."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence

from tagship.errors import UsageError
from tagship.press.build import Done
from tagship.press.timing import Timing

_MEANINGS = {
    "template": "the template {}",
    "asset": "the asset {}",
    "config": "site.{} of tagship.yml",
    "url": "the address of {}",
    "count": "the number of posts with the tag {}",
    "lead": "the first paragraph of {}",
    "html": "the body of {}",
    "posts": "the front matter of all posts",
    "tags": "all tags",
    "menu": "the menu",
    "collection": "the front matter of the collection {}",
    "data": "the data file {}",
    "clock": "the clock",
}
_MOST = 40


def explain(done: Done, url: str) -> list[str]:
    """Lines that say why the file at `url` was made or wasn't, and what it depends on.

    Raises `UsageError` for an address that the site doesn't have.
    """
    wanted = url.removeprefix(done.site_url)
    found = next(
        (
            (path, output)
            for path, output in done.state.outputs.items()
            if wanted in {output.planned.url, f"/{path}", path}
        ),
        None,
    )
    if found is None:
        raise UsageError("the site has no such address", where=url, cure="as it is written in build/site/sitemap.xml")
    path, output = found
    reason = done.reasons.get(path)
    lines = [f"{output.planned.url or '/' + path} comes from {output.planned.owner}"]
    lines.append(f"made: {readable(reason)}" if reason else "not made: nothing that it is made from changed")
    asked = [*(done.state.reads[output.reads] if output.reads >= 0 else ()), *output.own]
    lines += [f"  it was made from {meaning(key)}" for key in sorted(asked)]
    return lines


def meaning(key: str) -> str:
    """A question in words."""
    kind, _, name = key.partition(":")
    return _MEANINGS.get(kind, key).format(name)


def readable(reason: str) -> str:
    """A reason, its questions in words."""
    head, colon, keys = reason.partition("changed since: ")
    return f"{head}changed since: {', '.join(map(meaning, keys.split(', ')))}" if colon else reason


def profile(timing: Timing, done: Done) -> str:
    """A page in HTML: seconds by phase, by kind of file, and of the slowest texts and files.

    Phases are of this process; texts and files that others rendered at the same time count with their own seconds.
    """
    kinds: dict[str, float] = {}
    for path, seconds in timing.files.items():
        kind = done.state.outputs[path].planned.kind
        kinds[kind] = kinds.get(kind, 0.0) + seconds
    parts = [
        _table("Phases of this process", timing.phases),
        _table("Files by kind, all processes", kinds),
        _table("Slowest files", _slowest(timing.files)),
        _table("Slowest texts", _slowest(timing.texts)),
    ]
    style = "body{font:16px/1.5 system-ui;margin:2rem auto;max-width:60rem}td+td{text-align:right;padding-left:2rem}"
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8"><meta name="color-scheme" content="light dark">'
        f"<title>Where the time went</title><style>{style}</style><h1>Where the time went</h1>"
        f"<p>{len(timing.texts):,} texts were rendered and {len(timing.files):,} files made; "
        f"the site has {len(done.state.outputs):,} files.</p>{''.join(parts)}</html>\n"
    )


def _slowest(seconds: Mapping[str, float]) -> dict[str, float]:
    ordered: Sequence[tuple[str, float]] = sorted(seconds.items(), key=lambda pair: pair[1], reverse=True)
    return dict(ordered[:_MOST])


def _table(title: str, seconds: Mapping[str, float]) -> str:
    rows = "".join(
        f"<tr><td>{html.escape(name)}</td><td>{value * 1000:,.1f} ms</td></tr>" for name, value in seconds.items()
    )
    return f"<h2>{title}</h2><table>{rows or '<tr><td>none</td></tr>'}</table>"
