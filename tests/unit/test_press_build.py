"""Whole sites, from files to files."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from tagship import config
from tagship.press.build import build

CLOCK = datetime(2026, 11, 20, 12, tzinfo=UTC)


def test_a_post_becomes_a_page_at_its_address(tmp_path: Path) -> None:
    """posts/YYYY-MM-DD-slug.md is published at /YYYY/MM/slug/."""
    posts = tmp_path / "posts"
    posts.mkdir()
    (posts / "2026-11-01-hello.md").write_text("---\ntitle: Hello\n---\nThe *first* words.\n")
    site = config.Site(title="A site", url="https://example.org")

    report = build(tmp_path, tmp_path / "out", site, clock=CLOCK)

    assert report.posts == 1
    assert "/2026/11/hello/" in report.urls
    assert "<em>first</em>" in (tmp_path / "out/2026/11/hello/index.html").read_text()
