"""docs/press.md names every key and variable that there is, and no other; each is tried."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec
import pytest
from unit.press_project import HELLO, made, read

from tagship import config
from tagship.press import content, views

PAGE = (Path(__file__).parents[2] / "docs/press.md").read_text(encoding="utf-8")
VALUES = {"a post": views.Article, "a text of a collection": views.Item, "a tag": views.Tag}
FILES = {
    **HELLO,
    "posts/2026-11-02-b.md": "---\ntitle: B\ntags: [one]\n---\nText.\n",
    "site/pages/about.md": "---\ntitle: About\n---\nUs.\n",
    "site/collections/docs/a.md": "---\ntitle: A\n---\nText.\n",
    "site/data/team.json": "[]",
}
EVERYWHERE = "{{ site.title }}{{ menu | length }}{{ url }}{{ title }}{{ summary }}{{ 'team' in data }}{{ data.team }}"
EVERYWHERE += "{{ collections.docs | length }}{{ asset('style.css') }}{{ url | encoded }}{{ url | absolute }}"


def section(title: str) -> str:
    return PAGE.partition(f"\n## {title}\n")[2].partition("\n## ")[0]


def rows(text: str) -> list[list[str]]:
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line[:1] == "|"]


def words(cell: str) -> list[str]:
    return re.findall(r"`(\w+)`", cell)


KEYS = [row for row in rows(section("Front matter")) if row[0].startswith("`")]


@pytest.mark.parametrize(
    ("column", "name", "known"),
    [
        (1, "posts/2026-11-01-a.md", content.POST_KEYS),
        (2, "site/pages/a.md", content.PAGE_KEYS),
        (3, "site/collections/docs/a.md", content.ITEM_KEYS),
    ],
)
def test_every_key_of_the_front_matter_is_listed_and_loads(
    tmp_path: Path, column: int, name: str, known: frozenset[str]
) -> None:
    """With the example that stands there; all of them together make a text."""
    lines = [row[0].strip("`") for row in KEYS if row[column] == "yes"]
    assert {line.partition(":")[0] for line in lines} == known
    lines = [line for line in lines if not line.startswith("draft")]
    report = made(tmp_path, {name: "\n".join(["---", *lines, "---", "Text.", ""])}, future=True)
    assert "/notes/one.html" in report.urls


def test_every_setting_is_listed() -> None:
    """Their types and defaults are in the annotated tagship.yml, which another test loads."""
    assert set(words(section("Settings"))) == {field.name for field in msgspec.structs.fields(config.Site)}


@pytest.mark.parametrize("value", VALUES)
def test_what_values_have_is_listed(value: str) -> None:
    """Every public name of a post, of a collection's text and of a tag."""
    (listed,) = [row[1] for row in rows(section("Templates")) if row[0] == value]
    kind = VALUES[value]
    there = {name for name in dir(kind) if not name.startswith("_") and not name.endswith("_")}
    assert set(words(listed)) == there


@pytest.mark.parametrize(
    ("template", "url"),
    [
        ("post.html", "/2026/11/hello/"),
        ("page.html", "/about/"),
        ("index.html", "/"),
        ("archive.html", "/archive/"),
        ("tags.html", "/tags/"),
        ("tag.html", "/tags/one/"),
        ("404.html", "/404.html"),
    ],
)
def test_every_variable_of_a_template_is_there(tmp_path: Path, template: str, url: str) -> None:
    """Those of every template, and its own; a name that isn't there would be an error."""
    (own,) = [words(row[1]) for row in rows(section("Templates")) if row[0] == f"`{template}`"]
    text = EVERYWHERE + "".join(f"{{% set x = {name} %}}[{name}]{{{{ x is defined }}}}" for name in own)
    made(tmp_path, {**FILES, f"site/templates/{template}": text})
    assert all(f"[{name}]True" in read(tmp_path, url) for name in own)


def test_every_variable_of_values_is_there(tmp_path: Path) -> None:
    """Asked for one by one, of a post, of a collection's text and of a tag."""
    listed = {row[0]: words(row[1]) for row in rows(section("Templates")) if row[0] in VALUES}
    one = {"a post": "posts[0]", "a text of a collection": "collections.docs[0]", "a tag": "posts[0].tags[0]"}
    text = "".join(f"{{{{ {one[value]}.{name} is defined }}}} " for value, names in listed.items() for name in names)
    made(tmp_path, {**FILES, "site/pages/all.html": f"---\ntitle: All\nlayout: bare\n---\n{text}"} | {
        "site/templates/bare.html": "{{ content }}",
    })  # fmt: skip
    assert set(read(tmp_path, "/all/").split()) == {"True"}
