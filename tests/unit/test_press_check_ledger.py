"""`site/urls.lock`: what was released must still be answered, what is new is told, and a tag's build only reads."""

from __future__ import annotations

from pathlib import Path

import pytest
from unit.check_project import POST, check, short, told
from unit.press_project import CLOCK, write

from tagship import config
from tagship.errors import ContentError, UsageError
from tagship.press import ledger
from tagship.press.build import build

HELLO = {"posts/2026-11-01-hello.md": POST + "## Part\n\nx[^1]\n\n[^1]: y\n", "site/static/a.txt": "a"}
RECORDED = [
    "/",
    "/2026/11/hello/",
    "/2026/11/hello/#part",
    "/a.txt",
    "/archive/",
    "/archive/#y2026",
    "/feed.xml",
    "/robots.txt",
    "/sitemap.xml",
    "/tags/",
    "/tags/one/",
    "/tags/one/#y2026",
]


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """A build's clock is an input: 20 November 2026."""
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1795176000")


def lines(folder: Path) -> list[str]:
    text = (folder / "site/urls.lock").read_text(encoding="utf-8")
    return [line for line in text.splitlines() if not line.startswith("#")]


def tag_build(folder: Path) -> int:
    """What a build of a tag does: how many addresses the ledger lacks."""
    site = config.load(folder / "tagship.yml").site
    assert site is not None
    out = folder.with_name(f"{folder.name}-out")
    build(folder, out, site, clock=CLOCK)
    return ledger.check_tree(folder, out, site)


def test_recording_lists_every_address_sorted_and_once(tmp_path: Path) -> None:
    """Pages, anchors of their content and plain files; no footnotes, no assets, nothing that isn't there."""
    assert check(tmp_path, HELLO, record=True) == []
    assert lines(tmp_path) == RECORDED
    before = (tmp_path / "site/urls.lock").stat().st_mtime_ns
    assert "0 added, 12 in all" in str(told(tmp_path, record=True))
    assert (tmp_path / "site/urls.lock").stat().st_mtime_ns == before
    with pytest.raises(UsageError, match="records what is released"):
        told(tmp_path, record=True, drafts=True)


def test_what_is_new_is_told_in_one_warning(tmp_path: Path) -> None:
    """Exit 0; a project that keeps no ledger hears nothing of it."""
    assert check(tmp_path, HELLO) == []
    told(tmp_path, record=True)
    (found,) = check(tmp_path, {"posts/2026-11-02-next.md": "---\ntitle: Straße\nslug: straße\n---\n## A b\n"})
    assert short([found]) == ["site/urls.lock:1:1 url-unrecorded"]
    assert "lacks 2 of the site's addresses, such as /2026/11/straße/" in found["message"]
    assert told(tmp_path)[-1].data["exit"] == 0
    assert tag_build(tmp_path) == 2
    told(tmp_path, record=True)
    assert lines(tmp_path) == sorted([*RECORDED, "/2026/11/straße/", "/2026/11/straße/#a-b"])


def test_what_is_gone_is_told_and_no_tag_is_built(tmp_path: Path) -> None:
    """A page, an anchor and a file: each at its line, with the cure; the tag's build names all in one message."""
    check(tmp_path, HELLO, record=True)
    (tmp_path / "site/static/a.txt").unlink()
    write(tmp_path, {"posts/2026-11-01-hello.md": POST.replace("tags: [one]", "tags: []") + "## Other\n"})
    found = [problem for problem in check(tmp_path, {}) if problem["code"] == "url-gone"]
    assert [(problem["line"], problem["message"].split()[0]) for problem in found] == [
        (4, "/2026/11/hello/#part"),
        (5, "/a.txt"),
        (12, "/tags/one/"),
        (13, "/tags/one/#y2026"),
    ]
    assert "give its heading the id again ({#part})" in found[0]["cure"]
    assert "`site.redirects: {/a.txt: ...}`" in found[1]["cure"]
    with pytest.raises(ContentError) as caught:
        tag_build(tmp_path)
    assert str(caught.value).startswith(
        "site/urls.lock:4: /2026/11/hello/#part was released, and resolves no more, and so do /a.txt, /tags/one/, "
    )


def test_a_redirect_keeps_an_address_and_its_anchors(tmp_path: Path) -> None:
    """With or without the slash; a page that is there again too."""
    check(tmp_path, HELLO, record=True)
    (tmp_path / "posts/2026-11-01-hello.md").unlink()
    moved = {"posts/2026-11-01-moved.md": POST + "Text.\n"}
    assert {problem["code"] for problem in check(tmp_path, moved)} == {"url-gone", "url-unrecorded"}
    found = check(tmp_path, moved, "  redirects: {/2026/11/hello: /2026/11/moved/}\n")
    assert [problem["code"] for problem in found] == ["url-unrecorded"]
    assert tag_build(tmp_path) == 1


def test_a_ledger_that_was_merged_badly_names_its_line(tmp_path: Path) -> None:
    """Order and repetition mean nothing; marks of a merge do."""
    merged = {"site/urls.lock": "/tags/\n# a note\n\n/\n/\n"}
    assert [problem["code"] for problem in check(tmp_path, {**HELLO, **merged})] == ["url-unrecorded"]
    (found,) = check(tmp_path, {"site/urls.lock": "/\n<<<<<<< ours\n/a/\n"})
    assert short([found]) == ["site/urls.lock:2:1 content"]
    with pytest.raises(ContentError, match=r"site/urls.lock:2: `<<<<<<< ours` is no address"):
        tag_build(tmp_path)
