"""Releases that must never answer anybody: one of each sort, for both kinds of application."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from bench.serving.projects import STARTS

SAID = "    said = SAID\n"
"""Where an answer begins, in both applications."""
STRAY = "sh -c 'ln -s {root}/current/run/web.sock \"$1\" && exec sleep 600' sh {{socket}}"
"""Leads whoever asks to the release that is current: a wrong id, and all else is right."""


@dataclass(frozen=True)
class Bad:
    """One sort: what is replaced in the code, and the command that starts it where that is another one."""

    sort: str
    change: Mapping[str, str] = field(default_factory=dict)
    start: str = ""


def bad_releases(kind: str, root: str) -> Sequence[Bad]:
    """Those of one kind of application; `root` is the stage's folder on the host."""
    right, wrong = {"wsgi": ("200 OK", "500 Broken"), "asgi": ('"status": 200', '"status": 500')}[kind]
    nap = {"wsgi": "time.sleep(60)", "asgi": "await asyncio.sleep(60)"}[kind]
    return (
        Bad("won't start", start=f"{STARTS[kind]} --no-such-option"),
        Bad("won't import", {"import hashlib\n": "import hashlib\nimport no_such_module\n"}),
        Bad("answers 500", {right: wrong}),
        Bad("answers with another release's id", start=STRAY.format(root=root)),
        Bad("slow: an answer takes 60 s", {SAID: f"{SAID}    {nap}\n"}),
        # A gigabyte at most: where no limit holds, that is bad for this machine too.
        Bad("eats memory", {SAID: f"{SAID}    kept = [bytearray(b'x') * 1_000_000 for _ in range(1000)]\n"}),
    )
