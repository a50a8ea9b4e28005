"""`inv check` on a site with mistakes: what is found, where it is said to be, and that one hides no other."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from unit.check_project import POST, check, of_body, short, told

from browser import sample
from tagship.errors import ConfigError, UsageError
from tagship.press.checks.codes import CODES

BASE = '<!doctype html><html lang="en"><head><title>{{ title or site.title }}</title></head><body>%s</body></html>\n'


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """A build's clock is an input: 20 November 2026."""
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1795176000")


def test_a_site_without_mistakes_has_none(tmp_path: Path) -> None:
    """The default theme itself, with all that it makes, is without a finding; exit 0."""
    body = "Words, a [link](#part), one [to another](2026-11-02-next.md#more), [the feed](/feed.xml).\n\n## Part\n"
    files = {
        "posts/2026-11-01-hello.md": POST + body,
        "posts/2026-11-02-next.md": POST.replace("Hello", "Next")
        + "## More\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\nx[^1]\n\n[^1]: y\n",
        "site/pages/about.md": "---\ntitle: About\n---\n```python\nprint(1)\n```\n\n![A dot](/dot.png)\n",
        "site/static/dot.png": b"png",
    }
    assert check(tmp_path, files) == []
    assert told(tmp_path)[-1].data["exit"] == 0


def test_every_mistake_is_told_in_one_run(tmp_path: Path) -> None:
    """Bad front matter of two posts, a bad template, a clash of addresses and a broken link: sorted, exit 3."""
    files = {
        "posts/2026-11-01-hello.md": POST + "A [link](/nope/).\n",
        "posts/2026-11-02-bad.md": "---\ntitle: [\n---\n",
        "posts/2026-11-03-worse.md": "---\ntitle: Worse\ntitel: x\n---\nText.\n",
        "posts/2026-11-04-image.md": POST.replace("Hello", "Image") + "\n![x](/assets/no.png)\n",
        "posts/2026-11-05-other.md": "---\ntitle: Other\nslug: hello\n---\nText.\n",
        "site/templates/post.html": "{% if %}\n",
        "site/templates/page.html": "{{ nothing }}\n",
        "site/pages/about.md": "---\ntitle: About\n---\nText.\n",
    }
    assert short(check(tmp_path, files)) == [
        "posts/2026-11-01-hello.md:5:10 broken-link",
        "posts/2026-11-02-bad.md:3:1 content",
        "posts/2026-11-03-worse.md:3:1 content",
        "posts/2026-11-04-image.md:6:6 content",
        "posts/2026-11-05-other.md:3:1 duplicate-url",
        "site/templates/page.html:1:1 template",
        "site/templates/post.html:1:1 template",
    ]
    assert told(tmp_path)[-1].data | {"seconds": 0} == {
        "outcome": "refused", "exit": 3, "errors": 7, "warnings": 0, "ignored": 0, "pages": 8, "seconds": 0,
    }  # fmt: skip
    assert not list((tmp_path / "build").glob(".check-*"))
    assert not (tmp_path / "build/site").exists()


def test_what_can_not_be_built_makes_no_other_finding(tmp_path: Path) -> None:
    """Links and redirects to a text that was left out, and templates with an asset that is wrong, are well."""
    files = {
        "posts/2026-11-01-bad.md": "---\ntitle: [\n---\n",
        "posts/2026-11-02-image.md": POST.replace("Hello", "Image") + "![x](/assets/no.png) [y](/nope/)\n",
        "posts/2026-11-03-good.md": POST
        + "[a](2026-11-01-bad.md) [b](/2026/11/bad/) [c](/2026/11/image/) ![x](/assets/no.png)\n",
        "site/assets/own.css": "p { background: url(gone.png) }\n",
        "site/templates/post.html": BASE
        % '<link rel="stylesheet" href="{{ asset("own.css") }}"><h1>{{ title }}</h1>{{ content }}',
    }
    found = short(check(tmp_path, files, "  redirects: {/old/: /2026/11/image/, /older/: /nowhere/}\n"))
    assert found == [
        "posts/2026-11-01-bad.md:3:1 content",
        "posts/2026-11-02-image.md:5:6 content",
        "posts/2026-11-02-image.md:5:26 broken-link",
        "posts/2026-11-03-good.md:5:69 content",
        "site/assets/own.css:1:1 content",
        "tagship.yml:1:1 broken-link",
    ]


def test_a_site_with_too_much_wrong_says_that_it_looked_no_further(tmp_path: Path) -> None:
    """Each try is a build: after some, what is told so far is to be mended first."""
    head = POST.replace("Hello", "Many")
    found = check(tmp_path, {f"posts/2026-11-01-p{n:02}.md": f"{head}![x](/assets/no{n}.png)\n" for n in range(40)})
    assert {problem["code"] for problem in found} == {"content"}
    assert found[-1]["message"] == "more than 29 files can't be built: no page was looked at"


@pytest.mark.parametrize(
    "body",
    [
        "<div>" * 3000 + "x\n",
        "<b>" * 500 + "x" + "</i>" * 500 + "\n",
        "<a href='" + "x" * 90_000 + "'>x</a>\n",
        "<p \x00 a='&#0;'>\n",
    ],
)
def test_what_is_broken_on_purpose_is_told_and_breaks_nothing(tmp_path: Path, body: str) -> None:
    """Deep, crossed, long and binary: findings, and an end."""
    assert check(tmp_path, {"posts/2026-11-01-hello.md": POST + body})


@pytest.mark.parametrize(
    ("body", "found"),
    [
        (
            "One [a](/nope/), `[b](/nope/)`,\n[c](/nope/) and [d](/nope/x/)\n",
            ["5:9 broken-link", "6:5 broken-link", "6:21 broken-link"],
        ),
        ("[a](/2026/11/hello)\n", ["5:5 indirect-link"]),
        ("[a](#nope), [b](/archive/#y2026), [c](/archive/#y1999)\n", ["5:5 broken-anchor", "5:39 broken-anchor"]),
        ("![a](/nope.png) [b](https://blog.example/nope/)\n", ["5:6 broken-asset", "5:21 broken-link"]),
        ("<a href='http://[x/'>a</a> <a href='a b'>b</a>\n", ["5:10 malformed-link", "5:37 malformed-link"]),
        ("[a](https://else.example/nope/) <mailto:a@b.example> [d](data:text/plain,x)\n", []),
        ("Said[^1] and [seen][there].\n", ["5:5 undefined-reference", "5:20 undefined-reference"]),
        ("## Part {#a}\n\n## Part {#a}\n", ["7:9 duplicate-id"]),
        ('<p id="a">x</p>\n\n<p id="a">x</p>\n', ["7:1 duplicate-id"]),
        ("<center>x</center>\n", ["5:1 html"]),
        ("<div>\n\n<span>x</div>\n", ["7:1 unclosed-element"]),
        ("<p>x <div>y</div></p>\n", ["5:18 stray-end-tag"]),
        ("<ul><p>x</p></ul>\n", ["5:5 misplaced-element"]),
        ("<div><span><div>x</div></span></div>\n", ["5:12 misplaced-element"]),
        ("<a href='/'>x <button>y</button></a>\n", ["5:15 misplaced-element"]),
        ("<div><ins><p>x</p></ins></div><details><summary>a</summary><p>b</p></details>\n", []),
        ("<img src='/favicon.ico'>\n", ["5:1 image-alt", "5:11 broken-asset"]),
        ("<a href='/'></a> <a href='/'><img src='/feed.xml' alt='x'></a>\n", ["5:1 link-name"]),
        ("<input name='q'> <label>a <input></label> <input aria-label='x'>\n", ["5:1 label"]),
        ("[a](other.md)\n", ["5:5 broken-link"]),
        ("### Deep\n", ["5:5 heading-order"]),
        ("<iframe src='https://a.example/'></iframe>\n", ["5:1 frame-title"]),
        ("<h2></h2>\n", ["5:1 heading-empty"]),
        ("```nosuchlanguage\nx\n```\n", ["5:1 markdown"]),
    ],
)  # fmt: skip
def test_what_is_wrong_in_a_text_is_placed_where_it_is_written(tmp_path: Path, body: str, found: list[str]) -> None:
    """Line and column are those of the post, though it is the page that was looked at; code is left alone."""
    assert of_body(tmp_path, body) == found


def test_a_template_is_told_once_for_all_its_pages(tmp_path: Path) -> None:
    """At its line where what is wrong stands in it, else at the first page; with the number of pages."""
    files = {
        "posts/2026-11-01-hello.md": POST + "Text.\n",
        "posts/2026-11-02-next.md": POST.replace("Hello", "Next") + "Text.\n",
        "site/templates/post.html": "{# one #}\n"
        + BASE % '\n<h1>{{ title }}</h1><a href="/gone/">x</a>\n<input {{ "name=q" }}>',
    }
    found = check(tmp_path, files)
    assert [(where, problem["pages"]) for where, problem in zip(short(found), found, strict=True)] == [
        ("build/site/2026/11/hello/index.html:3:1 label", 2),
        ("site/templates/post.html:3:30 broken-link", 2),
    ]


def test_titles_that_are_alike(tmp_path: Path) -> None:
    """Both are named; a warning does not refuse."""
    files = {f"posts/2026-11-0{day}-p{day}.md": POST + "Text.\n" for day in (1, 2)}
    (found,) = check(tmp_path, files)
    assert short([found]) == ["posts/2026-11-02-p2.md:2:1 duplicate-title"]
    assert "is that of /2026/11/p1/ too" in found["message"]
    assert told(tmp_path)[-1].data["exit"] == 0


@pytest.mark.parametrize(
    ("feed", "message"),
    [
        ("<feed", "is not well-formed"),
        ("<!DOCTYPE x><feed/>", "declares a document type"),
        ("<feed xmlns='http://www.w3.org/2005/Atom'><id>x:1</id><title/></feed>", "the feed has no <updated>"),
        ("<feed xmlns='http://www.w3.org/2005/Atom'><id>one</id></feed>", "the id of the feed isn't absolute"),
    ],
)
def test_a_feed_that_readers_refuse(tmp_path: Path, feed: str, message: str) -> None:
    """Also one that the project made itself."""
    files = {"posts/2026-11-01-hello.md": POST + "Text.\n", "site/static/other.xml": feed}
    found = check(tmp_path, files)
    assert {(problem["path"], problem["code"]) for problem in found} == {("build/site/other.xml", "feed")}
    assert any(message in problem["message"] for problem in found)


def test_entries_of_a_feed_have_ids_and_moments_of_their_own(tmp_path: Path) -> None:
    """Two with one id are one to a reader; a day is no moment; what is linked must be there."""
    entry = "<entry><id>x:2</id><title>a</title><updated>%s</updated><link href='https://blog.example%s'/></entry>"
    entries = entry % ("2026-11-01", "/nope/") + entry % ("2026-11-01T00:00:00Z", "/")
    head = "<id>x:1</id><title>t</title><updated>2026-11-01T00:00:00Z</updated><link rel='self' href='x'/>"
    feed = f"<feed xmlns='http://www.w3.org/2005/Atom'>{head}<author><name>A</name></author>{entries}</feed>"
    found = check(tmp_path, {"site/static/other.xml": feed})
    assert sorted(problem["message"].partition(":")[0] for problem in found) == [
        "the <updated> of the entry `a` is no date with a time and a zone",
        "the entry `a` has the id of the entry `a`",
        "the link of the entry `a` leads nowhere",
    ]


def test_what_is_ignored_needs_a_reason_and_something_to_ignore(tmp_path: Path) -> None:
    """By code, file and words; an entry that matches nothing any more is told itself."""
    entries = (
        "  check:\n    ignore:\n"
        "      - {code: broken-link, path: posts/*, text: /nope/, reason: it comes}\n"
        "      - {code: label, reason: none}\n"
    )
    body = "[a](/nope/) [b](/other/)\n"
    files = {"posts/2026-11-01-hello.md": POST + body}
    assert short(check(tmp_path, files, entries)) == [
        "posts/2026-11-01-hello.md:5:17 broken-link",
        "tagship.yml:1:1 unused-ignore",
    ]
    assert told(tmp_path)[-1].data["ignored"] == 1
    with pytest.raises(ConfigError, match="needs `reason`"):
        check(tmp_path, files, "  check: {ignore: [{code: label}]}\n")
    with pytest.raises(ConfigError, match="there is no finding `lable`"):
        check(tmp_path, files, "  check: {ignore: [{code: lable, reason: x}]}\n")


def test_drafts_and_the_future_are_looked_at_when_asked(tmp_path: Path) -> None:
    """What isn't published can't be wrong yet."""
    files = {
        "posts/2026-11-01-hello.md": POST.replace("title", "draft: true\ntitle") + "[a](/nope/)\n",
        "posts/2999-11-01-late.md": POST.replace("Hello", "Late") + "[a](/nope/)\n",
    }
    assert check(tmp_path, files) == []
    assert short(check(tmp_path, files, drafts=True, future=True)) == [
        "posts/2026-11-01-hello.md:6:5 broken-link",
        "posts/2999-11-01-late.md:5:5 broken-link",
    ]


def test_sarif_is_valid_and_holds_every_finding(tmp_path: Path) -> None:
    """By the schema of SARIF 2.1.0; every rule is listed, and a finding's fingerprint survives a move of its line."""
    files = {"posts/2026-11-01-hello.md": POST + "[a](/nope/)\n\n<ul><p>x</p></ul>\n"}
    out = tmp_path / "found.sarif"
    problems = check(tmp_path, files, sarif=out)
    log = json.loads(out.read_text())
    (run,) = log["runs"]
    assert [rule["id"] for rule in run["tool"]["driver"]["rules"]] == sorted(CODES)
    assert [result["ruleId"] for result in run["results"]] == [problem["code"] for problem in problems]
    region = run["results"][0]["locations"][0]["physicalLocation"]["region"]
    assert region == {"startLine": 5, "startColumn": 5}
    check(tmp_path, {"posts/2026-11-01-hello.md": POST + "\n\n[a](/nope/)\n"}, sarif=out)
    (moved,) = json.loads(out.read_text())["runs"][0]["results"]
    assert moved["partialFingerprints"] == run["results"][0]["partialFingerprints"]
    with pytest.raises(UsageError, match="Is a directory"):
        check(tmp_path, files, sarif=tmp_path)


def test_the_sample_of_the_theme_has_no_finding(tmp_path: Path) -> None:
    """What `inv check-theme` shows to a browser passes our own checks too, contrast among them."""
    sample.write(tmp_path)
    assert check(tmp_path, {"tagship.yml": sample.YML}) == []


def test_the_page_of_checks_lists_every_kind() -> None:
    """docs/checks.md has each code, how bad it is and what it means, in the words of the code."""
    page = (Path(__file__).parents[2] / "docs/checks.md").read_text(encoding="utf-8")
    rows = re.findall(r"(?m)^\| `([a-z-]+)` \| (error|warning) \| (.*) \|$", page)
    assert rows == [(name, code.severity, code.about) for name, code in CODES.items()]
