"""Feeds beside the Atom feed of the site: RSS, JSON, and those of tags."""

from __future__ import annotations

import json
import xml.etree.ElementTree as etree
from email.utils import parsedate_to_datetime
from pathlib import Path

from unit.press_project import HELLO, made, read, site

FILES = {
    **HELLO,
    "posts/2026-11-02-more.md": (
        "---\ntitle: More & <more>\ntags: [one, two]\n---\nSee [hello](2026-11-01-hello.md).\n"
    ),
}
CONTENT = "{http://purl.org/rss/1.0/modules/content/}encoded"
ATOM = "{http://www.w3.org/2005/Atom}"


def test_there_is_only_the_atom_feed_unless_somebody_wants_more(tmp_path: Path) -> None:
    """And no page says otherwise."""
    made(tmp_path, FILES)
    assert not (tmp_path / "out/rss.xml").exists()
    assert not (tmp_path / "out/tags/one/feed.xml").exists()
    assert "application/rss+xml" not in read(tmp_path, "/")


def test_the_rss_feed_has_what_the_format_wants(tmp_path: Path) -> None:
    """RSS 2.0: title, link and description; items with guid, a date of RFC 822 and the whole body."""
    made(tmp_path, FILES, site(feeds=("rss",)))
    channel = etree.parse(tmp_path / "out/rss.xml").getroot().find("channel")
    assert channel is not None
    assert channel.findtext("link") == "https://example.org/"
    assert channel.findtext("description")
    own = channel.find(f"{ATOM}link")
    assert own is not None
    assert own.attrib["href"] == "https://example.org/rss.xml"
    items = channel.findall("item")
    assert [item.findtext("title") for item in items] == ["More & <more>", "Hello"]
    assert items[0].findtext("guid") == items[0].findtext("link") == "https://example.org/2026/11/more/"
    stamps = [parsedate_to_datetime(item.findtext("pubDate") or "") for item in items]
    assert stamps == sorted(stamps, reverse=True)
    assert 'href="https://example.org/2026/11/hello/"' in (items[0].findtext(CONTENT) or "")
    assert [node.text for node in items[0].findall("category")] == ["one", "two"]
    assert 'type="application/rss+xml"' in read(tmp_path, "/")


def test_the_json_feed_has_what_the_format_wants(tmp_path: Path) -> None:
    """JSON Feed 1.1: version, title, items with id and content."""
    made(tmp_path, FILES, site(feeds=("json",)))
    feed = json.loads(read(tmp_path, "/feed.json"))
    assert feed["version"] == "https://jsonfeed.org/version/1.1"
    assert (feed["home_page_url"], feed["feed_url"]) == ("https://example.org/", "https://example.org/feed.json")
    assert feed["authors"] == [{"name": "Ada & Co"}]
    assert [item["id"] for item in feed["items"]] == [
        "https://example.org/2026/11/more/",
        "https://example.org/2026/11/hello/",
    ]
    assert feed["items"][0]["tags"] == ["one", "two"]
    assert feed["items"][0]["date_published"] == "2026-11-02T00:00:00+00:00"
    assert "https://example.org/2026/11/hello/" in feed["items"][0]["content_html"]


def test_each_tag_has_feeds_of_its_own_posts(tmp_path: Path) -> None:
    """In every form that the site has; each names itself and the page of its tag."""
    made(tmp_path, FILES, site(feeds=("rss", "json"), tag_feeds=True))
    feed = etree.parse(tmp_path / "out/tags/two/feed.xml").getroot()
    assert feed.findtext(f"{ATOM}title") == "A <site>: two"
    assert feed.findtext(f"{ATOM}id") == "https://example.org/tags/two/"
    assert [entry.findtext(f"{ATOM}title") for entry in feed.findall(f"{ATOM}entry")] == ["More & <more>"]
    assert len(json.loads(read(tmp_path, "/tags/one/feed.json"))["items"]) == 2
    assert (tmp_path / "out/tags/one/rss.xml").is_file()
