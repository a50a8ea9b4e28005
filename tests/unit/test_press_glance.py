"""What `inv serve` shows of a text that was just saved, before the build that follows."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from unit.press_project import CLOCK, HELLO, SITE, snapshot, write

from tagship.press.build import Ask
from tagship.press.glance import Glance
from tagship.press.share import Order
from tagship.press.turns import Turns

FILES = {
    **HELLO,
    "posts/2026-11-02-next.md": "---\ntitle: Next\ntags: [one, two]\n---\nSee [hello](2026-11-01-hello.md).\n",
    "site/pages/about.md": "---\ntitle: About\n---\nUs.\n",
}
POST = "posts/2026-11-02-next.md"


@contextmanager
def glancing(tmp_path: Path) -> Iterator[tuple[Glance, Turns, Ask]]:
    ask = Ask(write(tmp_path / "project", FILES), SITE, CLOCK)
    turns = Turns(tmp_path / "served", resident=True)
    done = turns.build(ask)
    assert done.model is not None
    glance = Glance(Order(ask.project, SITE, turns.segments, done.templates), done, done.model)
    glance.warm()
    yield glance, turns, ask
    glance.close()


@pytest.mark.parametrize("text", ["tags: [one, two]\n---\nNew words.\n", "tags: [one, two]\nsummary: S\n---\n"])
@pytest.mark.parametrize("title", ["Next", "Another"])
def test_a_glance_is_the_page_that_the_build_makes(tmp_path: Path, title: str, text: str) -> None:
    """Byte for byte; and again after a second edit."""
    with glancing(tmp_path) as (glance, turns, ask):
        for also in ("", "More.\n"):
            write(ask.project, {POST: f"---\ntitle: {title}\n{text}{also}"})
            seen = glance.pages((POST,))
            done = turns.build(ask)
            assert list(seen) == ["2026/11/next/index.html"]
            assert (tmp_path / "served/site/2026/11/next/index.html").read_bytes() == seen["2026/11/next/index.html"]
            assert "2026/11/next/index.html" in done.written


@pytest.mark.parametrize(
    ("name", "text"),
    [
        (POST, "---\ntitle: Next\ntags: [two]\n---\n"),
        (POST, "---\ntitle: Next\nslug: other\ntags: [one, two]\n---\n"),
        (POST, "---\ntitle: [\n---\n"),
        ("posts/2026-11-03-new.md", "---\ntitle: New\n---\n"),
        ("site/templates/post.html", "x"),
    ],
)
def test_where_more_is_at_stake_the_build_is_waited_for(tmp_path: Path, name: str, text: str) -> None:
    """Other tags, another address, a mistake, a new text, a template."""
    with glancing(tmp_path) as (glance, _, ask):
        write(ask.project, {name: text})
        assert glance.pages((name,)) == {}


def test_what_is_known_of_a_tree_is_dropped_when_a_build_ends_in_its_middle(tmp_path: Path) -> None:
    """A template that fails for some pages leaves others written; the next build is right."""
    with glancing(tmp_path) as (_, turns, ask):
        write(ask.project, {POST: FILES[POST].replace("Next", "Other")})
        turns.build(ask)
        write(ask.project, {"site/templates/post.html": "{{ title }}{% if not newer %}{{ gone }}{% endif %}"})
        with pytest.raises(Exception, match="gone"):
            turns.build(ask)
        (ask.project / "site/templates/post.html").unlink()
        turns.build(ask)
        fresh = Turns(tmp_path / "fresh")
        fresh.build(ask)
        assert snapshot((tmp_path / "served/site").resolve()) == snapshot((tmp_path / "fresh/site").resolve())
