"""What programs read: feeds (Atom, RFC 4287; RSS 2.0; JSON Feed 1.1), the sitemap (sitemaps.org 0.9), robots.txt."""

from __future__ import annotations

import datetime as dt
import html
import json
import re
import xml.etree.ElementTree as etree
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from email.utils import format_datetime
from typing import Any
from urllib.parse import urljoin

from tagship import config
from tagship.press import urls

_ATOM = "http://www.w3.org/2005/Atom"
_CONTENT = "http://purl.org/rss/1.0/modules/content/"
_SITEMAP = "http://www.sitemaps.org/schemas/sitemap/0.9"
_ATTRIBUTE = re.compile(r"""(<[a-zA-Z][^<>]*?\s(?:href|src|poster)=")([^"]*)(")""")
# XML 1.0 has no way to write these, escaped or not.
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


@dataclass(frozen=True)
class Entry:
    """A post as feeds show it; `html` is its body, `url` its path."""

    title: str
    url: str
    date: dt.datetime
    summary: str
    html: str
    tags: tuple[str, ...]


@dataclass(frozen=True)
class Channel:
    """Whose feed it is: its title, the page that it is of and its own address, both as paths of the site."""

    title: str
    home: str
    path: str


def atom(site: config.Site, entries: Sequence[Entry], clock: dt.datetime, channel: Channel | None = None) -> bytes:
    """The feed of `entries`, newest first; addresses inside are absolute. `clock` dates an empty feed.

    It is of the whole site where no `channel` says otherwise.
    """
    channel = channel or Channel(site.title, "/", "/feed.xml")
    home = site.url + urls.encoded(channel.home)
    etree.register_namespace("", _ATOM)
    feed = etree.Element(f"{{{_ATOM}}}feed", {"{http://www.w3.org/XML/1998/namespace}lang": site.language})
    _add(feed, "title", channel.title)
    if site.description:
        _add(feed, "subtitle", site.description)
    _add(feed, "id", home)
    _add(feed, "updated", _stamp(max((entry.date for entry in entries), default=clock)))
    _add(feed, "link", rel="self", type="application/atom+xml", href=site.url + urls.encoded(channel.path))
    _add(feed, "link", rel="alternate", type="text/html", href=home)
    author = _add(feed, "author")
    _add(author, "name", site.author.name if site.author else site.title)
    if site.author and site.author.email:
        _add(author, "email", site.author.email)
    for entry in entries:
        _add_entry(feed, site, entry)
    etree.indent(feed)
    return _document(feed)


def _add_entry(feed: etree.Element, site: config.Site, entry: Entry) -> None:
    address = site.url + urls.encoded(entry.url)
    node = _add(feed, "entry")
    _add(node, "title", entry.title)
    _add(node, "id", address)
    _add(node, "link", rel="alternate", type="text/html", href=address)
    _add(node, "published", _stamp(entry.date))
    _add(node, "updated", _stamp(entry.date))
    for tag in entry.tags:
        _add(node, "category", term=tag)
    if entry.summary:
        _add(node, "summary", entry.summary)
    _add(node, "content", absolute_links(entry.html, address), type="html")


def rss(site: config.Site, entries: Sequence[Entry], clock: dt.datetime, channel: Channel) -> bytes:
    """The same as RSS 2.0 (rssboard.org/rss-specification), bodies in `content:encoded`."""
    etree.register_namespace("atom", _ATOM)
    etree.register_namespace("content", _CONTENT)
    root = etree.Element("rss", {"version": "2.0"})
    top = etree.SubElement(root, "channel")
    _plain(top, "title", channel.title)
    _plain(top, "link", site.url + urls.encoded(channel.home))
    _plain(top, "description", site.description or channel.title)
    _plain(top, "language", site.language)
    _plain(top, "lastBuildDate", format_datetime(max((entry.date for entry in entries), default=clock)))
    own = {"rel": "self", "type": "application/rss+xml", "href": site.url + urls.encoded(channel.path)}
    etree.SubElement(top, f"{{{_ATOM}}}link", own)
    for entry in entries:
        address = site.url + urls.encoded(entry.url)
        node = etree.SubElement(top, "item")
        _plain(node, "title", entry.title)
        _plain(node, "link", address)
        _plain(node, "guid", address)
        _plain(node, "pubDate", format_datetime(entry.date))
        for tag in entry.tags:
            _plain(node, "category", tag)
        if entry.summary:
            _plain(node, "description", entry.summary)
        _plain(node, f"{{{_CONTENT}}}encoded", absolute_links(entry.html, address))
    etree.indent(root)
    return _document(root)


def json_feed(site: config.Site, entries: Sequence[Entry], channel: Channel) -> bytes:
    """The same as JSON Feed 1.1 (jsonfeed.org/version/1.1)."""
    items = []
    for entry in entries:
        address = site.url + urls.encoded(entry.url)
        item: dict[str, Any] = {"id": address, "url": address, "title": entry.title}
        if entry.summary:
            item["summary"] = entry.summary
        item |= {"content_html": absolute_links(entry.html, address), "date_published": _stamp(entry.date)}
        items.append(item | ({"tags": list(entry.tags)} if entry.tags else {}))
    whole: dict[str, Any] = {
        "version": "https://jsonfeed.org/version/1.1",
        "title": channel.title,
        "home_page_url": site.url + urls.encoded(channel.home),
        "feed_url": site.url + urls.encoded(channel.path),
        "language": site.language,
    }
    whole |= {"description": site.description} if site.description else {}
    whole |= {"authors": [{"name": site.author.name}]} if site.author else {}
    return (json.dumps({**whole, "items": items}, ensure_ascii=False, indent=1) + "\n").encode()


def absolute_links(body: str, base: str) -> str:
    """`body` with every href and src as an absolute address: a reader shows it far from the site."""

    def point(match: re.Match[str]) -> str:
        try:
            return f"{match[1]}{html.escape(urljoin(base, html.unescape(match[2])))}{match[3]}"
        except ValueError:  # what is no address stays what it is; `inv check` tells of it
            return match[0]

    return _ATTRIBUTE.sub(point, body)


def sitemap(site: config.Site, pages: Iterable[tuple[str, dt.datetime | None]]) -> bytes:
    """The sitemap of `pages`, as (path, day of the last change where one is known)."""
    etree.register_namespace("", _SITEMAP)
    root = etree.Element(f"{{{_SITEMAP}}}urlset")
    for url, date in pages:
        node = etree.SubElement(root, f"{{{_SITEMAP}}}url")
        etree.SubElement(node, f"{{{_SITEMAP}}}loc").text = site.url + urls.encoded(url)
        if date is not None:
            etree.SubElement(node, f"{{{_SITEMAP}}}lastmod").text = date.date().isoformat()
    etree.indent(root)
    return _document(root)


def robots(site: config.Site) -> bytes:
    """Everybody may read everything; here is the sitemap."""
    return f"User-agent: *\nAllow: /\nSitemap: {site.url}/sitemap.xml\n".encode()


def _add(parent: etree.Element, name: str, text: str | None = None, **attributes: str) -> etree.Element:
    clean = {key: _NOT_XML.sub("", value) for key, value in attributes.items()}
    node = etree.SubElement(parent, f"{{{_ATOM}}}{name}", clean)
    node.text = _NOT_XML.sub("", text) if text is not None else None
    return node


def _plain(parent: etree.Element, name: str, text: str) -> None:
    etree.SubElement(parent, name).text = _NOT_XML.sub("", text)


def _stamp(moment: dt.datetime) -> str:
    return moment.replace(microsecond=0).isoformat()


def _document(root: etree.Element) -> bytes:
    body: bytes = etree.tostring(root, encoding="utf-8", xml_declaration=True, short_empty_elements=True)
    return body + b"\n"
