"""Whole sites, from files to files."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import xml.etree.ElementTree as etree
from datetime import datetime
from html.parser import HTMLParser
from pathlib import Path

import pytest
from unit.press_project import CLOCK, HELLO, made, read, site, snapshot, write

from tagship.errors import UsageError
from tagship.press.build import build

ATOM = "{http://www.w3.org/2005/Atom}"
FULL = {
    **HELLO,
    "posts/2026-11-03-later.md": (
        "---\ntitle: \"Quotes 'n' <b>Ünïcode</b>\"\ntags: [one, Zwei Wörter]\n---\n"
        "See [hello](2026-11-01-hello.md) and ![a](/assets/img/a.png).[^1]\n\n[^1]: A note.\n"
    ),
    "posts/2026/2026-11-02-nested.md": "---\ntitle: Nested\ndate: 2026-11-02 23:30\n---\n## Part\n\nText.\n",
    "site/pages/about.md": "---\ntitle: About\n---\nUs.\n",
    "site/pages/docs/index.md": "---\ntitle: Docs\n---\nAll.\n",
    "site/pages/docs/deep.html": "---\ntitle: Deep\n---\n<p>{{ posts | length }} {{ asset('img/a.png') }}</p>\n",
    "site/assets/img/a.png": b"\x89PNG\0",
    "site/assets/extra.css": "@import 'more.css';\na { b: url( \"img/a.png?v#x\" ) url(data:,x) url(/CNAME) }\n",
    "site/assets/more.css": "/* url(gone.png) */ b {}\n",
    "site/static/CNAME": "example.org\n",
    "site/static/.well-known/security.txt": "Contact: mailto:a@example.org\n",
    "site/static/.gitkeep": "",
}


class _Tags(HTMLParser):
    """Finds tags that aren't closed, closed twice or crossed, ids given twice, and what is pointed at."""

    EMPTY = frozenset({"meta", "link", "br", "hr", "img", "input", "path"})

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.targets: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in self.EMPTY:
            self.open.append(tag)
        for name, value in attrs:
            if name == "id":
                self.ids.append(value or "")
            if name in {"href", "src"}:
                self.targets.append(value or "")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_a_post_becomes_a_page_at_its_address(tmp_path: Path) -> None:
    """posts/YYYY-MM-DD-slug.md is published at /YYYY/MM/slug/."""
    report = made(tmp_path, HELLO)
    assert report.posts == 1
    assert "/2026/11/hello/" in report.urls
    page = read(tmp_path, "/2026/11/hello/")
    assert "<p>The <em>first</em> words.</p>" in page
    assert '<time datetime="2026-11-01T00:00:00+00:00">1 November 2026</time>' in page


def test_every_kind_of_page_is_there(tmp_path: Path) -> None:
    """The list in the issue, by URL."""
    report = made(tmp_path, FULL)
    assert report.urls == (
        "/",
        "/2026/11/hello/",
        "/2026/11/later/",
        "/2026/11/nested/",
        "/404.html",
        "/about/",
        "/archive/",
        "/docs/",
        "/docs/deep/",
        "/tags/",
        "/tags/one/",
        "/tags/zwei-worter/",
    )
    files = snapshot(tmp_path / "out")
    assert {"feed.xml", "sitemap.xml", "robots.txt", "CNAME", ".well-known/security.txt"} < files.keys()
    assert ".gitkeep" not in files
    assert (report.pages, report.posts) == (12, 3)


def test_pages_are_whole_html_and_their_links_lead_somewhere(tmp_path: Path) -> None:
    """Tags are closed in order, ids are unique, and what is pointed at exists."""
    made(tmp_path, FULL)
    out = tmp_path / "out"
    for path in out.rglob("*.html"):
        tags = _Tags()
        tags.feed(path.read_text())
        assert tags.open == []
        assert len(tags.ids) == len(set(tags.ids)), path
        for target in tags.targets:
            name, _, part = target.removeprefix("https://example.org").partition("#")
            if not name:
                assert part in tags.ids
                continue
            found = out / name.lstrip("/") / "index.html" if name.endswith("/") else out / name.lstrip("/")
            assert found.is_file(), (path, target)


def test_titles_are_text_and_never_html(tmp_path: Path) -> None:
    """Autoescape holds in every template and in the feed."""
    made(tmp_path, FULL)
    for url in ("/", "/2026/11/later/", "/2026/11/nested/", "/archive/", "/tags/one/"):
        page = read(tmp_path, url)
        assert "<b>Ü" not in page
        assert "&lt;b&gt;Ünïcode&lt;/b&gt;" in page
        assert "<site>" not in page


def test_posts_are_linked_to_the_older_and_the_newer(tmp_path: Path) -> None:
    """By date, over folders."""
    made(tmp_path, FULL)
    page = read(tmp_path, "/2026/11/nested/")
    assert re.search(r'class="older" href="/2026/11/hello/"', page)
    assert re.search(r'class="newer" href="/2026/11/later/"', page)
    assert 'class="newer"' not in read(tmp_path, "/2026/11/later/")


def test_the_index_is_paginated(tmp_path: Path) -> None:
    """/, /page/2/, ... with as many posts each as the settings say."""
    files = {f"posts/2026-10-{n:02d}-p{n}.md": f"---\ntitle: P{n}\n---\n" for n in range(1, 8)}
    report = made(tmp_path, files, site(paginate=3))
    assert {"/", "/page/2/", "/page/3/"} < set(report.urls)
    assert "/page/4/" not in report.urls
    assert re.findall(r"P\d", re.sub(r"<head>.*</head>", "", read(tmp_path, "/page/2/"), flags=re.S)) == [
        "P4",
        "P3",
        "P2",
    ]
    assert 'href="/"' in read(tmp_path, "/page/2/")
    assert 'href="/page/3/"' in read(tmp_path, "/page/2/")


def test_tags_in_other_spellings_are_one(tmp_path: Path) -> None:
    """`Python` and `python` share a page, called as the oldest post spells it."""
    files = {
        "posts/2026-11-01-a.md": "---\ntitle: A\ntags: [Python]\n---\n",
        "posts/2026-11-02-b.md": "---\ntitle: B\ntags: [python, PYTHON]\n---\n",
    }
    report = made(tmp_path, files)
    assert [url for url in report.urls if url.startswith("/tags/")] == ["/tags/", "/tags/python/"]
    assert "<h1>Python</h1>" in read(tmp_path, "/tags/python/")
    assert '<span class="count">2</span>' in read(tmp_path, "/tags/")


def test_drafts_and_the_future_are_left_out_and_told(tmp_path: Path) -> None:
    """The clock is an input; what it leaves out is named, on request it is shown."""
    files = {
        **HELLO,
        "posts/2026-11-19-draft.md": "---\ntitle: Draft\ndraft: true\n---\n",
        "posts/2026-11-20-noon.md": "---\ntitle: Noon\ndate: 2026-11-20 13:00 +01:00\n---\n",
        "posts/2026-11-21-soon.md": "---\ntitle: Soon\n---\n",
    }
    report = made(tmp_path, files)
    assert report.posts == 2
    assert report.drafts == ("posts/2026-11-19-draft.md",)
    assert report.future == ("posts/2026-11-21-soon.md",)
    everything = build(tmp_path / "project", tmp_path / "all", site(), clock=CLOCK, drafts=True, future=True)
    assert (everything.posts, everything.drafts, everything.future) == (4, (), ())
    assert "Draft</strong>" in (tmp_path / "all/2026/11/draft/index.html").read_text()


def test_dates_are_in_the_sites_time_zone(tmp_path: Path) -> None:
    """An evening in UTC is the next day, and the next month, in Tokyo; a bare day is midnight there."""
    files = {
        "posts/a.md": "---\ntitle: A\ndate: 2026-10-31T18:00:00Z\n---\n",
        "posts/2026-11-20-b.md": "---\ntitle: B\n---\n",
    }
    report = made(tmp_path, files, site(timezone="Asia/Tokyo"))
    assert {"/2026/11/a/", "/2026/11/b/"} < set(report.urls)
    assert 'datetime="2026-11-01T03:00:00+09:00"' in read(tmp_path, "/2026/11/a/")
    assert 'datetime="2026-11-20T00:00:00+09:00"' in read(tmp_path, "/2026/11/b/")


def test_addresses_follow_the_pattern_slug_and_permalink(tmp_path: Path) -> None:
    """`permalink` of a post wins over the site's pattern, `slug` over the file's name."""
    files = {
        "posts/2026-11-01-a.md": "---\ntitle: A\nslug: other\n---\n",
        "posts/2026-11-02-b.md": "---\ntitle: B\npermalink: /b.html\n---\n",
        "posts/2026-11-03-日本語.md": "---\ntitle: C\n---\n",
    }
    report = made(tmp_path, files, site(permalink="/{year}-{month}-{day}/{slug}.html"))
    assert {"/2026-11-01/other.html", "/b.html", "/2026-11-03/日本語.html"} < set(report.urls)
    assert 'href="/2026-11-03/%E6%97%A5%E6%9C%AC%E8%AA%9E.html"' in read(tmp_path, "/")


def test_the_feed_is_valid_atom_with_absolute_addresses(tmp_path: Path) -> None:
    """RFC 4287: ids, dates with zone, an author, escaped content; nothing in it is relative."""
    made(tmp_path, {**FULL, "posts/2026-11-04-c.md": '---\ntitle: "A\\tB"\n---\n\x0c text\n'})
    feed = etree.parse(tmp_path / "out/feed.xml").getroot()
    assert feed.findtext(f"{ATOM}title") == "A <site>"
    assert feed.findtext(f"{ATOM}author/{ATOM}name") == "Ada & Co"
    assert feed.find(f"{ATOM}link[@rel='self']").attrib["href"] == "https://example.org/feed.xml"  # type: ignore[union-attr]
    entries = feed.findall(f"{ATOM}entry")
    ids = [entry.findtext(f"{ATOM}id") or "" for entry in entries]
    assert len(ids) == len(set(ids)) == 4
    assert all(name.startswith("https://example.org/2026/11/") for name in ids)
    stamps = [datetime.fromisoformat(entry.findtext(f"{ATOM}updated") or "") for entry in entries]
    assert stamps == sorted(stamps, reverse=True)
    assert datetime.fromisoformat(feed.findtext(f"{ATOM}updated") or "") == stamps[0]
    assert all(stamp.tzinfo for stamp in stamps)
    for entry in entries:
        content = entry.findtext(f"{ATOM}content") or ""
        targets = re.findall(r'(?:href|src)="([^"]*)"', content)
        assert all(target.startswith("https://example.org/") for target in targets)
    assert "https://example.org/2026/11/later/#fn:1" in (entries[1].findtext(f"{ATOM}content") or "")


def test_the_feed_holds_as_many_posts_as_the_settings_say(tmp_path: Path) -> None:
    """The newest of them; a site without posts has a feed too."""
    files = {f"posts/2026-10-{n:02d}-p{n}.md": f"---\ntitle: P{n}\n---\n" for n in range(1, 8)}
    made(tmp_path, files, site(feed_posts=2))
    feed = etree.parse(tmp_path / "out/feed.xml").getroot()
    assert [entry.findtext(f"{ATOM}title") for entry in feed.findall(f"{ATOM}entry")] == ["P7", "P6"]
    build(write(tmp_path / "empty", {"posts/.gitkeep": ""}), tmp_path / "none", site(), clock=CLOCK)
    assert etree.parse(tmp_path / "none/feed.xml").getroot().findtext(f"{ATOM}updated") == "2026-11-20T12:00:00+00:00"


def test_the_sitemap_lists_every_page_but_the_404(tmp_path: Path) -> None:
    """Absolute and percent-encoded; robots.txt says where it is."""
    report = made(tmp_path, FULL)
    tree = etree.parse(tmp_path / "out/sitemap.xml").getroot()
    space = "{http://www.sitemaps.org/schemas/sitemap/0.9}"
    found = [node.findtext(f"{space}loc") for node in tree]
    assert found == [f"https://example.org{url}" for url in report.urls if url != "/404.html"]
    assert read(tmp_path, "/robots.txt").endswith("Sitemap: https://example.org/sitemap.xml\n")


def test_robots_txt_of_ones_own_wins(tmp_path: Path) -> None:
    """Static files are copied as they are."""
    made(tmp_path, {**HELLO, "site/static/robots.txt": "User-agent: *\nDisallow: /\n"})
    assert read(tmp_path, "/robots.txt") == "User-agent: *\nDisallow: /\n"


def test_assets_carry_their_content_in_their_names(tmp_path: Path) -> None:
    """A new image makes a new name, and a new name for the stylesheet that shows it."""
    made(tmp_path, FULL)
    first = {path for path in snapshot(tmp_path / "out") if path.startswith("assets/")}
    style = next(path for path in first if path.startswith("assets/extra."))
    image = next(path for path in first if path.startswith("assets/img/a."))
    more = next(path for path in first if path.startswith("assets/more."))
    text = read(tmp_path, style)
    assert f'url( "/{image}?v#x"' in text
    assert f"@import '/{more}'" in text
    assert "url(data:,x) url(/CNAME)" in text
    assert "/* url(gone.png) */" in read(tmp_path, more)
    build(write(tmp_path / "project", {"site/assets/img/a.png": b"other"}), tmp_path / "again", site(), clock=CLOCK)
    second = {path for path in snapshot(tmp_path / "again") if path.startswith("assets/")}
    assert {re.sub(r"\.[0-9a-f]{12}\.", ".", path) for path in first - second} == {
        "assets/img/a.png",
        "assets/extra.css",
    }


def test_templates_of_ones_own_replace_and_extend_the_themes(tmp_path: Path) -> None:
    """By name; `theme/` in front leads to the theme's own."""
    files = {
        **HELLO,
        "site/templates/post.html": "{% extends 'theme/post.html' %}{% block head %}<meta name=mine>{% endblock %}",
        "site/templates/plain.html": "plain: {{ title }}",
        "site/pages/p.md": "---\ntitle: P & Q\nlayout: plain\n---\n",
        "site/assets/style.css": "body { color: red }",
    }
    made(tmp_path, files)
    assert "<meta name=mine>" in read(tmp_path, "/2026/11/hello/")
    assert "The <em>first</em> words." in read(tmp_path, "/2026/11/hello/")
    assert read(tmp_path, "/p/") == "plain: P &amp; Q"
    style = re.search(r'href="(/assets/style\.[^"]+)"', read(tmp_path, "/"))
    assert style is not None
    assert read(tmp_path, style[1]) == "body { color: red }"


def test_a_post_may_use_the_layout_of_pages(tmp_path: Path) -> None:
    """`layout: page` shows it without date and tags; the end of a file's name may be in capitals."""
    made(tmp_path, {"posts/2026-11-01-a.MD": "---\ntitle: A\nlayout: page\n---\nText\n"})
    assert "<p>Text</p>" in read(tmp_path, "/2026/11/a/")
    assert "1 November" not in read(tmp_path, "/2026/11/a/")


def test_what_is_no_post_is_not_published_and_told(tmp_path: Path) -> None:
    """An image beside the posts would be missing on the site; hidden files are nobody's business."""
    report = made(tmp_path, {**HELLO, "posts/a.png": b"x", "posts/.DS_Store": b"x", "posts/a.md~": b"x"})
    assert len(report.warnings) == 1
    assert report.warnings[0].startswith("posts/a.png:1: is not published")


def test_windows_line_ends_and_byte_order_marks_are_taken(tmp_path: Path) -> None:
    """Editors add them unasked; lines are still counted right."""
    made(tmp_path, {"posts/2026-11-01-a.md": b"\xef\xbb\xbf---\r\ntitle: A\r\n---\r\n- a\r\n  - b\r\n"})
    assert "<li>b</li>" in read(tmp_path, "/2026/11/a/")


def test_an_existing_folder_is_not_built_into(tmp_path: Path) -> None:
    """`build` makes its folder; who replaces one is `publish`."""
    (tmp_path / "out").mkdir()
    with pytest.raises(UsageError, match="is there already"):
        made(tmp_path, HELLO)


def test_one_worker_and_many_give_the_same_bytes(tmp_path: Path) -> None:
    """How the work is shared out can't be seen."""
    files = {
        **FULL,
        **{f"posts/2026-09-{n:02d}-p{n}.md": f"---\ntitle: P{n}\n---\nText {n} [a][b]\n" for n in range(1, 20)},
    }
    reports = [
        build(write(tmp_path / "project", files), tmp_path / f"out{n}", site(), clock=CLOCK, workers=n)
        for n in (1, 2, 5)
    ]
    assert reports[0] == reports[1] == reports[2]
    assert len(reports[0].warnings) == 19
    assert snapshot(tmp_path / "out1") == snapshot(tmp_path / "out2") == snapshot(tmp_path / "out5")


_BUILD = """
import os, sys
from datetime import datetime, UTC
from pathlib import Path
sys.path.insert(0, sys.argv[3])
from unit.press_project import CLOCK, SITE
from tagship.press.build import build
os.umask(int(sys.argv[4], 8))
build(Path(sys.argv[1]), Path(sys.argv[2]), SITE, clock=CLOCK)
"""


def test_a_build_is_the_same_bytes_anywhere(tmp_path: Path) -> None:
    """Any directory, mtime, order of files on disk, umask, time zone, locale and hash seed; files are 0644."""
    names = list(FULL)
    write(tmp_path / "a", FULL)
    write(tmp_path / "deeper/b", {name: FULL[name] for name in reversed(names)})
    for path in (tmp_path / "deeper/b").rglob("*"):
        os.utime(path, (1, 1))
    for project, out, umask, extra in (
        ("a", "out1", "022", {"TZ": "UTC", "PYTHONHASHSEED": "1", "LC_ALL": "C"}),
        ("deeper/b", "out2", "077", {"TZ": "Pacific/Kiritimati", "PYTHONHASHSEED": "99", "LC_ALL": "C.UTF-8"}),
    ):
        argv = [sys.executable, "-c", _BUILD, tmp_path / project, tmp_path / out, Path(__file__).parents[1], umask]
        subprocess.run(argv, check=True, env={**os.environ, **extra}, cwd=tmp_path)
    first = snapshot(tmp_path / "out1")
    assert first == snapshot(tmp_path / "out2")
    assert {mode for mode, _ in first.values()} == {0o644}
    assert {path.stat().st_mode & 0o7777 for path in (tmp_path / "out2").rglob("*") if path.is_dir()} == {0o755}
