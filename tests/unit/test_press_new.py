"""New posts, slugs and the clock."""

from __future__ import annotations

import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest
from unit.press_project import CLOCK, SITE, made, site

from tagship.errors import UsageError
from tagship.press import content, slugs
from tagship.press.clock import clock_of
from tagship.press.new import new_post


@pytest.mark.parametrize(
    ("title", "slug"),
    [
        ("Tag it, ship it!", "tag-it-ship-it"),
        ("  Über   Ökonomie & Maß ", "uber-okonomie-and-mass"),
        ("It's Zoë’s café — № 1", "its-zoes-cafe-no-1"),
        ("C++ and C#", "c-plus-plus-and-c-sharp"),
        ("日本語のタイトル", "日本語のタイトル"),
        ("がぎぐ", "がぎぐ"),
        ("Привет, мир", "привет-мир"),
        ("हिन्दी", "हिन्दी"),
        ("İstanbul", "istanbul"),
        ("../../etc/passwd", "etc-passwd"),
        ("!!!", ""),
        ("🚢", ""),
    ],
)
def test_slugs_are_readable_in_any_script(title: str, slug: str) -> None:
    """Latin letters lose their accents, other scripts stay; what comes out is always a valid part of a URL."""
    assert slugs.slugify(title) == slug
    assert not slug or slugs.problem_of(slug) is None


def test_long_titles_make_slugs_cut_between_words() -> None:
    """At most 80 characters."""
    slug = slugs.slugify("word " * 40)
    assert len(slug) <= 80
    assert slug.endswith("word")
    assert len(slugs.slugify("x" * 300)) == 80


@pytest.mark.parametrize(
    "title", ['He said "no"', "a: b # c", "back\\slash", "Ünï — 日本", "[x]", "- y", "1.10", "true"]
)
def test_a_new_post_is_a_draft_that_builds(tmp_path: Path, title: str) -> None:
    """Whatever the title holds, the front matter is YAML and reads back as it was typed."""
    path = new_post(tmp_path / "project", SITE, title, now=CLOCK)
    assert path.parent == tmp_path / "project/posts"
    post, _ = content.read_text(path.read_bytes(), f"posts/{path.name}", content.POSTS, content.Settings.of(SITE))
    assert (post.title, post.draft) == (title, True)
    assert made(tmp_path, {}).drafts == (f"posts/{path.name}",)


def test_a_new_post_is_dated_in_the_sites_time_zone(tmp_path: Path) -> None:
    """Late evening in UTC is tomorrow in Tokyo."""
    late = datetime(2026, 11, 20, 20, tzinfo=UTC)
    assert new_post(tmp_path, site(timezone="Asia/Tokyo"), "A", now=late).name == "2026-11-21-a.md"


def test_a_new_post_overwrites_nothing(tmp_path: Path) -> None:
    """The second of two equal titles is refused by name."""
    path = new_post(tmp_path, SITE, "A", now=CLOCK)
    path.write_text("written")
    with pytest.raises(UsageError, match=r"posts/2026-11-20-a\.md: is there already"):
        new_post(tmp_path, SITE, "A", now=CLOCK)
    assert path.read_text() == "written"


@pytest.mark.parametrize("title", ["", "!!!", "🚢", "a\x07b"])
def test_a_title_that_makes_no_address_is_refused(tmp_path: Path, title: str) -> None:
    """And no file is made."""
    with pytest.raises(UsageError, match="no address can be made"):
        new_post(tmp_path, SITE, title, now=CLOCK)
    assert list(tmp_path.iterdir()) == []


def git(folder: Path, *argv: str, **env: str) -> None:
    names = {
        "GIT_AUTHOR_NAME": "a",
        "GIT_AUTHOR_EMAIL": "a@b",
        "GIT_COMMITTER_NAME": "a",
        "GIT_COMMITTER_EMAIL": "a@b",
    }
    names |= {"PATH": "/usr/bin:/bin:/usr/local/bin", "HOME": str(folder), **env}
    subprocess.run(["git", "-C", folder, *argv], check=True, env=names, capture_output=True)


def test_the_clock_is_source_date_epoch_then_the_commits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """So that the same commit gives the same site; the machine's clock is the last resort."""
    monkeypatch.delenv("SOURCE_DATE_EPOCH", raising=False)
    before = datetime.now(UTC)
    assert before <= clock_of(tmp_path) <= datetime.now(UTC)
    git(tmp_path, "init", "-q")
    assert clock_of(tmp_path) >= before
    git(tmp_path, "commit", "-q", "--allow-empty", "-m", "a", GIT_COMMITTER_DATE="2020-02-03T04:05:06+02:00")
    assert clock_of(tmp_path) == datetime(2020, 2, 3, 2, 5, 6, tzinfo=UTC)
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "86400")
    assert clock_of(tmp_path) == datetime(1970, 1, 2, tzinfo=UTC)


@pytest.mark.parametrize("value", ["", "now", "1.5", "9" * 30])
def test_a_bad_source_date_epoch_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    """A build that was meant to be reproducible doesn't quietly take another clock."""
    monkeypatch.setenv("SOURCE_DATE_EPOCH", value)
    with pytest.raises(UsageError, match="SOURCE_DATE_EPOCH"):
        clock_of(tmp_path)
