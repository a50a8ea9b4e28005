"""What a site may have beside posts and pages: collections, data files, texts that expire, old addresses."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from unit.press_project import CLOCK, HELLO, SITE, made, read, refused, site, write

from tagship.press.build import Ask
from tagship.press.due import upcoming
from tagship.press.turns import Turns

DOCS = {
    "site/collections/docs/index.md": "---\ntitle: Docs\nlayout: docs\n---\nAll of them.\n",
    "site/collections/docs/second.md": "---\ntitle: Second\nweight: 2\nextra: {level: hard}\n---\nIt goes on.\n",
    "site/collections/docs/first.md": "---\ntitle: First\nweight: 1\nsummary: How to begin\n---\nIt begins.\n",
    "site/templates/docs.html": (
        "{% for item in collections.docs %}{{ item.url }} {{ item.title }}: {{ item.summary }} "
        "{{ item.extra.get('level', '-') }}\n{% endfor %}"
    ),
}


def test_a_collection_has_pages_of_its_own_and_is_a_list_in_templates(tmp_path: Path) -> None:
    """site/collections/NAME/a.md answers /NAME/a/; the lighter stand first."""
    report = made(tmp_path, {**HELLO, **DOCS})
    assert {"/docs/", "/docs/first/", "/docs/second/"} < set(report.urls)
    assert "It begins." in read(tmp_path, "/docs/first/")
    assert read(tmp_path, "/docs/").splitlines() == [
        "/docs/ Docs: All of them. -",
        "/docs/first/ First: How to begin -",
        "/docs/second/ Second: It goes on. hard",
    ]


def test_a_collection_must_have_a_name_of_its_own(tmp_path: Path) -> None:
    """`posts` is taken; so is what can't stand in a URL."""
    text = "---\ntitle: A\n---\n"
    assert "is what posts and pages are called" in refused(tmp_path, {"site/collections/posts/a.md": text})


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("team.yaml", "- {name: Ada, age: 36}\n"),
        ("team.json", '[{"name": "Ada", "age": 36}]'),
        ("team.csv", 'name,age\n"Ada",36\n'),
    ],
)
def test_data_files_are_values_in_templates(tmp_path: Path, name: str, content: str) -> None:
    """YAML, JSON and CSV alike."""
    page = "---\ntitle: T\n---\n{% for one in data.team %}{{ one.name }} is {{ one.age }}{% endfor %}"
    made(tmp_path, {f"site/data/{name}": content, "site/pages/t.html": page})
    assert "Ada is 36" in read(tmp_path, "/t/")


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.yaml", "a: [1", "site/data/a.yaml:"),
        ("a.yaml", "!!python/object/apply:os.system [id]", "site/data/a.yaml:1:1: the tag"),
        ("a.json", '{"a": }', "site/data/a.json:1:7: Expecting value"),
        ("a.json", "[" * 50 + "]" * 50, "site/data: is nested too deeply"),
        ("a.csv", "a,b\n1\n", "site/data/a.csv:2: has 1 fields, and the first line 2"),
        ("a.csv", b"\xff", "site/data/a.csv:1: not UTF-8"),
        ("a.csv", "x" * 4_000_001, "site/data/a.csv: is larger than 4,000,000 bytes"),
    ],
)
def test_a_bad_data_file_is_refused_with_its_line(tmp_path: Path, name: str, content: str | bytes, said: str) -> None:
    """Once a template asks for it; what it says is as untrusted as front matter."""
    page = "---\ntitle: T\n---\n{{ data.a }}"
    assert refused(tmp_path, {f"site/data/{name}": content, "site/pages/t.html": page}).startswith(said)


def test_data_that_is_not_there_is_named(tmp_path: Path) -> None:
    """The template's line is told; `in` asks without an error."""
    assert "site/pages/t.html:4" in refused(tmp_path, {"site/pages/t.html": "---\ntitle: T\n---\n{{ data.gone }}"})
    page = "---\ntitle: T\n---\n{{ 'gone' in data }}"
    made(tmp_path, {"site/pages/t.html": page})
    assert "False" in read(tmp_path, "/t/")


def test_no_template_changes_what_the_next_page_sees(tmp_path: Path) -> None:
    """Lists and mappings of data files can't be added to."""
    page = "---\ntitle: T\n---\n{{ data.a.append(1) }}"
    assert "has no attribute 'append'" in refused(tmp_path, {"site/data/a.json": "[]", "site/pages/t.html": page})


def test_what_expired_is_left_out_and_told(tmp_path: Path) -> None:
    """From that moment on; a page as well as a post."""
    files = {
        **HELLO,
        "posts/2026-11-02-old.md": "---\ntitle: Old\nexpires: 2026-11-20 12:00\n---\n",
        "posts/2026-11-03-yet.md": "---\ntitle: Yet\nexpires: 2026-11-20 12:01\n---\n",
        "site/pages/fair.md": "---\ntitle: Fair\nexpires: 2026-11-01\n---\n",
    }
    report = made(tmp_path, files)
    assert report.expired == ("posts/2026-11-02-old.md", "site/pages/fair.md")
    assert "/2026/11/yet/" in report.urls
    assert "/2026/11/old/" not in report.urls


def test_what_is_due_is_told_in_order(tmp_path: Path) -> None:
    """What appears and what disappears; drafts, and what can't be seen at all, don't count."""
    files = {
        **HELLO,
        "posts/2026-12-01-soon.md": "---\ntitle: Soon\nexpires: 2026-12-24\n---\n",
        "posts/2026-12-02-draft.md": "---\ntitle: Draft\ndraft: true\n---\n",
        "site/pages/fair.md": "---\ntitle: Fair\nexpires: 2026-12-10\n---\n",
    }
    due = upcoming(write(tmp_path, files), site(timezone="Europe/Berlin"), CLOCK)
    assert [(change.moment.isoformat(), change.name, change.what) for change in due] == [
        ("2026-12-01T00:00:00+01:00", "posts/2026-12-01-soon.md", "appears"),
        ("2026-12-10T00:00:00+01:00", "site/pages/fair.md", "disappears"),
        ("2026-12-24T00:00:00+01:00", "posts/2026-12-01-soon.md", "disappears"),
    ]
    assert upcoming(tmp_path, SITE, datetime(2027, 1, 1, tzinfo=UTC)) == []


def test_old_addresses_lead_to_the_new_one(tmp_path: Path) -> None:
    """A small page each, not in the sitemap."""
    text = "---\ntitle: A\naliases: [/old/, /2019/ä.html]\n---\n"
    report = made(tmp_path, {"posts/2026-11-01-a.md": text})
    for url in ("/old/", "/2019/ä.html"):
        page = read(tmp_path, url)
        assert '<meta http-equiv="refresh" content="0; url=/2026/11/a/">' in page
        assert '<link rel="canonical" href="https://example.org/2026/11/a/">' in page
        assert url not in report.urls
    assert "old" not in read(tmp_path, "/sitemap.xml")


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("aliases: [old]", "`aliases` holds `old`, which must begin with `/`"),
        ("aliases: [/2026/11/hello/]", "publishes /2026/11/hello/index.html, and so does"),
        ("weight: heavy", "`weight` is not a key of the front matter"),
        ("expires: someday", "`expires` is not a date: someday"),
        ("extra: [1]", "`extra` must be a mapping"),
    ],
)
def test_bad_front_matter_is_refused(tmp_path: Path, line: str, said: str) -> None:
    """Each with the file and a cure."""
    assert said in refused(tmp_path, {**HELLO, "posts/2026-11-02-b.md": f"---\ntitle: B\n{line}\n---\n"})


def test_a_shortcode_can_not_show_what_another_body_becomes(tmp_path: Path) -> None:
    """Bodies are rendered side by side, in any order."""
    show = "{% macro all() %}{% for item in collections.docs %}{{ item.content }}{% endfor %}{% endmacro %}"
    files = {
        "site/collections/docs/a.md": "---\ntitle: A\n---\nText.\n",
        "site/templates/shortcodes.html": show,
        "posts/2026-11-02-b.md": "---\ntitle: B\n---\n{{ all() }}\n",
    }
    said = refused(tmp_path, files)
    assert said.startswith("posts/2026-11-02-b.md")
    assert "a shortcode asks what becomes of the body of site/collections/docs/a.md" in said


def test_every_kind_of_text_is_rendered_again_with_the_data_that_it_shows(tmp_path: Path) -> None:
    """Also where a shortcode shows it in a body."""
    ask = Ask(
        write(
            tmp_path / "project",
            {
                "site/data/team.json": '["Ada"]',
                "site/templates/shortcodes.html": "{% macro team() %}{{ data.team | join }}{% endmacro %}",
                "posts/2026-11-02-b.md": "---\ntitle: B\n---\n{{ team() }}\n",
            },
        ),
        SITE,
        CLOCK,
    )
    Turns(tmp_path / "built").build(ask)
    write(ask.project, {"site/data/team.json": '["Bob"]'})
    done = Turns(tmp_path / "built").build(ask)
    assert "2026/11/b/index.html" in done.written
    assert "Bob" in (tmp_path / "built/site/2026/11/b/index.html").read_text()
