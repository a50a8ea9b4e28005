"""`site.redirects`: what may stand there, how it is held against the site, and what of it travels."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from unit.press_project import HELLO, made, site

from tagship import config
from tagship.config import redirects
from tagship.errors import ConfigError
from tagship.manifest import File, Link, Manifest
from tagship.release import redirects as packing
from tagship.release.store import ObjectStore

YML = """\
app: {name: blog}
site:
  title: Blog
  url: https://example.org
  redirects:
    %s: %s
"""


def load(old: str, new: str) -> config.Config:
    return config.parse(YML % (old, new), Path("tagship.yml"))


@pytest.mark.parametrize(
    ("old", "name"),
    [
        ("/old", "old"),
        ("/old/", "old"),
        ("/a/b.html", "a/b.html"),
        ("/caf%C3%A9/", "caf\u00e9"),
        ("/.well-known/x", ".well-known/x"),
    ],
)
def test_an_old_address_with_and_without_a_slash_is_one(old: str, name: str) -> None:
    """And it is compared as a server sees it: decoded."""
    assert redirects.answered(old) == name


@pytest.mark.parametrize(
    "old", ["/", "old", "/a//b", "/../a", "/.git/x", "/%zz", "/%00", "/%ff", "/a b", "/" + "x" * 201]
)
def test_what_can_be_no_old_address(old: str) -> None:
    """The file and the line are named, and the key."""
    with pytest.raises(ConfigError) as caught:
        load(f"'{old}'", "/new/")
    assert str(caught.value).startswith(f"tagship.yml:6:5: `site.redirects.{old}`: ")


@pytest.mark.parametrize(
    ("new", "location"),
    [
        ("/new/", "/new/"),
        ("/new/?q=1#part", "/new/?q=1#part"),
        ("/caf\u00e9/", "/caf%C3%A9/"),
        ("https://example.com/", "https://example.com/"),
        ("http://example.com/a?b=c&d=%20", "http://example.com/a?b=c&d=%20"),
    ],
)
def test_a_target_becomes_a_location(new: str, location: str) -> None:
    """What isn't ASCII is encoded; what is stays as it was written."""
    assert redirects.target(new) == location


@pytest.mark.parametrize(
    "new",
    [
        "new/",
        "//example.com/",
        "/a/../b",
        "/a//b",
        "javascript:alert(1)",
        "https://example.com",
        "/a\\b",
        "/" + "x" * 201,
    ],
)
def test_what_can_be_no_target(new: str) -> None:
    """Neither a scheme of another kind nor a host by two slashes gets into a Location."""
    with pytest.raises(ConfigError, match=r"site\.redirects\./old/"):
        load("/old/", f"'{new}'")


def test_one_address_has_one_redirect() -> None:
    """`/old` and `/old/` are the same to a visitor."""
    with pytest.raises(ConfigError, match="is the same address as /old"):
        load("/old", "/a/\n    /old/: /b/")


def test_redirects_that_fit_the_site_are_built(tmp_path: Path) -> None:
    """To pages, files, other sites; in another case than a page that exists is another address."""
    wanted = {
        "/hello/": "/2026/11/hello/#end",
        "/rss.xml": "/feed.xml",
        "/2026/11/Hello/": "/2026/11/hello/",
        "/2026/": "/archive/",
        "/bots.txt": "/robots.txt",
        "/away/": "https://example.com/",
    }
    assert made(tmp_path, HELLO, site(redirects=wanted)).posts == 1


@pytest.mark.parametrize(
    ("old", "new", "what", "cure"),
    [
        ("/archive/", "/", "the site has that address itself: /archive/index.html", "take the redirect out"),
        (
            "/2026/11/hello",
            "/",
            "the site has that address itself: /2026/11/hello/index.html",
            "take the redirect out",
        ),
        ("/feed.xml", "/", "the site has that address itself: /feed.xml", "take the redirect out"),
        (
            "/old/",
            "/nowhere/",
            "leads to /nowhere/, which the site doesn't have",
            "a page of the site, or a whole URL",
        ),
        ("/old/", "/archive", "leads to /archive, which the site doesn't have", "name /archive/"),
    ],
)
def test_a_redirect_that_does_not_fit_the_site_ends_the_build(
    tmp_path: Path, old: str, new: str, what: str, cure: str
) -> None:
    """Over a page, or to none: the key is named, and nothing is left behind."""
    with pytest.raises(ConfigError) as caught:
        made(tmp_path, HELLO, site(redirects={old: new}))
    assert str(caught.value).startswith(f"tagship.yml: `site.redirects.{old}`: {what}")
    assert cure in caught.value.cure
    assert [path.name for path in tmp_path.iterdir()] == ["project"]


def test_a_redirect_travels_as_a_link_to_a_file_named_by_its_target(tmp_path: Path) -> None:
    """Where the link leads, resolved by the kernel, is what a server answers; nothing but an empty file is sent."""
    wanted = {
        "/old/": "/new/",
        "/old/deep": "/new/",
        "/caf%C3%A9/": "/",
        "/away": "https://example.com/a?b=c",
        "/near": "/new",
    }
    store = ObjectStore(tmp_path / "objects")
    entries = Manifest.of(packing.entries(wanted, store)).entries
    for entry in entries:
        path = tmp_path / entry.path
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(entry, Link):
            path.symlink_to(entry.target)
        else:
            path.touch()
    assert {entry.size for entry in entries if isinstance(entry, File)} == {0}
    top = os.path.realpath(tmp_path / "redirects")
    found = {
        old: os.path.realpath(tmp_path / "redirects/from" / redirects.answered(old) / ".to").removeprefix(f"{top}/to")
        for old in wanted
    }
    assert found == {
        "/old/": "/path/new/^",
        "/old/deep": "/path/new/^",
        "/caf%C3%A9/": "/path/^",
        "/away": "/https/example.com/a?b=c^",
        "/near": "/path/new^",
    }
